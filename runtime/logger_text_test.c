/* Unit tests of logger_text.c: lines. */
#include "runtime/logger_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_line_ends_at_its_newline(void **state UNUSED)
{
	struct text_line line;

	assert_int_equal(text_next_line("ab\r\ncd", 6, false, &line), 4);
	assert_int_equal(line.len, 2);
	assert_false(line.cut);
	assert_int_equal(text_next_line("\n", 1, false, &line), 1);
	assert_int_equal(line.len, 0);
}

static void a_beginning_waits_until_the_end(void **state UNUSED)
{
	struct text_line line;

	assert_int_equal(text_next_line("abc", 3, false, &line), 0);
	assert_int_equal(text_next_line("abc", 3, true, &line), 3);
	assert_int_equal(line.len, 3);
	assert_int_equal(text_next_line("", 0, true, &line), 0);
}

static void a_long_line_is_cut_between_characters(void **state UNUSED)
{
	static char data[TEXT_LINE_MAX + 100];
	struct text_line line;

	memset(data, 'x', sizeof(data));
	assert_int_equal(text_next_line(data, TEXT_LINE_MAX, false, &line), 0);
	assert_int_equal(text_next_line(data, sizeof(data), false, &line), TEXT_LINE_MAX);
	assert_true(line.cut);
	/* A euro sign stands across the place of the cut. */
	memcpy(data + TEXT_LINE_MAX - 1, "\xe2\x82\xac", 3);
	assert_int_equal(
		text_next_line(data, sizeof(data), false, &line), TEXT_LINE_MAX - 1);
	/* A line of exactly the maximum is whole. */
	data[TEXT_LINE_MAX] = '\n';
	assert_int_equal(
		text_next_line(data, sizeof(data), false, &line), TEXT_LINE_MAX + 1);
	assert_false(line.cut);
}

static void a_stamp_has_microseconds(void **state UNUSED)
{
	char out[TEXT_STAMP_LEN];

	text_stamp(out, 1767323045678901u);
	assert_memory_equal(out, "2026-01-02T03:04:05.678901Z", TEXT_STAMP_LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_ends_at_its_newline),
		cmocka_unit_test(a_beginning_waits_until_the_end),
		cmocka_unit_test(a_long_line_is_cut_between_characters),
		cmocka_unit_test(a_stamp_has_microseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
