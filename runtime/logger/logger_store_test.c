/* Unit tests of the logger's store, record parser and sources, in a folder of their own.
 */
#include "lib/buf.h"
#include "lib/io.h"
#include "runtime/logger/logger_record.h"
#include "runtime/logger/logger_segments.h"
#include "runtime/logger/logger_source.h"
#include "runtime/logger/logger_store.h"
#include "runtime/logger/logger_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
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
	store_add(s,
		&(struct store_record){.app = app,
			.source = "app[web.1]",
			.text = text,
			.len = strlen(text)},
		us, us);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int only_logs(const struct dirent *e)
{
	return strstr(e->d_name, ".log") != NULL;
}

/* All segments of the app in order, one text, as it is; how many there are in *n. */
static void read_all(const char *app, struct buf *out, int *n)
{
	char path[512];
	struct dirent **list;

	buf_reset(out);
	buf_adds(out, "");
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

/* The same without the bookkeeping lines. */
static void read_app(const char *app, struct buf *out, int *n)
{
	autobuf all = BUF_INIT;
	char *rest, *line;

	read_all(app, &all, n);
	buf_reset(out);
	buf_adds(out, "");
	rest = all.data;
	while ((line = strsep(&rest, "\n")))
		if (*line && !strstr(line, "Z " LOG_SEGMENT_SOURCE ": "))
			buf_addf(out, "%s\n", line);
}

static struct store *new_store(struct msg_log_limits l)
{
	struct store *s = store_new(dirfd_);

	assert_non_null(s);
	assert_int_equal(store_set_limits(s, &l), 0);
	return s;
}

static size_t lines_of(
	struct store *s, uint32_t app, uint32_t release, uint64_t us, const char *text)
{
	return store_lines(s,
		&(struct store_input){.app = app,
			.release = release,
			.source = "app[web.1]",
			.data = text,
			.len = strlen(text)},
		us);
}

static void a_line_has_time_source_and_text(void **state UNUSED)
{
	struct store *s = store_new(dirfd_);
	autobuf b = BUF_INIT;
	int n;

	add(s, 7, T0, "hello");
	store_flush(s);
	assert_int_equal(lines_of(s, 7, 1, T0 + 1, "one\r\n\x1b[2Jtwo\nthr"), 13);
	store_free(s);
	read_app("7", &b, &n);
	assert_int_equal(n, 1);
	assert_string_equal(b.data,
		"2026-01-02T03:04:05.000000Z app[web.1]: hello\n"
		"2026-01-02T03:04:05.000001Z app[web.1]: one\n"
		"2026-01-02T03:04:05.000001Z app[web.1]: \\x1b[2Jtwo\n");
	assert_int_equal(faccessat(dirfd_, "7/1767323045000000.log", R_OK, 0), 0);
}

static void time_never_runs_backwards_in_an_app(void **state UNUSED)
{
	struct store *s = store_new(dirfd_);
	autobuf b = BUF_INIT;
	int n;

	add(s, 1, T0 + 9, "a");
	add(s, 1, T0, "b");
	store_free(s);
	read_app("1", &b, &n);
	assert_non_null(strstr(b.data, "05.000009Z app[web.1]: b\n"));
	/* Nor over a new start. */
	s = store_new(dirfd_);
	add(s, 1, T0 + 1, "c");
	store_free(s);
	read_app("1", &b, &n);
	assert_non_null(strstr(b.data, "05.000009Z app[web.1]: c\n"));
}

static void bookkeeping_lines_tell_segments_and_releases(void **state UNUSED)
{
	struct store *s = store_new(dirfd_);
	autobuf b = BUF_INIT;
	int n;

	add(s, 1, T0, "before any");
	store_flush(s);
	lines_of(s, 1, 3, T0 + 1, "a\n");
	lines_of(s, 1, 3, T0 + 2, "b\n");
	lines_of(s, 1, 4, T0 + 3, "c\n");
	store_free(s);
	s = store_new(dirfd_); /* it does not know what the last one wrote */
	lines_of(s, 1, 4, T0 + 4, "d\n");
	store_free(s);
	read_all("1", &b, &n);
	assert_string_equal(b.data,
		"2026-01-02T03:04:05.000000Z berth[segment]: after=0000000000000000 "
		"release=0\n"
		"2026-01-02T03:04:05.000000Z app[web.1]: before any\n"
		"2026-01-02T03:04:05.000001Z berth[segment]: release=3\n"
		"2026-01-02T03:04:05.000001Z app[web.1]: a\n"
		"2026-01-02T03:04:05.000002Z app[web.1]: b\n"
		"2026-01-02T03:04:05.000003Z berth[segment]: release=4\n"
		"2026-01-02T03:04:05.000003Z app[web.1]: c\n"
		"2026-01-02T03:04:05.000004Z berth[segment]: release=4\n"
		"2026-01-02T03:04:05.000004Z app[web.1]: d\n");
}

static void old_segments_go_when_the_budget_is_used_up(void **state UNUSED)
{
	const uint64_t budget = 40000;
	struct store *s = new_store((struct msg_log_limits){.budget_bytes = budget});
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
	assert_in_range(n, 10, SEGMENTS_OF_BUDGET + 1);
	assert_in_range(b.len, budget / 2, budget);
	assert_null(strstr(b.data, ": line 0\n"));
	assert_non_null(strstr(b.data, ": line 1999\n"));
	/* Each segment names the one before it. */
	read_all("1", &b, &n);
	for (const char *at = b.data; (at = strstr(at, ": after=")); at += 8) {
		char name[64];
		bool oldest = strstr(b.data, ": after=") == at;

		snprintf(name, sizeof(name), "1/%.16s.log", at + 8);
		assert_int_equal(faccessat(dirfd_, name, F_OK, 0), oldest ? -1 : 0);
	}
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
	struct store *s = store_new(dirfd_);
	autobuf b = BUF_INIT;
	int n, fd;

	add(s, 1, T0, "whole");
	store_free(s);
	fd = openat(dirfd_, "1/1767323045000000.log", O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "2026-01-02T03", 13), 13);
	close(fd);
	s = store_new(dirfd_);
	add(s, 1, T0 + 5, "next");
	store_free(s);
	read_app("1", &b, &n);
	assert_int_equal(n, 1);
	assert_string_equal(b.data, "2026-01-02T03:04:05.000000Z app[web.1]: whole\n"
				    "2026-01-02T03:04:05.000005Z app[web.1]: next\n");
}

