/* What a Dockerfile means: steps, keys' parts, configuration, refusals. */
#include "buildpacks/dockerfile/docker_plan.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char top[] = "/tmp/berth-docker-XXXXXX";

static void put_file(const char *name, const char *content)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, content, strlen(content)), 0);
}

static void put_folder(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", top, name);
	assert_int_equal(mkdir(path, 0755), 0);
}

static int set_up(void **state UNUSED)
{
	char path[256];

	assert_non_null(mkdtemp(top));
	put_folder("src");
	put_folder("src/deep");
	put_folder("docs");
	put_file("main.c", "main");
	put_file("src/a.c", "a");
	put_file("src/b.c", "b");
	put_file("src/deep/c.c", "c");
	put_file("docs/x.md", "x");
	snprintf(path, sizeof(path), "%s/link", top);
	assert_int_equal(symlink("src/a.c", path), 0);
	snprintf(path, sizeof(path), "%s/out", top);
	assert_int_equal(symlink("../..", path), 0);
	return 0;
}

static int tear_down(void **state UNUSED)
{
	return io_remove_tree(AT_FDCWD, top);
}

/* NULL with e when it is refused. */
static json_t *plan(const char *text, const char *ignore, struct err *e)
{
	json_t *input = json_pack("{s:{s:{s:[s,s], s:s, s:[s]}}, s:{s:s, s:s}, s:[s, s]}",
		"bases", "debian:12", "Env", "PATH=/bin", "FROM_BASE=yes", "User", "",
		"Cmd", "bash", "args", "GIVEN", "secret", "https_proxy", "http://p",
		"config", "TOKEN", "OTHER");
	struct docker_context *context = NULL;
	struct dockerfile d;
	json_t *out = NULL;

	put_file(".dockerignore", ignore);
	int r = dockerfile_parse(&d, text, strlen(text), e);
	if (r == 0)
		r = docker_context_open(top, &context, e);
	if (r == 0)
		docker_plan(&d, context, input, &out, e);
	docker_context_close(context);
	dockerfile_free(&d);
	json_decref(input);
	return out;
}

static json_t *planned(const char *text, const char *ignore)
{
	struct err e = {0};
	json_t *p = plan(text, ignore, &e);

	if (!p)
		fail_msg("%s: %s", text, e.text);
	return p;
}

static const json_t *step(const json_t *p, size_t stage, size_t n)
{
	return json_array_get(
		json_object_get(
			json_array_get(json_object_get(p, "stages"), stage), "steps"),
		n);
}

static void check_json(const json_t *v, const char *expect)
{
	char *text autofree = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

	assert_string_equal(text ? text : "(none)", expect);
}

static void a_run_has_its_command_variables_user_and_folder(void **state UNUSED)
{
	json_t *p = planned(
		"FROM debian:12\nARG a=1\nENV b=2\nUSER x\nWORKDIR /w\nRUN make $b\n",
		"");
	const json_t *run = step(p, 0, 0), *todo = json_object_get(run, "do");

	check_json(json_object_get(todo, "argv"), "[\"/bin/sh\",\"-c\",\"make $b\"]");
	check_json(json_object_get(todo, "env"),
		"{\"a\":\"1\",\"PATH\":\"/bin\",\"FROM_BASE\":\"yes\",\"b\":\"2\"}");
	check_json(json_object_get(todo, "user"), "\"x\"");
	check_json(json_object_get(todo, "cwd"), "\"/w\"");
	check_json(json_object_get(todo, "folders"), "[\"/w\"]");
	check_json(json_object_get(run, "private"), "false");
	json_decref(p);
}

