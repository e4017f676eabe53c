/* Tests: a tree goes through a pipe and is the same at the other end; what is hostile does not get in. */
#include "lib/io.h"
#include "lib/stow.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <cmocka.h>

static char folder[] = "/tmp/stow-test.XXXXXX";

static int make_top(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(mkdir(path, 0755), 0);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void put(int dir, const char *name, const char *text)
{
	int fd autoclose = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, text, strlen(text)), 0);
}

struct sending {
	struct stow t;
	int before, out, result;
	struct err e;
};

static void *send_main(void *arg)
{
	struct sending *s = arg;

	s->result = stow_send(&s->t, s->before, s->out, &s->e);
	close(s->out);
	return NULL;
}

/* From one folder to another, as a pipe would carry it. */
static void carry(int from, int to)
{
	int p[2];
	pthread_t thread;
	struct err e = {0};

	assert_int_equal(pipe(p), 0);
	struct sending s = {.t = {.fd = from}, .before = -1, .out = p[1]};
	assert_int_equal(pthread_create(&thread, NULL, send_main, &s), 0);
	int r = stow_receive(to, p[0], geteuid() == 0, 1u << 30, &e);
	close(p[0]);
	pthread_join(thread, NULL);
	assert_string_equal(s.e.text, "");
	assert_string_equal(e.text, "");
	assert_int_equal(r, 0);
	assert_int_equal(s.result, 0);
}

