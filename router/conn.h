/*
 * Connections and the request between them.
 *
 * A client connection has at most one exchange (a request and its response) at a time;
 * pipelined requests wait as bytes. An exchange has at most one upstream connection.
 * Nothing is buffered for an idle connection: everything is received into the worker's
 * one hot buffer and sent on at once; only what cannot be finished or sent is copied into
 * memory of its own.
 *
 * All sockets are edge-triggered: `readable` stays true until a receive came back short,
 * so data that waits (backpressure, a request still running) is not forgotten.
 */
#ifndef ROUTER_CONN_H
#define ROUTER_CONN_H

#include "lib/proto.h"
#include "router/http.h"
#include "router/wheel.h"

#define HOT_SIZE 65536u
#define WIDE_SIZE (512u << 10) /* of a long body, in one piece */
#define HEAD_INLINE 2560u /* most rewritten heads, and small bodies behind them, fit */
#define REQUEST_BODY_MAX                                                                 \
	(1ull << 30) /* 413 above, where the app has no limit of its own */
#define TRIED_MAX 4u /* instances that refused one request */
#define CONNECT_MS 5000u
#define HEAD_MS 10000u
#define CLIENT_IDLE_MS 75000u
#define POOL_IDLE_MS 4000u /* under Node's keepAliveTimeout of 5 s */
#define LINGER_MS 2000u
#define DEFAULT_TIMEOUT_MS 30000u
#define DEFAULT_IDLE_MS 55000u
/* receives in a row for one stream before others get their turn */
#define PUMP_TURNS 4u
/*
 * TCP_NOTSENT_LOWAT: what the kernel may hold that a client is not ready for. Without it a
 * thousand slow readers use up what all connections of the host may have (tcp_mem).
 */
#define UNSENT_MAX (512 << 10)

struct worker;
struct policy;
struct table_app;
struct downstream;
struct ssl_st;
struct h2;
struct upstream;
struct h2c;
struct instance;

/* First member of whatever epoll watches. */
struct ev {
	void (*fn)(struct worker *w, struct ev *ev, uint32_t events);
	int fd;
};

/* Bytes that a socket did not take yet. */
struct pending {
	char *data;
	uint32_t off, len;
};

enum downstream_state {
	CLIENT_IDLE,   /* no request, or part of a head */
	CLIENT_SHAKE,  /* TLS handshake */
	CLIENT_H2,     /* HTTP/2: its streams are downstreams of their own */
	CLIENT_BUSY,   /* x is set */
	CLIENT_LINGER, /* last answer sent; reads until the client closes, so that no
			  reset eats it */
	CLIENT_CLOSED,
};

/* How bytes get to and from a client. */
enum downstream_via { VIA_SOCKET, VIA_TLS, VIA_STREAM /* of HTTP/2 */ };

struct downstream {
	struct ev ev;
	struct worker *w;
	struct downstream *next, **prev; /* all of the worker's */
	struct downstream *again_next;
	struct wheel_timer timer; /* whatever its state waits for */
	struct exchange *x;
	struct pending in; /* received, not yet parsed */
	struct pending out;
	struct ssl_st *ssl;  /* VIA_TLS, since its first byte */
	struct h2 *h2;	     /* CLIENT_H2 */
	uint8_t state;	     /* enum downstream_state */
	uint8_t via;	     /* enum downstream_via */
	uint8_t tls;	     /* 12 or 13 after the handshake; 0: plain */
	bool drained, ended; /* VIA_TLS: the socket had no more; nor will it */
	bool readable, again, eof;
	bool rest; /* in holds bytes that came with the request before: parse them first
		    */
	uint16_t port; /* that it came to */
	uint8_t ip_len;
	char ip[46];
	uint32_t acked; /* CLIENT_LINGER: bytes, when looked last */
};

struct upstream {
	struct ev ev;
	struct worker *w;
	struct instance *inst;
	struct upstream *next, **prev; /* in the idle pool */
	struct wheel_timer timer;
	struct exchange *x; /* NULL: idle */
	struct pending in;  /* part of a response head */
	uint8_t family;	    /* 0: 127.0.0.1, 1: ::1 */
	bool readable, eof, connecting, reused;
	struct h2c *h2; /* it speaks HTTP/2; NULL: HTTP/1.1 */
};

enum exchange_state {
	X_HELD,	  /* until a table brings an instance */
	X_SOCKET, /* until berthd sends a socket */
	X_SEND,	  /* connecting, or sending, or waiting for the response head */
	X_BODY,	  /* response head passed on */
	X_TUNNEL, /* bytes both ways after 101 */
	X_FLUSH,  /* response complete, client has not taken all */
};

enum hcode {
	H_NONE,
	H10,
	H11,
	H12,
	H13,
	H15,
	H17,
	H18,
	H19,
	H20,
	H21,
	H27,
	H28,
	H80,
	H99,
	H_COUNT
};

enum group { GROUP_NONE /* no canary */, GROUP_LIVE, GROUP_CANARY };
enum gzip { GZIP_OFF, GZIP_REFUSED, GZIP_TAKEN }; /* by the client */

