/* Lines as server-sent events: names, ids, going on, the comment that keeps a connection, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/api/feed.h"
#include <cmocka.h>
#include <microhttpd.h>
#include <string.h>
#include <time.h>

/* Gives its parts one after the other, then is over; waits before the part that is "". */
struct parts {
	const char *const *at;
	unsigned int waits, closed;
	int waited_ms;
};

static int read_part(void *arg, struct buf *out)
{
	struct parts *p = arg;

	if (!*p->at)
		return FEED_OVER;
	if (!**p->at)
		return FEED_NOTHING;
	buf_adds(out, *p->at++);
	return FEED_SOME;
}

/* There is more at the second time. */
static bool wait_part(void *arg, int ms)
{
	struct parts *p = arg;
	struct timespec pause = {.tv_nsec = (ms > 50 ? 1 : ms + 1) * 1000000L};

	p->waited_ms = ms;
	nanosleep(&pause, NULL);
	if (++p->waits % 2 == 0)
		p->at++;
	return true;
}

static void close_parts(void *arg)
{
	struct parts *p = arg;

	p->closed++;
}

static void check_kept(enum feed_kind kind, const char *const *lines, bool events,
	const char *last_id, int heartbeat_ms, const char *want)
{
	struct feed_source source = {
		.kind = kind, .read = read_part, .wait = wait_part, .close = close_parts};
	struct parts p = {.at = lines};
	struct feed *f = feed_make(&source, &p, events, last_id, heartbeat_ms);
	char all[4096] = "", part[7];
	ssize_t n;

	assert_non_null(f);
	while ((n = feed_read(f, 0, part, sizeof(part) - 1)) > 0) {
		part[n] = '\0';
		strncat(all, part, sizeof(all) - strlen(all) - 1);
	}
	assert_int_equal(n, MHD_CONTENT_READER_END_OF_STREAM);
	/* On a busy machine there may be more than one comment. */
	for (char *at; (at = strstr(all, "\n:\n\n:\n\n"));)
		memmove(at, at + 3, strlen(at + 3) + 1);
	assert_string_equal(all, want);
	feed_close(f);
	assert_int_equal(p.closed, 1);
}

static void check(enum feed_kind kind, const char *const *lines, const char *last_id,
	const char *want)
{
	check_kept(kind, lines, true, last_id, FEED_HEARTBEAT_MS, want);
}

#define LINES(...) ((const char *const[]){__VA_ARGS__, NULL})
#define LINE(stamp, text)                                                                \
	"{\"time\": \"2026-01-02T03:04:05." stamp                                        \
	"Z\", \"source\": \"app[web.1]\", \"text\": \"" text "\"}"

static void test_a_stream_is_events_by_its_letters(void **state)
{
	(void)state;
	check(FEED_STREAM,
		LINES("o -----> St", "art\np 3 s\r\nd {\"a\":1}\nr HEAD x\nz no\n",
			"x 1\n"),
		NULL,
		": berth\n\n"
		"event: output\ndata: -----> Start\n\n"
		"event: progress\ndata: 3 s\n\n"
		"event: result\ndata: {\"a\":1}\n\n"
		"event: ref\ndata: HEAD x\n\n"
		"event: end\ndata: 1\n\n");
}

static void test_lines_are_as_they_are_for_who_asks_for_lines(void **state)
{
	(void)state;
	check_kept(FEED_STREAM, LINES("o a\r\n", "", "x 0\n"), false, NULL, 1,
		"o a\r\nx 0\n");
	check_kept(FEED_LOG, LINES(LINE("000001", "a") "\n"), false, NULL, 1,
		LINE("000001", "a") "\n");
}

static void test_events_have_their_ids(void **state)
{
	(void)state;
	check(FEED_TRAIL, LINES("{\"id\":12,\"who\":\"ann\"}\n{\"id\":13}\n"), NULL,
		": berth\n\n"
		"id: 12\nevent: event\ndata: {\"id\":12,\"who\":\"ann\"}\n\n"
		"id: 13\nevent: event\ndata: {\"id\":13}\n\n"
		"event: end\ndata: 0\n\n");
}

#define ID "2026-01-02T03:04:05."
#define EVENT(id, stamp, text)                                                           \
	"id: " ID id "\nevent: log\ndata: " LINE(stamp, text) "\n\n"

static void test_log_lines_of_one_moment_are_told_apart(void **state)
{
	const char *const *lines =
		LINES(LINE("000001", "a") "\n" LINE("000001", "b") "\n",
			LINE("000001", "c") "\n", LINE("000002", "d") "\n");

	(void)state;
	check(FEED_LOG, lines, NULL,
		": berth\n\n" EVENT("000001Z", "000001", "a") EVENT(
			"000001Z/2", "000001", "b") EVENT("000001Z/3", "000001", "c")
			EVENT("000002Z", "000002", "d") "event: end\ndata: 0\n\n");
	check(FEED_LOG, lines, ID "000001Z/2",
		": berth\n\n" EVENT("000001Z/3", "000001", "c")
			EVENT("000002Z", "000002", "d") "event: end\ndata: 0\n\n");
	/* The one that was seen is gone: what is there comes. */
	check(FEED_LOG, lines, ID "000000Z",
		": berth\n\n" EVENT("000001Z", "000001", "a") EVENT(
			"000001Z/2", "000001", "b") EVENT("000001Z/3", "000001", "c")
			EVENT("000002Z", "000002", "d") "event: end\ndata: 0\n\n");
}

static void test_what_is_no_id_of_a_log_is_refused(void **state)
{
	static const char *const bad[] = {"", "12", ID "000001Z/0", ID "000001Z/x",
		ID "000001Z/2/3", ID "00001Z", ID "0000012Z"};
	uint64_t us;
	uint32_t seen;

	(void)state;
	assert_int_equal(feed_parse_log_id(ID "000001Z/7", &us, &seen), 0);
	assert_int_equal(seen, 7);
	assert_int_equal(us % 1000000, 1);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_true(feed_parse_log_id(bad[i], &us, &seen) < 0);
}

static void test_a_silent_connection_gets_a_comment(void **state)
{
	(void)state;
	check_kept(FEED_STREAM, LINES("o a\n", "", "x 0\n"), true, NULL, 10,
		": berth\n\nevent: output\ndata: a\n\n:\n\nevent: end\ndata: 0\n\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_stream_is_events_by_its_letters),
		cmocka_unit_test(test_lines_are_as_they_are_for_who_asks_for_lines),
		cmocka_unit_test(test_events_have_their_ids),
		cmocka_unit_test(test_log_lines_of_one_moment_are_told_apart),
		cmocka_unit_test(test_what_is_no_id_of_a_log_is_refused),
		cmocka_unit_test(test_a_silent_connection_gets_a_comment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
