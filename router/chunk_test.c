/* Chunked framing: accepted and refused, whole and byte by byte; lengths; payload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "router/http.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct row {
	const char *in;
	ssize_t want; /* bytes taken, or -EBADMSG */
	const char *payload;
} rows[] = {
	{"0\r\n\r\n", 5, ""},
	{"5\r\nhello\r\n0\r\n\r\n", 15, "hello"},
	{"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET /", 21, "hello!"},
	{"A\r\n0123456789\r\n0\r\n\r\n", 20, "0123456789"},
	{"a;x=y;z\r\n0123456789\r\n0;q=\"r\"\r\n\r\n", 32, "0123456789"},
	{"000001\r\nx\r\n000\r\n\r\n", 18, "x"},
	{"0\r\nA: b\r\nC:\r\n\r\n", 15, ""},
	{"0\r\nA-Name-That-Has-More-Than-Twenty: b\r\n\r\n", 42, ""},
	{"0\r\nhost: a\r\n\r\n", -EBADMSG, NULL},
	{"0\r\nA: b\r\nContent-Length: 1\r\n\r\n", -EBADMSG, NULL},
	{"0\r\nTransfer-Encoding: chunked\r\n\r\n", -EBADMSG, NULL},
	{"0\r\nX-Forwarded-Something-Else: 1\r\n\r\n", -EBADMSG, NULL},
	{"0\r\n: b\r\n\r\n", -EBADMSG, NULL},
	{"\r\n", -EBADMSG, NULL},
	{"x\r\n", -EBADMSG, NULL},
	{"0x5\r\nhello\r\n", -EBADMSG, NULL},
	{"+5\r\nhello\r\n", -EBADMSG, NULL},
	{"-5\r\n", -EBADMSG, NULL},
	{" 5\r\nhello\r\n", -EBADMSG, NULL},
	{"5 \r\nhello\r\n", -EBADMSG, NULL},
	{"5\nhello\r\n", -EBADMSG, NULL},
	{"5\r\rhello\r\n", -EBADMSG, NULL},
	{"5\r\nhelloo\r\n", -EBADMSG, NULL},
	{"5\r\nhello\n0\r\n\r\n", -EBADMSG, NULL},
	{"5\r\nhello0\r\n\r\n", -EBADMSG, NULL},
	{"5;\nx\r\nhello\r\n", -EBADMSG, NULL},
	{"5;\x01\r\nhello\r\n", -EBADMSG, NULL},
	{"1000000000000000\r\n", -EBADMSG, NULL},
	{"0000000000000001\r\n", -EBADMSG, NULL},
	{"0\r\n\n", -EBADMSG, NULL},
	{"0\r\nA b: c\r\n\r\n", -EBADMSG, NULL},
	{"0\r\n: c\r\n\r\n", -EBADMSG, NULL},
	{"0\r\n A: c\r\n\r\n", -EBADMSG, NULL},
	{"0\r\nA: c\n\r\n", -EBADMSG, NULL},
	{"0\r\nA: c\r\r\n", -EBADMSG, NULL},
	{"0\r\n\rx", -EBADMSG, NULL},
};

static void chunks_are_taken_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct body b;

		body_init(&b, BODY_CHUNKED, 0);
		b.chunk.strict = true;
		if (body_take(&b, rows[i].in, strlen(rows[i].in)) != rows[i].want)
			fail_msg("row %zu: %s", i, rows[i].in);
		assert_int_equal(b.done, rows[i].want > 0);
	}
}

static ssize_t one_by_one(const char *in)
{
	struct body b;
	ssize_t sum = 0;

	body_init(&b, BODY_CHUNKED, 0);
	b.chunk.strict = true;
	for (; *in && !b.done; in++) {
		ssize_t r = body_take(&b, in, 1);

		if (r < 0)
			return r;
		sum += r;
	}
	return b.done ? sum : 0;
}

static void bytes_that_come_alone_make_no_difference(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (one_by_one(rows[i].in) != rows[i].want)
			fail_msg("row %zu: %s", i, rows[i].in);
}

static void the_payload_alone_is_left_when_asked(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char copy[128];
		struct body b;
		size_t data = 0;

		if (rows[i].want < 0)
			continue;
		memcpy(copy, rows[i].in, strlen(rows[i].in) + 1);
		body_init(&b, BODY_CHUNKED, 0);
		b.chunk.strict = true;
		assert_int_equal(
			body_decode(&b, copy, strlen(copy), &data), rows[i].want);
		assert_int_equal(data, strlen(rows[i].payload));
		assert_memory_equal(copy, rows[i].payload, data);
	}
}

static void extensions_and_trailers_end_somewhere(void **state)
{
	char big[10000];
	struct body b;

	(void)state;
	memset(big, 'a', sizeof(big));
	memcpy(big, "1;", 2);
	body_init(&b, BODY_CHUNKED, 0);
	b.chunk.strict = true;
	assert_int_equal(body_take(&b, big, HTTP_EXT_MAX), HTTP_EXT_MAX);
	assert_int_equal(body_take(&b, big + HTTP_EXT_MAX, 10), -EBADMSG);
	body_init(&b, BODY_CHUNKED, 0); /* of a response */
	assert_int_equal(body_take(&b, "0\r\nHost: a\r\n\r\n", 14), 14);
	assert_true(b.done);
	memcpy(big, "0\r\nA:", 5);
	body_init(&b, BODY_CHUNKED, 0);
	b.chunk.strict = true;
	assert_int_equal(body_take(&b, big, sizeof(big)), -EBADMSG);
}

static void a_length_is_counted_down(void **state)
{
	struct body b;

	(void)state;
	body_init(&b, BODY_LENGTH, 5);
	assert_int_equal(body_take(&b, "abc", 3), 3);
	assert_false(b.done);
	assert_int_equal(body_take(&b, "defgh", 5), 2);
	assert_true(b.done);
	assert_int_equal(body_take(&b, "x", 1), 0);
	body_init(&b, BODY_EOF, 0);
	assert_int_equal(body_take(&b, "abc", 3), 3);
	assert_false(b.done);
	body_init(&b, BODY_NONE, 0);
	assert_true(b.done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunks_are_taken_or_refused),
		cmocka_unit_test(bytes_that_come_alone_make_no_difference),
		cmocka_unit_test(the_payload_alone_is_left_when_asked),
		cmocka_unit_test(extensions_and_trailers_end_somewhere),
		cmocka_unit_test(a_length_is_counted_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