struct exchange {
	struct downstream *client;
	struct upstream *up;
	struct instance *inst;	       /* counted in its inflight */
	struct exchange *next, **prev; /* held, or waiting for a socket */
	uint8_t state;		       /* enum exchange_state */
	uint8_t family;		       /* which loopback address to try */
	uint8_t code;		       /* enum hcode: error so far */
	uint8_t n_tried;
	uint8_t group;	/* enum group: where its client belongs */
	uint8_t resets; /* stale pooled connections met */
	bool is_head, idempotent, keep_alive, minor0, upgrade, decode;
	bool replay;  /* everything sent so far is still in head */
	bool stays;   /* the client did not ask for the end of its connection */
	bool ours;    /* Max-Forwards: 0, no app may get it */
	bool up_dead; /* upstream takes no more; its answer may still come */
	bool fresh;   /* no pooled connection */
	bool reuse;   /* the instance keeps its connection open */
	bool https;   /* to the client, or so says a trusted proxy */
	bool rated;   /* counted by its client's rate */
	bool vary;    /* other clients get it compressed, or not */
	bool h2c;     /* its app is spoken to in HTTP/2 */
	bool te;      /* the client takes trailers */
	uint8_t gzip; /* enum gzip */
	bool half_up, half_down; /* tunnel: the end of that direction was passed on */
	uint16_t status;
	uint32_t generation; /* of the table it was last dispatched by */
	uint32_t slot;	     /* of its last instance in the metrics + 1; 0: none */
	uint32_t admitted;   /* of the one whose options it has passed */
	uint32_t app, timeout_ms, idle_ms;
	struct compressor *compressor; /* of the response; NULL: it goes on as it is */
	uint64_t sticky_key,
		sticky; /* of the app, 0: none; what its client's cookie says */
	uint64_t canary_key, canary_said; /* the same for its client's group */
	struct policy *policy; /* counted in it; NULL: no options, or answered */
	uint64_t start_us, start_ms, hold_until_ms, connect_ms, sent_bytes, body_max;
	uint64_t tried[TRIED_MAX];
	uint64_t last_inst; /* id of the slot's */
	uint8_t name_len;
	char name[PROTO_NAME_MAX]; /* of the instance, which may be gone when the line is
				      written */
	struct body req, resp;
	struct buf trailers; /* of the response, when they are passed on apart from it */
	struct pending more; /* request body after head, not yet sent */
	char *head; /* rewritten request head, and the body bytes that came with it */
	uint32_t head_len, head_off, head_only; /* head_only: without those body bytes */
	uint32_t method_len, path, path_len, host, host_len, id, id_len, fwd,
		fwd_len; /* in head, for the log; fwd_len 0: the client's own address */
	char space[HEAD_INLINE];
};

/* downstream.c */
void downstream_accept(struct worker *w, struct ev *ev, uint32_t events);
/* A zeroed c becomes one that waits for a request. */
void downstream_init(struct downstream *c, struct worker *w);
/* Handles a request head of n bytes in the hot buffer (VIA_STREAM), or minus the status that it is refused with. */
void downstream_head(struct downstream *c, const char *p, int n);
/*
 * Bytes, 0 end of stream, -EAGAIN, -errno. `readable` stays true while there may be more.
 */
ssize_t downstream_receive(struct downstream *c, char *p, size_t size);
/*
 * Sends now or keeps the rest. 0, or -errno when the client is gone (nothing is closed
 * yet). Heads are given whole, at the start of p: HTTP/2 reads them.
 */
int downstream_send(struct downstream *c, const char *p, size_t n);
/* As much as the kernel takes for a client in one send, HOT_SIZE to WIDE_SIZE: what it does not take is kept here. Plain
 * sockets only. */
size_t downstream_room(const struct downstream *c);
/* The same with bytes as the socket gets them. */
int downstream_send_raw(struct downstream *c, const char *p, size_t n);
/* Trailer lines that end a response without framing (VIA_STREAM); before downstream_next. */
void downstream_trailers(struct downstream *c, const struct buf *lines);
/* Nothing is sent after this. Not while something waits in out. */
void downstream_shut(struct downstream *c);
/* After an exchange: next request, or the end of the connection. */
void downstream_next(struct downstream *c, bool keep_alive);
void downstream_close(struct downstream *c);
/* Runs c once more in this turn of the loop, after the events. */
void downstream_again(struct downstream *c);
void downstream_run_again(struct worker *w);
void downstream_deadline(struct downstream *c, uint64_t ms_from_now);
/* Closes idle clients; others end after their request. */
void downstream_stop_all(struct worker *w);
/* The same for a successor: who speaks HTTP/2 is told. */
void downstream_leave_all(struct worker *w);
/* A client has not got all of its last answer. */
bool downstream_any_busy(const struct worker *w);

