/* GET logs: the lines as they stand, and as they come. */
#include "control/api_handlers.h"
#include "control/logs.h"
#include "control/stream.h"
#include "lib/io.h"
#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define LINES_DEFAULT 100
#define FOLLOW_MS 100 /* how late a followed line may be; a person cannot tell */

struct tail {
	struct logs *logs;
	int fd; /* of the connection: its hang-up ends following */
	bool follow;
};

static ssize_t read_some(void *cls, uint64_t pos, char *out, size_t max)
{
	struct tail *t = cls;

	(void)pos;
	for (;;) {
		struct pollfd p = {.fd = t->fd, .events = POLLRDHUP};
		ssize_t n = logs_read(t->logs, out, max);

		if (n > 0)
			return n;
		if (n < 0)
			return MHD_CONTENT_READER_END_WITH_ERROR;
		if (!t->follow)
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (poll(&p, 1, FOLLOW_MS) > 0)
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
}

static void free_tail(void *cls)
{
	struct tail *t = cls;

	logs_close(t->logs);
	free(t);
}

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

static int read_query(struct request *r, struct logs_query *q)
{
	const char *since = request_query(r, "since"),
		   *wants = request_query(r, "follow");

	if (since && stamp_parse(since, io_now_us(), &q->since_us) < 0)
		return request_fail(r, FAIL_USAGE,
			"since must be a time such as 2026-01-02T03:04:05Z, or how long "
			"ago: 90s, 10m, 2h, 3d");
	q->follow = wants && strcmp(wants, "0") != 0;
	if (request_query_u64(
		    r, "n", 0, LOGS_LINES_MAX, since ? 0 : LINES_DEFAULT, &q->lines) < 0)
		return -1;
	/* Zero lines of the past, only what comes: all from now on. */
	if (request_query(r, "n") && q->lines == 0)
		q->since_us = io_now_us();
	return copy_word(r, "p", q->process, sizeof(q->process)) < 0 ||
			       copy_word(r, "grep", q->grep, sizeof(q->grep)) < 0
		       ? -1
		       : 0;
}

int logs_show(struct request *r)
{
	struct logs_query q = {0};
	char folder[512];

	if (read_query(r, &q) < 0)
		return -1;
	struct tail *t = calloc(1, sizeof(*t));
	if (!t)
		return request_fail(r, FAIL_BERTH, "out of memory");
	snprintf(folder, sizeof(folder), "%s/logs/%u", r->c->state, r->app.id);
	t->logs = logs_open(folder, &q);
	t->fd = r->fd;
	t->follow = q.follow;
	if (t->logs)
		r->response = MHD_create_response_from_callback(
			MHD_SIZE_UNKNOWN, 32768, read_some, t, free_tail);
	if (!r->response) {
		free_tail(t);
		return request_fail(r, FAIL_BERTH, "out of memory");
	}
	MHD_add_response_header(r->response, "Content-Type", "text/plain; charset=utf-8");
	return 0;
}
