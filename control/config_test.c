/* Whose a config's values are, and what a change makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/config.h"
#include <cmocka.h>
#include <string.h>

static json_t *parse(const char *text)
{
	json_t *v = json_loads(text, 0, NULL);

	assert_non_null(v);
	return v;
}

static void is(json_t *v, const char *want)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(v);
	assert_string_equal(text, want);
	free(text);
}

#define CONFIG                                                                           \
	"{\"A\":\"1\",\"B\":\"2\",\"web/A\":\"w\",\"worker/A\":\"k\",\"worker/"          \
	"C\":\"3\"}"

static void a_type_has_its_own_over_what_all_have(void **state)
{
	json_t *config = parse(CONFIG);

	(void)state;
	is(config_of_type(config, NULL), "{\"A\":\"1\",\"B\":\"2\"}");
	is(config_of_type(config, "web"), "{\"A\":\"w\",\"B\":\"2\"}");
	is(config_of_type(config, "worker"), "{\"A\":\"k\",\"B\":\"2\",\"C\":\"3\"}");
	is(config_of_type(config, "work"), "{\"A\":\"1\",\"B\":\"2\"}");
	is(config_of_type(config, ""), "{\"A\":\"1\",\"B\":\"2\"}");
	json_decref(config);
}

static void keys_may_name_a_type(void **state)
{
	(void)state;
	assert_true(config_key_valid("A") && config_key_valid("worker/A"));
	assert_string_equal(config_key_name("worker/A"), "A");
	assert_string_equal(config_key_name("A"), "A");
	assert_false(config_key_valid("") || config_key_valid("/A") ||
		     config_key_valid("worker/") || config_key_valid("a b/A") ||
		     config_key_valid("worker/A/B") || config_key_valid("worker/1A"));
	assert_false(config_key_valid("a-process-type-of-31-characters/A"));
}

/* What a change makes of CONFIG, and what it says of it. */
static void changes(const char *set, const char *unset, const char *replace,
	const char *after, const char *said)
{
	json_t *config = parse(CONFIG), *before;
	const struct config_change ch = {
		.set = parse(set), .unset = parse(unset), .replace = replace};
	json_t *now = config_changed(config, &ch, &before);
	char text[200];

	config_describe(before, now, text, sizeof(text));
	assert_string_equal(text, said);
	is(now, after);
	is(config, CONFIG); /* it is not changed itself */
	json_decref(before);
	json_decref(ch.set);
	json_decref(ch.unset);
}

static void what_a_change_makes_of_it(void **state)
{
	(void)state;
	changes("{}", "[]", NULL, CONFIG, "");
	changes("{\"A\":\"1\"}", "[\"X\"]", NULL, CONFIG, "");
	changes("{\"A\":\"2\",\"N\":\"\"}", "[\"B\",\"web/A\"]", NULL,
		"{\"A\":\"2\",\"N\":\"\",\"worker/A\":\"k\",\"worker/C\":\"3\"}",
		"Set A, N; unset B, web/A");
	changes("{\"A\":\"1\"}", "[]", "",
		"{\"A\":\"1\",\"web/A\":\"w\",\"worker/A\":\"k\",\"worker/C\":\"3\"}",
		"Unset B");
	changes("{\"worker/A\":\"x\"}", "[]", "worker",
		"{\"A\":\"1\",\"B\":\"2\",\"web/A\":\"w\",\"worker/A\":\"x\"}",
		"Set worker/A; unset worker/C");
	changes("{\"A\":\"1\",\"D\":\"4\"}", "[]", "*", "{\"A\":\"1\",\"D\":\"4\"}",
		"Set D; unset B, web/A, worker/A, worker/C");
}

static void a_description_is_cut_at_a_whole_name(void **state)
{
	json_t *before = parse("{\"AAAA\":null,\"BBBB\":null}"),
	       *after = parse("{\"AAAA\":\"1\",\"BBBB\":\"1\"}");
	char text[12];

	(void)state;
	config_describe(before, after, text, sizeof(text));
	assert_true(strncmp(text, "Set AAAA", 8) == 0);
	json_decref(before);
	json_decref(after);
}

static void what_somebody_else_changed_meanwhile_stays(void **state)
{
	json_t *config = parse("{\"A\":\"1\",\"B\":\"1\",\"C\":\"1\",\"D\":\"1\",\"web/"
			       "A\":\"1\"}"),
	       *after, *before;
	const struct config_change ch = {
		.set = parse("{\"A\":\"2\",\"B\":\"2\",\"N\":\"2\",\"M\":\"2\",\"worker/"
			     "A\":\"2\"}"),
		.unset = parse("[\"C\",\"D\",\"web/A\"]")};

	(void)state;
	after = config_changed(config, &ch, &before);
	json_decref(config);
	/* B and D have another value, A is gone, M has come, and OTHER is nobody's here */
	config = parse("{\"B\":\"3\",\"C\":\"1\",\"D\":\"3\",\"M\":\"3\",\"OTHER\":\"3\","
		       "\"web/A\":\"1\"}");
	config_merge(config, before, after);
	is(config, "{\"B\":\"3\",\"D\":\"3\",\"M\":\"3\",\"N\":\"2\",\"OTHER\":\"3\","
		   "\"worker/A\":\"2\"}");
	json_decref(before);
	json_decref(after);
	json_decref(ch.set);
	json_decref(ch.unset);
}

static void its_size_is_of_names_and_bytes(void **state)
{
	json_t *config = parse("{\"AB\":\"123\",\"C\":{\"base64\":\"/////w==\"}}");

	(void)state;
	assert_true(config_size(config) >= 9 && config_size(config) <= 12);
	json_decref(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_type_has_its_own_over_what_all_have),
		cmocka_unit_test(keys_may_name_a_type),
		cmocka_unit_test(what_a_change_makes_of_it),
		cmocka_unit_test(a_description_is_cut_at_a_whole_name),
		cmocka_unit_test(what_somebody_else_changed_meanwhile_stays),
		cmocka_unit_test(its_size_is_of_names_and_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
