/* Lines of a log, in the forms that receivers take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "drain/line.h"
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define STAMP "2026-01-02T03:04:05.678901Z"

static void parsed(const char *text, struct line *l)
{
	line_parse(text, strlen(text), l);
}

static void a_line_is_taken_apart(void **state)
{
	struct line l;

	(void)state;
	parsed(STAMP " app[web.1]: a: b[c]: d", &l);
	assert_memory_equal(l.kind, "app", (size_t)l.kind_len);
	assert_int_equal(l.process_len, 5);
	assert_memory_equal(l.process, "web.1", 5);
	assert_int_equal(l.text_len, strlen("a: b[c]: d"));
	assert_true(line_is_of(&l, "app[web.1]"));
	assert_false(line_is_of(&l, "app[web.10]"));
	assert_false(line_is_of(&l, "berth[drain]"));
}

static void what_is_no_line_is_all_text(void **state)
{
	static const char *const odd[] = {"", "x", STAMP, STAMP " app: text",
		STAMP " [x]: y", STAMP " app[]: y",
		"no stamp app[web.1]: and this is quite long"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct line l;

		parsed(odd[i], &l);
		assert_null(l.time);
		assert_int_equal(l.text_len, strlen(odd[i]));
		assert_false(line_is_of(&l, "berth[drain]"));
	}
}

static void syslog_counts_octets_and_keeps_utf_8(void **state)
{
	autobuf out = BUF_INIT;
	struct line l;

	(void)state;
	parsed(STAMP " app[web.1]: gr\xc3\xbc\xc3\x9f", &l);
	line_syslog(&out, &l, "host.example.com", "blog", false);
	assert_string_equal(out.data,
		"75 <134>1 " STAMP
		" host.example.com blog web.1 app - gr\xc3\xbc\xc3\x9f");
	assert_int_equal(out.len, 3 + 75);
}

static void names_are_cut_to_what_rfc_5424_allows(void **state)
{
	char app[64];
	autobuf out = BUF_INIT;
	struct line l;

	(void)state;
	memset(app, 'a', 63);
	app[63] = '\0';
	parsed(STAMP " app[web.1]: x", &l);
	line_syslog(&out, &l, "h", app, false);
	snprintf(app + 48, sizeof(app) - 48, " web.1 app");
	assert_non_null(strstr(out.data, app));
}

/* Every datagram is small enough, whole characters, and nothing is lost between them. */
static void a_long_text_becomes_several_datagrams(void **state)
{
	char text[8192], all[8192] = "";
	autobuf out = BUF_INIT;
	struct line l;
	int n = 0;

	(void)state;
	int head = snprintf(text, sizeof(text), STAMP " app[web.1]: ");
	for (int i = 0; i < 2000; i++)
		memcpy(text + head + i * 3, "\xe2\x82\xac", 3);
	text[head + 6000] = '\0';
	parsed(text, &l);
	line_syslog(&out, &l, "h", "blog", true);
	for (size_t at = 0; at < out.len; n++) {
		char *end;
		unsigned long len = strtoul(out.data + at, &end, 10);
		const char *message = strstr(end, "app - ") + 6;

		assert_true(len <= LINE_DATAGRAM_MAX);
		size_t part = (size_t)(end + 1 + len - message);
		assert_int_equal(part % 3, 0);
		memcpy(all + strlen(all), message, part);
		at = (size_t)(end + 1 + len - out.data);
	}
	assert_true(n > 2);
	assert_string_equal(all, text + head);
}

static void json_reads_back(void **state)
{
	autobuf out = BUF_INIT;
	struct line l;

	(void)state;
	parsed(STAMP " berth[router]: \"q\" \\ \t \x01 \xc3\xbc", &l);
	line_json(&out, &l, "blog", "1-2-3");
	assert_int_equal(out.data[out.len - 1], '\n');
	json_t *o = json_loads(out.data, 0, NULL);
	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "message")),
		"\"q\" \\ \t \x01 \xc3\xbc");
	assert_string_equal(json_string_value(json_object_get(o, "time")), STAMP);
	assert_string_equal(json_string_value(json_object_get(o, "source")), "berth");
	assert_string_equal(json_string_value(json_object_get(o, "process")), "router");
	assert_string_equal(json_string_value(json_object_get(o, "id")), "1-2-3");
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_taken_apart),
		cmocka_unit_test(what_is_no_line_is_all_text),
		cmocka_unit_test(syslog_counts_octets_and_keeps_utf_8),
		cmocka_unit_test(names_are_cut_to_what_rfc_5424_allows),
		cmocka_unit_test(a_long_text_becomes_several_datagrams),
		cmocka_unit_test(json_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
