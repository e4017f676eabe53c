/* berth.conf: what is taken, what is refused, and what the environment keeps. */
#include "lib/conf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *text, struct err *e)
{
	char copy[256];

	snprintf(copy, sizeof(copy), "%s", text);
	return conf_parse(copy, "berth.conf", e);
}

static void settings_become_variables(void **state)
{
	struct err e = {0};

	(void)state;
	unsetenv("BERTH_HTTP");
	unsetenv("BERTH_SSH_USER");
	assert_int_equal(parse("# a comment\n\n http = 127.0.0.1:8080 "
			       "\r\nssh-user=git\n#run = /x\n",
				 &e),
		0);
	assert_string_equal(getenv("BERTH_HTTP"), "127.0.0.1:8080");
	assert_string_equal(getenv("BERTH_SSH_USER"), "git");
}

static void the_environment_goes_first(void **state)
{
	struct err e = {0};

	(void)state;
	setenv("BERTH_STATE", "/from/environment", 1);
	assert_int_equal(parse("state = /from/file\n", &e), 0);
	assert_string_equal(getenv("BERTH_STATE"), "/from/environment");
}

static void errors_name_the_line(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"http = :80\nhtpps = none\n", "line 2: there is no setting \"htpps\""},
		{"\n\nnonsense\n", "line 3: not \"key = value\""},
		{"workers =\n", "line 1: \"workers\" has no value"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = {0};

		assert_int_equal(parse(rows[i].text, &e), -EINVAL);
		assert_non_null(strstr(e.text, rows[i].says));
	}
}

static void an_absent_file_is_an_empty_one(void **state)
{
	struct err e = {0};

	(void)state;
	setenv("BERTH_CONF", "/nonexistent/berth.conf", 1);
	assert_int_equal(conf_load(&e), 0);
	setenv("BERTH_CONF", "/", 1);
	assert_true(conf_load(&e) < 0);
	assert_non_null(strstr(e.text, "cannot read /"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_become_variables),
		cmocka_unit_test(the_environment_goes_first),
		cmocka_unit_test(errors_name_the_line),
		cmocka_unit_test(an_absent_file_is_an_empty_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
