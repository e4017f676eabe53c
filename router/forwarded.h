/* Who a request came from, when the peer is a proxy that may say so. */
#ifndef ROUTER_FORWARDED_H
#define ROUTER_FORWARDED_H

#include "router/conn.h"

/* Is the client's address one of the table's nets? */
bool forwarded_trusted(const struct downstream *c);
/*
 * Composes at out the lines X-Forwarded-For, -Proto and -Port of a request (h, at p) that a trusted peer sent, each with its
 * CRLF: what it said, with the peer's own address behind. At most the head's length and FORWARDED_ROOM. Their length;
 * *ret_at and *ret_len: the client's address in them, the last one that is no trusted proxy's. x->https is what was said.
 */
size_t forwarded_compose(struct exchange *x, const struct http_head *h, const char *p,
	char *out, uint32_t *ret_at, uint32_t *ret_len);
#define FORWARDED_ROOM 256u

#endif