/* exchange.c */
struct exchange *exchange_new(struct downstream *c);
/* The app of its host name in the current table; NULL: none. */
const struct table_app *exchange_app(const struct exchange *x);
/* Finds an instance and a connection, or holds, or answers with an error. */
void exchange_dispatch(struct exchange *x);
/* An instance could not be used: tries another, then holds, then fails with code. */
void exchange_retry(struct exchange *x, enum hcode code);
/*
 * Ends with an error page when no byte of the response went out, else cuts the
 * connection.
 */
void exchange_fail(struct exchange *x, enum hcode code);
/* As exchange_fail with a status of our own, and the connection closes. */
void exchange_refuse(struct exchange *x, unsigned int status, enum hcode code);
/* GET or HEAD. */
bool exchange_gets(const struct exchange *x);
/*
 * An answer of our own: status "301 Moved Permanently", fields lines that end in CRLF (len bytes), body of n; all together
 * below HOT_SIZE - 1024.
 */
void exchange_say(struct exchange *x, const char *status, const char *fields, size_t len,
	const char *body, size_t n);
/* The same with the page of that status, which nobody keeps; fields: more lines of its head. */
void exchange_answer(struct exchange *x, unsigned int status, const char *fields);
/* The client is gone or broke the framing: no answer. */
void exchange_abort(struct exchange *x, enum hcode code);
/* The response is complete and the upstream connection released. */
void exchange_done(struct exchange *x);
void exchange_timeout(struct exchange *x);
/*
 * Gives up its instance (in-flight count) and upstream; reuse: the connection may be
 * pooled.
 */
void exchange_release(struct exchange *x, bool reuse);
/* Carries on where it stopped, after a pause for fairness or backpressure. */
void exchange_continue(struct exchange *x);

/* front.c */
/*
 * True when x was answered before any app is asked: an ACME challenge, or a redirect to https. row: of its host.
 */
bool front_answers(struct exchange *x, const struct table_host *row);

/* upstream.c */
/* Connects x to its instance by a pooled or new connection, or queues it for a socket. */
void upstream_get(struct exchange *x);
/* Uses the unconnected socket fd (taken) for x. */
void upstream_connect(struct exchange *x, int fd, uint8_t family);
/* Sends what is left of the head; then pumps the body. */
void upstream_flush(struct exchange *x);
/* Reads the response: head or body. */
void upstream_read(struct exchange *x);
/* A send failed: no more is sent, but an answer that came before is still read. */
void upstream_write_failed(struct exchange *x);
void upstream_close(struct upstream *u);
/* Back to the pool of its instance, or closed. */
void upstream_put(struct upstream *u, bool reuse);
/* The connection failed under x (err: errno, 0 for end of stream). */
void upstream_lost(struct exchange *x, int err);

/* response.c: a response head is at p (n bytes in all). */
void response_start(struct exchange *x, char *p, size_t n);

/* pump.c */
/* Part of the request waits for the app. */
bool upstream_full(const struct exchange *x);
void pump_up(struct exchange *x);
void pump_down(struct exchange *x);
/* Body bytes that came together with the response head. */
void pump_first(struct exchange *x, char *head, size_t head_len, char *p, size_t n);
void pump_tunnel(struct exchange *x);

/* rewrite.c */
/*
 * Composes x->head from the parsed request at p and the first `body` bytes after it. 0
 * or -ENOMEM.
 */
int rewrite_request(
	struct exchange *x, const struct http_head *h, const char *p, size_t body);
/*
 * Composes a response head at out (RESPONSE_ROOM bytes more than the head's length).
 * Its length.
 */
size_t rewrite_response(
	const struct exchange *x, const struct http_head *h, const char *p, char *out);

/* hold.c */
/* Queues x until a later table; answers 503 when its time or the queue is over. */
void hold_add(struct exchange *x, uint32_t hold_ms);
void hold_del(struct exchange *x);
/* Dispatches again what is held for an app (0: for all). */
void hold_release(struct worker *w, uint32_t app);

/* respond.c */
/* The status a code is answered with, and its words for the log. */
unsigned int respond_status(enum hcode code);
const char *respond_desc(enum hcode code);
const char *respond_name(enum hcode code);
/* HTML of an app's owner. */
struct page {
	const char *html;   /* the current table's */
	size_t len;	    /* 0: the router's own words */
	const char *fields; /* more lines of the head, each with its CRLF; NULL: none */
};
/* Sends an error page; returns the bytes of its body. */
size_t respond_page(struct downstream *c, unsigned int status, struct page own, bool head,
	bool keep_alive);

/* pending: fills only an empty one. 0 or -ENOMEM. */
int pending_set(struct pending *p, const char *data, size_t n);
/* Behind what is there. */
int pending_append(struct pending *p, const char *data, size_t n);
void pending_free(struct pending *p);
static inline bool pending_any(const struct pending *p)
{
	return p->len > p->off;
}
/* Sends now, and keeps what the socket does not take in an empty one. 0 or -errno. */
int pending_send(struct pending *p, int fd, const char *data, size_t n);
/* 0 when all is sent, -EAGAIN, or -errno. */
int pending_flush(struct pending *p, int fd);

#endif