static void what_a_power_loss_made_of_the_end_is_cut(void **state UNUSED)
{
	static const char stale[] = "1999 not a stamp\nno\0line\n";
	static char nothing[3 * SEGMENTS_CHECK];
	struct store *s = store_new(dirfd_);
	autobuf b = BUF_INIT;
	int n, fd;

	add(s, 1, T0, "whole");
	add(s, 1, T0 + 7, "whole too");
	store_free(s);
	fd = openat(dirfd_, "1/1767323045000000.log", O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, stale, sizeof(stale) - 1), sizeof(stale) - 1);
	assert_int_equal(write(fd, nothing, sizeof(nothing)), sizeof(nothing));
	assert_int_equal(write(fd, stale, sizeof(stale) - 1), sizeof(stale) - 1);
	close(fd);
	s = store_new(dirfd_);
	add(s, 1, T0 + 5, "next");
	store_free(s);
	read_app("1", &b, &n);
	assert_string_equal(b.data, "2026-01-02T03:04:05.000000Z app[web.1]: whole\n"
				    "2026-01-02T03:04:05.000007Z app[web.1]: whole too\n"
				    "2026-01-02T03:04:05.000007Z app[web.1]: next\n");
}

/* A file size limit stands for a full disk: it takes a part. */
static void of_a_disk_that_becomes_full_whole_lines_are_kept(void **state UNUSED)
{
	struct rlimit was, small;
	struct store *s = store_new(dirfd_);
	autobuf b = BUF_INIT;
	int n;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
	small = (struct rlimit){.rlim_cur = 300, .rlim_max = was.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	lines_of(s, 1, 1, T0, "first\n"); /* with its head: 122 bytes */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	lines_of(s, 1, 1, T0 + 1, "a\nb\nc\nd\ne\nf\n"); /* 42 each */
	assert_true(store_owes(s));
	store_tell(s);
	assert_true(store_owes(s));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
	usleep(STORE_RETRY_US + 10000);
	store_tell(s); /* without a further line */
	assert_false(store_owes(s));
	store_free(s);
	read_app("1", &b, &n);
	assert_non_null(strstr(b.data, "app[web.1]: d\n"));
	assert_null(strstr(b.data, "app[web.1]: e\n"));
	assert_non_null(
		strstr(b.data, "berth[logs]: 2 lines dropped (File too large)\n"));
}

static void lines_over_the_rate_are_counted_and_told(void **state UNUSED)
{
	struct store *s = new_store((struct msg_log_limits){.app = 1, .rate_lines = 100});
	uint64_t now = io_now_us();
	autobuf b = BUF_INIT, many = BUF_INIT;
	int n;

	for (int i = 0; i < 3000; i++)
		buf_adds(&many, "x\n");
	assert_int_equal(lines_of(s, 1, 1, now, many.data), many.len);
	assert_int_equal(lines_of(s, 2, 1, now, many.data), many.len);
	assert_true(store_owes(s));
	add(s, 1, now, "berth's own is not shaped");
	assert_int_equal(lines_of(s, 1, 1, now + 2000000, many.data), many.len);
	store_free(s);
	read_app("1", &b, &n);
	n = 0;
	for (const char *at = b.data; (at = strstr(at, "]: x\n")); at++)
		n++;
	assert_int_equal(n, 100 * LOG_BURST_S + 200);
	assert_non_null(strstr(b.data, "own is not shaped\n"));
	assert_non_null(
		strstr(b.data, "berth[logs]: 5,300 lines dropped (rate 100/s)\n"));
	read_app("2", &b, &n);
	assert_null(strstr(b.data, "dropped"));
}

static void a_rate_may_be_of_bytes(void **state UNUSED)
{
	struct store *s = new_store((struct msg_log_limits){.rate_bytes = 1000});
	autobuf b = BUF_INIT, many = BUF_INIT;
	int n;

	for (int i = 0; i < 3000; i++)
		buf_adds(&many, "123456789\n");
	lines_of(s, 1, 1, T0, many.data);
	store_free(s);
	read_app("1", &b, &n);
	assert_non_null(
		strstr(b.data, "berth[logs]: 2,500 lines dropped (rate 1000 bytes/s)\n"));
}

static void limits_hold_at_once_and_for_the_next_logger(void **state UNUSED)
{
	struct store *s = new_store((struct msg_log_limits){.budget_bytes = 400000});
	autobuf b = BUF_INIT;
	int n;

	for (unsigned int i = 0; i < 10000; i++) {
		add(s, 1, T0 + i, "a line that takes some room");
		add(s, 2, T0 + i, "a line that takes some room");
		if (i % 100 == 0)
			store_flush(s);
	}
	store_free(s);
	read_all("1", &b, &n);
	assert_in_range(b.len, 350000, 400000);
	s = store_new(dirfd_); /* nobody has logged: the folders are found */
	assert_int_equal(store_set_limits(s, &(struct msg_log_limits){.app = 1,
						     .budget_bytes = 200000}),
		0);
	read_all("1", &b, &n);
	assert_in_range(b.len, 150000, 200000);
	assert_int_equal(
		store_set_limits(s, &(struct msg_log_limits){.budget_bytes = 100000}), 0);
	read_all("1", &b, &n);
	assert_in_range(b.len, 150000, 200000);
	read_all("2", &b, &n);
	assert_in_range(b.len, 50000, 100000);
	store_free(s);
	s = store_new(dirfd_);
	for (unsigned int i = 0; i < 10000; i++) {
		add(s, 1, T0 + 10000 + i, "a line that takes some room");
		store_flush(s);
	}
	read_all("1", &b, &n);
	assert_in_range(b.len, 150000, 200000);
	/* App 1 goes, and what was said of it. */
	store_close_app(s, 1);
	store_free(s);
	buf_reset(&b);
	assert_int_equal(io_read_file(dirfd_, "limits", &b), 0);
	assert_string_equal(b.data, "0 100000 0 0\n");
}

static void a_log_that_cannot_be_written_counts_what_it_drops(void **state UNUSED)
{
	struct store *s = store_new(dirfd_);
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
	assert_non_null(
		strstr(b.data, "berth[logs]: 2 lines dropped (Not a directory)\n"));
}

static void a_closed_app_stays_closed_until_it_is_opened(void **state UNUSED)
{
	struct store *s = store_new(dirfd_);

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
	struct store *s = store_new(dirfd_);
	static char data[1024];
	autobuf b = BUF_INIT;
	size_t len, used;
	int n;

	len = put_record(data, 3, "berth[router]", "one\ntwo");
	memset(data + len, 0xff, 37);
	len += 37;
	len += put_record(data + len, 3, "evil\nname", "three");
	len += put_record(data + len, 3, "berth[segment]", "release=9");
	used = record_parse(s, data, len + 20, T0);
	assert_int_equal(used, len); /* 20 zero bytes: they may begin a record */
	store_free(s);
	read_app("3", &b, &n);
	assert_string_equal(b.data,
		"2026-01-02T03:04:05.000000Z berth[router]: one\\x0atwo\n"
		"2026-01-02T03:04:05.000000Z evil?name: three\n"
		"2026-01-02T03:04:05.000000Z ?erth[segment]: release=9\n");
}

/* Its time was taken by the router; this logger may have got to it later. */
static void a_record_of_before_gives_no_rate_back(void **state UNUSED)
{
	struct store *s = new_store((struct msg_log_limits){.app = 1, .rate_lines = 100});
	const uint64_t now = T0 + RECORD_CLOCK_SLACK_US / 2;
	autobuf b = BUF_INIT, many = BUF_INIT;
	char data[256];
	int n;

	for (int i = 0; i < 3000; i++)
		buf_adds(&many, "x\n");
	lines_of(s, 1, 1, now, many.data);
	record_parse(s, data, put_record(data, 1, "berth[router]", "one"), now);
	lines_of(s, 1, 1, now, many.data);
	store_free(s);
	read_app("1", &b, &n);
	n = 0;
	for (const char *at = b.data; (at = strstr(at, "]: x\n")); at++)
		n++;
	assert_int_equal(n, 100 * LOG_BURST_S);
	assert_null(strstr(b.data, "one\n"));
}

static void count_done(void *arg, uint64_t id)
{
	assert_int_equal(id, 5);
	(*(int *)arg)++;
}

static void a_fifo_is_read_to_its_end_and_only_lines_are_taken(void **state UNUSED)
{
	struct loop *l = loop_new();
	struct store *s = store_new(dirfd_);
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
	struct store *s = store_new(dirfd_);
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

/* Line by line, each after the last one was taken, then all at once. */
static void a_busy_source_loses_and_swaps_nothing(void **state UNUSED)
{
	struct loop *l = loop_new();
	struct store *s = store_new(dirfd_);
	struct msg_log_attach a = {.id = 5, .app = 9, .release = 2, .name = "web.1"};
	int done = 0, fds[2], n, turns = 0;
	struct sources *all = sources_new(l, s, count_done, &done);
	autobuf b = BUF_INIT, want = BUF_INIT;
	char line[32];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(sources_attach(all, &a, fds[0]), 0);
	for (int i = 0; i < 4000; i++) {
		int len = snprintf(line, sizeof(line), "line %d\n", i);

		assert_int_equal(write(fds[1], line, (size_t)len), len);
		buf_addf(&want, "app[web.1]: line %d\n", i);
		if (i < 2000)
			loop_once(l, 0);
		if (i == 1000) /* it falls silent, and is watched again */
			usleep(30000);
	}
	close(fds[1]);
	for (; turns < 100 && !done; turns++)
		loop_once(l, 500);
	assert_int_equal(done, 1);
	read_app("9", &b, &n);
	char *out = b.data, *rest = b.data, *one;
	while ((one = strsep(&rest, "\n")))
		if (*one) {
			size_t len = strlen(one + 28);

			memmove(out, one + 28, len);
			out[len] = '\n';
			out += len + 1;
		}
	*out = '\0';
	assert_string_equal(b.data, want.data);
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
		TEST(bookkeeping_lines_tell_segments_and_releases),
		TEST(what_a_power_loss_made_of_the_end_is_cut),
		TEST(of_a_disk_that_becomes_full_whole_lines_are_kept),
		TEST(lines_over_the_rate_are_counted_and_told),
		TEST(a_rate_may_be_of_bytes),
		TEST(limits_hold_at_once_and_for_the_next_logger),
		TEST(old_segments_go_when_the_budget_is_used_up),
		TEST(a_torn_tail_is_cut_and_writing_goes_on),
		TEST(a_log_that_cannot_be_written_counts_what_it_drops),
		TEST(a_closed_app_stays_closed_until_it_is_opened),
		TEST(records_are_read_and_garbage_between_them_skipped),
		TEST(a_record_of_before_gives_no_rate_back),
		TEST(a_fifo_is_read_to_its_end_and_only_lines_are_taken),
		TEST(a_busy_source_loses_and_swaps_nothing),
		TEST(a_prompt_without_newline_is_shown_after_a_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
