/* .dockerignore and the globs of COPY. */
#include "buildpacks/dockerfile/dockerignore.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void globs_match_as_in_go(void **state UNUSED)
{
	static const struct {
		const char *glob, *path;
		bool deep, expect;
	} rows[] = {
		{"a", "a", false, true},
		{"a", "b", false, false},
		{"a", "ab", false, false},
		{"", "", false, true},
		{"*", "", false, true},
		{"*", "a/b", false, false},
		{"*.c", "x.c", false, true},
		{"*.c", ".c", false, true},
		{"*.c", "d/x.c", false, false},
		{"a*b*c", "aXXbYbZc", false, true},
		{"a*b*c", "aXXbYbZ", false, false},
		{"?", "a", false, true},
		{"?", "/", false, false},
		{"a?c", "abc", false, true},
		{"[a-c]x", "bx", false, true},
		{"[^a-c]x", "bx", false, false},
		{"[^a-c]x", "dx", false, true},
		{"[\\]]", "]", false, true},
		{"a\\*", "a*", false, true},
		{"a\\*", "ab", false, false},
		{"**", "a/b", false, false},
		{"**", "a/b", true, true},
		{"**/x", "x", true, true},
		{"**/x", "a/b/x", true, true},
		{"**/x", "a/bx", true, false},
		{"a/**", "a/b/c", true, true},
		{"a/**", "b/c", true, false},
		{"a/**/z", "a/z", true, true},
		{"a/**/z", "a/b/c/z", true, true},
		{"**/*.md", "README.md", true, true},
		{"**/*.md", "docs/a/b.md", true, true},
		{"**/a/*/c", "x/a/y/a/b/c", true, true},
		{"**.log", "a/b.log", true, true},
		{"*/x", "a/x", true, true},
		{"*/x", "a/b/x", true, false},
		{"*a*/b", "xa/ya/b", true, false},
		{"**/*a/*b", "q/xa/ya/zb", true, true},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (docker_glob(rows[i].glob, rows[i].path, rows[i].deep) !=
			rows[i].expect)
			fail_msg("%s on %s", rows[i].glob, rows[i].path);
}

static void many_stars_take_no_time(void **state UNUSED)
{
	char glob[2001], path[2001];

	for (size_t i = 0; i < 2000; i += 2) {
		glob[i] = 'a';
		glob[i + 1] = '*';
	}
	memset(path, 'a', 2000);
	glob[1999] = 'b';
	glob[2000] = path[2000] = '\0';
	assert_false(docker_glob(glob, path, true));
}

static bool ignored(const char *file, const char *path)
{
	struct dockerignore d;
	struct err e = {0};

	assert_int_equal(dockerignore_parse(&d, file, strlen(file), &e), 0);
	bool r = dockerignore_matches(&d, path);
	dockerignore_free(&d);
	return r;
}

static void the_last_pattern_that_fits_decides(void **state UNUSED)
{
	static const struct {
		const char *file, *path;
		bool expect;
	} rows[] = {
		{"", "a", false},
		{"a\n", "a", true},
		{"a\n", "a/b/c", true},
		{"a\n", "b/a", false},
		{"/a/\n", "a/x", true},
		{"./a/../b\n", "b", true},
		{"../a\n", "a", true},
		{"# a\n", "# a", false},
		{" # a\n", "# a", true},
		{"  a  \r\n", "a", true},
		{"*\n!keep\n", "keep", false},
		{"*\n!keep\n", "keep/deep", false},
		{"*\n!keep\n", "other", true},
		{"*\n!keep\nkeep/secret\n", "keep/secret", true},
		{"*\n!keep\nkeep/secret\n!keep/secret/not\n", "keep/secret/not", false},
		{"!a\na\n", "a", true},
		{"**/node_modules\n", "x/node_modules/y", true},
		{"**/*.tmp\n!important.tmp\n", "d/x.tmp", true},
		{"**/*.tmp\n!important.tmp\n", "important.tmp", false},
		{"*.md\n!README*.md\nREADME-secret.md\n", "README-secret.md", true},
		{"*.md\n!README*.md\nREADME-secret.md\n", "README.md", false},
		{".\n/\n!\n", "a", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (ignored(rows[i].file, rows[i].path) != rows[i].expect)
			fail_msg("%s: %s", rows[i].file, rows[i].path);
}

static void a_malformed_pattern_is_named_with_its_line(void **state UNUSED)
{
	static const char *const files[] = {"ok\n[a\n", "ok\nx\\\n", "\n[]\n"};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct dockerignore d;
		struct err e = {0};
		assert_int_equal(
			dockerignore_parse(&d, files[i], strlen(files[i]), &e), -EINVAL);
		assert_non_null(strstr(e.text, ".dockerignore:2: "));
		dockerignore_free(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(globs_match_as_in_go),
		cmocka_unit_test(many_stars_take_no_time),
		cmocka_unit_test(the_last_pattern_that_fits_decides),
		cmocka_unit_test(a_malformed_pattern_is_named_with_its_line),
	};

	return cmocka_run_group_tests_name("dockerignore", tests, NULL, NULL);
}
