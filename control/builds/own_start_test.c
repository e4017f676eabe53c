/* Images that bring their own start: which words, which port, who. */
#include "control/builds/own_start.h"
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static json_t *config(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);

	assert_non_null(o);
	return o;
}

static void check_argv(const struct db_image *i, const char *command,
	const char *const *argv, const char *expect)
{
	json_t *words = own_start_argv(i, command, argv);
	char *text autofree = json_dumps(words, JSON_COMPACT);

	assert_string_equal(text, expect);
	json_decref(words);
}

static void entrypoint_and_cmd_are_web_and_keep_their_words(void **state UNUSED)
{
	struct db_image i = {
		.config =
			config("{\"Entrypoint\":[\"/e\",\"a b\"],\"Cmd\":[\"it's\",\"\"],"
			       "\"Berth\":{}}")};
	json_t *procfile = config("{\"worker\":\"work | tee x\"}"), *out = NULL;
	struct err e = {0};

	assert_int_equal(own_start_processes(i.config, procfile, &out, &e), 0);
	const json_t *processes = json_object_get(out, "processes");
	const char *web = json_string_value(json_object_get(processes, "web"));
	assert_string_equal(web, "/e 'a b' 'it'\\''s' ''");
	check_argv(&i, web, NULL, "[\"/e\",\"a b\",\"it's\",\"\"]");
	check_argv(&i, "work | tee x", NULL,
		"[\"/e\",\"a b\",\"/bin/sh\",\"-c\",\"work | tee x\"]");
	check_argv(&i, NULL, (const char *const[]){"ls", "-l", NULL}, "[\"ls\",\"-l\"]");
	json_decref(out);
	json_decref(procfile);
	json_decref(i.config);
}

static void a_procfile_s_web_takes_the_place_of_cmd(void **state UNUSED)
{
	struct db_image i = {.config = config("{\"Cmd\":[\"x\"],\"Shell\":[\"/bin/"
					      "bash\",\"-lc\"],\"Berth\":{}}")};
	json_t *procfile = config("{\"web\":\"serve\"}"), *out = NULL;
	struct err e = {0};

	assert_int_equal(own_start_processes(i.config, procfile, &out, &e), 0);
	check_argv(&i, "serve", NULL, "[\"/bin/bash\",\"-lc\",\"exec serve\"]");
	json_decref(out);
	json_decref(procfile);
	json_decref(i.config);
}

static void nothing_to_start_is_refused(void **state UNUSED)
{
	json_t *c = config("{\"Cmd\":null,\"Berth\":{}}"), *out = NULL;
	struct err e = {0};

	assert_int_equal(own_start_processes(c, NULL, &out, &e), -EINVAL);
	assert_non_null(strstr(e.text, "neither CMD nor ENTRYPOINT"));
	json_decref(c);
}

static void the_first_tcp_port_is_the_app_s(void **state UNUSED)
{
	static const struct {
		const char *config;
		uint16_t port;
	} rows[] = {
		{"{}", 0},
		{"{\"ExposedPorts\":null}", 0},
		{"{\"ExposedPorts\":{\"53/udp\":{},\"8080/tcp\":{},\"80/tcp\":{}}}",
			8080},
		{"{\"ExposedPorts\":{\"8080\":{}}}", 8080},
		{"{\"ExposedPorts\":{\"99999/tcp\":{},\"x\":{}}}", 0},
	};

	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		struct db_image i = {.config = config(rows[k].config)};
		assert_int_equal(own_start_port(&i), rows[k].port);
		json_decref(i.config);
	}
}

static void user_and_folder_are_the_image_s(void **state UNUSED)
{
	struct db_image none = {.config = config("{}")},
			i = {.config = config("{\"WorkingDir\":\"/srv\","
					      "\"Berth\":{\"uid\":33,\"gid\":70000,"
					      "\"home\":\"/var/www\"}}")};
	struct msg_start m = {0};

	own_start_user(&none, &m);
	assert_int_equal(m.flags, 0);
	own_start_user(&i, &m);
	assert_int_equal(m.flags, START_USER);
	assert_int_equal(m.uid, 33);
	assert_true(m.gid <= 65535);
	assert_string_equal(own_start_folder(&i), "/srv");
	assert_string_equal(own_start_home(&i), "/var/www");
	assert_string_equal(own_start_folder(&none), "/");
	json_decref(none.config);
	json_decref(i.config);
}

static void its_stop_signal_is_a_number_that_exists(void **state UNUSED)
{
	static const struct {
		const char *text;
		uint32_t want;
	} rows[] = {{"{}", 0}, {"{\"StopSignal\":\"SIGQUIT\"}", SIGQUIT},
		{"{\"StopSignal\":\"37\"}", 37}, {"{\"StopSignal\":\"SIGNOT\"}", 0},
		{"{\"StopSignal\":3}", 0}};

	for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
		struct db_image i = {.config = config(rows[k].text)};

		assert_int_equal(own_start_stop_signal(&i), rows[k].want);
		json_decref(i.config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(entrypoint_and_cmd_are_web_and_keep_their_words),
		cmocka_unit_test(a_procfile_s_web_takes_the_place_of_cmd),
		cmocka_unit_test(nothing_to_start_is_refused),
		cmocka_unit_test(the_first_tcp_port_is_the_app_s),
		cmocka_unit_test(user_and_folder_are_the_image_s),
		cmocka_unit_test(its_stop_signal_is_a_number_that_exists),
	};

	return cmocka_run_group_tests_name("own_start", tests, NULL, NULL);
}
