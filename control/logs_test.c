/* Reading logs: the last lines, filters, times, and what comes while one reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/logs.h"
#include "lib/io.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define START UINT64_C(1767323045000000) /* 2026-01-02T03:04:05Z */

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
		count(folder, &(struct logs_query){.grep = "line 19"}, "line 19"), 11);
	assert_int_equal(count(folder, &(struct logs_query){.grep = "app["}, NULL),
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
	l = logs_open(folder, &(struct logs_query){.lines = 5});
	read_all(l, &out);
	assert_int_equal(out.len, 0);
	fputs("lf\n", f);
	fclose(f);
	read_all(l, &out);
	assert_string_equal(out.data, "2026-01-02T03:04:05.000000Z app[web.1]: half\n");
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
	assert_true(count(folder, &(struct logs_query){0}, NULL) >= 6);
	assert_int_equal(count(folder, &(struct logs_query){.process = "web"}, NULL), 0);
	assert_int_equal(count(folder, &(struct logs_query){.lines = 2}, NULL), 2);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
