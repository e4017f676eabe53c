/* Request heads, ranges and names of the static file server. */
#include "buildpacks/static/static_http.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int parse(const char *head, struct http_request *r)
{
	static char text[4096];

	snprintf(text, sizeof(text), "%s", head);
	return http_parse_head(text, r);
}

static void a_plain_request_is_understood(void **state UNUSED)
{
	struct http_request r;

	assert_int_equal(parse("GET /a%20b/c.css?v=1 HTTP/1.1\r\nHost: "
			       "x\r\nIf-None-Match: \"e\"  \r\n",
				 &r),
		0);
	assert_string_equal(r.path, "a b/c.css");
	assert_true(r.keep);
	assert_false(r.head);
	assert_string_equal(r.if_none, "\"e\"");
	assert_int_equal(parse("HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n", &r), 0);
	assert_true(r.head && r.keep);
	assert_int_equal(parse("GET / HTTP/1.0\r\n", &r), 0);
	assert_false(r.keep);
	assert_int_equal(parse("GET / HTTP/1.1\r\nConnection: close\r\n", &r), 0);
	assert_false(r.keep);
}

static void bad_requests_get_their_status(void **state UNUSED)
{
	static const struct {
		const char *head;
		int status;
	} rows[] = {
		{"GET /\r\n", 400},
		{"GET / HTTP/2.0\r\n", 505},
		{"GET / FOO\r\n", 400},
		{"POST / HTTP/1.1\r\n", 405},
		{"GET http://x/ HTTP/1.1\r\n", 400},
		{"GET /%zz HTTP/1.1\r\n", 400},
		{"GET /%0", 400},
		{"GET /a%00b HTTP/1.1\r\n", 400},
		{"GET / HTTP/1.1\r\nBad Name: 1\r\n", 400},
		{"GET / HTTP/1.1\r\n: 1\r\n", 400},
		{"GET / HTTP/1.1\r\nfolded\r\n", 400},
		{"GET / HTTP/1.1\r\nX: a\nY: b\r\n", 400},
		{"GET / HTTP/1.1\r\nContent-Length: 4\r\n", 400},
		{"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 501},
	};
	struct http_request r;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (parse(rows[i].head, &r) != rows[i].status)
			fail_msg("%s must be answered with %d", rows[i].head,
				rows[i].status);
}

static void dot_names_are_hidden(void **state UNUSED)
{
	static const char *const shown[] = {
		"", "index.html", "a/b.c", "a.b/", ".well-known/acme/x"};
	static const char *const not_shown[] = {".env", "a/.git/config", "..", "../x",
		"a/../b", "/etc/passwd", "a//b", ".well-known/.x", ".well-known"};

	for (size_t i = 0; i < ARRAY_LEN(shown); i++)
		assert_false(http_path_hidden(shown[i]));
	for (size_t i = 0; i < ARRAY_LEN(not_shown); i++)
		if (!http_path_hidden(not_shown[i]))
			fail_msg("%s must be hidden", not_shown[i]);
}

static void ranges_are_cut_to_the_file(void **state UNUSED)
{
	static const struct {
		const char *range;
		int status;
		off_t first, last;
	} rows[] = {
		{"bytes=0-0", 206, 0, 0},
		{"bytes=2-", 206, 2, 9},
		{"bytes=-3", 206, 7, 9},
		{"bytes=-99", 206, 0, 9},
		{"bytes=5-99", 206, 5, 9},
		{"bytes=10-", 416, 0, 0},
		{"bytes=-0", 416, 0, 0},
		{"bytes=3-2", 200, 0, 0},
		{"bytes=0-1,4-5", 200, 0, 0},
		{"lines=1-2", 200, 0, 0},
		{"bytes=", 200, 0, 0},
		{"bytes=a-b", 200, 0, 0},
		{"bytes=99999999999999999999-", 200, 0, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		off_t first = 0, last = 0;
		if (http_parse_range(rows[i].range, 10, &first, &last) != rows[i].status)
			fail_msg("%s must give %d", rows[i].range, rows[i].status);
		if (rows[i].status == 206)
			assert_true(first == rows[i].first && last == rows[i].last);
	}
	off_t first, last;
	assert_int_equal(http_parse_range("bytes=0-", 0, &first, &last), 416);
}

static void etags_are_found_in_lists(void **state UNUSED)
{
	assert_true(http_etag_matches("\"a\"", "\"a\""));
	assert_true(http_etag_matches("W/\"b\", \"a\"", "\"a\""));
	assert_true(http_etag_matches("*", "\"a\""));
	assert_false(http_etag_matches("\"b\"", "\"a\""));
	assert_false(http_etag_matches("", "\"a\""));
}

static void types_and_dates_are_as_browsers_expect(void **state UNUSED)
{
	char date[40];

	assert_string_equal(http_type_of("a/b.CSS"), "text/css; charset=utf-8");
	assert_string_equal(http_type_of("a.b/c"), "application/octet-stream");
	assert_string_equal(http_type_of("x.tar.gz"), "application/gzip");
	http_format_date(784111777, date);
	assert_string_equal(
		date, "Sun, 06 Nov 1994 08:49:37 GMT"); /* the RFC's own example */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_request_is_understood),
		cmocka_unit_test(bad_requests_get_their_status),
		cmocka_unit_test(dot_names_are_hidden),
		cmocka_unit_test(ranges_are_cut_to_the_file),
		cmocka_unit_test(etags_are_found_in_lists),
		cmocka_unit_test(types_and_dates_are_as_browsers_expect),
	};

	return cmocka_run_group_tests_name("static_http", tests, NULL, NULL);
}
