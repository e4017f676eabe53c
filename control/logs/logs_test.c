/* Reading logs: the last lines, filters, times, and what comes while one reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/logs/logs.h"
#include "control/logs/watchlog.h"
#include "lib/io.h"
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define START UINT64_C(1767323045000000) /* 2026-01-02T03:04:05Z */

/* In the place of libc's, which this user may have none left of. */
static bool real = true;

int inotify_init1(int flags)
{
	return real ? (int)syscall(SYS_inotify_init1, flags) : eventfd(0, EFD_CLOEXEC);
}

int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	return real ? (int)syscall(SYS_inotify_add_watch, fd, path, mask) : 1;
}

static int set_up(void **state)
{
	char *folder = strdup("/tmp/berth-logs.XXXXXX");

	assert_non_null(mkdtemp(folder));
	*state = folder;
	return 0;
}

static int tear_down(void **state)
{
	io_remove_tree(AT_FDCWD, *state);
	free(*state);
	return 0;
}

/* Line i of the log is stamped i seconds after START; even ones are web.1's, odd ones
 * worker.1's. */
static void add_lines(const char *folder, int segment_start, int first, int end)
{
	char path[128], stamp[STAMP_SIZE];

	snprintf(path, sizeof(path), "%s/%016llu.log", folder,
		(unsigned long long)(START + (uint64_t)segment_start * 1000000));
	FILE *f = fopen(path, "ae");
	assert_non_null(f);
	for (int i = first; i < end; i++) {
		stamp_format_us(START + (uint64_t)i * 1000000, stamp);
		fprintf(f, "%s app[%s.1]: line %d\n", stamp, i % 2 ? "worker" : "web", i);
	}
	fclose(f);
}

static void read_all(struct logs *l, struct buf *out)
{
	char part[37]; /* smaller than a line: pieces must fit together */
	ssize_t n;

	buf_reset(out);
	buf_adds(out, "");
	while ((n = logs_read(l, part, sizeof(part))) > 0)
		buf_add(out, part, (size_t)n);
	assert_int_equal(n, 0);
}

static int count_lines(const struct buf *b)
{
	int n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += b->data[i] == '\n';
	return n;
}

static int count(const char *folder, const struct logs_query *q, const char *first)
{
	struct logs *l = logs_open(folder, q);
	autobuf out = BUF_INIT;

	read_all(l, &out);
	logs_close(l);
	if (first) {
		char *end = strchr(out.data, '\n');

		assert_non_null(end);
		*end = '\0';
		assert_string_equal(strstr(out.data, "line"), first);
		*end = '\n';
	}
	return count_lines(&out);
}

static struct needle needle(const char *text, bool fold)
{
	struct needle n;

	assert_true(needle_init(&n, text, fold));
	return n;
}

static void an_absent_folder_is_an_empty_log(void **state)
{
	(void)state;
	assert_int_equal(
		count("/nonexistent/logs", &(struct logs_query){.lines = 5}, NULL), 0);
}

static void the_last_lines_come_from_several_segments(void **state)
{
	const char *folder = *state;

	add_lines(folder, 0, 0, 5000); /* larger than the first window */
	add_lines(folder, 5000, 5000, 5010);
	assert_int_equal(
		count(folder, &(struct logs_query){.lines = 10}, "line 5000"), 10);
	assert_int_equal(
		count(folder, &(struct logs_query){.lines = 12}, "line 4998"), 12);
	assert_int_equal(
		count(folder, &(struct logs_query){.lines = 4000}, "line 1010"), 4000);
	assert_int_equal(
		count(folder, &(struct logs_query){.lines = 9999}, "line 0"), 5010);
	assert_int_equal(count(folder, &(struct logs_query){0}, "line 0"), 5010);
}

/* Every count in turn, so that some start exactly at a line's first byte. */
static void each_number_of_lines_is_exact(void **state)
{
	const char *folder = *state;

	add_lines(folder, 0, 0, 3000);
	for (uint64_t n = 1400; n < 1700; n++)
		assert_int_equal(
			count(folder, &(struct logs_query){.lines = n}, NULL), n);
}

