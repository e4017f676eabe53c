/* Unit tests of loglimits.c: rates as people write them. */
#include "control/logs/loglimits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_rate_is_of_lines_or_of_bytes(void **state UNUSED)
{
	static const struct {
		const char *text;
		uint64_t lines, bytes;
	} rows[] = {{"10000", 10000, 0}, {"1/s", 1, 0}, {"512K", 0, 512 << 10},
		{"1M/s", 0, 1 << 20}, {"off", LOG_RATE_OFF, 0}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct msg_log_limits m = {.rate_lines = 7, .rate_bytes = 7};

		assert_int_equal(loglimits_parse_rate(rows[i].text, &m), 0);
		assert_int_equal(m.rate_lines, rows[i].lines);
		assert_int_equal(m.rate_bytes, rows[i].bytes);
	}
}

static void what_is_no_rate_is_refused(void **state UNUSED)
{
	static const char *const rows[] = {"", "0", "/s", "x", "-1", "1 000", "10/m",
		"99999999999999999999", "1X", "on"};
	struct msg_log_limits m;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(loglimits_parse_rate(rows[i], &m), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rate_is_of_lines_or_of_bytes),
		cmocka_unit_test(what_is_no_rate_is_refused),
	};

	return cmocka_run_group_tests_name("control/logs/loglimits", tests, NULL, NULL);
}
