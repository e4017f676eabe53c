/* What becomes of a commit's message. */
#include "receiver/deliver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_message_becomes_an_option_that_is_taken(void **state UNUSED)
{
	static const char *const rows[][2] = {{"version 2", "message=version 2"},
		{"one\ntwo", "message=one"}, {"one\r\n\r\ntwo", "message=one"},
		{"\n\n one\n", "message=one"}, {"a\tb\x1b[2J", "message=a b [2J"}};
	char out[DELIVER_OPTION_MAX];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(deliver_option(rows[i][0], out));
		assert_string_equal(out, rows[i][1]);
	}
	assert_false(deliver_option("", out));
	assert_false(deliver_option(" \r\n\t\n", out));
}

static void a_long_one_is_cut_between_characters(void **state UNUSED)
{
	char message[2001], out[DELIVER_OPTION_MAX];

	for (size_t i = 0; i < 2000; i += 2)
		memcpy(message + i, "\xc3\xa9", 3);
	assert_true(deliver_option(message, out));
	assert_int_equal(strlen(out), 1022); /* 1023 would have half of one */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_becomes_an_option_that_is_taken),
		cmocka_unit_test(a_long_one_is_cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
