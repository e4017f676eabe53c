/* _redirects and _headers of a site. */
#include "buildpacks/static/static_rules.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void count(void *arg, unsigned int line UNUSED, const char *why UNUSED)
{
	++*(int *)arg;
}

static struct rules *redirects(const char *text, int *bad)
{
	struct rules *r = calloc(1, sizeof(*r));

	*bad = 0;
	rules_parse_redirects(r, strdup(text), count, bad);
	return r;
}

static void end(struct rules *r)
{
	rules_free(r);
	free(r);
}

static const char *ask(const struct rules *r, const char *path, int *status)
{
	static char to[RULES_TO_MAX];
	const struct redirect *d = rules_redirect(r, path, false, to);

	*status = d ? d->status : 0;
	return d ? to : "";
}

static void the_first_line_that_fits_redirects(void **state UNUSED)
{
	int bad, status;
	struct rules *r =
		redirects("# old pages\n/old /new\r\n/blog/* /posts/:splat 302\n"
			  "/away https://example.com/ 308\n/* /index.html 200\n",
			&bad);

	assert_int_equal(bad, 0);
	assert_string_equal(ask(r, "/old", &status), "/new");
	assert_int_equal(status, 301);
	assert_string_equal(ask(r, "/old/", &status), "/new");
	assert_string_equal(
		ask(r, "/blog/a/b c\xc3\xa9", &status), "/posts/a/b%20c%C3%A9");
	assert_int_equal(status, 302);
	assert_string_equal(ask(r, "/blog", &status), "/posts/");
	assert_string_equal(ask(r, "/away", &status), "https://example.com/");
	assert_string_equal(ask(r, "/older", &status), "/index.html");
	assert_int_equal(status, 200);
	end(r);
}

static void only_forced_lines_go_before_files(void **state UNUSED)
{
	char to[RULES_TO_MAX];
	int bad;
	struct rules *r = redirects("/a /b\n/c /d 301!\n", &bad);

	assert_null(rules_redirect(r, "/a", true, to));
	assert_non_null(rules_redirect(r, "/c", true, to));
	end(r);
}

static void a_path_cannot_become_another_site(void **state UNUSED)
{
	int bad, status;
	struct rules *r = redirects("/go/* /:splat\n", &bad);

	assert_string_equal(ask(r, "/go/x", &status), "/x");
	ask(r, "/go//evil.example", &status);
	assert_int_equal(status, 0);
	/* a backslash is encoded, and so stays a path */
	assert_string_equal(ask(r, "/go/\\evil.example", &status), "/%5Cevil.example");
	assert_string_equal(
		ask(r, "/go/a\r\nSet-Cookie: x", &status), "/a%0D%0ASet-Cookie:%20x");
	end(r);
}

static void what_is_not_understood_is_told_and_left_out(void **state UNUSED)
{
	int bad, status;
	struct rules *r =
		redirects("old /new\n/one\n/a /b 404\n/c //evil\n/d https://x 200\n"
			  "/e /f 301 Country=de\n/*/* /g\n/good /h\n",
			&bad);

	assert_int_equal(bad, 7);
	assert_int_equal(r->n_redirects, 1);
	assert_string_equal(ask(r, "/good", &status), "/h");
	end(r);
}

static void all_blocks_that_match_give_headers(void **state UNUSED)
{
	struct rules *r = calloc(1, sizeof(*r));
	autobuf out = BUF_INIT;
	int bad = 0;

	rules_parse_headers(r,
		strdup("/*\n  X-One: 1\n/assets/*\n\tCache-Control: max-age=31536000, "
		       "immutable\n/*.js\n  X-Js: yes\n  Content-Length: 5\n  no "
		       "colon\nbad\n  X: y\n"),
		count, &bad);
	assert_int_equal(bad, 4);
	rules_headers(r, "/assets/x.js", &out);
	assert_string_equal(out.data, "X-One: 1\r\nCache-Control: max-age=31536000, "
				      "immutable\r\nX-Js: yes\r\n");
	buf_reset(&out);
	rules_headers(r, "/page", &out);
	assert_int_equal(out.len, strlen("X-One: 1\r\n"));
	end(r);
}

static void headers_of_an_answer_have_a_limit(void **state UNUSED)
{
	struct rules *r = calloc(1, sizeof(*r));
	autobuf text = BUF_INIT, out = BUF_INIT;

	buf_adds(&text, "/*\n");
	for (int i = 0; i < 200; i++)
		buf_addf(&text,
			"  X-Long-Header-%d: 0123456789012345678901234567890123456789\n",
			i);
	rules_parse_headers(r, strdup(text.data), NULL, NULL);
	rules_headers(r, "/", &out);
	assert_true(out.len > RULES_HEADERS_MAX / 2 && out.len <= RULES_HEADERS_MAX);
	end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_line_that_fits_redirects),
		cmocka_unit_test(only_forced_lines_go_before_files),
		cmocka_unit_test(a_path_cannot_become_another_site),
		cmocka_unit_test(what_is_not_understood_is_told_and_left_out),
		cmocka_unit_test(all_blocks_that_match_give_headers),
		cmocka_unit_test(headers_of_an_answer_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
