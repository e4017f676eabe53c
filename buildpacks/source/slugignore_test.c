/* .slugignore: what its patterns fit, and what goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "buildpacks/source/slugignore.h"
#include "lib/io.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool fits(const char *text, const char *path, bool folder)
{
	struct slugignore s;
	struct err e;
	json_t *warnings = json_array();

	assert_int_equal(slugignore_parse(&s, text, warnings, &e), 0);
	bool r = slugignore_fits(&s, path, folder);
	assert_int_equal(json_array_size(warnings), 0);
	json_decref(warnings);
	slugignore_free(&s);
	return r;
}

static void a_name_fits_in_any_folder(void **state)
{
	(void)state;
	assert_true(fits("*.psd", "x.psd", false));
	assert_true(fits("*.psd", "a/b/x.psd", false));
	assert_true(fits("*.psd\r\n", "x.psd", false));
	assert_true(fits("spec", "a/spec", true));
	assert_false(fits("*.psd", "x.psd.txt", false));
	assert_false(fits("*.psd", "psd", false));
}

static void a_path_fits_from_the_top(void **state)
{
	(void)state;
	assert_true(fits("/test", "test", true));
	assert_false(fits("/test", "a/test", true));
	assert_true(fits("docs/*.pdf", "docs/x.pdf", false));
	assert_false(fits("docs/*.pdf", "docs/a/x.pdf", false));
	assert_false(fits("docs/*.pdf", "a/docs/x.pdf", false));
	assert_true(fits("docs/**/x.pdf", "docs/a/b/x.pdf", false));
}

static void a_slash_at_the_end_means_folders(void **state)
{
	(void)state;
	assert_true(fits("spec/", "spec", true));
	assert_true(fits("spec/", "a/spec", true));
	assert_false(fits("spec/", "spec", false));
}

static void comments_and_blank_lines_fit_nothing(void **state)
{
	(void)state;
	assert_false(fits("# x\n\n  \n/\n", "x", false));
	assert_false(fits("# x\n\n/\n", "# x", false));
}

static void what_is_not_understood_is_passed_over_with_its_line(void **state)
{
	json_t *warnings = json_array();
	struct slugignore s;
	struct err e;

	(void)state;
	assert_int_equal(slugignore_parse(&s, "*.a\n!keep.a\n[x\n", warnings, &e), 0);
	assert_int_equal(s.n, 1);
	assert_true(slugignore_fits(&s, "keep.a", false));
	assert_int_equal(json_array_size(warnings), 2);
	assert_non_null(strstr(json_string_value(json_array_get(warnings, 0)), "line 2"));
	assert_non_null(strstr(json_string_value(json_array_get(warnings, 1)), "line 3"));
	slugignore_free(&s);
	json_decref(warnings);
}

static void too_many_lines_are_an_error(void **state)
{
	autobuf b = BUF_INIT;
	struct slugignore s;
	struct err e;
	json_t *warnings = json_array();

	(void)state;
	for (unsigned int i = 0; i < SLUGIGNORE_PATTERNS_MAX; i++)
		buf_adds(&b, "x\n");
	assert_int_equal(slugignore_parse(&s, b.data, warnings, &e), -E2BIG);
	slugignore_free(&s);
	json_decref(warnings);
}

static void put(const char *root, const char *path)
{
	char whole[200], *slash;

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	slash = strrchr(whole, '/');
	*slash = '\0';
	assert_int_equal(io_mkdirs(whole, 0755), 0);
	*slash = '/';
	close(open(whole, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
}

static bool is_there(const char *root, const char *path)
{
	char whole[200];
	struct stat st;

	snprintf(whole, sizeof(whole), "%s/%s", root, path);
	return lstat(whole, &st) == 0;
}

static void files_and_folders_go_and_links_are_not_followed(void **state)
{
	static const char text[] = "/test\n*.psd\nout\n";
	char root[] = "/tmp/berth-slug.XXXXXX", away[] = "/tmp/berth-away.XXXXXX";
	json_t *warnings = json_array();
	struct err e;

	(void)state;
	assert_non_null(mkdtemp(root));
	assert_non_null(mkdtemp(away));
	put(away, "kept.psd");
	put(root, "test/deep/x");
	put(root, "lib/test/x");
	put(root, "lib/x.psd");
	put(root, "lib/x.c");
	int dir autoclose = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(symlinkat(away, dir, "out"), 0);
	assert_int_equal(symlinkat(away, dir, "way"), 0);
	assert_int_equal(slugignore_apply(root, warnings, &e), 0); /* no such file */
	assert_int_equal(
		io_replace_file(dir, ".slugignore", text, strlen(text), 0644), 0);
	assert_int_equal(slugignore_apply(root, warnings, &e), 3);
	assert_false(is_there(root, "test"));
	assert_false(is_there(root, "lib/x.psd"));
	assert_false(is_there(root, "out"));
	assert_true(is_there(root, "lib/test/x"));
	assert_true(is_there(root, "lib/x.c"));
	assert_true(is_there(root, "way"));
	assert_true(is_there(away, "kept.psd"));
	json_decref(warnings);
	io_remove_tree(AT_FDCWD, root);
	io_remove_tree(AT_FDCWD, away);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_fits_in_any_folder),
		cmocka_unit_test(a_path_fits_from_the_top),
		cmocka_unit_test(a_slash_at_the_end_means_folders),
		cmocka_unit_test(comments_and_blank_lines_fit_nothing),
		cmocka_unit_test(what_is_not_understood_is_passed_over_with_its_line),
		cmocka_unit_test(too_many_lines_are_an_error),
		cmocka_unit_test(files_and_folders_go_and_links_are_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
