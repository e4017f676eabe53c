/* Request heads of HTTP/2: what they become, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "router/conn.h"
#include "router/h2_head.h"
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static char out[HOT_SIZE];

struct pair {
	const char *name, *value;
};

/* Fields up to the first without a name; its text is in out. */
static int written(const struct pair *fields, bool more, struct h2_head *h)
{
	int r;

	*h = (struct h2_head){0};
	for (; fields->name; fields++)
		assert_int_equal(h2_head_add(h, fields->name, strlen(fields->name),
					 fields->value, strlen(fields->value)),
			0);
	r = h2_head_write(h, more, "a2V5", out);
	if (r >= 0)
		out[r] = '\0';
	return r;
}

#define FIELDS(...)                                                                      \
	(const struct pair[])                                                            \
	{                                                                                \
		__VA_ARGS__,                                                             \
		{                                                                        \
			0                                                                \
		}                                                                        \
	}
#define LINE                                                                             \
	{":method", "GET"}, {":scheme", "https"},                                        \
	{                                                                                \
		":path", "/x?y"                                                          \
	}
#define BASE                                                                             \
	LINE,                                                                            \
	{                                                                                \
		":authority", "a.example"                                                \
	}

static void a_head_is_written_as_http_1(void **state)
{
	struct h2_head h;

	(void)state;
	assert_true(written(FIELDS(BASE, {"accept", "*/*"}), false, &h) > 0);
	assert_string_equal(
		out, "GET /x?y HTTP/1.1\r\nHost: a.example\r\naccept: */*\r\n\r\n");
	assert_false(h.chunked || h.connect || h.is_head);
	h2_head_free(&h);
	assert_true(written(FIELDS(LINE, {"host", "b.example"}), true, &h) > 0);
	assert_string_equal(out, "GET /x?y HTTP/1.1\r\nHost: b.example\r\n"
				 "Transfer-Encoding: chunked\r\n\r\n");
	assert_true(h.chunked);
	h2_head_free(&h);
	assert_true(written(FIELDS(BASE, {"content-length", "3"}), true, &h) > 0);
	assert_string_equal(out, "GET /x?y HTTP/1.1\r\nHost: a.example\r\n"
				 "content-length: 3\r\n\r\n");
	assert_false(h.chunked);
	h2_head_free(&h);
}

static void cookies_become_one(void **state)
{
	struct h2_head h;

	(void)state;
	assert_true(
		written(FIELDS(BASE, {"cookie", "a=1"}, {"x", "1"}, {"cookie", "b=2"}),
			false, &h) > 0);
	assert_string_equal(out, "GET /x?y HTTP/1.1\r\nHost: a.example\r\nx: 1\r\n"
				 "cookie: a=1; b=2\r\n\r\n");
	h2_head_free(&h);
}

static void an_extended_connect_is_an_upgrade(void **state)
{
	struct h2_head h;

	(void)state;
	assert_true(written(FIELDS({":method", "CONNECT"}, {":protocol", "websocket"},
				    {":scheme", "https"}, {":path", "/"},
				    {":authority", "a"}),
			    true, &h) > 0);
	assert_string_equal(out, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
				 "Upgrade: websocket\r\nSec-WebSocket-Key: a2V5\r\n\r\n");
	assert_true(h.connect && !h.chunked);
	h2_head_free(&h);
}

#define REFUSED(status, ...)                                                             \
	do {                                                                             \
		struct h2_head h;                                                        \
		assert_int_equal(written(FIELDS(__VA_ARGS__), false, &h), -(status));    \
		h2_head_free(&h);                                                        \
	} while (0)

static void what_could_be_read_in_two_ways_is_refused(void **state)
{
	(void)state;
	REFUSED(400, LINE);
	REFUSED(400, {":method", "GET"}, {":scheme", "https"}, {":authority", "a"});
	REFUSED(400, {":method", "GET"}, {":path", "/"}, {":authority", "a"});
	REFUSED(400, {":scheme", "https"}, {":path", "/"}, {":authority", "a"});
	REFUSED(400, BASE, {":path", "/"});
	REFUSED(400, BASE, {"host", "b.example"});
	REFUSED(400, BASE, {"x", "1\r\ny: 2"});
	REFUSED(400, BASE, {"x", "1\ny: 2"});
	REFUSED(400, BASE, {"x\r\ny", "1"});
	REFUSED(400, BASE, {"x:", "1"});
	REFUSED(400, BASE, {"x ", "1"});
	REFUSED(400, BASE, {"", "1"});
	REFUSED(400, BASE, {"connection", "x"});
	REFUSED(400, BASE, {"transfer-encoding", "chunked"});
	REFUSED(400, BASE, {"upgrade", "websocket"});
	REFUSED(400, BASE, {":protocol", "websocket"});
	REFUSED(400, {":method", "GET /"}, {":scheme", "https"}, {":path", "/"},
		{":authority", "a"});
	REFUSED(400, {":method", "GET"}, {":scheme", "https"}, {":path", "x"},
		{":authority", "a"});
	REFUSED(400, {":method", "GET"}, {":scheme", "https"}, {":path", "/\r\n"},
		{":authority", "a"});
	REFUSED(501, {":method", "CONNECT"}, {":scheme", "https"}, {":path", "/"},
		{":authority", "a"});
	REFUSED(501, {":method", "CONNECT"}, {":protocol", "connect-udp"},
		{":scheme", "https"}, {":path", "/"}, {":authority", "a"});
}

static void large_heads_are_refused_and_larger_ones_stopped(void **state)
{
	static char value[1000];
	struct h2_head h = {0};
	int r = 0, n = 0;

	(void)state;
	memset(value, 'x', sizeof(value));
	while (r == 0 && n < 1000) {
		r = h2_head_add(&h, "x", 1, value, sizeof(value));
		n++;
	}
	assert_int_equal(r, -E2BIG);
	assert_in_range(n, 64, 66);
	assert_true(h.fields.len <= HTTP_HEAD_MAX + 1000);
	assert_int_equal(h2_head_write(&h, false, "", out), -431);
	h2_head_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_is_written_as_http_1),
		cmocka_unit_test(cookies_become_one),
		cmocka_unit_test(an_extended_connect_is_an_upgrade),
		cmocka_unit_test(what_could_be_read_in_two_ways_is_refused),
		cmocka_unit_test(large_heads_are_refused_and_larger_ones_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
