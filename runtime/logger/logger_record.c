/* The record pipe: lines from berth-control and the router workers. */
#include "runtime/logger/logger_record.h"
#include "lib/io.h"

#include <errno.h>
#include <string.h>

#define ROUNDS_MAX 8

/* Writers are other programs of berth, and the router may be in foreign hands: a source
 * is never copied as it is. */
static void clean_source(char out[sizeof(((struct log_record *)0)->source) + 1],
	const struct log_record *r)
{
	size_t i;

	for (i = 0; i < sizeof(r->source) && r->source[i]; i++) {
		char c = r->source[i];

		out[i] = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
					 (c >= '0' && c <= '9') || strchr("[]._-", c)
				 ? c
				 : '?';
	}
	out[i] = '\0';
	if (strcmp(out, LOG_SEGMENT_SOURCE) == 0)
		out[0] = '?';
}

static uint64_t believed_time(uint64_t time_us, uint64_t now_us)
{
	if (time_us > now_us || time_us + RECORD_CLOCK_SLACK_US < now_us)
		return now_us;
	return time_us;
}

static void add_record(
	struct store *s, const struct log_record *r, const char *text, uint64_t now_us)
{
	char source[sizeof(r->source) + 1];
	struct store_record line = {.app = r->app,
		.source = source,
		.text = text,
		.len = r->size - sizeof(*r)};

	clean_source(source, r);
	line.shaped = strcmp(source, "berth[router]") == 0; /* strangers make those */
	store_add(s, &line, believed_time(r->time_us, now_us), now_us);
}

static bool is_record(const struct log_record *r)
{
	return r->magic == LOG_RECORD_MAGIC && r->size >= sizeof(*r) &&
	       r->size <= LOG_RECORD_MAX && r->app != 0;
}

size_t record_parse(struct store *s, const char *data, size_t len, uint64_t now_us)
{
	struct log_record r;
	size_t at = 0;

	while (len - at >= sizeof(r)) {
		memcpy(&r, data + at, sizeof(r));
		if (!is_record(&r)) {
			at++;
			continue;
		}
		if (len - at < r.size)
			break;
		add_record(s, &r, data + at + sizeof(r), now_us);
		at += r.size;
	}
	return at;
}

int record_pump(struct store *s, struct peek *p, int fd)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		int r = peek_fill(p, fd);
		size_t used;

		if (r == -EAGAIN || r == -EINTR)
			return 0;
		if (r <= 0)
			return r < 0 ? r : -EPIPE;
		used = record_parse(s, p->data, p->len, io_now_us());
		/* Writes are whole: a beginning that nothing follows is garbage. */
		if (used == 0)
			used = p->len;
		store_flush(s);
		r = peek_consume(p, fd, used);
		if (r < 0)
			return r;
	}
	return 0;
}
