/* origin.c: places that are the same, loopback addresses and what only looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/origin.h"
#include <cmocka.h>
#include <errno.h>

static bool same(const char *a, const char *b)
{
	struct origin x, y;

	assert_int_equal(origin_of(a, &x), 0);
	assert_int_equal(origin_of(b, &y), 0);
	return origin_same(&x, &y);
}

static bool loopback(const char *url)
{
	struct origin o;

	assert_int_equal(origin_of(url, &o), 0);
	return origin_loopback(&o);
}

static void scheme_host_and_port_make_a_place(void **state UNUSED)
{
	assert_true(same("https://a.test/x", "https://A.test:443/y?z"));
	assert_false(same("https://a.test", "http://a.test"));
	assert_false(same("https://a.test", "https://a.test:444"));
	assert_false(same("https://a.test", "https://b.a.test"));
}

static void loopback_is_told_by_the_address(void **state UNUSED)
{
	assert_true(loopback("http://127.0.0.1:5000/v2/"));
	assert_true(loopback("http://127.9.8.7"));
	assert_true(loopback("https://localhost:1"));
	assert_true(loopback("https://[::1]:5000"));
	assert_false(loopback("http://127.0.0.1.test"));
	assert_false(loopback("http://localhost.test"));
	assert_false(loopback("http://128.0.0.1"));
	assert_false(loopback("http://[::2]"));
	assert_false(loopback("http://0.0.0.0"));
}

static void other_addresses_are_refused(void **state UNUSED)
{
	static const char *const bad[] = {"", "/v2/", "ftp://a.test",
		"file:///etc/passwd", "https://ann@a.test", "https://ann:secret@a.test",
		"https://"};
	struct origin o;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(origin_of(bad[i], &o), -EINVAL);
}

static void a_location_may_be_relative(void **state UNUSED)
{
	char out[URL_MAX_LEN];

	assert_int_equal(origin_join("https://a.test/v2/x/", "/u/1?s=2", out), 0);
	assert_string_equal(out, "https://a.test/u/1?s=2");
	assert_int_equal(origin_join("https://a.test/v2/x", "https://b.test/y", out), 0);
	assert_string_equal(out, "https://b.test/y");
	assert_int_equal(origin_join("https://a.test/v2/x", "y", out), 0);
	assert_string_equal(out, "https://a.test/v2/y");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scheme_host_and_port_make_a_place),
		cmocka_unit_test(loopback_is_told_by_the_address),
		cmocka_unit_test(other_addresses_are_refused),
		cmocka_unit_test(a_location_may_be_relative),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
