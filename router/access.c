/* Access lines: composed straight into the record buffer, written many at a time. */
#include "router/access.h"
#include "lib/io.h"
#include "lib/proto.h"
#include "router/worker.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

/* what else a line holds is below 1 kB: a record always fits */
#define PATH_LOGGED_MAX 2048u

void access_open(struct access_log *l, int fd)
{
	char path[32];
	int own;

	*l = (struct access_log){.fd = fd};
	/*
	 * a description of our own: O_NONBLOCK on the inherited one would be the other
	 * writers' too
	 */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (own >= 0)
		l->fd = own;
	else
		io_set_nonblock(fd, true);
}

/* Room for one record at the end of the buffer, or NULL when the limit is reached. */
static char *room(struct access_log *l)
{
	size_t cap;
	char *grown;

	if (l->cap - l->len >= LOG_RECORD_MAX)
		return l->data + l->len;
	if (l->off) {
		memmove(l->data, l->data + l->off, l->len - l->off);
		l->len -= l->off;
		l->off = 0;
		if (l->cap - l->len >= LOG_RECORD_MAX)
			return l->data + l->len;
	}
	cap = l->cap ? l->cap * 2 : 4 * LOG_RECORD_MAX;
	if (cap > ACCESS_MEMORY_MAX)
		return NULL;
	grown = realloc(l->data, cap);
	if (!grown)
		return NULL;
	l->data = grown;
	l->cap = cap;
	return l->data + l->len;
}

static char *put(char *o, const char *s, size_t n)
{
	memcpy(o, s, n);
	return o + n;
}

#define PUT(o, literal) put(o, literal, sizeof(literal) - 1)

static char *put_string(char *o, const char *s)
{
	return put(o, s, strlen(s));
}

static char *put_number(char *o, uint64_t v)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	return put(o, digits + i, sizeof(digits) - i);
}

/* The only visible character that could end the quoted value is escaped as in a URL. */
static char *put_path(char *o, const char *s, size_t n)
{
	size_t i;

	if (n > PATH_LOGGED_MAX)
		n = PATH_LOGGED_MAX;
	if (!memchr(s, '"', n))
		return put(o, s, n);
	for (i = 0; i < n && i < PATH_LOGGED_MAX / 3; i++)
		o = s[i] == '"' ? PUT(o, "%22") : put(o, s + i, 1);
	return o;
}

static char *put_line(char *o, const struct exchange *x, uint64_t now_ms)
{
	const struct downstream *c = x->client;

	if (x->code) {
		o = PUT(o, "at=error code=");
		o = put_string(o, respond_name(x->code));
		o = PUT(o, " desc=\"");
		o = put_string(o, respond_desc(x->code));
		o = PUT(o, "\" method=");
	} else {
		o = PUT(o, "at=info method=");
	}
	o = put(o, x->head, x->method_len);
	o = PUT(o, " path=\"");
	o = put_path(o, x->head + x->path, x->path_len);
	o = PUT(o, "\" host=");
	o = put(o, x->head + x->host, x->host_len);
	o = PUT(o, " request_id=");
	o = put(o, x->head + x->id, x->id_len);
	o = PUT(o, " fwd=\"");
	o = x->fwd_len ? put(o, x->head + x->fwd, x->fwd_len) : put(o, c->ip, c->ip_len);
	o = PUT(o, "\" instance=");
	o = put(o, x->name, x->name_len);
	o = PUT(o, " connect=");
	o = put_number(o, x->connect_ms);
	o = PUT(o, "ms service=");
	o = put_number(o, now_ms - x->start_ms);
	o = PUT(o, "ms status=");
	o = put_number(o, x->status);
	o = PUT(o, " bytes=");
	o = put_number(o, x->sent_bytes);
	if (c->via == VIA_STREAM)
		o = PUT(o, " protocol=http/2");
	else
		o = x->minor0 ? PUT(o, " protocol=http/1.0")
			      : PUT(o, " protocol=http/1.1");
	if (c->tls)
		o = c->tls == 13 ? PUT(o, " tls=1.3") : PUT(o, " tls=1.2");
	return o;
}

/* Closes the record at start, whose text ends at end. */
static void finish_record(
	struct access_log *l, char *start, const char *end, uint32_t app, uint64_t now_ms)
{
	struct log_record r = {.magic = LOG_RECORD_MAGIC,
		.size = (uint16_t)(end - start),
		.app = app,
		.time_us = io_now_us(),
		.source = "berth[router]"};

	memcpy(start, &r, sizeof(r));
	l->len += (size_t)(end - start);
	if (!l->first_ms)
		l->first_ms = now_ms;
}

static void report_dropped(struct access_log *l, uint32_t app, uint64_t now_ms)
{
	char *start = room(l), *o;

	if (!start)
		return;
	o = PUT(start + sizeof(struct log_record),
		"at=warning desc=\"Lines dropped\" count=");
	o = put_number(o, l->dropped);
	l->dropped = 0;
	finish_record(l, start, o, app, now_ms);
}

void access_line(struct worker *w, const struct exchange *x)
{
	struct access_log *l = &w->log;
	char *start;

	if (!x->app || x->app == TABLE_API)
		return;
	if (l->dropped)
		report_dropped(l, x->app, w->now_ms);
	start = room(l);
	if (!start) {
		l->dropped++;
		return;
	}
	finish_record(l, start, put_line(start + sizeof(struct log_record), x, w->now_ms),
		x->app, w->now_ms);
	if (l->len - l->off > LOG_RECORD_MAX)
		access_flush(l, w->now_ms, false);
}

/* As many whole records as one atomic write takes. */
static size_t batch(const struct access_log *l)
{
	size_t n = 0;

	while (l->off + n < l->len) {
		struct log_record r;

		memcpy(&r, l->data + l->off + n, sizeof(r));
		if (n + r.size > LOG_RECORD_MAX)
			break;
		n += r.size;
	}
	return n;
}

int access_flush(struct access_log *l, uint64_t now_ms, bool all)
{
	bool due = all || (l->first_ms && now_ms - l->first_ms >= ACCESS_DELAY_MS);
	ssize_t n;

	/* one look a millisecond at a pipe that nobody reads */
	if (l->full_ms == now_ms && !all)
		return (int)ACCESS_DELAY_MS;
	while (l->off < l->len && (due || l->len - l->off > LOG_RECORD_MAX)) {
		n = write(l->fd, l->data + l->off, batch(l));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			l->full_ms = now_ms;
			return (int)ACCESS_DELAY_MS;
		}
		l->off += (size_t)n;
		l->first_ms = now_ms;
	}
	if (l->off < l->len) {
		uint64_t age = now_ms - l->first_ms;

		return age < ACCESS_DELAY_MS ? (int)(ACCESS_DELAY_MS - age) : 0;
	}
	l->off = 0;
	l->len = 0;
	l->first_ms = 0;
	return -1;
}

void access_close(struct access_log *l)
{
	access_flush(l, 0, true);
	free(l->data);
	l->data = NULL;
}
