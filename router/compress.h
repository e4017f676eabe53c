/*
 * gzip for responses (RFC 1952), where an app's owner wants it, its client takes it and the app has not done it.
 *
 * A response is compressed as it comes: what one receive brought is sent on at once, so event streams stay streams. It costs
 * COMPRESS_BYTES while it lasts; where COMPRESS_MAX of them run in a worker, more go on as they are.
 */
#ifndef ROUTER_COMPRESS_H
#define ROUTER_COMPRESS_H

#include "router/conn.h"

#define COMPRESS_MAX 256u
#define COMPRESS_KEPT 8u /* of those that have ended, for the next */
#define COMPRESS_BYTES 80000u
#define COMPRESS_MIN                                                                     \
	860u /* bytes of a body of known length: below, head and trailer of gzip eat the gain */

struct compressor;

/* Does a value of Accept-Encoding take gzip (RFC 9110 12.5.3)? */
bool compress_accepted(const char *p, size_t n);
/* Is it a type that shrinks, by the list in compress.c? */
bool compress_type(const char *p, size_t n);
/*
 * Looks at a response head of x (x->gzip is set): sets x->vary where other clients get another answer, and x->compressor where
 * this one is compressed from now on.
 */
void compress_begin(struct exchange *x, const struct http_head *h, const char *p);
/*
 * Sends n bytes of the payload compressed, behind `head` (NULL: was sent). flush: nothing may wait for more. 0, or -errno as
 * downstream_send, -EIO.
 */
int compress_send(struct exchange *x, const char *head, size_t head_len, const char *p,
	size_t n, bool last, bool flush);
/* What is compressed goes to its client in chunks. */
static inline bool compress_chunks(const struct exchange *x)
{
	return x->client->via != VIA_STREAM;
}
/* NULL-safe, as all of a worker's at its end. */
void compress_end(struct exchange *x);
void compress_free_all(struct worker *w);

#endif
