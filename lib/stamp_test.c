/* Times and base64: what is read is what was written, and bad text is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base64.h"
#include "lib/stamp.h"
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void times_read_back(void **state)
{
	char text[STAMP_SIZE], http[STAMP_HTTP_SIZE];
	uint64_t us = 0;

	(void)state;
	stamp_format_us(UINT64_C(1767323045678901), text);
	assert_string_equal(text, "2026-01-02T03:04:05.678901Z");
	assert_int_equal(stamp_parse(text, 0, &us), 0);
	assert_int_equal(us, UINT64_C(1767323045678901));
	stamp_format(us, text);
	assert_string_equal(text, "2026-01-02T03:04:05Z");
	stamp_format_http(us, http);
	assert_string_equal(http, "Fri, 02 Jan 2026 03:04:05 GMT");
	assert_int_equal(stamp_parse("2026-01-02", 0, &us), 0);
	assert_int_equal(us, UINT64_C(1767312000000000));
}

static void times_may_be_relative(void **state)
{
	uint64_t us = 0;

	(void)state;
	assert_int_equal(stamp_parse("2m", 200000000, &us), 0);
	assert_int_equal(us, 80000000);
	assert_int_equal(stamp_parse("9d", 1, &us), 0);
	assert_int_equal(us, 0);
}

static void spans_are_seconds(void **state)
{
	static const char *const bad[] = {"", "s", "5", "5w", "5 s", "-5s", "5ss"};
	uint64_t s = 0;

	(void)state;
	assert_int_equal(span_parse("0s", &s), 0);
	assert_int_equal(s, 0);
	assert_int_equal(span_parse("15m", &s), 0);
	assert_int_equal(s, 900);
	assert_int_equal(span_parse("30d", &s), 0);
	assert_int_equal(s, 2592000);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(span_parse(bad[i], &s), -EINVAL);
}

static void bad_times_are_refused(void **state)
{
	static const char *const bad[] = {"", "5", "m", "5y", "5mm", "2026-13-01",
		"2026-01-02T", "2026-01-02T03:04:05", "2026-01-02T25:04:05Z",
		"2026-01-02T03:04:05.Z", "2026-01-02x"};
	uint64_t us = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(stamp_parse(bad[i], 1, &us), -EINVAL);
}

static void base64_reads_back(void **state)
{
	static const char *const rows[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
		{"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xff\xfe", "//4="}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		autobuf text = BUF_INIT, bytes = BUF_INIT;

		assert_int_equal(base64_encode(rows[i][0], strlen(rows[i][0]), &text), 0);
		assert_int_equal(text.len, strlen(rows[i][1]));
		assert_memory_equal(text.len ? text.data : "", rows[i][1], text.len);
		assert_int_equal(base64_decode(rows[i][1], text.len, &bytes), 0);
		assert_int_equal(bytes.len, strlen(rows[i][0]));
		assert_memory_equal(bytes.len ? bytes.data : "", rows[i][0], bytes.len);
	}
}

static void bad_base64_is_refused(void **state)
{
	static const char *const bad[] = {
		"Zg", "Zg=", "Zh==", "Zm9=", "=Zg=", "Zg==Zg==", "Z g=", "Zm\n="};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		autobuf bytes = BUF_INIT;

		assert_int_equal(base64_decode(bad[i], strlen(bad[i]), &bytes), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_read_back),
		cmocka_unit_test(times_may_be_relative),
		cmocka_unit_test(spans_are_seconds),
		cmocka_unit_test(bad_times_are_refused),
		cmocka_unit_test(base64_reads_back),
		cmocka_unit_test(bad_base64_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
