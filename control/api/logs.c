/* GET logs: the lines as they stand, and as they come. */
#include "control/logs/logs.h"
#include "control/api/feed.h"
#include "control/api/handlers.h"
#include "lib/io.h"
#include "lib/name.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define LINES_DEFAULT 100
#define READ_MAX ((size_t)32 << 10) /* at once */
#define LOOK_MS                                                                          \
	500 /* how late a followed line may be where the host has no inotify left */

struct tail {
	struct logs *logs;
	int fd; /* of the connection: its hang-up ends following */
	uint64_t until_us;
};

static int wait_ms(const struct tail *t, int most)
{
	uint64_t now = io_now_us(),
		 ms = t->until_us > now ? (t->until_us - now) / 1000 + 1 : 0;

	if (logs_fd(t->logs) < 0 && (most < 0 || most > LOOK_MS))
		most = LOOK_MS;
	if (!t->until_us || (most >= 0 && ms > (uint64_t)most))
		return most;
	return ms < INT32_MAX ? (int)ms : INT32_MAX;
}

static bool wait_for_more(void *arg, int ms)
{
	struct tail *t = arg;
	struct pollfd p[] = {{.fd = t->fd, .events = POLLRDHUP},
		{.fd = logs_fd(t->logs), .events = POLLIN}};

	(void)poll(p, ARRAY_LEN(p), wait_ms(t, ms));
	if (p[1].revents)
		logs_woken(t->logs);
	return !p[0].revents;
}

static int read_some(void *arg, struct buf *out)
{
	struct tail *t = arg;
	char *room = buf_room(out, READ_MAX);
	ssize_t n = room ? logs_read(t->logs, room, READ_MAX) : -ENOMEM;

	if (n < 0)
		return (int)n;
	out->len += (size_t)n;
	if (n > 0)
		return FEED_SOME;
	return logs_over(t->logs) || (t->until_us && io_now_us() > t->until_us)
		       ? FEED_OVER
		       : FEED_NOTHING;
}

static void free_tail(void *arg)
{
	struct tail *t = arg;

	logs_close(t->logs);
	free(t);
}

static const struct feed_source source = {
	.kind = FEED_LOG, .read = read_some, .wait = wait_for_more, .close = free_tail};

static int copy_word(struct request *r, const char *name, char *out, size_t size)
{
	const char *value = request_query(r, name);

	if (!value)
		return 0;
	if (strlen(value) >= size)
		return request_fail(r, FAIL_USAGE, "%s is longer than %zu characters",
			name, size - 1);
	snprintf(out, size, "%s", value);
	return 0;
}

static bool flag(struct request *r, const char *name)
{
	const char *value = request_query(r, name);

	return value && strcmp(value, "0") != 0;
}

static int read_time(struct request *r, const char *name, uint64_t *ret)
{
	const char *value = request_query(r, name);

	if (!value || stamp_parse(value, io_now_us(), ret) == 0)
		return 0;
	return request_fail(r, FAIL_USAGE,
		"%s must be a time such as 2026-01-02T03:04:05Z, or how long "
		"ago: 90s, 10m, 2h, 3d",
		name);
}

static int read_times(struct request *r, struct logs_query *q)
{
	if (read_time(r, "since", &q->since_us) < 0 ||
		read_time(r, "until", &q->until_us) < 0)
		return -1;
	if (q->until_us && q->until_us < q->since_us)
		return request_fail(r, FAIL_USAGE, "until is before since");
	if (q->until_us && q->until_us <= io_now_us())
		q->follow = false;
	return 0;
}

static int read_release(struct request *r, struct logs_query *q)
{
	const char *value = request_query(r, "release");
	uint64_t n;

	if (!value)
		return 0;
	if (num_parse_u64(value + (*value == 'v'), 1, UINT32_MAX, &n) < 0)
		return request_fail(
			r, FAIL_USAGE, "\"%.40s\" is no release such as v12", value);
	q->release = (uint32_t)n;
	return 0;
}

static int read_grep(struct request *r, struct logs_query *q)
{
	const char *value = request_query(r, "grep");

	if (!value || needle_init(&q->grep, value, flag(r, "ignore-case")))
		return 0;
	return request_fail(
		r, FAIL_USAGE, "grep is longer than %d characters", NEEDLE_MAX);
}

static int read_format(struct request *r, struct logs_query *q)
{
	const char *value = request_query(r, "format");

	q->json = value && strcmp(value, "json") == 0;
	if (!value || q->json || strcmp(value, "text") == 0)
		return 0;
	return request_fail(r, FAIL_USAGE, "format must be text or json");
}

static int read_query(struct request *r, struct logs_query *q)
{
	q->follow = flag(r, "follow");
	if (read_times(r, q) < 0 || read_release(r, q) < 0 || read_grep(r, q) < 0 ||
		read_format(r, q) < 0 ||
		copy_word(r, "p", q->process, sizeof(q->process)) < 0 ||
		request_query_u64(r, "n", 0, LOGS_LINES_MAX,
			q->since_us ? 0 : LINES_DEFAULT, &q->lines) < 0)
		return -1;
	/* Zero lines of the past, only what comes: all from now on. */
	if (request_query(r, "n") && q->lines == 0)
		q->since_us = io_now_us();
	return 0;
}

/* As events they are objects; who goes on wants all from where it was. */
static int read_events(struct request *r, struct logs_query *q, const char *last_id)
{
	uint32_t seen;

	q->json = true;
	if (!last_id)
		return 0;
	q->lines = 0;
	if (feed_parse_log_id(last_id, &q->since_us, &seen) == 0)
		return 0;
	return request_fail(r, FAIL_USAGE, "Last-Event-ID is not one of a log");
}

int logs_show(struct request *r)
{
	bool events = feed_wants_events(r->connection);
	const char *last_id = events ? feed_last_id(r->connection) : NULL;
	struct logs_query q = {0};
	char folder[512];

	if (read_query(r, &q) < 0 || (events && read_events(r, &q, last_id) < 0))
		return -1;
	struct tail *t = calloc(1, sizeof(*t));
	if (!t)
		return request_fail(r, FAIL_BERTH, "out of memory");
	snprintf(folder, sizeof(folder), "%s/logs/%u", r->c->state, r->app.id);
	t->logs = logs_open(folder, &q);
	t->fd = r->fd;
	t->until_us = q.until_us;
	if (t->logs)
		r->response = feed_start(&source, t,
			q.json ? "application/x-ndjson" : "text/plain; charset=utf-8",
			events, last_id);
	if (!r->response) {
		free_tail(t);
		return request_fail(r, FAIL_BERTH, "out of memory");
	}
	return 0;
}
