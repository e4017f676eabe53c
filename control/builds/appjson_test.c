/* app.json: what is accepted, where mistakes are said to stand, what env and scripts come to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/builds/appjson.h"
#include "lib/base.h"
#include "lib/jtext.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static json_t *parsed(const char *text)
{
	json_t *o = NULL;
	struct err e = {0};

	if (appjson_parse(text, &o, NULL, &e) < 0)
		fail_msg("%s: %s", text, e.text);
	return o;
}

static void comments_are_allowed(void **state UNUSED)
{
	json_t *o = parsed("{ // one\n \"website\": \"http://x\", /* two\n */ "
			   "\"formation\": {\"web\":{\"quantity\":2}}}");

	assert_string_equal(json_string_value(json_object_get(o, "website")), "http://x");
	json_decref(o);
}

static void a_mistake_is_refused_with_line_column_and_path(void **state UNUSED)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{"{\n \"a\": 1,\n \"b\" 2}", "line 3"},
		{"[]", "is not an object"},
		{"{\"a\": \"unterminated", "line 1"},
		{"{\"formation\":{\"web\":{\"quantity\":-1}}}",
			"line 1, column 33: formation.web.quantity is no number from 0 "
			"to 100"},
		{"{\n  // web\n  \"formation\": {\n    \"web\": {\"quantity\": \"2\"}\n  "
		 "}\n}",
			"line 4, column 25: formation.web.quantity is not a whole "
			"number"},
		{"{\"formation\": []}", "column 15: formation is not an object"},
		{"{\"formation\": {\"a b\": {}}}", "formation.a b is no process type"},
		{"{\"healthchecks\":{\"web\":{}}}", "healthchecks.web is not a list"},
		{"{\"healthchecks\":{\"web\":[{\"path\":\"/x y\"}]}}",
			"column 33: healthchecks.web[0].path is no path"},
		{"{\"healthchecks\":{\"web\":[{}, {\"type\":\"often\"}]}}",
			"healthchecks.web[1].type is none of"},
		{"{\"healthchecks\":{\"web\":[{\"path\":\"/\",\"command\":[\"x\"]}]}}",
			"healthchecks.web[0].command stands beside path"},
		{"{\"healthchecks\":{\"web\":[{\"content\":\"x\"}]}}",
			"healthchecks.web[0].content stands without path"},
		{"{\"healthchecks\":{\"web\":[{\"attempts\":0}]}}",
			"healthchecks.web[0].attempts is no number from 1"},
		{"{\"healthchecks\":{\"work\":[{\"type\":\"liveness\"}]}}",
			"healthchecks.work[0] has neither a command nor a port"},
		{"{\"healthchecks\":{\"web\":[{},{},{},{},{},{},{},{},{},{},{},"
		 "{},{},{},{},{},{},{},{},{},{}]}}",
			"healthchecks.web has more than 20 checks"},
		{"{\"cron\": {}}", "cron is not a list"},
		{"{\"cron\": [\n{\"schedule\": \"@daily\"}]}",
			"line 2, column 1: cron[0] command is missing"},
		{"{\"cron\": [{\"command\": \"x\"}]}", "cron[0] schedule is missing"},
		{"{\"cron\": [{\"command\": \"x\", \"schedule\": \"61 * * * *\"}]}",
			"cron[0] \"61\" is no minute"},
		{"{\"cron\": [{\"command\": \"x\", \"schedule\": 5}]}",
			"cron[0].schedule is not text"},
		{"{\"cron\": [{\"command\": \"x\", \"schedule\": \"@daily\", "
		 "\"concurrency_policy\": \"queue\"}]}",
			"concurrency_policy is allow, forbid or replace"},
		{"{\"cron\": [{\"command\": \"x\", \"schedule\": \"@daily\", "
		 "\"timeout\": "
		 "\"soon\"}]}",
			"cron[0] timeout is no time"},
		{"{\"cron\": [{\"command\": \"x\", \"schedule\": \"@daily\"}, "
		 "{\"command\": "
		 "\"x\", \"schedule\": \"@daily\"}]}",
			"cron[1] is the same as cron[0]"},
		{"{\"env\": {\"A B\": \"x\"}}", "env.A B is no name"},
		{"{\"env\": {\"PORT\": \"x\"}}", "env.PORT is no name"},
		{"{\"env\": {\"A\": 5}}", "env.A is not text or an object"},
		{"{\"env\": {\"A\": {\"generator\": \"uuid\"}}}",
			"env.A.generator is not secret"},
		{"{\"env\": {\"A\": {\"required\": \"yes\"}}}",
			"env.A.required is not true or false"},
		{"{\"env\": {\"A\": \"x\\u0000y\"}}", "line 1"},
		{"{\"scripts\": {\"dokku\": {\"predeploy\": [\"a\"]}}}",
			"scripts.dokku.predeploy is not text"},
		{"{\"buildpacks\": [\"heroku/python\"]}",
			"buildpacks[0] is not an object"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *o = NULL;
		struct err e = {0};

		if (appjson_parse(rows[i].text, &o, NULL, &e) != -EINVAL)
			fail_msg("%s is taken", rows[i].text);
		if (!strstr(e.text, rows[i].says))
			fail_msg("%s: \"%s\", not \"%s\"", rows[i].text, e.text,
				rows[i].says);
	}
}

