/* Unit tests of plain.c: what of a program's text a terminal may obey. */
#include "lib/plain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_clean(const char *in, size_t len, const char *want)
{
	char out[256];
	size_t n = plain_copy(out, in, len, PLAIN_WITHOUT_COLOURS);

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

static void assert_coloured(const char *in, const char *want)
{
	char out[256], again[256];
	size_t n = plain_copy(out, in, strlen(in), PLAIN_WITH_COLOURS);

	assert_int_equal(n, strlen(want));
	assert_memory_equal(out, want, n);
	assert_int_equal(plain_copy(again, out, n, PLAIN_WITH_COLOURS), n);
	assert_memory_equal(again, out, n);
}

static void colours_pass_and_end_with_the_line(void **state UNUSED)
{
	assert_coloured("\x1b[31mred\x1b[0m.", "\x1b[31mred\x1b[0m.");
	assert_coloured("\x1b[1;38;2;1;2;3mx\x1b[m", "\x1b[1;38;2;1;2;3mx\x1b[m");
	assert_coloured("\x1b[4:3mx", "\x1b[4:3mx\x1b[0m");
	assert_coloured("\x1b[0mx\x1b[32m", "\x1b[0mx\x1b[32m\x1b[0m");
}

static void nothing_but_colours_passes(void **state UNUSED)
{
	assert_coloured("\x1b[2J\x1b[H", "\\x1b[2J\\x1b[H");
	assert_coloured("\x1b[1A\x1b[Kover", "\\x1b[1A\\x1b[Kover");
	assert_coloured("\x1b]0;title\a", "\\x1b]0;title\\x07");
	assert_coloured("\x1b]52;c;aGk=\x1b\\", "\\x1b]52;c;aGk=\\x1b\\");
	assert_coloured("\x1b[>4m\x1b[?1m", "\\x1b[>4m\\x1b[?1m");
	assert_coloured("\x1bP+q\x1b"
			"c\x1b",
		"\\x1bP+q\\x1b"
		"c\\x1b");
	assert_coloured("a\bb\rc", "a\\x08b\\x0dc");
	assert_coloured("\xc2\x9b"
			"2J",
		"\\xc2\\x9b"
		"2J");
}

/* It is copied in pieces of 16: a byte to change at each place of lines around that length. */
static void a_byte_is_found_wherever_it_stands(void **state UNUSED)
{
	static const unsigned char bad[] = {0, 0x1f, 0x7f, 0x80, 0xff};
	char in[70], out[sizeof(in) * PLAIN_FACTOR + PLAIN_END_LEN], want[sizeof(out)];

	for (size_t len = 1; len <= sizeof(in); len++)
		for (size_t at = 0; at < len; at++) {
			unsigned char c = bad[(at + len) % ARRAY_LEN(bad)];

			for (size_t i = 0; i < len; i++)
				in[i] = " ~\tA"[i % 4];
			memcpy(want, in, at);
			snprintf(want + at, 5, "\\x%02x", c);
			memcpy(want + at + 4, in + at + 1, len - at - 1);
			in[at] = (char)c;
			assert_int_equal(
				plain_copy(out, in, len, PLAIN_WITHOUT_COLOURS), len + 3);
			assert_memory_equal(out, want, len + 3);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_byte_is_found_wherever_it_stands),
		cmocka_unit_test(plain_text_and_utf8_stay_as_they_are),
		cmocka_unit_test(control_bytes_are_written_as_hex),
		cmocka_unit_test(bytes_that_are_not_utf8_are_written_as_hex),
		cmocka_unit_test(colours_are_left_out_and_other_escapes_shown),
		cmocka_unit_test(colours_pass_and_end_with_the_line),
		cmocka_unit_test(nothing_but_colours_passes),
	};

	return cmocka_run_group_tests_name("lib/plain", tests, NULL, NULL);
}
