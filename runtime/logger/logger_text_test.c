/* Unit tests of logger_text.c: lines. */
#include "runtime/logger/logger_text.h"

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

static void a_stamp_is_read_in_its_one_form(void **state UNUSED)
{
	static const char *const none[] = {"2026-01-02T03:04:05Z        ",
		"2026-13-02T03:04:05.678901Z", "2026-01-02T03:04:05.678901 ",
		"2026-01-02 03:04:05.678901Z", "app[web.1]: text and so on.."};

	assert_int_equal(text_stamp_parse("2026-01-02T03:04:05.678901Z app", 31),
		1767323045678901u);
	assert_int_equal(text_stamp_parse("2026-01-02T03:04:05.678901Z", 26), 0);
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_int_equal(text_stamp_parse(none[i], TEXT_STAMP_LEN), 0);
}

static void a_block_ends_where_no_more_is_allowed(void **state UNUSED)
{
	static char out[3 * TEXT_ROOM];
	static const char data[] = "a\nbb\r\nccc\nrest";
	struct text_allowance two = {2, UINT64_MAX}, bytes = {UINT64_MAX, 3},
			      all = {UINT64_MAX, UINT64_MAX};
	struct text_block b = {.out = out, .room = sizeof(out)};

	text_block_prefix(&b, 1767323045678901u, "app[web.1]");
	assert_int_equal(text_block_lines(&b, data, sizeof(data) - 1, false, &two), 6);
	assert_int_equal(two.lines, 0);
	assert_int_equal(b.lines, 2);
	assert_int_equal(text_block_lines(&b, data, sizeof(data) - 1, false, &bytes), 6);
	assert_int_equal(bytes.bytes, 0);
	assert_int_equal(text_block_lines(&b, data, sizeof(data) - 1, false, &all), 10);
	b.len = 0;
	assert_int_equal(text_block_lines(&b, data, sizeof(data) - 1, true, &all), 14);
	out[b.len] = '\0';
	assert_string_equal(out, "2026-01-02T03:04:05.678901Z app[web.1]: a\n"
				 "2026-01-02T03:04:05.678901Z app[web.1]: bb\n"
				 "2026-01-02T03:04:05.678901Z app[web.1]: ccc\n"
				 "2026-01-02T03:04:05.678901Z app[web.1]: rest\n");
	b.room = b.len + TEXT_ROOM - 1;
	assert_int_equal(text_block_lines(&b, data, sizeof(data) - 1, true, &all), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_ends_at_its_newline),
		cmocka_unit_test(a_beginning_waits_until_the_end),
		cmocka_unit_test(a_long_line_is_cut_between_characters),
		cmocka_unit_test(a_stamp_has_microseconds),
		cmocka_unit_test(a_stamp_is_read_in_its_one_form),
		cmocka_unit_test(a_block_ends_where_no_more_is_allowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
