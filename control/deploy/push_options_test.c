/* Tests of a push's options. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/deploy/push_options.h"
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static int check(const char *key, const char *value, struct err *e)
{
	json_t *o = json_pack("{s:s}", key, value);
	int r = push_options_check(o, e);

	json_decref(o);
	return r;
}

static void known_options_are_taken(void **state)
{
	static const char *const good[][2] = {{"no-cache", ""}, {"no-deploy", ""},
		{"skip-checks", ""}, {"message", "spring"}, {"config.A", ""},
		{"config.A", "x=y"}, {"config.worker/A", "1"}};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(check(good[i][0], good[i][1], &e), 0);
	assert_int_equal(push_options_check(NULL, &e), 0);
}

static void others_are_refused_with_the_reason(void **state)
{
	static const char *const bad[][3] = {
		{"nocache", "",
			"no-cache, no-deploy, skip-checks, config.KEY=VALUE and "
			"message=TEXT"},
		{"", "", "there is no push option"},
		{"no-cache", "1", "takes no value"},
		{"message", "", "1 to 1024 bytes"},
		{"message", "a\x1b[2J", "control character"},
		{"config.", "x", "no valid name"},
		{"config.1A", "x", "no valid name"},
		{"config.PORT", "80", "which port"},
		{"config.web/PORT", "80", "which port"},
	};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(check(bad[i][0], bad[i][1], &e), -EINVAL);
		assert_non_null(strstr(e.text, bad[i][2]));
	}
}

static void config_options_become_an_object(void **state)
{
	json_t *o = json_pack(
		"{s:s, s:s, s:s}", "config.A", "1", "no-cache", "", "config.B", "x y");
	json_t *config = push_options_config(o);

	(void)state;
	assert_int_equal(json_object_size(config), 2);
	assert_string_equal(json_string_value(json_object_get(config, "B")), "x y");
	assert_non_null(push_option(o, "no-cache"));
	assert_null(push_option(o, "no-deploy"));
	json_decref(config);
	json_object_clear(o);
	assert_null(push_options_config(o));
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_options_are_taken),
		cmocka_unit_test(others_are_refused_with_the_reason),
		cmocka_unit_test(config_options_become_an_object),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
