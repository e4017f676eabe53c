/* Splitting a command line, and which git commands and paths are let through. */
#include "receiver/words.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ANY_MAX 8

static void words_are_split_as_a_shell_does(void **state UNUSED)
{
	static const struct {
		const char *line, *argv[ANY_MAX];
	} rows[] = {
		{"", {NULL}},
		{"  \t\n ", {NULL}},
		{"apps:list", {"apps:list"}},
		{" config:set a  A='x y' ", {"config:set", "a", "A=x y"}},
		{"a '' \"\" b", {"a", "", "", "b"}},
		{"'it'\\''s' \"a\\\"b\\n\\$c\"", {"it's", "a\"b\\n$c"}},
		{"a\\ b c\\\nd", {"a b", "cd"}},
		{"K='line1\nline2' \xff\xfe", {"K=line1\nline2", "\xff\xfe"}},
		{"$HOME `id` ; | & * ~ #x",
			{"$HOME", "`id`", ";", "|", "&", "*", "~", "#x"}},
		{"'\\'", {"\\"}},
		{"\"a\\\nb\"", {"ab"}},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct words w = {0};
		struct err e;
		size_t n = 0;

		assert_int_equal(words_split(rows[i].line, &w, &e), 0);
		for (; n < ANY_MAX && rows[i].argv[n]; n++) {
			assert_true(n < w.argc);
			assert_string_equal(w.argv[n], rows[i].argv[n]);
		}
		assert_int_equal(w.argc, n);
		assert_null(w.argv[n]);
		words_free(&w);
	}
}

static void what_is_left_open_is_refused(void **state UNUSED)
{
	static const char *const bad[] = {"'a", "\"a", "a \\", "x 'y\\'z'", "\"a\\\""};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct words w = {0};
		struct err e = {0};

		assert_int_equal(words_split(bad[i], &w, &e), -EINVAL);
		assert_true(e.text[0] != 0);
		assert_null(w.argv);
	}
}

static int git(const char *line, enum git_service *s, char *app)
{
	struct words w = {0};
	struct err e = {0};
	int r;

	assert_int_equal(words_split(line, &w, &e), 0);
	r = words_git(&w, s, app, &e);
	words_free(&w);
	return r;
}

static void git_paths_name_an_app(void **state UNUSED)
{
	static const char *const good[] = {"git-receive-pack 'app-1'",
		"git-receive-pack '/app-1'", "git receive-pack 'app-1.git'",
		"git-receive-pack \"/~/app-1.git/\"", "git-receive-pack '~/app-1'"};
	char app[NAME_MAX_LEN + 1];
	enum git_service s = GIT_NONE;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(git(good[i], &s, app), 1);
		assert_string_equal(app, "app-1");
		assert_int_equal(s, GIT_RECEIVE);
	}
	assert_int_equal(git("git-upload-pack 'app-1'", &s, app), 1);
	assert_int_equal(s, GIT_UPLOAD);
	assert_int_equal(git("git:report app", &s, app), 0);
	assert_int_equal(git("gitx", &s, app), 0);
	assert_int_equal(git("", &s, app), 0);
}

static void other_paths_and_commands_are_refused(void **state UNUSED)
{
	static const char *const bad[] = {"'../x'", "'A'", "'-x'", "'a/b'", "'//a'", "''",
		"'.git'", "'/'", "'a' 'b'", "'a.git.git'", "'a\n'", "--strict 'a'", "",
		"'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"};
	char app[NAME_MAX_LEN + 1], line[128];
	enum git_service s;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		snprintf(line, sizeof(line), "git-receive-pack %s", bad[i]);
		assert_int_equal(git(line, &s, app), -EINVAL);
	}
	assert_int_equal(git("git-upload-archive 'app'", &s, app), -EINVAL);
	assert_int_equal(git("git-shell", &s, app), -EINVAL);
	assert_int_equal(git("git --exec-path=/tmp upload-pack a", &s, app), -EINVAL);
	assert_int_equal(git("git config -l", &s, app), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_split_as_a_shell_does),
		cmocka_unit_test(what_is_left_open_is_refused),
		cmocka_unit_test(git_paths_name_an_app),
		cmocka_unit_test(other_paths_and_commands_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