static void make_tree(int top)
{
	struct timespec old[2] = {{1000, 5}, {1000, 5}};

	put(top, "a file", "some text");
	assert_int_equal(mkdirat(top, "sub", 0750), 0);
	assert_int_equal(mkdirat(top, "sub/deeper", 0701), 0);
	put(top, "sub/deeper/x", "");
	assert_int_equal(symlinkat("../../etc/passwd", top, "sub/out"), 0);
	assert_int_equal(linkat(top, "a file", top, "sub/again", 0), 0);
	assert_int_equal(mkfifoat(top, "fifo", 0600), 0);
	int fd = openat(top, "holes", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(pwrite(fd, "x", 1, 9 << 20), 1);
	assert_int_equal(ftruncate(fd, 20 << 20), 0);
	fsetxattr(fd, "user.note", "hi", 2,
		0); /* where there are none, none are compared */
	close(fd);
	assert_int_equal(utimensat(top, "sub", old, 0), 0);
}

static bool same(const char *a, const char *b)
{
	char command[400];

	/* Owner, mode, times, links and bytes, as two others see them. */
	snprintf(command, sizeof(command),
		"cd %s && diff -rq --no-dereference %s %s && "
		"x() { cd $1 && find . -printf '%%P %%y %%m %%U %%G %%T@ %%l %%n\\n' | "
		"sort; } && "
		"test \"$(x %s)\" = \"$(cd .. && x %s/%s)\"",
		folder, a, b, a, folder, b);
	const char *argv[] = {"sh", "-c", command, NULL};
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execv("/bin/sh", (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

static void a_tree_arrives_as_it_was(void **state UNUSED)
{
	int from autoclose = make_top("from"), to autoclose = make_top("to");
	struct stat st;

	make_tree(from);
	/* diff would wait at a FIFO. */
	carry(from, to);
	assert_int_equal(fstatat(to, "fifo", &st, 0), 0);
	assert_true(S_ISFIFO(st.st_mode));
	unlinkat(from, "fifo", 0);
	unlinkat(to, "fifo", 0);
	struct timespec when[2] = {{2000, 0}, {2000, 0}};
	futimens(from, when);
	futimens(to, when);
	assert_true(same("from", "to"));
	assert_int_equal(fstatat(to, "holes", &st, 0), 0);
	assert_true(st.st_blocks * 512 < 1 << 20);
	put(to, "a file", "Some");
	assert_false(same("from", "to"));
}

static int send_to_file(int top, int before)
{
	int fd = openat(top, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct err e = {0};

	assert_true(fd >= 0);
	assert_int_equal(stow_send(&(struct stow){.fd = top}, before, fd, &e), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void count(int fd, unsigned int *entries, unsigned int *same_ones, uint64_t *bytes)
{
	struct frame f = {0};

	*entries = *same_ones = 0;
	*bytes = 0;
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	while (frame_read(fd, &f) == 0 && f.kind != FRAME_END) {
		*entries += f.kind == FRAME_ENTRY;
		*same_ones += f.kind == FRAME_SAME;
		*bytes += f.kind == FRAME_DATA ? f.body.len : 0;
	}
	assert_int_equal(f.kind, FRAME_END);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	frame_free(&f);
}

/* Only the entries, as a store keeps them. */
static int entries_of(int top, int fd)
{
	int out = openat(top, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	struct frame f = {0};

	while (frame_read(fd, &f) == 0)
		if (f.kind == FRAME_ENTRY || f.kind == FRAME_END)
			assert_int_equal(
				frame_write(out, f.kind, f.body.data, f.body.len), 0);
	frame_free(&f);
	assert_int_equal(lseek(out, 0, SEEK_SET), 0);
	return out;
}

static void what_did_not_change_is_not_read_again(void **state UNUSED)
{
	int top autoclose = make_top("twice");
	unsigned int entries, same_ones;
	uint64_t bytes;

	put(top, "one", "11111");
	put(top, "two", "22222");
	usleep((STOW_RECENT_S + 1) * 1000000);
	int first autoclose = send_to_file(top, -1);
	count(first, &entries, &same_ones, &bytes);
	assert_int_equal(entries, 3);
	int known autoclose = entries_of(top, first);
	put(top, "two", "33333");
	int second autoclose = send_to_file(top, known);
	count(second, &entries, &same_ones, &bytes);
	assert_int_equal(same_ones, 2); /* the folder too */
	assert_int_equal(bytes, 5);
	/* It changed just now: in the same tick of the clock it may change again. */
	int again autoclose = entries_of(top, second);
	int third autoclose = send_to_file(top, again);
	count(third, &entries, &same_ones, &bytes);
	assert_int_equal(same_ones, 0);
	assert_int_equal(bytes, 10);
}

static void make_deep(int top, unsigned int levels)
{
	char name[201];
	int at = dup(top);

	memset(name, 'd', 200);
	name[200] = '\0';
	while (levels-- > 0) {
		assert_int_equal(mkdirat(at, name, 0755), 0);
		int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
	}
	put(at, "end", "x");
	close(at);
}

static unsigned int count_lost(int top, const char *why)
{
	int fd autoclose = send_to_file(top, -1);
	struct frame f = {0};
	unsigned int n = 0, found = 0;

	while (frame_read(fd, &f) == 0 && f.kind != FRAME_END)
		if (f.kind == FRAME_LOST) {
			n++;
			found += strstr(f.body.data, why) != NULL;
		}
	frame_free(&f);
	assert_int_equal(found, 1);
	return n;
}

static void a_path_that_is_too_long_keeps_nothing_else_away(void **state UNUSED)
{
	int from autoclose = make_top("deep"), to autoclose = make_top("deep-to");
	struct stat st;

	make_deep(from, 21); /* 21 times 201 bytes */
	put(from, "file", "text");
	assert_int_equal(count_lost(from, "ddd...: its path is longer than 4095"), 1);
	carry(from, to);
	assert_int_equal(fstatat(to, "file", &st, 0), 0);
	assert_int_equal(st.st_size, 4);
}

/* ext4 has no so large ones; a tmpfs has, from Linux 6.6 on. */
static bool put_large_attributes(int dir, const char *name)
{
	static const char value[60000];
	int fd autoclose = openat(dir, name, O_RDONLY | O_CLOEXEC);
	char key[32];

	for (int i = 0; i < 10; i++) {
		snprintf(key, sizeof(key), "user.%d", i);
		if (fsetxattr(fd, key, value, sizeof(value), 0) < 0)
			return false;
	}
	return true;
}

static void a_file_comes_without_attributes_that_are_too_large(void **state UNUSED)
{
	char shared[] = "/dev/shm/stow-test.XXXXXX";
	int to autoclose = make_top("bare");
	struct stat st;

	if (!mkdtemp(shared))
		skip();
	int from autoclose = open(shared, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(from, "file", "text");
	put(from, "other", "text");
	bool large = put_large_attributes(from, "file");
	if (large) {
		assert_int_equal(
			count_lost(from, "file: it is kept without its attributes"), 1);
		carry(from, to);
	}
	io_remove_tree(AT_FDCWD, shared);
	if (!large) {
		print_message("no file system here has large attributes\n");
		skip();
	}
	assert_int_equal(fstatat(to, "file", &st, 0), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(fstatat(to, "other", &st, 0), 0);
}

static void a_file_under_a_lease_keeps_nothing_else_away(void **state UNUSED)
{
	int from autoclose = make_top("leased"), to autoclose = make_top("leased-to");
	struct stat st;

	put(from, "a", "text");
	put(from, "b", "text");
	int fd autoclose = openat(from, "a", O_WRONLY | O_CLOEXEC);
	signal(SIGIO, SIG_IGN); /* which asks for the lease */
	assert_int_equal(fcntl(fd, F_SETLEASE, F_WRLCK), 0);
	assert_int_equal(count_lost(from, "a: a program has a lease on it"), 1);
	carry(from, to);
	assert_int_equal(fstatat(to, "a", &st, 0), -1);
	assert_int_equal(fstatat(to, "b", &st, 0), 0);
}

/* More of them than the table begins with, each with its own second name. */
static void files_with_several_names_are_not_confused(void **state UNUSED)
{
	enum { FILES = 300 };
	int from autoclose = make_top("linked"), to autoclose = make_top("linked-to");
	char one[16], two[16], path[32];
	struct stat st, other;

	assert_int_equal(mkdirat(from, "sub", 0755), 0);
	for (int i = 0; i < FILES; i++) {
		snprintf(one, sizeof(one), "%d", i);
		snprintf(path, sizeof(path), "sub/%d", FILES - i);
		put(from, one, one);
		assert_int_equal(linkat(from, one, from, path, 0), 0);
	}
	carry(from, to);
	for (int i = 0; i < FILES; i++) {
		snprintf(one, sizeof(one), "%d", i);
		snprintf(path, sizeof(path), "sub/%d", FILES - i);
		assert_int_equal(fstatat(to, one, &st, 0), 0);
		assert_int_equal(fstatat(to, path, &other, 0), 0);
		assert_true(st.st_nlink == 2 && st.st_ino == other.st_ino);
		int fd autoclose = openat(to, path, O_RDONLY | O_CLOEXEC);
		memset(two, 0, sizeof(two));
		assert_true(read(fd, two, sizeof(two) - 1) > 0);
		assert_string_equal(two, one);
	}
}

static void put_entry(struct buf *b, char type, const char *path, const char *target)
{
	static const char zeros[64];
	uint16_t n;

	buf_reset(b);
	buf_add(b, zeros, STOW_IDENTITY);
	buf_add(b, &type, 1);
	buf_add(b, zeros, 32); /* mode .. size */
	n = (uint16_t)strlen(path);
	buf_add(b, &n, 2);
	buf_adds(b, path);
	n = (uint16_t)strlen(target);
	buf_add(b, &n, 2);
	buf_adds(b, target);
	buf_add(b, zeros, 2);
}

static int receive_these(int top, const char *const (*entries)[3], size_t n)
{
	int fd autoclose = openat(top, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int to autoclose = openat(top, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	static const char end[24];
	struct buf b = BUF_INIT;
	struct err e = {0};

	for (size_t i = 0; i < n; i++) {
		put_entry(&b, entries[i][0][0], entries[i][1], entries[i][2]);
		frame_write(fd, FRAME_ENTRY, b.data, b.len);
	}
	frame_write(fd, FRAME_END, end, sizeof(end));
	buf_free(&b);
	lseek(fd, 0, SEEK_SET);
	return stow_receive(to, fd, false, 100, &e);
}

static void nothing_is_written_outside(void **state UNUSED)
{
	static const struct {
		const char *const entries[3][3];
		size_t n;
		bool ok;
	} cases[] = {
		{{{"d", "", ""}, {"f", "x", ""}}, 2, true},
		{{{"l", "y", ".."}, {"f", "y/x", ""}}, 2, false},
		{{{"f", "../x", ""}}, 1, false},
		{{{"f", "/x", ""}}, 1, false},
		{{{"f", "a/../x", ""}}, 1, false},
		{{{"f", "a//x", ""}}, 1, false},
		{{{"f", ".", ""}}, 1, false},
		{{{"f", "", ""}}, 1, false},
		{{{"l", "z", "../outside"}, {"h", "w", "z/secret"}}, 2, false},
		{{{"h", "v", "../outside"}}, 1, false},
		{{{"f", "u", ""}, {"f", "u", ""}}, 2, false},
		{{{"b", "dev", ""}}, 1, false},
	};
	int top autoclose = make_top("hostile");
	struct stat st;

	assert_int_equal(mkdirat(top, "to", 0755), 0);
	assert_int_equal(mkdirat(top, "outside", 0755), 0);
	put(top, "outside/secret", "s");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int r = receive_these(top, cases[i].entries, cases[i].n);
		print_message("case %zu: %d\n", i, r);
		assert_int_equal(r == 0, cases[i].ok);
	}
	assert_int_equal(fstatat(top, "x", &st, 0), -1);
	assert_int_equal(fstatat(top, "outside/secret", &st, 0), 0);
	assert_int_equal(st.st_nlink, 1);
}

/* Every prefix and every flipped byte of a stream: an error or a tree, nothing else. */
static void torn_and_changed_streams_are_refused_or_harmless(void **state UNUSED)
{
	int top autoclose = make_top("torn");
	int from autoclose = -1;
	char name[32], data[8192];
	struct err e;

	assert_int_equal(mkdirat(top, "from", 0755), 0);
	from = openat(top, "from", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(from, "a", "text");
	assert_int_equal(symlinkat("a", from, "b"), 0);
	int whole autoclose = send_to_file(from, -1);
	ssize_t n = read(whole, data, sizeof(data));
	assert_in_range(n, 100, 4000);
	for (ssize_t i = 0; i < 2 * n; i++) {
		int fd autoclose = openat(top, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		bool cut = i < n;

		snprintf(name, sizeof(name), "to%zd", i);
		assert_int_equal(mkdirat(top, name, 0755), 0);
		int to autoclose = openat(top, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		data[i % n] ^= cut ? 0 : 0x15;
		assert_int_equal(io_write_all(fd, data, (size_t)(cut ? i : n)), 0);
		data[i % n] ^= cut ? 0 : 0x15;
		lseek(fd, 0, SEEK_SET);
		int r = stow_receive(to, fd, false, 1 << 20, &e);
		assert_true(!cut || r < 0);
		io_remove_tree(top, name);
	}
}

static int setup(void **state UNUSED)
{
	umask(022);
	return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state UNUSED)
{
	return io_remove_tree(AT_FDCWD, folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_arrives_as_it_was),
		cmocka_unit_test(what_did_not_change_is_not_read_again),
		cmocka_unit_test(a_path_that_is_too_long_keeps_nothing_else_away),
		cmocka_unit_test(a_file_comes_without_attributes_that_are_too_large),
		cmocka_unit_test(a_file_under_a_lease_keeps_nothing_else_away),
		cmocka_unit_test(files_with_several_names_are_not_confused),
		cmocka_unit_test(nothing_is_written_outside),
		cmocka_unit_test(torn_and_changed_streams_are_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
