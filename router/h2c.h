/*
 * HTTP/2 with prior knowledge to apps that ask for it (RFC 9113 3.3): h2.h the other way round.
 *
 * A connection to such an app has a session of nghttp2, and one stream at a time; it is pooled as one of HTTP/1.1 is. What
 * an exchange gives it is HTTP/1.1, head and body as framed, and so is what it gets back: whole heads, the body in chunks
 * where it has no length, trailers behind the last chunk. That goes through the same strict parsers as any app's, so
 * exchanges know nothing of HTTP/2.
 *
 * nghttp2's callbacks only store. Bytes of a body wait here, at most H2C_WINDOW of a response (the app may send more when
 * the client has taken them) and one piece of a request.
 */
#ifndef ROUTER_H2C_H
#define ROUTER_H2C_H

#include "router/conn.h"

/* Of the stream and of the connection: what a response may have under way. */
#define H2C_WINDOW (256u << 10)
/* Heads that wait for the client: a final one and a few interim ones. More is a flood. */
#define H2C_HEADS_MAX (2 * HTTP_HEAD_MAX)

/* u, not yet connected, gets a session. 0 or -ENOMEM. */
int h2c_open(struct upstream *u);
/* Before its socket is closed; the app is told, when it still listens. */
void h2c_free(struct upstream *u);
/* The socket has something, or an end. */
void h2c_readable(struct upstream *u);
/* Takes in what came, some at a time, and sends what is to be sent. u->readable then says whether h2c_receive has something. */
void h2c_turn(struct upstream *u);
/* Between requests: nothing has come that makes it unfit for another. Looks again. */
bool h2c_fit(struct upstream *u);
/* All of x->head, for x->up. What is wrong shows in h2c_receive. */
void h2c_request(struct exchange *x);
/* n more bytes of its body. 0, or -errno of the socket. */
int h2c_body(struct exchange *x, const char *p, size_t n);
/* Sends what can be sent. 0, or -errno of the socket. */
int h2c_write(struct upstream *u);
/* The socket took the first bytes: it is connected. */
bool h2c_greeted(const struct upstream *u);
/* Something of the request waits for the app or the socket. */
bool h2c_full(const struct upstream *u);
/*
 * Bytes of the response, at most size (at least HOT_SIZE / 2). 0: the connection ended before it was whole; -EAGAIN; -EPROTO: the
 * app broke the protocol; -ESTALE: it says that it has not looked at the request; -ECONNABORTED: it gave the request up;
 * -errno of the socket.
 */
ssize_t h2c_receive(struct upstream *u, char *p, size_t size);
/* The exchange leaves: what it left unfinished is cancelled. True: fit for another. */
bool h2c_leave(struct upstream *u);
struct worker;
void h2c_teardown(struct worker *w);

#endif
