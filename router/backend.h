/* Instances as the router knows them: requests in flight, ready sockets, idle connecti */
#ifndef ROUTER_BACKEND_H
#define ROUTER_BACKEND_H

#include "router/conn.h"
#include "router/table.h"

#define STOCK_MAX 32u
/*
 * Asked for at once: few at first, twice as many each time, up to STOCK_BATCH. A socket costs the kernel 3.6 kB, and
 * most instances are idle.
 */
#define STOCK_FIRST 2u
#define STOCK_BATCH 16u
#define POOL_MAX 256u /* idle connections of one instance in one worker */
/* up to so many, sockets are fetched before the first request and kept at rest */
#define PREFETCH_INSTANCES 256u
#define RECLAIM_MS 100u
#define RECLAIM_ENOUGH 64u
#define RECLAIM_PART 128u /* of all instances */
/*
 * An instance that took no connection, or failed SLOW_MAX requests in a row, is second choice for that long, twice as long
 * each further time, until it answers.
 */
#define SOUR_MS 1000u
#define SOUR_MAX_MS 32000u
#define SLOW_MAX 3u

struct msg;
struct sleeper;

/* Sockets of one family, and who waits for them; unconnected, but those of an instance without a port. */
struct stock {
	int fds[STOCK_MAX];
	uint32_t n, seq; /* seq: of the request to berthd */
	uint32_t batch;	 /* of the last one, refilled below half of it; 0: none yet */
	bool asking, unsent;
	struct exchange *waiters, **tail;
};

struct instance {
	uint64_t id;
	struct instance *hash_next;
	struct instance *next, **prev; /* all of the worker's */
	uint32_t port;		       /* 0: its unix socket, connected by berthd */
	uint32_t inflight, n_idle, generation;
	bool listed; /* in the current table */
	bool fresh;  /* not in the one before */
	bool gone;   /* berthd does not know it any more */
	bool frozen; /* nothing is sent there before berthd said that it goes on */
	bool wake_unsent;
	uint32_t wake_seq;	 /* of the open question to berthd; 0: none */
	struct sleeper *sleeper; /* of its app, while it is listed; may be NULL */
	uint8_t family;		 /* 0 unknown, 1 answers on 127.0.0.1, 2 on ::1 */
	uint8_t name_len;
	char name[PROTO_NAME_MAX];
	uint32_t slot;	       /* in the metrics + 1; 0: no request yet */
	uint32_t failures;     /* in a row */
	uint64_t sour_ms;      /* second choice until then */
	struct upstream *idle; /* last used first */
	struct stock stock[2]; /* AF_INET, AF_INET6; without a port the first */
};

/*
 * backend.c. Makes t the current table (and frees the one before): finds or makes its
 * instances. 0, or -ENOMEM with nothing changed. backend_sweep, called next, lets go of
 * those that the current table does not have: sends their waiting requests elsewhere,
 * reports the drained ones.
 */
int backend_apply(struct worker *w, struct table *t);
void backend_sweep(struct worker *w);
struct instance *backend_find(struct worker *w, uint64_t id);
/*
 * The instance of app with the least requests in flight that x has not tried, of its
 * client's group where that has one; NULL when none.
 */
struct instance *backend_pick(
	struct worker *w, const struct table_app *app, const struct exchange *x);
/* It took no connection (refused), or gave no answer to a request. */
void backend_failed(struct instance *i, uint64_t now_ms, bool refused);
void backend_enter(struct instance *i, struct exchange *x);
/* Takes x out; tells control when a removed instance has no request left. */
void backend_leave(struct exchange *x);
void backend_free_all(struct worker *w);

/*
 * stock.c. A ready socket of family (0: IPv4, 1: IPv6), or -1 after which x waits in
 * line.
 */
int backend_socket(struct exchange *x, uint8_t family);
void backend_unwait(struct exchange *x);
/* A request waits for a socket, or an instance for berthd's answer. */
bool backend_any_waits(const struct worker *w);
/* Before nothing can be asked any more: more sockets for the instances that have been used. */
void backend_stock_up(struct worker *w);
/* Sends those that wait for a socket of i elsewhere. */
void backend_retry_waiters(struct instance *i, enum hcode code);
/* So few instances that each may keep ready sockets. */
bool backend_few(const struct worker *w, uint32_t n);
void backend_prefetch(struct worker *w, struct instance *i);
void backend_drop_stock(struct instance *i);
/* Nobody has asked for a while: as many sockets as at first stay, or none. */
void backend_rest(struct worker *w, struct instance *i);
/*
 * Descriptors run out: closes ready sockets that nobody waits for, and if those are few,
 * connections that idle. False when there was nothing to close, or that was done a moment ago.
 */
bool backend_reclaim(struct worker *w);
/*
 * berthd's answer, for the API control's. Descriptors of m that are used are set to -1; without any (m->cut) there
 * was no room for them.
 */
void backend_sockets(struct worker *w, struct msg *m);
/*
 * Asks berthd again for whatever is open (it restarted), or only for what could not be
 * sent.
 */
void backend_ask_again(struct worker *w, bool all);
/* Control restarted: what is open for the API is asked again. */
void backend_ask_control(struct worker *w);

/* sleeper.c: apps that sleep when nobody asks for them, and those that do. */
/*
 * Finds or makes the sleepers of t, which becomes the current table: 0, or -ENOMEM.
 * sleepers_list, called when it has: what the rows say holds from now on. sleepers_sweep
 * lets go of those that the current table does not have.
 */
int sleepers_enlist(struct worker *w, struct table *t);
void sleepers_list(struct worker *w);
void sleepers_sweep(struct worker *w);
/* Somebody uses its app now. */
void sleeper_used(struct worker *w, struct sleeper *s);
/* A request waits for this app of the current table: control is told, berthd is asked. */
void sleeper_wake(struct worker *w, const struct table_app *app);
/* berthd's answer. */
void sleeper_woken(struct worker *w, const struct msg *m);
/* Says and asks what could not be sent; all: berthd restarted, what is open is asked again. */
void sleepers_retry(struct worker *w, bool all);
/* A control that knows nothing yet. */
void sleepers_new_control(struct worker *w);

#endif