static void what_is_not_known_or_used_is_warned_of(void **state UNUSED)
{
	json_t *o, *warnings = json_array();
	struct err e = {0};

	assert_int_equal(
		appjson_parse(
			"{\"nmae\": 1,\n\"formation\": {\"web\": {\"size\": \"2x\", "
			"\"quantty\": 2}},\n\"addons\": [{\"plan\": 1}, 2],\n"
			"\"env\": {\"A.B\": 1}}",
			&o, warnings, &e),
		-EINVAL); /* of env every key is a name */
	assert_int_equal(json_array_size(warnings), 4);
	assert_string_equal(json_string_value(json_array_get(warnings, 0)),
		"app.json line 1: nmae is not known: passed over");
	assert_non_null(strstr(json_string_value(json_array_get(warnings, 1)),
		"line 2: formation.web.size is not used"));
	assert_non_null(strstr(json_string_value(json_array_get(warnings, 2)),
		"line 2: formation.web.quantty is not known"));
	assert_non_null(strstr(json_string_value(json_array_get(warnings, 3)),
		"line 3: addons is not used"));
	json_decref(warnings);
	warnings = json_array();
	assert_int_equal(
		appjson_parse(
			"{\"name\": \"x\", \"keywords\": [\"a\"], \"env\": {\"A\": "
			"{\"description\": \"d\"}}, \"healthchecks\": {\"web\": "
			"[{\"type\": \"startup\", \"name\": \"n\", \"path\": \"/\", "
			"\"port\": 80, \"attempts\": 3, \"wait\": 5, \"timeout\": 5, "
			"\"initialDelay\": 0, \"content\": \"ok\"}]}}",
			&o, warnings, &e),
		0);
	assert_int_equal(json_array_size(warnings), 0);
	json_decref(warnings);
	json_decref(o);
}

/* ---- env ---- */

static const char *text_of(const json_t *config, const char *key)
{
	const char *s = json_string_value(json_object_get(config, key));

	return s ? s : "(none)";
}

/* Cut, but not within a character: of such a text there is no JSON. */
static void long_names_are_said_too(void **state UNUSED)
{
	char text[256], name[128];
	json_t *o, *warnings = json_array();
	struct err e = {0};

	memset(name, 0, sizeof(name));
	name[0] = 'a';
	for (int i = 0; i < 40; i++)
		memcpy(name + 1 + 2 * i, "\xc3\xa9", 2);
	snprintf(text, sizeof(text), "{\"%s\": 1}", name);
	assert_int_equal(appjson_parse(text, &o, warnings, &e), 0);
	assert_int_equal(json_array_size(warnings), 1);
	json_decref(o);
	json_decref(warnings);
	snprintf(text, sizeof(text), "{\"formation\": {\"%s\": {}}}", name);
	assert_int_equal(appjson_parse(text, &o, NULL, &e), -EINVAL);
	assert_int_equal(jtext_utf8(e.text, strlen(e.text)), strlen(e.text));
	assert_non_null(strstr(e.text, " is no process type"));
}

