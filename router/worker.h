/* What one router process has: loop, buffers, table and lists. Owned by router.c. */
#ifndef ROUTER_WORKER_H
#define ROUTER_WORKER_H

#include "lib/msg.h"
#include "lib/stamp.h"
#include "router/access.h"
#include "router/backend.h"
#include "router/certs.h"
#include "router/conn.h"
#include "router/h2_memory.h"

#define INSTANCE_BUCKETS 1024u
#define LISTENERS_MAX 16u
#define HELD_MAX 4096u /* requests held in one worker; 503 above */
#define ACKS_MAX 32u
#define STOP_MS 10000u
#define LEAVE_MS 10000u
#define LEAVE_WAIT_MS 3000u
#define NO_TABLE_MS 3000u /* control is back sooner */

struct listener {
	struct ev ev;
	uint16_t port;
	bool tls;
};

/*
 * Objects of one size, kept for reuse. Those freed while events are handled wait until
 * their end.
 */
struct slab {
	void *free, *dead;
	size_t size;
};

/* What control could not be told yet. */
struct ack {
	uint32_t type, seq;
	uint64_t version;
	int status;
};

struct worker {
	int epfd;
	uint64_t now_us, now_ms, real_ms, date_s;
	char date[STAMP_HTTP_SIZE]; /* of date_s, for answers that have none */
	struct wheel wheel;
	char *hot;  /* WIDE_SIZE, as a rule HOT_SIZE of it: everything is received here */
	char *cold; /* HOT_SIZE: response heads are composed here */
	struct http_head head; /* of the message in hot */
	struct table *table;   /* NULL until control sent one */
	struct certs *certs;   /* the same */
	uint64_t table_version, certs_version;
	struct instance *buckets[INSTANCE_BUCKETS], *instances;
	uint32_t generation, seq, turn, n_held, n_exchanges, n_instances;
	struct exchange *held, **held_tail;
	struct downstream *clients, *again;
	uint32_t n_clients, most_clients; /* most: since memory was given back */
	struct h2 *h2_dirty;	    /* have frames to send at the end of this turn */
	size_t cold_len;	    /* frames collected in cold */
	struct http_head sent_head; /* of a response that a stream sends */
	struct nghttp2_session_callbacks *h2_callbacks, *h2c_callbacks;
	struct nghttp2_option *h2_option, *h2c_option;
	struct h2_rooms h2_rooms;
	struct slab stream_slab, client_slab, exchange_slab, upstream_slab;
	struct access_log log;
	struct listener listeners[LISTENERS_MAX];
	unsigned int n_listeners;
	struct ev berthd, control, signals;
	struct wheel_timer link_timer, leave_timer, stays_timer;
	struct ack acks[ACKS_MAX];
	unsigned int n_acks;
	uint64_t *drained; /* ids that control has not been told yet */
	size_t n_drained, cap_drained;
	struct sleeper *sleepers[INSTANCE_BUCKETS]; /* by app id */
	struct policy *policies[INSTANCE_BUCKETS];  /* the same */
	struct tls *tls;			    /* NULL: no listener speaks it */
	uint32_t handshakes;		/* that went on in this turn of the loop */
	uint16_t tls_port;		/* where http is redirected to; 0: nowhere */
	struct compressor *compressors; /* kept for the next, n_kept of them */
	uint32_t n_compressors, n_kept; /* at work */
	char *squeezed;			/* what compressors made; NULL: none yet */
	struct metrics *metrics;	/* NULL: nothing is counted */
	struct meter *meters[INSTANCE_BUCKETS]; /* by app id */
	uint32_t *free_slots, n_free_slots;
	int metrics_fd;
	uint64_t passwords_ms; /* until when the time for checking them is spent */
	bool asks_unsent, tells_unsent, stopping;
	bool leaving, left; /* a successor comes; it has the pairs */
	bool patient; /* leaving, and its last requests may take as long as they like */
	int spare_fd; /* given up when descriptors run out */
	int fd_high;  /* newcomers get numbers below it, or are turned away */
	uint64_t reclaim_ms; /* not before that */
	uint64_t stop_ms, epoch;
	uint64_t random[2];
	struct msg msg;
};

void *slab_get(struct slab *s);
void slab_put(struct slab *s, void *p);
/* After a round of events: what died in it may be used again. */
void slab_reap(struct slab *s);
void slab_free(struct slab *s);

/* Watches ev->fd, edge-triggered, both ways. 0 or -errno. */
int worker_watch(struct worker *w, struct ev *ev);
/*
 * Must come before the close of a descriptor that another process gave us: as long as it
 * holds a copy, epoll would go on reporting the socket, to memory that is freed.
 */
void worker_unwatch(struct worker *w, struct ev *ev);
/* Stops accepting; the loop ends when the requests in flight have, or after STOP_MS. */
void worker_stop(struct worker *w);
/*
 * For a successor that accepts from now on: requests in flight end here, whatever time they take, and each open connection
 * may bring one more, within LEAVE_MS. The pairs are given up as soon as no request waits for a message, or after
 * LEAVE_WAIT_MS; then control is told, as long as that is so, which instances have requests here (MSG_STAYS). Called again
 * after that, it tells berthd again.
 */
void worker_leave(struct worker *w);
uint64_t worker_random(struct worker *w);

/* link.c: the pairs to berthd and control */
int link_start(struct worker *w);
/* Reads from the pairs no more, and says so to berthd. */
void link_leave(struct worker *w);
/* MSG_ROUTER_LEAVES. */
void link_say_left(struct worker *w);
int link_ask_sockets(struct worker *w, uint64_t id, uint32_t n, int family, uint32_t seq);
/* Too many connections wait to be accepted: the question is put again in a moment. */
void link_ask_later(struct worker *w, struct stock *s);
void link_drained(struct worker *w, uint64_t id);
/* MSG_ROUTER_WAKE to berthd; MSG_IDLE, MSG_BUSY, MSG_WAKE to control. 0, or -errno and the link's timer is set. */
int link_ask_wake(struct worker *w, uint64_t id, uint32_t seq);
int link_tell(struct worker *w, uint32_t type, uint32_t app);

#endif
