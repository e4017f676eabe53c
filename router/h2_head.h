/* A request head of HTTP/2 as it comes, field by field, and as HTTP/1.1 (RFC 9113 8.3). */
#ifndef ROUTER_H2_HEAD_H
#define ROUTER_H2_HEAD_H

#include "lib/buf.h"
#include "router/http.h"

/* Fields of a head above HTTP_HEAD_MAX are dropped (431); a sender that goes on to here is cut off. */
#define H2_HEAD_STOP (2 * HTTP_HEAD_MAX)
/* What h2_head_write adds to the fields at most: line, framing, upgrade. */
#define H2_HEAD_ROOM (HTTP_HEAD_MAX + 512u)

struct h2_head {
	struct buf fields; /* one after the other, each behind its lengths */
	uint32_t size;	   /* of all that came */
	bool too_large;
	bool connect; /* written: an extended CONNECT (RFC 8441), as an upgrade */
	bool is_head; /* written: HEAD */
	bool chunked; /* written: the body needs framing */
};

/* Takes one field. 0, or -E2BIG when enough is enough. What is wrong with it shows in h2_head_write. */
int h2_head_add(struct h2_head *h, const char *name, size_t name_len, const char *value,
	size_t value_len);
/*
 * Writes it at out (HOT_SIZE bytes); more: a body follows. key: for Sec-WebSocket-Key, when it is a connect. Its length, or
 * minus the status to answer with (400, 431, 501).
 */
int h2_head_write(struct h2_head *h, bool more, const char *key, char *out);
void h2_head_free(struct h2_head *h);

#endif
