/* Lines of a source as they are, or as server-sent events. */
#include "control/api/feed.h"
#include "lib/io.h"
#include "lib/name.h"
#include "lib/stamp.h"
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#define STAMP_LEN (STAMP_SIZE - 1)
#define TIME_AT "{\"time\": \"" /* as control/logs/logs.c writes it */
#define ID_AT "{\"id\":"

struct feed {
	const struct feed_source *source;
	void *arg;
	bool events, over, begun;
	int heartbeat_ms;
	uint64_t sent_us; /* when the last events went out */
	struct buf in;	  /* lines that are not events yet */
	struct buf out;
	char stamp[STAMP_SIZE]; /* of the last line of a log */
	uint32_t of_stamp;	/* how many had it */
	uint32_t skip;		/* so many with the stamp were seen before */
};

/* ---- lines to events ---- */

static void add_event(
	struct buf *out, const char *id, const char *name, const char *data, size_t len)
{
	if (id[0])
		buf_addf(out, "id: %s\n", id);
	buf_addf(out, "event: %s\ndata: ", name);
	buf_add(out, data, len);
	buf_adds(out, "\n\n");
}

/* A carriage return would end the line for who reads it. */
static size_t without_returns(char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		if (text[i] != '\r')
			text[n++] = text[i];
	return n;
}

static void take_stream(struct feed *f, char *line, size_t len)
{
	static const struct {
		char letter;
		const char *name;
	} names[] = {{'o', "output"}, {'p', "progress"}, {'r', "ref"}, {'d', "result"},
		{'x', "end"}};

	if (len < 2)
		return;
	len = 2 + without_returns(line + 2, len - 2);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (line[0] == names[i].letter)
			add_event(&f->out, "", names[i].name, line + 2, len - 2);
}

static void take_log(struct feed *f, const char *line, size_t len)
{
	const char *stamp = line + strlen(TIME_AT);
	char id[FEED_ID_MAX];

	if (len < strlen(TIME_AT) + STAMP_LEN ||
		memcmp(line, TIME_AT, strlen(TIME_AT)) != 0)
		return;
	if (memcmp(f->stamp, stamp, STAMP_LEN) != 0) {
		memcpy(f->stamp, stamp, STAMP_LEN);
		f->of_stamp = 0;
		f->skip = 0;
	}
	f->of_stamp++;
	if (f->of_stamp <= f->skip)
		return;
	snprintf(id, sizeof(id), f->of_stamp > 1 ? "%.27s/%u" : "%.27s", f->stamp,
		f->of_stamp);
	add_event(&f->out, id, "log", line, len);
}

static void take_trail(struct feed *f, const char *line, size_t len)
{
	char id[24] = "";

	if (len > strlen(ID_AT) && memcmp(line, ID_AT, strlen(ID_AT)) == 0)
		snprintf(id, sizeof(id), "%.*s",
			(int)strspn(line + strlen(ID_AT), "0123456789"),
			line + strlen(ID_AT));
	add_event(&f->out, id, "event", line, len);
}

/* Whole lines; the rest waits for its end. */
static void make_events(struct feed *f)
{
	char *at = f->in.data, *nl;
	size_t left = f->in.len;

	while (left && (nl = memchr(at, '\n', left))) {
		size_t len = (size_t)(nl - at);

		if (f->source->kind == FEED_STREAM)
			take_stream(f, at, len);
		else if (f->source->kind == FEED_LOG)
			take_log(f, at, len);
		else
			take_trail(f, at, len);
		at = nl + 1;
		left -= len + 1;
	}
	buf_consume(&f->in, f->in.len - left);
}

/* ---- the response ---- */

static int ms_to_heartbeat(const struct feed *f)
{
	uint64_t since_ms = (io_now_us() - f->sent_us) / 1000;

	return since_ms < (uint64_t)f->heartbeat_ms ? f->heartbeat_ms - (int)since_ms : 0;
}

