/* Procfile: what is accepted, and how mistakes are named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/builds/manifest.h"
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static const char *command(const json_t *o, const char *type)
{
	return json_string_value(json_object_get(o, type));
}

static void a_procfile_has_types_comments_and_crlf(void **state)
{
	json_t *o;
	struct err e;

	(void)state;
	assert_int_equal(
		procfile_parse(
			"# a comment\r\n\r\nweb: node server.js --port=$PORT # inline\r\n"
			"  worker :  ./work 'a # b' \r\nrelease:echo hi#there",
			&o, &e),
		0);
	assert_string_equal(command(o, "web"), "node server.js --port=$PORT");
	assert_string_equal(command(o, "worker"), "./work 'a # b'");
	assert_string_equal(command(o, "release"), "echo hi#there");
	assert_int_equal(json_object_size(o), 3);
	json_decref(o);
	assert_int_equal(procfile_parse(NULL, &o, &e), 0);
	assert_int_equal(json_object_size(o), 0);
	json_decref(o);
}

static void a_procfile_mistake_names_its_line(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {{"web: a\nno colon here\n", "line 2"},
		{"web: a\n\nweb: b", "line 3: web stands there twice"},
		{"we b: x", "line 1"}, {"web:", "line 1: web has no command"},
		{"web: \xff\xfe", "UTF-8"}};
	json_t *o;
	struct err e;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(procfile_parse(rows[i].text, &o, &e), -EINVAL);
		assert_non_null(strstr(e.text, rows[i].says));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_procfile_has_types_comments_and_crlf),
		cmocka_unit_test(a_procfile_mistake_names_its_line),
	};
	return cmocka_run_group_tests_name("control/builds/manifest", tests, NULL, NULL);
}
