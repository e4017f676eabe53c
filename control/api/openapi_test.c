/* The API's description: every row of the table stands in it, with what it is for and what it answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/api/openapi.h"
#include "control/api/request.h"
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

static int set_up(void **state)
{
	*state = openapi_make();
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	json_decref(*state);
	return 0;
}

/* The path with {} for each of its parameters. */
static void plain_path(const char *path, char *out)
{
	for (const char *at = path; *at; at++) {
		if (*at == '{' || (at[-1] == '/' && *at >= 'A' && *at <= 'Z')) {
			*out++ = '{';
			*out++ = '}';
			at += *at == '{' ? strcspn(at, "}") : 0;
		} else {
			*out++ = *at;
		}
	}
	*out = '\0';
}

static json_t *find(json_t *doc, const struct route *row)
{
	json_t *paths = json_object_get(doc, "paths"), *item;
	char want[128], have[128], method[8] = "";
	const char *path;

	plain_path(row->path, want);
	for (size_t i = 0; row->method[i]; i++)
		method[i] = (char)tolower((unsigned char)row->method[i]);
	json_object_foreach (paths, path, item) {
		plain_path(path, have);
		if (strcmp(want, have) == 0)
			return json_object_get(item, method);
	}
	return NULL;
}

static void test_every_row_is_described(void **state)
{
	for (size_t i = 0; i < api_table_len; i++) {
		const struct route *row = &api_table[i];
		json_t *o = find(*state, row);
		const json_t *answers = json_object_get(o, "responses");

		if (o && json_object_get(o, "summary") && json_object_size(answers) > 1)
			continue;
		fail_msg("control/api/answers.json says nothing, or no answer, of \"%s "
			 "%s\": "
			 "a "
			 "line in its requests is missing",
			row->method, row->path);
	}
}

static unsigned int count_operations(json_t *doc)
{
	json_t *item;
	const char *path;
	unsigned int n = 0;

	json_object_foreach (json_object_get(doc, "paths"), path, item)
		n += (unsigned int)json_object_size(item);
	return n;
}

static void test_nothing_else_is_described(void **state)
{
	json_error_t e;
	json_t *said = json_load_file("control/api/answers.json", 0, &e);

	assert_non_null(said);
	assert_int_equal(count_operations(*state), api_table_len);
	assert_int_equal(
		json_object_size(json_object_get(said, "requests")), api_table_len);
	json_decref(said);
}

static void check_references(json_t *v, const json_t *schemas)
{
	const char *key, *shape = json_string_value(json_object_get(v, "$ref"));
	json_t *sub;
	size_t i;

	if (shape && !json_object_get(schemas, strrchr(shape, '/') + 1))
		fail_msg("there is no shape %s in control/api/answers.json", shape);
	if (json_is_object(v))
		json_object_foreach (v, key, sub)
			check_references(sub, schemas);
	json_array_foreach (v, i, sub)
		check_references(sub, schemas);
}

static void test_every_shape_that_is_named_is_there(void **state)
{
	check_references(*state,
		json_object_get(json_object_get(*state, "components"), "schemas"));
}

/* Of what a handler takes, nothing is left out. */
static void test_fields_and_query_words_are_those_that_are_checked(void **state)
{
	for (size_t i = 0; i < api_table_len; i++) {
		const struct route *row = &api_table[i];
		json_t *o = find(*state, row), *schema = NULL;

		json_unpack(o, "{s:{s:{s:{s:o}}}}", "requestBody", "content",
			"application/json", "schema", &schema);
		for (const struct field *f = row->fields; f && f->name; f++)
			assert_non_null(json_object_get(
				json_object_get(schema, "properties"), f->name));
		size_t n = 0;
		for (const char *w = row->query; w; w = strchr(w, ' '))
			w += *w == ' ', n++;
		for (const char *p = row->path; *p; p++)
			n += p[0] == '/' && isupper((unsigned char)p[1]);
		assert_int_equal(json_array_size(json_object_get(o, "parameters")), n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row_is_described),
		cmocka_unit_test(test_nothing_else_is_described),
		cmocka_unit_test(test_every_shape_that_is_named_is_there),
		cmocka_unit_test(test_fields_and_query_words_are_those_that_are_checked),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