static void an_arg_with_the_app_s_value_makes_steps_private(void **state UNUSED)
{
	json_t *p = planned(
		"FROM debian:12 AS a\nRUN a\nARG GIVEN=x\nRUN b\nFROM a\nRUN c\n", "");

	check_json(json_object_get(step(p, 0, 0), "private"), "false");
	check_json(json_object_get(step(p, 0, 1), "private"), "true");
	check_json(json_object_get(step(p, 1, 0), "private"), "true");
	check_json(json_object_get(
			   json_object_get(json_object_get(step(p, 0, 1), "do"), "env"),
			   "GIVEN"),
		"\"secret\"");
	json_decref(p);
}

static void what_is_copied_is_named_without_what_is_ignored(void **state UNUSED)
{
	static const struct {
		const char *copy, *ignore, *files, *items;
	} rows[] = {
		{"COPY main.c /x", "", "[\"main.c\"]",
			"[{\"from\":\"main.c\",\"to\":\"f/main.c\"}]"},
		{"COPY ./src /x", "", "[\"src\"]", "[{\"from\":\"src\",\"to\":\"d\"}]"},
		{"COPY src /x", "src/deep\n", "[\"src/a.c\",\"src/b.c\"]",
			"[{\"from\":\"src\",\"to\":\"d\"}]"},
		{"COPY . /x", "src\n!src/deep/c.c\n.dockerignore\nlink\nout\n",
			"[\"docs\",\"main.c\",\"src/deep/c.c\"]",
			"[{\"from\":\"\",\"to\":\"d\"}]"},
		{"COPY src/?.c /x/", "**/b.c\n", "[\"src/a.c\"]",
			"[{\"from\":\"src/a.c\",\"to\":\"f/a.c\"}]"},
		{"COPY link /x", "", "[\"src/a.c\"]",
			"[{\"from\":\"src/a.c\",\"to\":\"f/link\"}]"},
		{"COPY /docs/ src/deep /x/", "", "[\"docs\",\"src/deep\"]",
			"[{\"from\":\"docs\",\"to\":\"d\"},{\"from\":\"src/"
			"deep\",\"to\":\"d\"}]"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[256];
		snprintf(text, sizeof(text), "FROM scratch\n%s\n", rows[i].copy);
		json_t *p = planned(text, rows[i].ignore);
		check_json(json_object_get(step(p, 0, 0), "context"), rows[i].files);
		check_json(json_object_get(json_object_get(step(p, 0, 0), "do"), "items"),
			rows[i].items);
		json_decref(p);
	}
}

static void a_folder_that_is_surely_there_needs_no_step(void **state UNUSED)
{
	json_t *p = planned("FROM debian:12\nCOPY src /app\nWORKDIR /app\n", "");
	check_json(json_object_get(p, "n_steps"), "1");
	json_decref(p);
	p = planned("FROM debian:12\nCOPY main.c /app\nWORKDIR /app/..//srv\n", "");
	check_json(json_object_get(p, "n_steps"), "2");
	check_json(json_object_get(step(p, 0, 1), "title"), "\"WORKDIR /app/..//srv\"");
	check_json(json_object_get(json_object_get(step(p, 0, 1), "do"), "folders"),
		"[\"/srv\"]");
	json_decref(p);
}

static void stages_that_nothing_needs_are_null(void **state UNUSED)
{
	json_t *p = planned(
		"FROM debian:12 AS a\nRUN a\nFROM debian:12 AS b\nRUN b\nFROM scratch\n"
		"COPY --from=A /x /y\n",
		"");
	const json_t *stages = json_object_get(p, "stages");

	assert_true(json_is_object(json_array_get(stages, 0)));
	assert_true(json_is_null(json_array_get(stages, 1)));
	check_json(
		json_object_get(json_array_get(stages, 2), "from"), "{\"scratch\":true}");
	check_json(json_object_get(step(p, 2, 0), "from"), "{\"stage\":0}");
	check_json(json_object_get(p, "target"), "2");
	json_decref(p);
}

static void the_configuration_is_an_oci_one(void **state UNUSED)
{
	json_t *p = planned(
		"FROM debian:12\nENV A=1 B=$A C=\"$FROM_BASE\"\nENV B=${A:+set}$A\nLABEL "
		"x=y\n"
		"EXPOSE 80 81/udp\nVOLUME /v\nUSER 5\nWORKDIR a\nWORKDIR b\nCMD x y\n"
		"ENTRYPOINT [\"e\"]\nHEALTHCHECK CMD wget -q http://127.0.0.1:80/ok?a=1 "
		"|| exit 1\n",
		"");
	check_json(json_object_get(p, "config"),
		"{\"User\":\"5\",\"Cmd\":[\"/bin/sh\",\"-c\",\"x "
		"y\"],\"Labels\":{\"x\":\"y\"},"
		"\"ExposedPorts\":{\"80/tcp\":{},\"81/udp\":{}},\"Volumes\":{\"/v\":{}},"
		"\"WorkingDir\":\"/a/b\",\"Entrypoint\":[\"e\"],"
		"\"Env\":[\"PATH=/"
		"bin\",\"FROM_BASE=yes\",\"A=1\",\"B=set1\",\"C=yes\"]}");
	check_json(json_object_get(p, "health_path"), "\"/ok?a=1\"");
	assert_int_equal(json_array_size(json_object_get(p, "warnings")), 2); /* GIVEN */
	json_decref(p);
}

static void an_inherited_cmd_goes_with_a_new_entrypoint(void **state UNUSED)
{
	json_t *p = planned("FROM debian:12\nENTRYPOINT [\"e\"]\n", "");
	assert_null(json_object_get(json_object_get(p, "config"), "Cmd"));
	json_decref(p);
}

static void triggers_run_where_the_stage_is_a_base(void **state UNUSED)
{
	json_t *p = planned("FROM debian:12 AS a\nONBUILD RUN one\nONBUILD ENV x=1\nFROM "
			    "a\nRUN two\n",
		"");
	check_json(json_object_get(step(p, 1, 0), "title"), "\"RUN one\"");
	check_json(json_object_get(step(p, 1, 1), "title"), "\"RUN two\"");
	check_json(json_object_get(
			   json_object_get(json_object_get(step(p, 1, 1), "do"), "env"),
			   "x"),
		"\"1\"");
	assert_null(json_object_get(json_object_get(p, "config"), "OnBuild"));
	json_decref(p);
}

static void what_cannot_be_done_says_where_and_why(void **state UNUSED)
{
	static const char *const rows[][2] = {
		{"RUN x\nFROM a\n", "Dockerfile:1:1: RUN stands before the first FROM"},
		{"ARG v\nFROM $v\n", "Dockerfile:2:6: FROM has no image"},
		{"FROM a b\n", "Dockerfile:1:6: FROM takes IMAGE or IMAGE AS NAME"},
		{"FROM nothing\n", "base image nothing is not known here"},
		{"FROM scratch\nRUN --security=insecure x\n",
			"Dockerfile:2:5: RUN --security is not"},
		{"FROM scratch\nRUN --mount=type=bind,target=/x y\n",
			"type=bind is not supported"},
		{"FROM scratch\nRUN --network=host y\n",
			"Dockerfile:2:5: RUN --network=host is not supported"},
		{"FROM scratch\nRUN --network y\n", "only none and default"},
		{"FROM scratch\nRUN --mount=type=cache y\n",
			"a cache mount needs target=PATH"},
		{"FROM scratch\nRUN --mount=type=cache,target=/x,from=y z\n",
			"Dockerfile:2:5: RUN --mount=type=cache knows no from"},
		{"FROM scratch\nRUN --mount=type=cache,target=/x,mode=9 z\n",
			"mode=9 is no octal mode"},
		{"FROM scratch\nRUN --mount=type=secret y\n",
			"Dockerfile:2:5: a secret mount needs id=KEY"},
		{"FROM scratch\nRUN --mount=type=secret,id=a.b y\n",
			"id=a.b cannot be the name of a config variable"},
		{"FROM scratch\nRUN --mount=type=secret,id=TOKEN,env=a-b y\n",
			"env=a-b cannot be the name of a variable"},
		{"FROM scratch\nRUN --mount=type=secret,id=TOKEN,src=x y\n",
			"RUN --mount=type=secret knows no src"},
		{"FROM scratch\nRUN --mount=type=secret,id=TOKEN,uid=x y\n",
			"uid=x is no id from 0 to 65535"},
		{"FROM scratch\nRUN true\nRUN --mount=type=secret,id=MISSING,required "
		 "y\n",
			"Dockerfile:3:5: the build sees no config variable MISSING"},
		{"FROM scratch\nCOPY --parents a b\n", "COPY --parents is not supported"},
		{"FROM scratch\nCOPY main.c\n",
			"Dockerfile:2:1: COPY needs what to copy"},
		{"FROM scratch\nCOPY none /\n",
			"Dockerfile:2:6: COPY: none is not in the repository"},
		{"FROM scratch\nCOPY *.zip /\n", "*.zip fits no file"},
		{"FROM scratch\nCOPY docs/x.md /\n", "is left out by .dockerignore"},
		{"FROM scratch\nCOPY src/*.c /x\n", "2 files need a folder"},
		{"FROM scratch\nCOPY main.c link /x\n", "2 sources need a folder"},
		{"FROM scratch\nCOPY ../x /x\n", "leads out of the repository"},
		{"FROM scratch\nCOPY out/etc /x\n", "leads out of the repository"},
		{"FROM scratch\nCOPY main.c/x /x\n", "is not in the repository"},
		{"FROM scratch\nCOPY --chmod=9 main.c /x\n",
			"--chmod=9 is no octal mode"},
		{"FROM scratch\nADD git@host:x /x\n", "nothing is fetched"},
		{"FROM scratch\nEXPOSE 0\n", "EXPOSE 0: not a port"},
		{"FROM scratch\nEXPOSE 90000\n", "not a port"},
		{"FROM scratch\nSHELL /bin/sh\n", "SHELL takes a JSON array"},
		{"FROM scratch\nHEALTHCHECK curl\n", "HEALTHCHECK takes NONE, or CMD"},
		{"FROM scratch\nENV x\n", "Dockerfile:2:5: ENV x has no value"},
		{"FROM scratch\nENV a=1 x\n", "Dockerfile:2:9: ENV x has no ="},
		{"FROM scratch\nENV a='x\n", "a quote is not closed"},
		{"FROM scratch\nRUN []\n", "RUN [] has no command"},
		{"FROM scratch\nCOPY <<E /x\n$y ${z\nE\n", "are understood in <<E"},
		{"FROM scratch\nCOPY --from=$x /a /b\n", "--from takes no variables"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct err e = {0};
		json_t *p = plan(rows[i][0], "docs\n", &e);
		if (p || !strstr(e.text, rows[i][1]))
			fail_msg("%s: %s, not %s", rows[i][0], e.text, rows[i][1]);
	}
}

static const json_t *first_todo(const json_t *p, size_t n)
{
	const json_t *stage = json_array_get(json_object_get(p, "stages"), 0);

	return json_object_get(json_array_get(json_object_get(stage, "steps"), n), "do");
}

static void a_secret_is_named_and_its_value_is_not_asked_for(void **state UNUSED)
{
	struct err e = {0};
	json_t *p = plan("FROM debian:12\nWORKDIR /srv\n"
			 "RUN --mount=type=secret,id=TOKEN a\n"
			 "RUN --mount=type=secret,id=TOKEN,env=T,required=true "
			 "--mount=type=secret,target=conf/OTHER,mode=0440,uid=33 b\n"
			 "RUN --mount=type=secret,id=NONE,required=false c\nRUN d\n",
		"", &e);

	assert_non_null(p);
	check_json(json_object_get(first_todo(p, 0), "secrets"),
		"[{\"id\":\"TOKEN\",\"target\":\"/run/secrets/TOKEN\","
		"\"mode\":256,\"uid\":0,\"gid\":0}]");
	check_json(json_object_get(first_todo(p, 1), "secrets"),
		"[{\"id\":\"TOKEN\",\"env\":\"T\",\"mode\":256,\"uid\":0,\"gid\":0},"
		"{\"id\":\"OTHER\",\"target\":\"/srv/conf/OTHER\",\"mode\":288,"
		"\"uid\":33,\"gid\":0}]");
	assert_int_equal(
		json_array_size(json_object_get(first_todo(p, 2), "secrets")), 1);
	assert_null(json_object_get(first_todo(p, 3), "secrets"));
	json_decref(p);
}

static void a_run_may_do_without_the_network(void **state UNUSED)
{
	struct err e = {0};
	json_t *p =
		plan("FROM debian:12\nRUN --network=none a\nRUN --network=default b\n",
			"", &e);

	assert_non_null(p);
	assert_true(json_is_true(json_object_get(first_todo(p, 0), "offline")));
	assert_null(json_object_get(first_todo(p, 1), "offline"));
	json_decref(p);
}

static void build_arguments_without_an_arg_are_named(void **state UNUSED)
{
	struct err e = {0};
	json_t *p = plan("FROM debian:12\nARG TOKEN\nARG OTHER=x\nRUN a\n", "", &e);

	assert_non_null(p);
	check_json(json_object_get(p, "predefined"), "{\"https_proxy\":\"http://p\"}");
	char *warnings = json_dumps(json_object_get(p, "warnings"), JSON_COMPACT);
	assert_non_null(strstr(warnings, "Dockerfile:2: ARG TOKEN has no value"));
	assert_null(strstr(warnings, "ARG OTHER"));
	assert_non_null(strstr(warnings, "build-arg.GIVEN is set, but no ARG GIVEN"));
	assert_null(strstr(warnings, "https_proxy"));
	assert_null(
		json_object_get(json_object_get(first_todo(p, 0), "env"), "https_proxy"));
	free(warnings);
	json_decref(p);
}

static void bases_are_named_before(void **state UNUSED)
{
	static const char text[] =
		"ARG v=12\nFROM debian:$v AS a\nARG x\nFROM unused\nFROM a\n"
		"COPY --from=other:1 /x /x\nCOPY --from=a /y /y\nARG y=1 v\n";
	struct dockerfile d;
	struct err e = {0};
	json_t *o = NULL;

	assert_int_equal(dockerfile_parse(&d, text, strlen(text), &e), 0);
	assert_int_equal(docker_bases(&d, &o, &e), 0);
	check_json(o, "{\"bases\":[\"debian:12\",\"other:1\"]}");
	json_decref(o);
	dockerfile_free(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_has_its_command_variables_user_and_folder),
		cmocka_unit_test(an_arg_with_the_app_s_value_makes_steps_private),
		cmocka_unit_test(what_is_copied_is_named_without_what_is_ignored),
		cmocka_unit_test(a_folder_that_is_surely_there_needs_no_step),
		cmocka_unit_test(stages_that_nothing_needs_are_null),
		cmocka_unit_test(the_configuration_is_an_oci_one),
		cmocka_unit_test(an_inherited_cmd_goes_with_a_new_entrypoint),
		cmocka_unit_test(triggers_run_where_the_stage_is_a_base),
		cmocka_unit_test(what_cannot_be_done_says_where_and_why),
		cmocka_unit_test(a_secret_is_named_and_its_value_is_not_asked_for),
		cmocka_unit_test(a_run_may_do_without_the_network),
		cmocka_unit_test(build_arguments_without_an_arg_are_named),
		cmocka_unit_test(bases_are_named_before),
	};

	return cmocka_run_group_tests_name("docker_plan", tests, set_up, tear_down);
}
