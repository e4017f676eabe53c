/* A line of a log, and how receivers want it. Pure functions. */
#ifndef DRAIN_LINE_H
#define DRAIN_LINE_H

#include "lib/base.h"
#include "lib/buf.h"

#define LINE_FACTOR                                                                      \
	7 /* a line of n bytes is at most LINE_FACTOR * n + LINE_HEAD_MAX in any form, but for datagrams */
#define LINE_HEAD_MAX 1024
#define LINE_DATAGRAM_MAX 2048 /* octets that every receiver of RFC 5426 should take */

/* "2026-01-02T03:04:05.678901Z app[web.1]: text"; parts point into it. */
struct line {
	const char *time;    /* STAMP_SIZE - 1 bytes, or NULL: it has none */
	const char *kind;    /* "app", "berth" */
	const char *process; /* "web.1", "router" */
	const char *text;
	int kind_len, process_len;
	size_t text_len;
};
/* What is no such line is all text. */
void line_parse(const char *s, size_t len, struct line *ret);
bool line_is_of(const struct line *l, const char *source); /* "berth[router]" */

/*
 * A message of RFC 5424: local0.info, the host's name, the app's as APP-NAME (cut to its 48), the process as PROCID, app or
 * berth as MSGID, no structured data; the text is UTF-8, as the log is, without a byte order mark, which few receivers expect.
 * Before it its length (RFC 6587 3.4.1, RFC 5425 4.3). With datagrams: a longer text becomes several messages, each of at most
 * LINE_DATAGRAM_MAX octets and cut between characters.
 */
void line_syslog(struct buf *out, const struct line *l, const char *host, const char *app,
	bool datagrams);
/* {"time", "app", "source", "process", "message", "id"} and a newline. id: the same whenever the line is sent. */
void line_json(struct buf *out, const struct line *l, const char *app, const char *id);
/* The line as it is in the log, after the app's name. */
void line_plain(struct buf *out, const struct line *l, const char *app);

#endif
