/* Request and response heads: a table of what is understood and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "router/http.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define OK 1 /* the whole input is one head */
#define H "Host: a\r\n"
#define GET(fields) "GET / HTTP/1.1\r\n" H fields "\r\n"
#define RAW(s) s, sizeof(s) - 1

struct row {
	const char *what, *in;
	size_t len;
	int want; /* OK, 0, or minus a status */
};

static const struct row requests[] = {
	{"a plain request", RAW(GET("")), OK},
	{"an empty line before it", RAW("\r\n" GET("")), OK},
	{"two empty lines before it", RAW("\r\n\r\n" GET("")), OK},
	{"three empty lines before it", RAW("\r\n\r\n\r\n" GET("")), -400},
	{"a bare LF before it", RAW("\n" GET("")), -400},
	{"1.0 with Host", RAW("GET / HTTP/1.0\r\n" H "\r\n"), OK},
	{"1.0 without Host", RAW("GET / HTTP/1.0\r\n\r\n"), -400},
	{"a later minor version", RAW("GET / HTTP/1.2\r\n" H "\r\n"), OK},
	{"2.0", RAW("GET / HTTP/2.0\r\n" H "\r\n"), -505},
	{"0.9 with a version", RAW("GET / HTTP/0.9\r\n" H "\r\n"), -505},
	{"the preface of HTTP/2", RAW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), -505},
	{"a simple 0.9 request", RAW("GET /\r\n"), -400},
	{"a lower-case version", RAW("GET / http/1.1\r\n" H "\r\n"), -400},
	{"a version without dot", RAW("GET / HTTP/11 \r\n" H "\r\n"), -400},
	{"a two-digit version", RAW("GET / HTTP/1.10\r\n" H "\r\n"), -400},
	{"a space after the version", RAW("GET / HTTP/1.1 \r\n" H "\r\n"), -400},
	{"two spaces before the target", RAW("GET  / HTTP/1.1\r\n" H "\r\n"), -400},
	{"two spaces before the version", RAW("GET /  HTTP/1.1\r\n" H "\r\n"), -400},
	{"a tab in the request line", RAW("GET\t/ HTTP/1.1\r\n" H "\r\n"), -400},
	{"a leading space", RAW(" GET / HTTP/1.1\r\n" H "\r\n"), -400},
	{"a method with a colon", RAW("GE:T / HTTP/1.1\r\n" H "\r\n"), -400},
	{"an unknown method", RAW("BREW / HTTP/1.1\r\n" H "\r\n"), OK},
	{"a method of 33 letters",
		RAW("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" H "\r\n"), -501},
	{"a method of 32 letters",
		RAW("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1\r\n" H "\r\n"), OK},
	{"CONNECT", RAW("CONNECT a:443 HTTP/1.1\r\n" H "\r\n"), -501},
	{"TRACE", RAW("TRACE / HTTP/1.1\r\n" H "\r\n"), -501},
	{"an escape in the path", RAW("GET /%41%c3%BC HTTP/1.1\r\n" H "\r\n"), OK},
	{"half an escape in the path", RAW("GET /%4 HTTP/1.1\r\n" H "\r\n"), -400},
	{"half an escape before the query", RAW("GET /%4?1 HTTP/1.1\r\n" H "\r\n"), -400},
	{"an escape of other letters", RAW("GET /%zz HTTP/1.1\r\n" H "\r\n"), -400},
	{"half an escape in absolute-form", RAW("GET http://a/% HTTP/1.1\r\n" H "\r\n"),
		-400},
	{"half an escape in the query", RAW("GET /%41?100% HTTP/1.1\r\n" H "\r\n"), OK},
	{"asterisk with OPTIONS", RAW("OPTIONS * HTTP/1.1\r\n" H "\r\n"), OK},
	{"asterisk with GET", RAW("GET * HTTP/1.1\r\n" H "\r\n"), -400},
	{"absolute-form", RAW("GET http://a/x HTTP/1.1\r\n" H "\r\n"), OK},
	{"absolute-form without path", RAW("GET http://a HTTP/1.1\r\n" H "\r\n"), OK},
	{"absolute-form without host", RAW("GET http:///x HTTP/1.1\r\n" H "\r\n"), -400},
	{"absolute-form with user", RAW("GET http://u@a/x HTTP/1.1\r\n" H "\r\n"), -400},
	{"absolute-form of ftp", RAW("GET ftp://a/x HTTP/1.1\r\n" H "\r\n"), -400},
	{"absolute-form without Host", RAW("GET http://a/x HTTP/1.1\r\n\r\n"), -400},
	{"a relative target", RAW("GET x HTTP/1.1\r\n" H "\r\n"), -400},
	{"a fragment in the target", RAW("GET /#x HTTP/1.1\r\n" H "\r\n"), -400},
	{"a NUL in the target", RAW("GET /\0 HTTP/1.1\r\n" H "\r\n"), -400},
	{"a byte above 127 in the target", RAW("GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"),
		-400},
	{"a DEL in the target", RAW("GET /\x7f HTTP/1.1\r\n" H "\r\n"), -400},
	{"brackets in the query", RAW("GET /?a[]=1|2 HTTP/1.1\r\n" H "\r\n"), OK},
	{"a bare LF after the request line", RAW("GET / HTTP/1.1\n" H "\r\n"), -400},
	{"a bare CR after the request line", RAW("GET / HTTP/1.1\r" H "\r\n"), -400},
	{"no Host", RAW("GET / HTTP/1.1\r\n\r\n"), -400},
	{"two Hosts", RAW(GET(H)), -400},
	{"two different Hosts", RAW(GET("Host: b\r\n")), -400},
	{"an empty Host", RAW("GET / HTTP/1.1\r\nHost:\r\n\r\n"), -400},
	{"a Host with a path", RAW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), -400},
	{"a Host with a space", RAW("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), -400},
	{"a Host with a user", RAW("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), -400},
	{"a Host with a comma", RAW("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), -400},
	{"a Host with a port", RAW("GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n"), OK},
	{"a Host with an empty port", RAW("GET / HTTP/1.1\r\nHost: a:\r\n\r\n"), OK},
	{"a Host with letters as port", RAW("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"), -400},
	{"a Host with six digits as port",
		RAW("GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n"), -400},
	{"a Host that is only a port", RAW("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), -400},
	{"a Host with a dot at its end", RAW("GET / HTTP/1.1\r\nHost: a.\r\n\r\n"), OK},
	{"a Host with a dot in front", RAW("GET / HTTP/1.1\r\nHost: .a\r\n\r\n"), -400},
	{"an IPv6 Host", RAW("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n"), OK},
	{"letters as an IPv6 Host", RAW("GET / HTTP/1.1\r\nHost: [x::1]\r\n\r\n"), -400},
	{"half an IPv6 Host", RAW("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), -400},
	{"HOST in capitals", RAW("GET / HTTP/1.1\r\nHOST: a\r\n\r\n"), OK},
	{"a space before the colon", RAW("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), -400},
	{"a tab before the colon", RAW(GET("X\t: a\r\n")), -400},
	{"no colon", RAW(GET("nothing\r\n")), -400},
	{"an empty name", RAW(GET(": x\r\n")), -400},
	{"a name with a slash", RAW(GET("a/b: x\r\n")), -400},
	{"a name with a byte above 127", RAW(GET("\xc3\xa4: x\r\n")), -400},
	{"an empty value", RAW(GET("X:\r\n")), OK},
	{"white space around a value", RAW(GET("X: \t x \t\r\n")), OK},
	{"a value with bytes above 127", RAW(GET("X: \xc3\xa4\r\n")), OK},
	{"a NUL in a value", RAW(GET("X: a\0b\r\n")), -400},
	{"a control byte in a value", RAW(GET("X: a\x01\r\n")), -400},
	{"a DEL in a value", RAW(GET("X: a\x7f\r\n")), -400},
	{"a bare CR in a value", RAW(GET("X: a\rb\r\n")), -400},
	{"a bare LF after a value", RAW(GET("X: a\n")), -400},
	{"a folded value", RAW(GET("X: a\r\n b\r\n")), -400},
	{"a folded value by tab", RAW(GET("X: a\r\n\tb\r\n")), -400},
	{"white space before the first field", RAW("GET / HTTP/1.1\r\n " H "\r\n"), -400},
	{"a bare LF as empty line", RAW("GET / HTTP/1.1\r\n" H "\n"), -400},
	{"a CR that no LF follows", RAW("GET / HTTP/1.1\r\n" H "\rx"), -400},
	{"a length", RAW(GET("Content-Length: 5\r\n")), OK},
	{"a zero length", RAW(GET("Content-Length: 0\r\n")), OK},
	{"a length with zeros in front", RAW(GET("Content-Length: 0005\r\n")), OK},
	{"an empty length", RAW(GET("Content-Length:\r\n")), -400},
	{"a negative length", RAW(GET("Content-Length: -1\r\n")), -400},
	{"a length with a plus", RAW(GET("Content-Length: +1\r\n")), -400},
	{"a hexadecimal length", RAW(GET("Content-Length: 0x1\r\n")), -400},
	{"a length list", RAW(GET("Content-Length: 5, 5\r\n")), -400},
	{"a length with a space inside", RAW(GET("Content-Length: 5 5\r\n")), -400},
	{"a length of 19 digits", RAW(GET("Content-Length: 1000000000000000000\r\n")),
		-400},
	{"two equal lengths", RAW(GET("Content-Length: 5\r\nContent-Length: 5\r\n")),
		-400},
	{"two lengths", RAW(GET("Content-Length: 5\r\nContent-Length: 6\r\n")), -400},
	{"length and coding",
		RAW(GET("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")), -400},
	{"coding and length",
		RAW(GET("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n")), -400},
	{"coding and zero length",
		RAW(GET("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n")), -400},
	{"chunked", RAW(GET("Transfer-Encoding: chunked\r\n")), OK},
	{"chunked in capitals", RAW(GET("Transfer-Encoding: CHUNKED\r\n")), OK},
	{"chunked in 1.0",
		RAW("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), -400},
	{"chunked twice", RAW(GET("Transfer-Encoding: chunked, chunked\r\n")), -400},
	{"coding twice",
		RAW(GET("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
		-400},
	{"identity", RAW(GET("Transfer-Encoding: identity\r\n")), -501},
	{"gzip, chunked", RAW(GET("Transfer-Encoding: gzip, chunked\r\n")), -501},
	{"chunked with a parameter", RAW(GET("Transfer-Encoding: chunked;x=1\r\n")),
		-400},
	{"xchunked", RAW(GET("Transfer-Encoding: xchunked\r\n")), -501},
	{"chunked after a vertical tab", RAW(GET("Transfer-Encoding: \vchunked\r\n")),
		-400},
	{"a length and an unknown coding",
		RAW(GET("Content-Length: 5\r\nTransfer-Encoding: x\r\n")), -400},
	{"an unknown coding and a length",
		RAW(GET("Transfer-Encoding: x\r\nContent-Length: 5\r\n")), -400},
	{"an empty coding", RAW(GET("Transfer-Encoding:\r\n")), -400},
	{"100-continue", RAW(GET("Expect: 100-continue\r\n")), OK},
	{"100-Continue", RAW(GET("Expect: 100-Continue\r\n")), OK},
	{"another expectation", RAW(GET("Expect: 200-ok\r\n")), -417},
	{"half a request line", RAW("GET / HT"), 0},
	{"half a method", RAW("GE"), 0},
	{"nothing", RAW(""), 0},
	{"a CR to go", RAW("GET / HTTP/1.1\r\n" H), 0},
	{"an LF to go", RAW("GET / HTTP/1.1\r\n" H "\r"), 0},
	{"half a field", RAW("GET / HTTP/1.1\r\nHos"), 0},
	{"half a value", RAW("GET / HTTP/1.1\r\nHost: a"), 0},
};

static const struct row responses[] = {
	{"a plain response", RAW("HTTP/1.1 200 OK\r\n\r\n"), OK},
	{"an empty reason", RAW("HTTP/1.1 200 \r\n\r\n"), OK},
	{"no reason and no space", RAW("HTTP/1.1 200\r\n\r\n"), OK},
	{"1.0", RAW("HTTP/1.0 200 OK\r\n\r\n"), OK},
	{"status 99", RAW("HTTP/1.1 099 OK\r\n\r\n"), -502},
	{"status 600", RAW("HTTP/1.1 600 OK\r\n\r\n"), -502},
	{"four digits", RAW("HTTP/1.1 2000 OK\r\n\r\n"), -502},
	{"two digits", RAW("HTTP/1.1 20 OK\r\n\r\n"), -502},
	{"2.0", RAW("HTTP/2.0 200 OK\r\n\r\n"), -502},
	{"not HTTP", RAW("SSH-2.0-OpenSSH_9\r\n"), -502},
	{"bare LF", RAW("HTTP/1.1 200 OK\n\n"), -502},
	{"a folded field", RAW("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"), -502},
	{"length and coding",
		RAW("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
		    "Transfer-Encoding: chunked\r\n\r\n"),
		-502},
	{"two lengths",
		RAW("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"),
		-502},
	{"a NUL in a value", RAW("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n"), -502},
	{"half of it", RAW("HTTP/1.1 200 OK\r\nA: "), 0},
	{"half a status line", RAW("HTTP/1.1 200 O"), 0},
};

static struct http_head head;

static void expect(const struct row *r, int got)
{
	int want = r->want == OK ? (int)r->len : r->want;

	if (got != want)
		fail_msg("%s: %d instead of %d", r->what, got, want);
}

static void requests_are_read_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		expect(&requests[i],
			http_parse_request(requests[i].in, requests[i].len, &head));
	assert_true(ARRAY_LEN(requests) >= 80);
}

static void responses_are_read_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(responses); i++)
		expect(&responses[i], http_parse_response(responses[i].in,
					      responses[i].len, false, &head));
}

/* Memory of exactly that size: a read past the end is seen by the sanitizer. */
static int parse_copy(const char *in, size_t len)
{
	char *copy = malloc(len + 1);
	int r;

	assert_non_null(copy);
	memcpy(copy + 1, in, len);
	r = http_parse_request(copy + 1, len, &head);
	free(copy);
	return r;
}

static void a_head_cut_anywhere_is_incomplete_and_never_misread(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		if (requests[i].want != OK)
			continue;
		for (size_t n = 0; n < requests[i].len; n++)
			if (parse_copy(requests[i].in, n) != 0)
				fail_msg("%s: cut at %zu", requests[i].what, n);
	}
}

static int parse(const char *in)
{
	return http_parse_request(in, strlen(in), &head);
}

/* A request with Host and n more fields. */
static size_t with_fields(char *out, unsigned int n)
{
	size_t len = sizeof("GET / HTTP/1.1\r\n" H) - 1;

	memcpy(out, "GET / HTTP/1.1\r\n" H, len);
	for (; n; n--, len += 6)
		memcpy(out + len, "B: c\r\n", 6);
	memcpy(out + len, "\r\n", 2);
	return len + 2;
}

static void limits_have_their_own_answers(void **state)
{
	autofree char *long_head = malloc(HTTP_HEAD_MAX * 2);
	size_t n;

	(void)state;
	assert_non_null(long_head);
	memset(long_head, 'a', HTTP_HEAD_MAX * 2);
	memcpy(long_head, "GET /", 5);
	assert_int_equal(http_parse_request(long_head, HTTP_TARGET_MAX + 5, &head), -414);
	assert_int_equal(http_parse_request(long_head, HTTP_TARGET_MAX - 5, &head), 0);
	memcpy(long_head, "GET / HTTP/1.1\r\nA: ", 19);
	assert_int_equal(http_parse_request(long_head, HTTP_HEAD_MAX, &head), -431);
	assert_int_equal(http_parse_request(long_head, HTTP_HEAD_MAX - 1, &head), 0);
	n = with_fields(long_head, HTTP_FIELDS_MAX - 1);
	assert_int_equal(http_parse_request(long_head, n, &head), (int)n);
	assert_int_equal(http_parse_request(long_head, n - 2, &head), 0);
	n = with_fields(long_head, HTTP_FIELDS_MAX);
	assert_int_equal(http_parse_request(long_head, n, &head), -431);
}

static void fields_mean_what_they_say(void **state)
{
	(void)state;
	assert_true(parse(GET("Connection: close\r\n")) > 0);
	assert_false(head.keep_alive);
	assert_true(
		parse("GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n") > 0);
	assert_true(head.keep_alive);
	assert_true(parse("GET / HTTP/1.0\r\nHost: a\r\n\r\n") > 0);
	assert_false(head.keep_alive);
	assert_true(parse("GET / HTTP/1.0\r\nHost: a\r\nConnection: close\r\n"
			  "Connection: Keep-Alive\r\n\r\n") > 0);
	assert_false(head.keep_alive);
	assert_true(
		parse(GET("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n")) >
		0);
	assert_true(head.upgrade);
	assert_true(parse(GET("Upgrade: websocket\r\n")) > 0);
	assert_false(head.upgrade);
	assert_true(parse(GET("Connection: Upgrade\r\nUpgrade: h2c\r\n")) > 0);
	assert_false(head.upgrade);
	assert_true(parse(GET("Connection: X-Secret, close\r\nX-Secret: 1\r\n")) > 0);
	assert_int_equal(head.fields[2].id, HTTP_HOP);
	assert_true(
		parse(GET("Connection: Host, Content-Length\r\nContent-Length: 3\r\n")) >
		0);
	assert_int_equal(head.fields[0].id, HTTP_HOST);
	assert_int_equal(head.body, BODY_LENGTH);
	assert_int_equal(head.length, 3);
	assert_true(
		parse(GET("a_b: 1\r\nX-Forwarded-For: 6.6.6.6\r\nTE: trailers\r\n")) > 0);
	assert_int_equal(head.fields[1].id, HTTP_HOP);
	assert_int_equal(head.fields[2].id, HTTP_FORGED);
	assert_int_equal(head.fields[3].id, HTTP_HOP);
}

static void absolute_form_decides_the_host(void **state)
{
	static const char in[] = "GET http://b.example:81?q HTTP/1.1\r\nHost: a\r\n\r\n";

	(void)state;
	assert_true(parse(in) > 0);
	assert_true(head.absolute);
	assert_memory_equal(in + head.host, "b.example:81", head.host_len);
	assert_int_equal(head.host_len, 12);
	assert_memory_equal(in + head.path, "?q", head.path_len);
	assert_int_equal(http_host_name(in + head.host, head.host_len), 9);
}

static void bodies_of_responses_follow_status_and_method(void **state)
{
	static const struct {
		const char *in;
		bool is_head;
		enum body_kind want;
	} rows[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, BODY_LENGTH},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, BODY_NONE},
		{"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", false, BODY_NONE},
		{"HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n", false,
			BODY_NONE},
		{"HTTP/1.1 100 Continue\r\n\r\n", false, BODY_NONE},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false,
			BODY_CHUNKED},
		{"HTTP/1.1 200 OK\r\n\r\n", false, BODY_EOF},
		{"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, BODY_NONE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(http_parse_response(rows[i].in, strlen(rows[i].in),
				    rows[i].is_head, &head) > 0);
		assert_int_equal(head.body, rows[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_read_or_refused),
		cmocka_unit_test(responses_are_read_or_refused),
		cmocka_unit_test(a_head_cut_anywhere_is_incomplete_and_never_misread),
		cmocka_unit_test(limits_have_their_own_answers),
		cmocka_unit_test(fields_mean_what_they_say),
		cmocka_unit_test(absolute_form_decides_the_host),
		cmocka_unit_test(bodies_of_responses_follow_status_and_method),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