static void values_are_set_on_the_first_release_and_synced_ones_always(
	void **state UNUSED)
{
	json_t *o = parsed("{\"env\": {\"A\": \"1\", \"B\": {\"value\": \"2\"}, \"C\": "
			   "{\"value\": \"3\", \"sync\": true}, \"S\": {\"generator\": "
			   "\"secret\"}, \"N\": {\"description\": \"none\"}}}");
	json_t *config = json_pack("{s:s, s:s}", "B", "own", "C", "own"), *set;
	struct err e = {0};

	assert_int_equal(appjson_env(o, true, config, &set, &e), 0);
	assert_int_equal(json_array_size(set), 3);
	json_decref(set);
	assert_string_equal(text_of(config, "A"), "1");
	assert_string_equal(text_of(config, "B"), "own");
	assert_string_equal(text_of(config, "C"), "3");
	assert_int_equal(strlen(text_of(config, "S")), 64);
	assert_string_equal(text_of(config, "N"), "(none)");
	char *secret = strdup(text_of(config, "S"));
	json_object_del(config, "A");
	json_object_set_new(config, "C", json_string("changed"));
	assert_int_equal(appjson_env(o, false, config, &set, &e), 0);
	assert_int_equal(json_array_size(set), 1);
	json_decref(set);
	assert_string_equal(text_of(config, "A"), "(none)");
	assert_string_equal(text_of(config, "C"), "3");
	assert_string_equal(text_of(config, "S"), secret);
	free(secret);
	json_decref(config);
	json_decref(o);
}

static void required_ones_without_a_value_are_named(void **state UNUSED)
{
	json_t *o = parsed(
		"{\"env\": {\"A\": {\"required\": true}, \"B\": {\"required\": "
		"true, \"value\": \"2\"}, \"C\": {\"required\": true}, \"D\": {}}}");
	json_t *config = json_object(), *set;
	struct err e = {0};

	assert_int_equal(appjson_env(o, true, config, &set, &e), -ENOKEY);
	assert_string_equal(e.text, "A, C");
	json_object_set_new(config, "A", json_string("x"));
	json_object_set_new(config, "C", json_string(""));
	assert_int_equal(appjson_env(o, true, config, &set, &e), 0);
	json_decref(set);
	json_decref(config);
	json_decref(o);
}

static void scripts_are_found_where_heroku_and_dokku_have_them(void **state UNUSED)
{
	json_t *o = parsed("{\"scripts\": {\"postdeploy\": \"first\", \"dokku\": "
			   "{\"predeploy\": \"pre\", \"postdeploy\": \"each\"}}}");

	assert_string_equal(appjson_script(o, SCRIPT_FIRST), "first");
	assert_string_equal(appjson_script(o, SCRIPT_PREDEPLOY), "pre");
	assert_string_equal(appjson_script(o, SCRIPT_POSTDEPLOY), "each");
	json_decref(o);
	o = parsed("{\"scripts\": {\"predeploy\": \"p\", \"postdeploy\": \"\"}}");
	assert_string_equal(appjson_script(o, SCRIPT_PREDEPLOY), "p");
	assert_null(appjson_script(o, SCRIPT_FIRST));
	assert_null(appjson_script(o, SCRIPT_POSTDEPLOY));
	json_decref(o);
	assert_null(appjson_script(NULL, SCRIPT_FIRST));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comments_are_allowed),
		cmocka_unit_test(a_mistake_is_refused_with_line_column_and_path),
		cmocka_unit_test(what_is_not_known_or_used_is_warned_of),
		cmocka_unit_test(long_names_are_said_too),
		cmocka_unit_test(
			values_are_set_on_the_first_release_and_synced_ones_always),
		cmocka_unit_test(required_ones_without_a_value_are_named),
		cmocka_unit_test(scripts_are_found_where_heroku_and_dokku_have_them),
	};

	return cmocka_run_group_tests_name("control/builds/appjson", tests, NULL, NULL);
}
