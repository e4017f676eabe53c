/* Version ranges: what npm's own README promises of each form. */
#include "buildpacks/plan/semver.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int match(const char *range, const char *version)
{
	uint64_t v;

	assert_int_equal(semver_parse(version, &v), 0);
	return semver_match(range, v);
}

static void ranges_take_what_npm_takes(void **state UNUSED)
{
	static const struct {
		const char *range, *in, *out;
	} rows[] = {
		{"1.2.3", "1.2.3", "1.2.4"},
		{"=1.2.3", "1.2.3", "1.2.2"},
		{"v18.1.0", "18.1.0", "18.1.1"},
		{"18", "18.20.8", "19.0.0"},
		{"18.x", "18.0.0", "17.9.9"},
		{"18.X.x", "18.4.1", "20.0.0"},
		{"1.2.*", "1.2.9", "1.3.0"},
		{">=18", "26.10.0", "17.9.1"},
		{">18", "19.0.0", "18.20.8"},
		{">18.2", "18.3.0", "18.2.9"},
		{"<=18", "18.20.8", "19.0.0"},
		{"<18", "17.9.9", "18.0.0"},
		{">= 18.1 < 20", "19.9.0", "20.0.0"},
		{">=18.1, <20", "18.1.0", "18.0.9"},
		{"^1.2.3", "1.9.9", "2.0.0"},
		{"^0.2.3", "0.2.9", "0.3.0"},
		{"^0.0.3", "0.0.3", "0.0.4"},
		{"^0.0", "0.0.9", "0.1.0"},
		{"^0", "0.9.9", "1.0.0"},
		{"^1.x", "1.0.0", "2.0.0"},
		{"~1.2.3", "1.2.9", "1.3.0"},
		{"~1.2", "1.2.0", "1.3.0"},
		{"~1", "1.9.0", "2.0.0"},
		{"~> 2.1", "2.1.7", "2.2.0"},
		{"1.2.3 - 2.3", "2.3.9", "2.4.0"},
		{"1 - 2", "1.0.0", "3.0.0"},
		{"18 || 20", "20.1.0", "19.0.0"},
		{"^18.18.0 || ^20.9.0 || >=21.1.0", "18.19.0", "20.8.0"},
		{"18.0.0-rc.1", "18.0.0", "18.0.1"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (match(rows[i].range, rows[i].in) != 1)
			fail_msg("%s must take %s", rows[i].range, rows[i].in);
		if (match(rows[i].range, rows[i].out) != 0)
			fail_msg("%s must not take %s", rows[i].range, rows[i].out);
	}
}

static void an_empty_range_and_a_star_take_everything(void **state UNUSED)
{
	assert_int_equal(match("", "0.0.1"), 1);
	assert_int_equal(match("*", "99.9.9"), 1);
	assert_int_equal(match("x", "1.0.0"), 1);
	assert_int_equal(match("1 ||", "7.0.0"), 1);
}

static void malformed_ranges_are_errors(void **state UNUSED)
{
	static const char *const rows[] = {"banana", "1.2.3.4", "^", "1 |", "1 | 2",
		">=", "1..2", "18foo", "lts/*", "99999999999", "1.2.x.3"};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (semver_match(rows[i], 0) != -EINVAL)
			fail_msg("%s must be refused", rows[i]);
}

static void versions_are_three_numbers(void **state UNUSED)
{
	uint64_t a, b;

	assert_int_equal(semver_parse("1.10.0", &a), 0);
	assert_int_equal(semver_parse("v1.9.9", &b), 0);
	assert_true(a > b);
	assert_int_equal(semver_parse("1.2", &a), -EINVAL);
	assert_int_equal(semver_parse("1.2.3+b\t7", &a), -EINVAL);
	assert_int_equal(semver_parse("1.2.3-rc.1", &a), -ENOTSUP);
	assert_int_equal(semver_parse("1.2.3+build", &a), 0);
	assert_int_equal(semver_parse("1.2.2097152", &a), -ERANGE);
	assert_int_equal(semver_parse("", &a), -EINVAL);
}

static void a_range_covers_a_major_or_not(void **state UNUSED)
{
	assert_int_equal(semver_covers(">=18", 22), 1);
	assert_int_equal(semver_covers("22.x", 22), 1);
	assert_int_equal(semver_covers("^22.1.0", 22), 0);
	assert_int_equal(semver_covers("<=22.5", 22), 0);
	assert_int_equal(semver_covers("20", 22), 0);
	assert_int_equal(semver_covers("banana", 22), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_take_what_npm_takes),
		cmocka_unit_test(an_empty_range_and_a_star_take_everything),
		cmocka_unit_test(malformed_ranges_are_errors),
		cmocka_unit_test(versions_are_three_numbers),
		cmocka_unit_test(a_range_covers_a_major_or_not),
	};

	return cmocka_run_group_tests_name("semver", tests, NULL, NULL);
}
