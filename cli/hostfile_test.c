/* The file of `berth apply`: the one form it is brought into, and where its mistakes are. */
#include "cli/cli.h"
#include "cli/hostfile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct hostfile parsed(const char *text)
{
	struct hostfile f = {.name = "host.json", .references = true};

	assert_int_equal(hostfile_parse(&f, strdup(text)), 0);
	return f;
}

static void expect_form(const char *text, const char *form)
{
	struct hostfile f = parsed(text);
	char *got autofree = json_dumps(f.root, JSON_COMPACT);

	assert_string_equal(got, form);
}

static void values_are_brought_into_the_form_of_the_api(void **state UNUSED)
{
	setenv("HOSTFILE_TEST", "from here", 1);
	expect_form("{\"apps\":{\"a\":{\"config\":{\"N\":3,\"T\":true,\"E\":{\"env\":"
		    "\"HOSTFILE_TEST\"},\"B\":{\"base64\":\"/w==\"}}}}}",
		"{\"apps\":{\"a\":{\"config\":{\"N\":\"3\",\"T\":\"true\",\"E\":\"from "
		"here\",\"B\":{\"base64\":\"/w==\"}}}}}");
	expect_form("{\"apps\":{\"a\":{\"config\":{\"A\":1234567.5,\"B\":52.5200066,"
		    "\"C\":0.1,\"D\":0.30000000000000004,\"E\":-2.5}}}}",
		"{\"apps\":{\"a\":{\"config\":{\"A\":\"1234567.5\",\"B\":"
		"\"52.5200066\",\"C\":\"0.1\",\"D\":\"0.30000000000000004\",\"E\":"
		"\"-2.5\"}}}}");
	expect_form("{\"settings\":{\"http\":{\"compression\":true,\"timeout\":45}}}",
		"{\"settings\":{\"http\":{\"compression\":\"on\",\"timeout\":\"45\"}}}");
	expect_form("{\"apps\":{\"a\":{\"resources\":{\"web\":{\"memory\":\"1K\",\"cpu\":"
		    "0.25}}}}}",
		"{\"apps\":{\"a\":{\"resources\":{\"web\":{\"memory\":1024,\"cpu\":250}}}"
		"}}");
	expect_form("{\"apps\":{\"a\":{\"mounts\":{\"/d\":\"v\"},\"network\":[{\"allow\":"
		    "\"b\"},{\"deny\":\"db.example.com\"},{\"deny\":\"fd00:0::7\"}]}}}",
		"{\"apps\":{\"a\":{\"mounts\":{\"/d\":{\"volume\":\"v\"}},\"network\":[{"
		"\"allow\":\"app:b\"},{\"deny\":\"host:db.example.com\"},{\"deny\":"
		"\"fd00::7\"}]}}}");
	expect_form("{\"apps\":{\"a\":null}, // bare\n \"volumes\":{\"v\":{\"size\":"
		    "\"2048M\"}}}",
		"{\"apps\":{\"a\":{}},\"volumes\":{\"v\":{\"size\":\"2G\"}}}");
	expect_form("{\"domains\":[\"Example.COM.\"],\"apps\":{\"a\":{\"domains\":["
		    "\"*.A.Example\",\"b.example.\"],\"network\":[{\"allow\":"
		    "\"host:DB.local.\"},{\"allow\":\"DB.Example.\"}]}}}",
		"{\"domains\":[\"example.com\"],\"apps\":{\"a\":{\"domains\":["
		"\"*.a.example\",\"b.example\"],\"network\":[{\"allow\":"
		"\"host:db.local\"},{\"allow\":\"host:db.example\"}]}}}");
	/* to the byte, and as it can be read again */
	expect_form("{\"volumes\":{\"v\":{\"size\":\"1536M\"},\"w\":{\"size\":"
		    "1500000001}}}",
		"{\"volumes\":{\"v\":{\"size\":\"1536M\"},\"w\":{\"size\":"
		"\"1500000001\"}}}");
}

/* A key named as a reference is one only where a value stands. */
static void a_config_may_have_a_variable_named_env(void **state UNUSED)
{
	expect_form("{\"apps\":{\"a\":{\"config\":{\"env\":\"production\"}}}}",
		"{\"apps\":{\"a\":{\"config\":{\"env\":\"production\"}}}}");
}

static void lines_are_found_through_comments_strings_and_lists(void **state UNUSED)
{
	struct hostfile f = parsed("{ /* two\n lines */\n\"domains\": [\"a.b\",\n\"c]{,"
				   "\\\"d\"],\n\"apps\": {\"x\": {\"config\": {\"A\": "
				   "\"1\",\n\n \"B\":\n\"2\"}}}}");

#define LINE(...)                                                                        \
	hostfile_line(&f, (const char *const[]){__VA_ARGS__},                            \
		ARRAY_LEN(((const char *const[]){__VA_ARGS__})))
	assert_int_equal(LINE("domains"), 3);
	assert_int_equal(LINE("domains", "1"), 4);
	assert_int_equal(LINE("apps", "x", "config", "A"), 5);
	assert_int_equal(LINE("apps", "x", "config", "B"), 8);
	/* as far as the names lead */
	assert_int_equal(LINE("apps", "x", "gone", "B"), 5);
}

static void what_is_wrong_is_refused(void **state UNUSED)
{
	static const char *const wrong[] = {"", "[]", "{\"apps\":[]}", "{\"app\":{}}",
		"{\"apps\":{\"A\":{}}}",
		"{\"apps\":{\"a\":{\"formation\":{\"web\":-1}}}}",
		"{\"apps\":{\"a\":{\"access\":{\"ann\":\"root\"}}}}",
		"{\"apps\":{\"a\":{\"mounts\":{\"/d\":{}}}}}",
		"{\"apps\":{\"a\":{\"network\":[{\"ports\":\"1\"}]}}}",
		"{\"apps\":{\"a\":{\"config\":{\"A\":[]}}}}",
		"{\"apps\":{\"a\":{\"resources\":{\"web\":{\"cpu\":\"0.5x\"}}}}}",
		"{\"apps\":{\"a\":{\"resources\":{\"web\":{\"cpu\":0.0004}}}}}",
		"{\"members\":{\"ann\":{\"keys\":[\"ssh-ed25519\"]}}}",
		"{\"domains\":[\"a.b\"],\"domains\":[]}"};

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct hostfile f = {.name = "host.json", .references = true};

		if (hostfile_parse(&f, strdup(wrong[i])) == 0)
			fail_msg("taken: %s", wrong[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_brought_into_the_form_of_the_api),
		cmocka_unit_test(a_config_may_have_a_variable_named_env),
		cmocka_unit_test(lines_are_found_through_comments_strings_and_lists),
		cmocka_unit_test(what_is_wrong_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
