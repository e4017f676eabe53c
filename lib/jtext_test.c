/* JSON text helpers: quoting, finding, UTF-8. */
#include "lib/jtext.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void quoting_escapes_what_json_must(void **state UNUSED)
{
	autobuf b = BUF_INIT;

	assert_int_equal(jtext_quote(&b, "a\"b\\c\n\x01\xc3\xa9"), 0);
	assert_string_equal(b.data, "\"a\\\"b\\\\c\\u000a\\u0001\xc3\xa9\"");
	assert_int_equal(jtext_quote(&b, "\xff"), -EILSEQ);
}

static void a_key_is_found_but_not_inside_strings(void **state UNUSED)
{
	const char *j = "{\"x\":\"\\\"message\\\":\\\"no\\\"\", "
			"\"error\":{\"code\":\"c\",\"message\" : "
			"\"it\\u00e9 \\ud83d\\ude00\\n\",\"exit\":20}}";
	autobuf b = BUF_INIT;
	int n = 0;

	assert_true(jtext_string(j, "message", &b));
	assert_string_equal(b.data, "it\xc3\xa9 \xf0\x9f\x98\x80\n");
	assert_true(jtext_int(j, "exit", &n));
	assert_int_equal(n, 20);
	assert_false(jtext_int(j, "code", &n));
	assert_false(jtext_string(j, "hint", &b));
}

static void cut_text_is_no_value(void **state UNUSED)
{
	autobuf b = BUF_INIT;
	int n;

	assert_false(jtext_string("{\"a\":\"x", "a", &b));
	assert_false(jtext_string("{\"a\":\"\\u12", "a", &b));
	assert_false(jtext_string("{\"a\":\"\\", "a", &b));
	assert_false(jtext_string("\"", "a", &b));
	assert_false(jtext_int("{\"a\":", "a", &n));
	assert_false(jtext_int("{\"a\":1.5}", "a", &n));
	assert_true(jtext_int("{\"a\":-7}", "a", &n));
	assert_int_equal(n, -7);
}

static void utf8_stops_at_the_first_bad_byte(void **state UNUSED)
{
	assert_int_equal(jtext_utf8("ab\xc3\xa9", 4), 4);
	assert_int_equal(jtext_utf8("ab\xc3", 3), 2);
	assert_int_equal(jtext_utf8("\xc0\xaf", 2), 0);
	assert_int_equal(jtext_utf8("\xed\xa0\x80", 3), 0);
	assert_int_equal(jtext_utf8("\xf4\x90\x80\x80", 4), 0);
	assert_int_equal(jtext_utf8("\xf0\x9f\x98\x80", 4), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quoting_escapes_what_json_must),
		cmocka_unit_test(a_key_is_found_but_not_inside_strings),
		cmocka_unit_test(cut_text_is_no_value),
		cmocka_unit_test(utf8_stops_at_the_first_bad_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