static void lines_are_filtered(void **state)
{
	const char *folder = *state;

	add_lines(folder, 0, 0, 100);
	add_lines(folder, 100, 100, 200);
	assert_int_equal(count(folder, &(struct logs_query){.lines = 3, .process = "web"},
				 "line 194"),
		3);
	assert_int_equal(
		count(folder, &(struct logs_query){.process = "worker.1"}, "line 1"),
		100);
	assert_int_equal(count(folder, &(struct logs_query){.process = "work"}, NULL), 0);
	assert_int_equal(
		count(folder, &(struct logs_query){.grep = needle("line 19", false)},
			"line 19"),
		11);
	assert_int_equal(
		count(folder, &(struct logs_query){.grep = needle("app[", false)}, NULL),
		0); /* the text only */
	assert_int_equal(
		count(folder, &(struct logs_query){.since_us = START + 150000000},
			"line 150"),
		50);
	assert_int_equal(
		count(folder,
			&(struct logs_query){.since_us = START + 150000000, .lines = 80},
			"line 150"),
		50);
	assert_int_equal(
		count(folder, &(struct logs_query){.since_us = START * 2}, NULL), 0);
}

static void followed_lines_come_from_the_next_segment_too(void **state)
{
	const char *folder = *state;
	struct logs *l =
		logs_open(folder, &(struct logs_query){.lines = 1, .follow = true});
	autobuf out = BUF_INIT;

	read_all(l, &out);
	assert_int_equal(out.len, 0);
	add_lines(folder, 0, 0, 2);
	read_all(l, &out);
	assert_int_equal(count_lines(&out), 2);
	add_lines(folder, 0, 2, 3);
	add_lines(folder, 3, 3, 4);
	read_all(l, &out);
	assert_int_equal(count_lines(&out), 2);
	logs_close(l);
}

/* An app writes while one asks for its last lines. */
static void lines_that_come_later_do_not_add_to_the_last_ones(void **state)
{
	const char *folder = *state;
	struct logs *l;
	autobuf out = BUF_INIT;

	add_lines(folder, 0, 0, 10);
	l = logs_open(folder, &(struct logs_query){.lines = 2});
	add_lines(folder, 0, 10, 12);
	add_lines(folder, 12, 12, 14);
	read_all(l, &out);
	assert_int_equal(count_lines(&out), 2);
	assert_non_null(strstr(out.data, "line 8\n"));
	logs_close(l);
}

static void half_a_line_is_not_shown(void **state)
{
	const char *folder = *state;
	struct logs *l;
	char path[128];
	autobuf out = BUF_INIT;

	snprintf(path, sizeof(path), "%s/%016llu.log", folder, (unsigned long long)START);
	FILE *f = fopen(path, "we");
	fputs("2026-01-02T03:04:05.000000Z app[web.1]: ha", f);
	fflush(f);
	l = logs_open(folder, &(struct logs_query){.lines = 5, .follow = true});
	read_all(l, &out);
	assert_int_equal(out.len, 0);
	/* It was torn: a logger that starts cuts it, and writes another line there. */
	assert_int_equal(truncate(path, 20), 0);
	assert_int_equal(truncate(path, 0), 0);
	rewind(f);
	fputs("2026-01-02T03:04:05.000000Z app[web.1]: another, longer than that\n", f);
	fclose(f);
	read_all(l, &out);
	assert_string_equal(out.data,
		"2026-01-02T03:04:05.000000Z app[web.1]: another, longer than that\n");
	logs_close(l);
}

