/* What may be named as a buildpack. */
#include "control/builds/packs.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static bool good(const char *s)
{
	struct err e = {0};

	return packs_check(s, &e) == 0;
}

static void names_folders_and_addresses_are_buildpacks(void **state UNUSED)
{
	assert_true(good("node"));
	assert_true(good("heroku/nodejs"));
	assert_true(good("./tools/mine"));
	assert_true(good("host:mine"));
	assert_true(good("https://git.example.com/a/b.git#v1.2"));
	assert_true(good("http://example.com/pack.tgz"));
	assert_true(good("git://example.com/pack"));
}

static void what_no_build_could_fetch_is_refused(void **state UNUSED)
{
	char longest[PACKS_ENTRY_MAX + 2];

	assert_false(good(""));
	assert_false(good("/etc"));
	assert_false(good("./../x"));
	assert_false(good("git@example.com:x.git"));
	assert_false(good("ssh://example.com/x"));
	assert_false(good("file:///etc"));
	assert_false(good("host:../x"));
	assert_false(good("-x"));
	assert_false(good("a b"));
	assert_false(good("https://a\nhttps://b"));
	assert_false(good("heroku/../x"));
	assert_false(good("https://example.com/\xc3\xa9"));
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	memcpy(longest, "https://", 8);
	assert_false(good(longest));
	longest[PACKS_ENTRY_MAX] = '\0';
	assert_true(good(longest));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_folders_and_addresses_are_buildpacks),
		cmocka_unit_test(what_no_build_could_fetch_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
