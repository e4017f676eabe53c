/* A pack's plan lines and its release output. */
#include "buildpacks/plan/pack.h"
#include "buildpacks/plan/plan.h"
#include "buildpacks/plan/release_yaml.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

static int add(struct plan *p, const char *text)
{
	struct err e;

	return plan_add_lines(p, text, strlen(text), &e);
}

static int release(struct plan *p, const char *text)
{
	struct err e;

	return release_yaml_parse(p, text, strlen(text), &e);
}

static const char *process(const struct plan *p, const char *type)
{
	const char *s = json_string_value(json_object_get(p->processes, type));

	return s ? s : "(none)";
}

static void plan_lines_fill_the_plan(void **state UNUSED)
{
	struct plan p;

	assert_int_equal(plan_init(&p), 0);
	assert_int_equal(
		add(&p, "name: Node.js\ntoolchain: node 22.x\ntoolchain: apt "
			"git\ndeps-file: package.json\n"
			"compile: yes\nprocess: web node server.js --port 1: "
			"2\nenv: A b c\nenv: EMPTY\n"
			"launch: no\nwarning: look out\nerror: first\nerror: second"),
		0);
	assert_string_equal(p.name, "Node.js");
	assert_string_equal(p.toolchain.data, "node 22.x\napt git\n");
	assert_true(p.has_toolchain && p.has_deps && p.compile && p.build_only);
	assert_string_equal(
		json_string_value(json_array_get(p.files, 0)), "package.json");
	assert_string_equal(process(&p, "web"), "node server.js --port 1: 2");
	assert_string_equal(json_string_value(json_object_get(p.env, "A")), "b c");
	assert_string_equal(json_string_value(json_object_get(p.env, "EMPTY")), "");
	assert_string_equal(json_string_value(json_array_get(p.warnings, 0)), "look out");
	assert_string_equal(p.error, "first");
	plan_free(&p);
}

static void unknown_plan_lines_are_errors(void **state UNUSED)
{
	static const char *const rows[] = {"hello", "color: red", "compile: maybe",
		"process: web", "process: we$b x", "env: 1A b", "env: A-B c", "name:x"};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan p;
		assert_int_equal(plan_init(&p), 0);
		if (add(&p, rows[i]) != -EINVAL)
			fail_msg("%s must be refused", rows[i]);
		plan_free(&p);
	}
}

static void the_printed_plan_is_one_json_object(void **state UNUSED)
{
	struct plan p;
	char text[2048] = "";
	int fd autoclose = memfd_create("plan", MFD_CLOEXEC);

	assert_int_equal(plan_init(&p), 0);
	assert_int_equal(add(&p, "name: X\nprocess: web a\n"), 0);
	plan_warn(&p, "bad \xff byte");
	assert_int_equal(plan_print(&p, fd), 0);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) > 0);
	json_t *o = json_loads(text, 0, NULL);
	assert_non_null(o);
	assert_true(json_is_null(json_object_get(o, "pack"))); /* none was found */
	assert_true(json_is_array(json_object_get(o, "looked_for")));
	assert_true(json_is_null(json_object_get(o, "toolchain")));
	assert_true(json_is_null(json_object_get(o, "deps")));
	assert_null(json_object_get(o, "error"));
	assert_string_equal(
		json_string_value(json_array_get(json_object_get(o, "warnings"), 0)),
		"bad ? byte");
	json_decref(o);
	plan_free(&p);
}

static void release_output_of_known_buildpacks_is_read(void **state UNUSED)
{
	struct plan p;

	assert_int_equal(plan_init(&p), 0);
	assert_int_equal(
		release(&p,
			"---\naddons: []\nconfig_vars:\n  RACK_ENV: production # why\n"
			"default_process_types:\n  web: bundle exec rackup -p $PORT\n"
			"  worker: \"run \\\"it\\\"\"\n  'clock': 'it''s'\n"),
		0);
	assert_string_equal(process(&p, "web"), "bundle exec rackup -p $PORT");
	assert_string_equal(process(&p, "worker"), "run \"it\"");
	assert_string_equal(process(&p, "clock"), "it's");
	assert_string_equal(
		json_string_value(json_object_get(p.env, "RACK_ENV")), "production");
	plan_free(&p);
	assert_int_equal(plan_init(&p), 0);
	assert_int_equal(release(&p, "--- {}\n"), 0);
	assert_int_equal(
		release(&p, "addons:\n- a:b\nunknown:\n  - [x]\ndefault_process_types: "
			    "{web: \"a, b\", w: c d}\n"),
		0);
	assert_string_equal(process(&p, "web"), "a, b");
	assert_string_equal(process(&p, "w"), "c d");
	plan_free(&p);
}

static void a_planned_process_stays(void **state UNUSED)
{
	struct plan p;

	assert_int_equal(plan_init(&p), 0);
	assert_int_equal(add(&p, "process: web ours\n"), 0);
	assert_int_equal(release(&p, "default_process_types:\n  web: theirs\n"), 0);
	assert_string_equal(process(&p, "web"), "ours");
	plan_free(&p);
}

static void release_output_beyond_the_subset_is_an_error(void **state UNUSED)
{
	static const char *const rows[] = {"default_process_types:\n  web: |\n    a\n",
		"nonsense\n", "default_process_types:\n  web: \"open\n",
		"default_process_types: {web: a\n", "default_process_types:\n  web\n",
		"config_vars:\n  A-B: c\n", "default_process_types: web\n"};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct plan p;
		assert_int_equal(plan_init(&p), 0);
		if (release(&p, rows[i]) != -EINVAL)
			fail_msg("must be refused: %s", rows[i]);
		plan_free(&p);
	}
}

static void pack_names_are_plain(void **state UNUSED)
{
	assert_true(pack_name_valid("node"));
	assert_true(pack_name_valid("a-1"));
	assert_false(pack_name_valid(""));
	assert_false(pack_name_valid("-a"));
	assert_false(pack_name_valid("../x"));
	assert_false(pack_name_valid("A"));
	assert_false(pack_name_valid("abcdefghijklmnopqrstuvwxyz0123456789"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plan_lines_fill_the_plan),
		cmocka_unit_test(unknown_plan_lines_are_errors),
		cmocka_unit_test(the_printed_plan_is_one_json_object),
		cmocka_unit_test(release_output_of_known_buildpacks_is_read),
		cmocka_unit_test(a_planned_process_stays),
		cmocka_unit_test(release_output_beyond_the_subset_is_an_error),
		cmocka_unit_test(pack_names_are_plain),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
