/* Unit tests of logger_text.c: lines and what is made safe in them. */
#include "runtime/logger_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_clean(const char *in, size_t len, const char *want)
{
	char out[256];
	size_t n = text_clean(out, in, len);

	assert_int_equal(n, strlen(want));
	assert_memory_equal(out, want, n);
}
#define CLEAN(in, want) assert_clean(in, sizeof(in) - 1, want)

static void plain_text_and_utf8_stay_as_they_are(void **state UNUSED)
{
	CLEAN("a\tb ~", "a\tb ~");
	CLEAN("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2",
		"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x9a\xa2");
}

static void control_bytes_are_written_as_hex(void **state UNUSED)
{
	CLEAN("a\rb\nc\x7f", "a\\x0db\\x0ac\\x7f");
	CLEAN("\x00z", "\\x00z");
	CLEAN("\xc2\x9b", "\\xc2\\x9b"); /* C1: a terminal may take it for ESC [ */
}

static void bytes_that_are_not_utf8_are_written_as_hex(void **state UNUSED)
{
	CLEAN("\xff", "\\xff");
	CLEAN("\xc3", "\\xc3");
	CLEAN("\xc0\xaf", "\\xc0\\xaf");	  /* overlong */
	CLEAN("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* surrogate */
	CLEAN("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	CLEAN("\xe2\x82z", "\\xe2\\x82z");
}

static void colours_are_left_out_and_other_escapes_shown(void **state UNUSED)
{
	CLEAN("\x1b[1;31mred\x1b[0m", "red");
	CLEAN("\x1b[2Jx", "\\x1b[2Jx");
	CLEAN("\x1b[31", "\\x1b[31");
	CLEAN("\x1b]0;title\x07", "\\x1b]0;title\\x07");
}

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
		cmocka_unit_test(plain_text_and_utf8_stay_as_they_are),
		cmocka_unit_test(control_bytes_are_written_as_hex),
		cmocka_unit_test(bytes_that_are_not_utf8_are_written_as_hex),
		cmocka_unit_test(colours_are_left_out_and_other_escapes_shown),
		cmocka_unit_test(a_line_ends_at_its_newline),
		cmocka_unit_test(a_beginning_waits_until_the_end),
		cmocka_unit_test(a_long_line_is_cut_between_characters),
		cmocka_unit_test(a_stamp_has_microseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
