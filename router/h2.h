/*
 * HTTP/2 to clients (RFC 9113), by nghttp2; to apps all is HTTP/1.1.
 *
 * A connection is a downstream in the state CLIENT_H2. Each of its streams is a downstream too (VIA_STREAM), without a
 * socket: its request head is written down as HTTP/1.1 and goes through the same strict parser; its request body is
 * received with chunked framing where it has no length; what is sent to it is HTTP/1.1 as well: whole heads, then the body
 * without framing. So exchanges know nothing of HTTP/2.
 *
 * nghttp2's callbacks only store and mark: whatever may use the worker's buffers or end something runs after the events
 * (downstream_again), and frames go out once a turn (h2_flush_all).
 */
#ifndef ROUTER_H2_H
#define ROUTER_H2_H

#include "router/conn.h"

/* At once. nghttp2 also remembers as many closed ones (230 bytes each), to tell a late frame from a wrong one. */
#define H2_STREAMS_MAX 100u
/* Request bodies that wait for their apps: of a stream, and of all streams of a connection. */
#define H2_STREAM_WINDOW (128u << 10)
#define H2_WINDOW (512u << 10)
/* Payload of a frame: with its head it fills one record of TLS. */
#define H2_DATA_MAX 16375u
/* Received at once for a stream: whole frames. */
#define H2_RECEIVE (4 * H2_DATA_MAX)
#define H2_REST_MS                                                                       \
	2000u /* a connection without a stream for so long gives memory back until it is used again */
#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define H2_PREFACE_LEN 24u

struct h2;

/* c speaks HTTP/2 from now on; the n bytes at p are its first. 0 or -ENOMEM. */
int h2_start(struct downstream *c, const char *p, size_t n);
/* Its streams end soon after: they learn of it in this turn. */
void h2_free(struct downstream *c);
void h2_read(struct downstream *c);
/* The socket has taken everything. */
void h2_writable(struct downstream *c);
void h2_timeout(struct downstream *c);
/* No more requests than those that have come; last: and now, not when the client has read so. */
void h2_goaway(struct downstream *c, bool last);
/* Something is still to be sent, or a stream open. */
bool h2_busy(const struct downstream *c);
/* At the end of a turn of the loop. */
void h2_flush_all(struct worker *w);
void h2_teardown(struct worker *w);

/* Streams, as downstream.c sees them. */
ssize_t h2_stream_receive(struct downstream *c, char *p, size_t size);
int h2_stream_send(struct downstream *c, const char *p, size_t n);
void h2_stream_trailers(struct downstream *c, const struct buf *lines);
/* Nothing more is sent; what comes is still taken. */
void h2_stream_shut(struct downstream *c);
/* The response is complete. */
void h2_stream_end(struct downstream *c);
/* It is not, and never will be. */
void h2_stream_close(struct downstream *c);
/* Its turn after the events. True: done with it; false: it goes on like any downstream. */
bool h2_stream_run(struct downstream *c);

#endif
