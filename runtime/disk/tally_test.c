/* Trees are counted as du counts them. */
#include "lib/io.h"
#include "runtime/command.h"
#include "runtime/disk/tally.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char top[64];
static int top_fd;

static int make_top(void **state UNUSED)
{
	snprintf(top, sizeof(top), "/tmp/berth-tally.XXXXXX");
	if (!mkdtemp(top))
		return -1;
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return top_fd < 0;
}

static int remove_top(void **state UNUSED)
{
	close(top_fd);
	return io_remove_tree(AT_FDCWD, top);
}

static void write_file(const char *name, size_t size)
{
	char *bytes autofree = calloc(1, size);
	int fd autoclose = openat(top_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0 && bytes);
	assert_int_equal(io_write_all(fd, bytes, size), 0);
	assert_int_equal(fsync(fd), 0);
}

/* What du says of it. */
static uint64_t du(const char *name)
{
	char path[96];
	const char *const argv[] = {"du", "-s", "-B1", path, NULL};
	autobuf out = {.max = 256};

	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(command_run(argv, NULL, 0, &out), 0);
	return strtoull(out.data, NULL, 10);
}

static void a_tree_takes_what_du_says(void **state UNUSED)
{
	struct tally t = TALLY_INIT;

	assert_int_equal(mkdirat(top_fd, "a", 0700), 0);
	assert_int_equal(mkdirat(top_fd, "a/b", 0700), 0);
	write_file("a/small", 1);
	write_file("a/b/large", 100000);
	assert_int_equal(symlinkat("/etc", top_fd, "a/link"), 0);
	int fd autoclose = openat(top_fd, "a/hole", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 1 << 30), 0);
	assert_int_equal(tally_tree(&t, top_fd, "a"), du("a"));
	assert_true(du("a") > 100000 && du("a") < 1 << 20);
	assert_int_equal(tally_tree(&t, top_fd, "none"), 0);
	assert_int_equal(
		tally_tree(&t, top_fd, "a/link"), tally_entry(&t, top_fd, "a/link"));
	assert_false(t.partial);
	tally_clear(&t);
}

static void a_file_with_many_names_counts_once_in_all_trees(void **state UNUSED)
{
	struct tally t = TALLY_INIT;
	char name[32];

	assert_int_equal(mkdirat(top_fd, "one", 0700), 0);
	assert_int_equal(mkdirat(top_fd, "two", 0700), 0);
	for (int i = 0; i < 1500; i++) { /* the table grows */
		snprintf(name, sizeof(name), "one/%d", i);
		write_file(name, 10);
		char other[32];
		snprintf(other, sizeof(other), "two/%d", i);
		assert_int_equal(linkat(top_fd, name, top_fd, other, 0), 0);
	}
	uint64_t one = tally_tree(&t, top_fd, "one"), two = tally_tree(&t, top_fd, "two");
	assert_int_equal(one, du("one"));
	assert_int_equal(two, tally_entry(&t, top_fd, "two"));
	assert_int_equal(t.n_seen, 1500);
	tally_clear(&t);
	assert_int_equal(tally_tree(&t, top_fd, "two"), du("two"));
	tally_clear(&t);
}

static void what_lies_too_deep_is_told(void **state UNUSED)
{
	struct tally t = TALLY_INIT;
	int fd = dup(top_fd);

	for (int i = 0; i < TALLY_DEPTH + 3; i++) {
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = next;
	}
	close(fd);
	uint64_t most = du("d");
	assert_in_range(tally_tree(&t, top_fd, "d"), 1, most - 1);
	assert_true(t.partial);
	tally_clear(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_tree_takes_what_du_says, make_top, remove_top),
		cmocka_unit_test_setup_teardown(
			a_file_with_many_names_counts_once_in_all_trees, make_top,
			remove_top),
		cmocka_unit_test_setup_teardown(
			what_lies_too_deep_is_told, make_top, remove_top),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
