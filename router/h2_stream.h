/* Between h2.c and h2_stream.c: what a connection and a stream are. */
#ifndef ROUTER_H2_STREAM_H
#define ROUTER_H2_STREAM_H

#include "router/h2.h"
#include "router/h2_head.h"
#include "router/h2_memory.h"
#include "router/h2_session.h"
#include <nghttp2/nghttp2.h>

struct h2 {
	struct downstream *c;
	nghttp2_session *nghttp2; /* for session_of only */
	struct h2_memory memory;
	struct h2_stream *streams;
	struct h2_noise noise;
	uint32_t n_streams;
	bool dirty, last; /* last: the client was told that no more is taken */
	bool idled;	  /* for H2_REST_MS without a stream */
	struct h2 *dirty_next;
};

struct h2_stream {
	struct downstream c; /* via VIA_STREAM */
	struct h2 *h2;	     /* NULL: nghttp2 has closed it, or the connection is gone */
	struct h2_stream *next, **prev;
	struct h2_head head;		      /* until the request has started */
	struct buf input;		      /* received, not yet taken */
	struct buf trailers_in, trailers_out; /* lines of HTTP/1.1 */
	int32_t id;
	const char *direct; /* of the response, in the hot buffer */
	size_t direct_len;  /* only while it is sent; out is empty then */
	bool head_whole, has_body, started;
	bool is_head, chunked, connect;
	bool input_end, input_told; /* END_STREAM came; and was passed on */
	bool head_sent, data_on;    /* final response head; a body is under way */
	bool done, end_sent;	    /* the response is complete; and said to be */
	bool over;		    /* what still comes is not wanted */
};

/* Its session, whose memory may be packed: nothing else may be given to nghttp2. */
static inline nghttp2_session *session_of(struct h2 *h)
{
	if (h->memory.packed)
		h2_memory_wake(&h->memory);
	return h->nghttp2;
}

/* No stream is open: it may rest soon, and ends after CLIENT_IDLE_MS. */
void h2_idles(struct h2 *h);
/* Feeds what came. 0, or -EPROTO: the connection cannot go on. */
int h2_input(struct h2 *h, const char *p, size_t n);
/* Has its frames sent at the end of this turn. */
void h2_want_write(struct h2 *h);

/* Sends them now. 0, or -errno when the client is gone: its end comes with this turn's. */
int h2_write_now(struct h2 *h);

/* NULL: no memory. */
struct h2_stream *stream_new(struct h2 *h, int32_t id);
/* Its head is whole, or trailers are. */
void stream_head(struct h2_stream *s, bool end);
/* A field of its trailers. */
void stream_trailer(struct h2_stream *s, const char *name, size_t name_len,
	const char *value, size_t len);
/* n bytes of its body; end: the last. False: nobody wants them. */
bool stream_input(struct h2_stream *s, const char *p, size_t n, bool end);
/* nghttp2 knows it no more. */
void stream_closed(struct h2_stream *s);
/* The end of its response is out. */
void stream_sent(struct h2_stream *s);
/* Moves n bytes of its response to p: as many as the data provider said. */
void stream_take(struct h2_stream *s, char *p, size_t n);

#endif