static void foreign_files_and_odd_lines_do_no_harm(void **state)
{
	const char *folder = *state;
	char path[128];

	snprintf(path, sizeof(path), "%s/readme.log", folder);
	FILE *f = fopen(path, "we");
	fputs("not a segment\n", f);
	fclose(f);
	snprintf(path, sizeof(path), "%s/%016llu.log", folder, (unsigned long long)START);
	f = fopen(path, "we");
	fputs("\n\nx\n2026-01-02T03:04:05.000000Z\n2026-01-02T03:04:05.000000Z no "
	      "colon\n",
		f);
	for (int i = 0; i < 200000; i++)
		fputc('y', f);
	fputs("\n", f);
	fclose(f);
	assert_int_equal(count(folder, &(struct logs_query){0}, NULL), 0);
	add_lines(folder, 0, 0, 3);
	assert_int_equal(count(folder, &(struct logs_query){0}, "line 0"), 3);
	assert_int_equal(count(folder, &(struct logs_query){.lines = 2}, "line 1"), 2);
	assert_int_equal(count(folder, &(struct logs_query){.since_us = START + 1000000},
				 "line 1"),
		2);
}

static void append_to(const char *folder, uint64_t number, const char *text)
{
	char path[128];

	snprintf(
		path, sizeof(path), "%s/%016llu.log", folder, (unsigned long long)number);
	FILE *f = fopen(path, "ae");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void append(const char *folder, int segment, const char *text)
{
	append_to(folder, START + (uint64_t)segment * 1000000, text);
}

static void lines_of_a_release_are_told_apart(void **state)
{
	const char *folder = *state;
	struct logs_query q = {.release = 2};

	append(folder, 0,
		"2026-01-02T03:04:05.000000Z berth[segment]: after=0000000000000000 "
		"release=1\n"
		"2026-01-02T03:04:05.000000Z app[web.1]: line old\n"
		"2026-01-02T03:04:06.000000Z berth[segment]: release=2\n"
		"2026-01-02T03:04:06.000000Z app[web.1]: line new\n"
		"2026-01-02T03:04:06.000000Z berth[deploy]: line of berth\n"
		"2026-01-02T03:04:07.000000Z berth[segment]: release=1\n"
		"2026-01-02T03:04:07.000000Z app[web.1]: berth[segment]: release=2 line\n"
		"2026-01-02T03:04:08.000000Z berth[segment]: release=2\n"
		"2026-01-02T03:04:08.000000Z app[web.1]: line newer\n"
		"2026-01-02T03:04:09.000000Z app[web.1]: line newest\n");
	append(folder, 10,
		"2026-01-02T03:04:15.000000Z berth[segment]: after=1767323045000000 "
		"release=2\n"
		"2026-01-02T03:04:15.000000Z app[web.1]: line last\n");
	assert_int_equal(count(folder, &q, "line new"), 4);
	q.lines = 3;
	assert_int_equal(count(folder, &q, "line newer"), 3);
	q.since_us = START + 4000000; /* in the middle: what is before it counts */
	assert_int_equal(count(folder, &q, "line newest"), 2);
	q = (struct logs_query){.release = 2, .grep = needle("new", false)};
	assert_int_equal(count(folder, &q, "line new"), 3);
	q.release = 1;
	assert_int_equal(count(folder, &q, NULL), 0);
	assert_int_equal(count(folder, &(struct logs_query){0}, "line old"), 7);
}

/* What a reader without any index or window finds. */
static void find_plainly(
	const struct buf *all, const struct logs_query *q, struct buf *out)
{
	char since[STAMP_SIZE], until[STAMP_SIZE];
	const char *found[4000];
	size_t n = 0;

	stamp_format_us(q->since_us, since);
	stamp_format_us(q->until_us, until);
	for (char *line = all->data, *nl; *line; line = nl + 1) {
		struct segment_line l;

		nl = strchr(line, '\n');
		assert_true(segment_parse(line, (size_t)(nl - line), &l));
		if ((!q->since_us || memcmp(line, since, SEGMENT_STAMP_LEN) >= 0) &&
			(!q->until_us || memcmp(line, until, SEGMENT_STAMP_LEN) <= 0) &&
			logs_match(q, &l))
			found[n++] = line;
	}
	buf_reset(out);
	buf_adds(out, "");
	for (size_t i = q->lines && n > q->lines ? n - q->lines : 0; i < n; i++)
		buf_add(out, found[i], (size_t)(strchr(found[i], '\n') + 1 - found[i]));
}

static void all_questions_have_the_answers_of_a_plain_search(void **state)
{
	static const char *const words[] = {"", "a", "Error 7", "zz", "7", "nowhere"};
	const char *folder = *state;
	autobuf all = BUF_INIT, want = BUF_INIT, got = BUF_INIT;
	uint64_t us = START, segment = START;

	srand(7);
	for (int i = 0; i < 3000; i++) {
		char stamp[STAMP_SIZE];
		autobuf line = BUF_INIT;

		us += rand() % 3 ? 0 : (uint64_t)(rand() % 200000);
		if (rand() % 300 == 0 && us > segment)
			segment = us;
		stamp_format_us(us, stamp);
		buf_addf(&line, "%s app[%s.1]: %s %d ", stamp,
			rand() % 3 ? "web" : "worker", rand() % 5 ? "a line" : "error",
			rand() % 100);
		for (int k = rand() % 40 ? rand() % 60 : rand() % 20000; k > 0; k--)
			buf_adds(&line, "z");
		buf_adds(&line, "\n");
		append_to(folder, segment, line.data);
		buf_add(&all, line.data, line.len);
	}
	assert_true(segment > START);
	for (int i = 0; i < 400; i++) {
		struct logs_query q = {.lines = rand() % 2 ? (uint64_t)(rand() % 500) : 0,
			.since_us =
				rand() % 2 ? START + (uint64_t)rand() % (us - START) : 0,
			.until_us =
				rand() % 2 ? START + (uint64_t)rand() % (us - START) : 0,
			.grep = needle(words[rand() % (int)ARRAY_LEN(words)], true)};

		if (rand() % 3 == 0)
			memcpy(q.process, "worker", 7);
		struct logs *l = logs_open(folder, &q);
		read_all(l, &got);
		assert_true(logs_over(l));
		logs_close(l);
		find_plainly(&all, &q, &want);
		assert_string_equal(got.data, want.data);
	}
}

static void every_time_is_found_where_it_begins(void **state)
{
	const char *folder = *state;
	struct stat st;

	add_lines(folder, 0, 0, 700);
	int fd autoclose = segment_open(folder, START);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	for (int i = 0; i < 700; i++) {
		char line[64], stamp[STAMP_SIZE];
		uint64_t us = START + (uint64_t)i * 1000000;
		off_t at = segment_find_time(fd, st.st_size, us);

		assert_int_equal(at, segment_find_time(fd, st.st_size, us - 999999));
		assert_true(pread(fd, line, sizeof(line), at) > SEGMENT_STAMP_LEN);
		stamp_format_us(us, stamp);
		assert_memory_equal(line, stamp, SEGMENT_STAMP_LEN);
		assert_true(at == 0 || segment_line_start(fd, at - 1) < at);
	}
	assert_int_equal(segment_find_time(fd, st.st_size, START * 2), st.st_size);
}

static void a_follower_that_was_left_behind_is_told(void **state)
{
	const char *folder = *state;
	struct logs *l = logs_open(folder, &(struct logs_query){.follow = true});
	char path[128];
	autobuf out = BUF_INIT;

	append(folder, 0,
		"2026-01-02T03:04:05.000000Z berth[segment]: after=0000000000000000 "
		"release=1\n2026-01-02T03:04:05.000000Z app[web.1]: line 0\n");
	read_all(l, &out);
	append(folder, 0, "2026-01-02T03:04:05.000000Z app[web.1]: line 1\n");
	snprintf(path, sizeof(path), "%s/%016llu.log", folder, (unsigned long long)START);
	append(folder, 10,
		"2026-01-02T03:04:15.000000Z berth[segment]: after=1767323045000000 "
		"release=1\n2026-01-02T03:04:15.000000Z app[web.1]: line 2\n");
	/* Its own is removed under it: nothing is lost by that. */
	assert_int_equal(unlink(path), 0);
	read_all(l, &out);
	assert_int_equal(count_lines(&out), 2);
	assert_null(strstr(out.data, "missing"));
	append(folder, 30,
		"2026-01-02T03:04:35.000000Z berth[segment]: after=1767323065000000 "
		"release=1\n2026-01-02T03:04:35.000000Z app[web.1]: line 4\n");
	read_all(l, &out);
	assert_int_equal(count_lines(&out), 2);
	assert_non_null(strstr(out.data,
		"2026-01-02T03:04:35.000000Z berth[logs]: lines are missing here"));
	assert_true(strstr(out.data, "missing") < strstr(out.data, "line 4"));
	logs_close(l);
}

static bool woken(struct logs *l)
{
	struct pollfd p = {.fd = logs_fd(l), .events = POLLIN};

	assert_true(p.fd >= 0);
	if (poll(&p, 1, 0) <= 0)
		return false;
	logs_woken(l);
	return true;
}

static void a_follower_is_woken_by_lines_and_by_nothing_else(void **state)
{
	char folder[128], away[128];
	autobuf out = BUF_INIT;

	snprintf(folder, sizeof(folder), "%s/7", (char *)*state);
	snprintf(away, sizeof(away), "%s/trash", (char *)*state);
	struct logs *l = logs_open(folder, &(struct logs_query){.follow = true});
	assert_false(woken(l));
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_true(woken(l));
	add_lines(folder, 0, 0, 2);
	assert_true(woken(l));
	read_all(l, &out);
	assert_int_equal(count_lines(&out), 2);
	assert_false(woken(l));
	add_lines(folder, 0, 2, 3);
	assert_true(woken(l));
	add_lines(folder, 3, 3, 4); /* the next segment */
	assert_true(woken(l));
	read_all(l, &out);
	assert_int_equal(count_lines(&out), 2);
	assert_false(woken(l));
	assert_false(logs_over(l));
	assert_int_equal(rename(folder, away), 0); /* the app is destroyed */
	assert_true(woken(l));
	assert_true(logs_over(l));
	logs_close(l);
}

static void lines_can_be_json(void **state)
{
	const char *folder = *state;
	struct logs *l;
	autobuf out = BUF_INIT;

	append(folder, 0,
		"2026-01-02T03:04:05.000000Z app[web.1]: a \"b\" \\x00\tc: \xc3\xa4\n");
	l = logs_open(folder, &(struct logs_query){.json = true});
	read_all(l, &out);
	logs_close(l);
	assert_string_equal(out.data,
		"{\"time\": \"2026-01-02T03:04:05.000000Z\", \"source\": \"app[web.1]\", "
		"\"text\": \"a \\\"b\\\" \\\\x00\\u0009c: \xc3\xa4\"}\n");
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* berth-drain is the same user, and is to have one. */
static void who_follows_leaves_watches_for_others(void **state)
{
	const struct logs_query q = {.follow = true};
	struct logs *l[WATCHLOG_MAX + 1];

	real = false;
	for (size_t i = 0; i < ARRAY_LEN(l); i++) {
		assert_non_null(l[i] = logs_open(*state, &q));
		assert_int_equal(logs_fd(l[i]) >= 0, i < WATCHLOG_MAX);
	}
	logs_close(l[0]);
	assert_non_null(l[0] = logs_open(*state, &q));
	assert_true(logs_fd(l[0]) >= 0);
	for (size_t i = 0; i < ARRAY_LEN(l); i++)
		logs_close(l[i]);
	real = true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_absent_folder_is_an_empty_log),
		T(the_last_lines_come_from_several_segments),
		T(each_number_of_lines_is_exact),
		T(lines_are_filtered),
		T(followed_lines_come_from_the_next_segment_too),
		T(lines_that_come_later_do_not_add_to_the_last_ones),
		T(half_a_line_is_not_shown),
		T(foreign_files_and_odd_lines_do_no_harm),
		T(lines_of_a_release_are_told_apart),
		T(all_questions_have_the_answers_of_a_plain_search),
		T(every_time_is_found_where_it_begins),
		T(a_follower_that_was_left_behind_is_told),
		T(a_follower_is_woken_by_lines_and_by_nothing_else),
		T(lines_can_be_json),
		T(who_follows_leaves_watches_for_others),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