/* Something for out, or over, or an error. */
static int fill(struct feed *f)
{
	int r = f->source->read(f->arg, f->events ? &f->in : &f->out);

	if (r < 0)
		return r;
	if (f->events)
		make_events(f);
	if (r == FEED_OVER) {
		f->over = true;
		if (f->events && f->source->kind != FEED_STREAM)
			add_event(&f->out, "", "end", "0", 1);
	}
	if (r != FEED_NOTHING)
		return f->in.failed || f->out.failed ? -ENOMEM : 0;
	int ms = f->events ? ms_to_heartbeat(f) : -1;
	if (ms == 0)
		buf_adds(&f->out, ":\n\n");
	else if (!f->source->wait(f->arg, ms))
		return -EPIPE;
	return 0;
}

ssize_t feed_read(void *feed, uint64_t pos, char *out, size_t max)
{
	struct feed *f = feed;

	(void)pos;
	if (f->events && !f->begun)
		buf_adds(&f->out, ": berth\n\n");
	f->begun = true;
	while (!f->out.len) {
		if (f->over)
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (fill(f) < 0)
			return MHD_CONTENT_READER_END_WITH_ERROR;
	}
	size_t n = f->out.len < max ? f->out.len : max;
	memcpy(out, f->out.data, n);
	buf_consume(&f->out, n);
	f->sent_us = io_now_us();
	return (ssize_t)n;
}

void feed_close(void *feed)
{
	struct feed *f = feed;

	f->source->close(f->arg);
	buf_free(&f->in);
	buf_free(&f->out);
	free(f);
}

int feed_parse_log_id(const char *id, uint64_t *ret_us, uint32_t *ret_seen)
{
	const char *slash = strchr(id, '/');
	size_t len = slash ? (size_t)(slash - id) : strlen(id);
	char stamp[STAMP_SIZE];
	uint64_t seen = 1;

	if (len != STAMP_LEN ||
		(slash && num_parse_u64(slash + 1, 1, UINT32_MAX, &seen) < 0))
		return -EINVAL;
	snprintf(stamp, sizeof(stamp), "%.27s", id);
	*ret_seen = (uint32_t)seen;
	return stamp_parse(stamp, io_now_us(), ret_us);
}

struct feed *feed_make(const struct feed_source *source, void *arg, bool events,
	const char *last_id, int heartbeat_ms)
{
	struct feed *f = calloc(1, sizeof(*f));
	uint64_t us;

	if (!f)
		return NULL;
	f->source = source;
	f->arg = arg;
	f->events = events;
	f->heartbeat_ms = heartbeat_ms;
	f->sent_us = io_now_us();
	if (last_id && source->kind == FEED_LOG &&
		feed_parse_log_id(last_id, &us, &f->skip) == 0)
		memcpy(f->stamp, last_id, STAMP_LEN);
	return f;
}

bool feed_wants_events(struct MHD_Connection *connection)
{
	const char *accept = MHD_lookup_connection_value(
		connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);

	return accept && strstr(accept, FEED_EVENTS_TYPE);
}

const char *feed_last_id(struct MHD_Connection *connection)
{
	return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Last-Event-ID");
}

struct MHD_Response *feed_start(const struct feed_source *source, void *arg,
	const char *type, bool events, const char *last_id)
{
	struct feed *f = feed_make(source, arg, events, last_id, FEED_HEARTBEAT_MS);
	struct MHD_Response *response = NULL;

	if (f)
		response = MHD_create_response_from_callback(
			MHD_SIZE_UNKNOWN, 32768, feed_read, f, feed_close);
	if (!response) {
		free(f);
		return NULL;
	}
	MHD_add_response_header(
		response, "Content-Type", events ? FEED_EVENTS_TYPE : type);
	if (events)
		MHD_add_response_header(response, "Cache-Control", "no-cache");
	return response;
}
