/* Unit tests of the logger's store, record parser and sources, in a folder of their own.
 */
#include "lib/buf.h"
#include "lib/io.h"
#include "runtime/logger_record.h"
#include "runtime/logger_source.h"
#include "runtime/logger_store.h"
#include "runtime/logger_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define T0 1767323045000000u

static char folder[64];
static int dirfd_;

static int setup(void **state UNUSED)
{
	snprintf(folder, sizeof(folder), "/tmp/berth-log-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	dirfd_ = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dirfd_ < 0 ? -1 : 0;
}

static int teardown(void **state UNUSED)
{
	close(dirfd_);
	return io_remove_tree(AT_FDCWD, folder);
}

static void add(struct store *s, uint32_t app, uint64_t us, const char *text)
{
	store_add(s, app, us, "app[web.1]", text, strlen(text), false);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int only_logs(const struct dirent *e)
{
	return strstr(e->d_name, ".log") != NULL;
}

/* All segments of the app in order, one text; how many there are in *n. */
static void read_app(const char *app, struct buf *out, int *n)
{
	char path[512];
	struct dirent **list;

	buf_reset(out);
	snprintf(path, sizeof(path), "%s/%s", folder, app);
	*n = scandir(path, &list, only_logs, by_name);
	for (int i = 0; i < *n; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", folder, app, list[i]->d_name);
		autobuf one = BUF_INIT;
		assert_int_equal(io_read_file(AT_FDCWD, path, &one), 0);
		buf_add(out, one.data ? one.data : "", one.len);
		free(list[i]);
	}
	if (*n >= 0)
		free(list);
}

static void a_line_has_time_source_and_text(void **state UNUSED)
{
	struct store *s = store_new(dirfd_, 1 << 20);
	autobuf b = BUF_INIT;
	int n;

	add(s, 7, T0, "hello");
	store_flush(s);
	store_add(s, 7, T0 + 1, "app[web.1]", "long", 4, true);
	store_free(s);
	read_app("7", &b, &n);
	assert_int_equal(n, 1);
	assert_string_equal(b.data,
		"2026-01-02T03:04:05.000000Z app[web.1]: hello\n"
		"2026-01-02T03:04:05.000001Z app[web.1]: long [continues]\n");
	assert_int_equal(faccessat(dirfd_, "7/1767323045000000.log", R_OK, 0), 0);
}

static void time_never_runs_backwards_in_an_app(void **state UNUSED)
{
	struct store *s = store_new(dirfd_, 1 << 20);
	autobuf b = BUF_INIT;
	int n;

	add(s, 1, T0 + 9, "a");
	add(s, 1, T0, "b");
	store_free(s);
	read_app("1", &b, &n);
	assert_non_null(strstr(b.data, "05.000009Z app[web.1]: b\n"));
}

static void old_segments_go_when_the_budget_is_used_up(void **state UNUSED)
{
	const uint64_t budget = 40000;
	struct store *s = store_new(dirfd_, budget);
	autobuf b = BUF_INIT;
	char text[64];
	int n;

	for (unsigned int i = 0; i < 2000; i++) {
		snprintf(text, sizeof(text), "line %u", i);
		add(s, 1, T0 + i, text);
		store_flush(s);
	}
	store_free(s);
	read_app("1", &b, &n);
	assert_in_range(n, 10, STORE_SEGMENTS + 1);
	assert_in_range(b.len, budget / 2, budget);
	assert_null(strstr(b.data, ": line 0\n"));
	assert_non_null(strstr(b.data, ": line 1999\n"));
	/* What is left is the end, without a hole. */
	unsigned int first = 0;
	assert_int_equal(sscanf(strstr(b.data, "line "), "line %u", &first), 1);
	for (unsigned int i = first; i < 2000; i++) {
		snprintf(text, sizeof(text), ": line %u\n", i);
		assert_non_null(strstr(b.data, text));
	}
}

static void a_torn_tail_is_cut_and_writing_goes_on(void **state UNUSED)
{
	struct store *s = store_new(dirfd_, 1 << 20);
	autobuf b = BUF_INIT;
	int n, fd;

	add(s, 1, T0, "whole");
	store_free(s);
	fd = openat(dirfd_, "1/1767323045000000.log", O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "2026-01-02T03", 13), 13);
	close(fd);
	s = store_new(dirfd_, 1 << 20);
	add(s, 1, T0 + 5, "next");
	store_free(s);
	read_app("1", &b, &n);
	assert_int_equal(n, 1);
	assert_string_equal(b.data, "2026-01-02T03:04:05.000000Z app[web.1]: whole\n"
				    "2026-01-02T03:04:05.000005Z app[web.1]: next\n");
}

static void a_log_that_cannot_be_written_counts_what_it_drops(void **state UNUSED)
{
	struct store *s = store_new(dirfd_, 1 << 20);
	autobuf b = BUF_INIT;
	int n;

	/* A file stands where the app's folder should be. */
	close(openat(dirfd_, "1", O_WRONLY | O_CREAT, 0600));
	add(s, 1, T0, "lost");
	store_flush(s);
	add(s, 1, T0, "lost too");
	store_flush(s);
	assert_int_equal(unlinkat(dirfd_, "1", 0), 0);
	usleep(STORE_RETRY_US + 10000);
	add(s, 1, T0, "kept");
	store_free(s);
	read_app("1", &b, &n);
	assert_non_null(strstr(b.data, ": kept\n"));
	assert_non_null(strstr(
		b.data, "berth[logger]: 2 lines were dropped here: Not a directory\n"));
}

static void a_closed_app_stays_closed_until_it_is_opened(void **state UNUSED)
{
	struct store *s = store_new(dirfd_, 1 << 20);

	add(s, 1, T0, "x");
	store_close_app(s, 1);
	assert_int_equal(io_remove_tree(dirfd_, "1"), 0);
	add(s, 1, T0, "y");
	store_flush(s);
	assert_int_not_equal(faccessat(dirfd_, "1", F_OK, 0), 0);
	store_open_app(s, 1);
	add(s, 1, T0, "z");
	store_free(s);
	assert_int_equal(faccessat(dirfd_, "1", F_OK, 0), 0);
}

static size_t put_record(char *at, uint32_t app, const char *source, const char *text)
{
	struct log_record r = {.magic = LOG_RECORD_MAGIC,
		.app = app,
		.time_us = T0,
		.size = (uint16_t)(sizeof(r) + strlen(text))};

	snprintf(r.source, sizeof(r.source), "%s", source);
	memcpy(at, &r, sizeof(r));
	memcpy(at + sizeof(r), text, strlen(text));
	return r.size;
}

static void records_are_read_and_garbage_between_them_skipped(void **state UNUSED)
{
	struct store *s = store_new(dirfd_, 1 << 20);
	static char data[1024];
	autobuf b = BUF_INIT;
	size_t len, used;
	int n;

	len = put_record(data, 3, "berth[router]", "one\ntwo");
	memset(data + len, 0xff, 37);
	len += 37;
	len += put_record(data + len, 3, "evil\nname", "three");
	used = record_parse(s, data, len + 20, T0);
	assert_int_equal(used, len); /* 20 zero bytes: they may begin a record */
	store_free(s);
	read_app("3", &b, &n);
	assert_string_equal(b.data,
		"2026-01-02T03:04:05.000000Z berth[router]: one\\x0atwo\n"
		"2026-01-02T03:04:05.000000Z evil?name: three\n");
}

static void count_done(void *arg, uint64_t id)
{
	assert_int_equal(id, 5);
	(*(int *)arg)++;
}

static void a_fifo_is_read_to_its_end_and_only_lines_are_taken(void **state UNUSED)
{
	struct loop *l = loop_new();
	struct store *s = store_new(dirfd_, 1 << 20);
	struct msg_log_attach a = {.id = 5, .app = 9, .name = "web.1"};
	int done = 0, fds[2], keep;
	struct sources *all = sources_new(l, s, count_done, &done);
	autobuf b = BUF_INIT;
	char left[16];
	int n;

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	keep = dup(fds[0]);
	assert_int_equal(write(fds[1], "one\ntw", 6), 6);
	assert_int_equal(sources_attach(all, &a, fds[0]), 0);
	/* What a crash now would leave for the next logger. */
	assert_int_equal(read(keep, left, sizeof(left)), 2);
	assert_int_equal(write(fds[1], "tw", 2), 2);
	assert_int_equal(write(fds[1], "o\n", 2), 2);
	loop_once(l, 0);
	assert_int_equal(write(fds[1], "end", 3), 3);
	close(fds[1]);
	for (int i = 0; i < 10 && !done; i++)
		loop_once(l, 500);
	assert_int_equal(done, 1);
	close(keep);
	read_app("9", &b, &n);
	assert_non_null(strstr(b.data, "app[web.1]: one\n"));
	assert_non_null(strstr(b.data, "app[web.1]: two\n"));
	assert_non_null(strstr(b.data, "app[web.1]: end\n"));
	sources_free(all);
	store_free(s);
	loop_free(l);
}

static void a_prompt_without_newline_is_shown_after_a_moment(void **state UNUSED)
{
	struct loop *l = loop_new();
	struct store *s = store_new(dirfd_, 1 << 20);
	struct msg_log_attach a = {.id = 5, .app = 9, .name = "web.1"};
	int done = 0, fds[2];
	struct sources *all = sources_new(l, s, count_done, &done);
	autobuf b = BUF_INIT;
	int n;

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(write(fds[1], "name? ", 6), 6);
	assert_int_equal(sources_attach(all, &a, fds[0]), 0);
	read_app("9", &b, &n);
	assert_int_equal(b.len, 0);
	for (int i = 0; i < 3; i++)
		loop_once(l, SOURCE_PARTIAL_MS);
	read_app("9", &b, &n);
	assert_non_null(strstr(b.data, "app[web.1]: name? \n"));
	assert_int_equal(done, 0);
	close(fds[1]);
	sources_free(all);
	store_free(s);
	loop_free(l);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_has_time_source_and_text),
		TEST(time_never_runs_backwards_in_an_app),
		TEST(old_segments_go_when_the_budget_is_used_up),
		TEST(a_torn_tail_is_cut_and_writing_goes_on),
		TEST(a_log_that_cannot_be_written_counts_what_it_drops),
		TEST(a_closed_app_stays_closed_until_it_is_opened),
		TEST(records_are_read_and_garbage_between_them_skipped),
		TEST(a_fifo_is_read_to_its_end_and_only_lines_are_taken),
		TEST(a_prompt_without_newline_is_shown_after_a_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
