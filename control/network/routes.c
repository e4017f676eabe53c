/* The routing table and the router workers. */
#include "control/network/routes.h"
#include "control/api/api.h"
#include "control/network/metrics.h"
#include "control/network/network.h"
#include "control/network/table.h"
#include "control/run/sleep.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/msg.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DRAINED_MAX 1024 /* more than drain at one time */
#define STAYS_NS                                                                         \
	(3 * PROTO_STAYS_MS * 1000000ull) /* a word is lost where a pair is full */

/* What every worker has, in its newest version. */
enum parcel_kind { PARCEL_TABLE, PARCEL_CERTS, PARCELS };
struct parcel {
	uint64_t version;
	int fd; /* sealed memfd, -1 */
};

static const struct {
	uint16_t send, ack;
	const char *what;
} parcel_kinds[PARCELS] = {
	[PARCEL_TABLE] = {MSG_TABLE, MSG_TABLE_ACK, "table"},
	[PARCEL_CERTS] = {MSG_CERTS, MSG_CERTS_ACK, "certificates"},
};
_Static_assert(sizeof(struct msg_table) == sizeof(struct msg_certs), "one body for both");

struct worker {
	int fd;
	uint64_t acked[PARCELS];       /* newest version in use there */
	int status[PARCELS];	       /* of its last answer */
	bool up;		       /* said HELLO or answered since we started */
	const struct metrics *metrics; /* what it counts; NULL: it has not said */
};

struct drained {
	uint64_t id;
	uint64_t from;	  /* the table that removes it; 0: any */
	uint32_t workers; /* bit i: worker i has nothing in flight there */
	uint64_t
		stays_ns; /* until then one that made way counts as having requests there */
	struct drained *next;
};

struct routes {
	struct control *c;
	struct worker workers[PROTO_WORKERS_MAX];
	unsigned int n;
	struct parcel parcels[PARCELS];
	struct drained *drained;
	uint64_t heard_ns; /* from then on all that made way before us have been heard */
	pthread_mutex_t lock;	   /* everything above */
	pthread_mutex_t publish;   /* one table at a time */
	struct table_parts *parts; /* under publish */
	pthread_cond_t changed;
	struct msg in;
};

/* ---- sending ---- */

static void send_parcel(struct routes *r, enum parcel_kind kind, unsigned int worker)
{
	struct msg_table m = {r->parcels[kind].version};
	int sent = msg_send(r->workers[worker].fd, parcel_kinds[kind].send, 0, 0, &m,
		sizeof(m), &r->parcels[kind].fd, 1);

	if (sent < 0)
		log_warn("%s to router %u: %s", parcel_kinds[kind].what, worker,
			strerror(-sent));
}

static bool all_acked(const struct routes *r, enum parcel_kind kind)
{
	for (unsigned int i = 0; i < r->n; i++) {
		if (r->workers[i].up &&
			r->workers[i].acked[kind] < r->parcels[kind].version)
			return false;
	}
	return true;
}

/* Takes fd over. Returns when each worker has answered. */
static int send_all(struct routes *r, enum parcel_kind kind, int fd, struct err *e)
{
	struct timespec until = io_mono_in(ROUTES_ACK_MS);
	int status = 0;

	pthread_mutex_lock(&r->lock);
	if (r->parcels[kind].fd >= 0)
		close(r->parcels[kind].fd);
	r->parcels[kind].fd = fd;
	r->parcels[kind].version++;
	for (unsigned int i = 0; i < r->n; i++)
		send_parcel(r, kind, i);
	while (!all_acked(r, kind) && status == 0)
		status = -pthread_cond_timedwait(&r->changed, &r->lock, &until);
	for (unsigned int i = 0; status == 0 && i < r->n; i++)
		status = r->workers[i].up ? r->workers[i].status[kind] : 0;
	pthread_mutex_unlock(&r->lock);
	if (status < 0)
		return err_sys(e, -status, "the router did not take the new %s",
			parcel_kinds[kind].what);
	return 0;
}

static int publish(struct routes *r, struct err *e)
{
	int table = table_make(r->c, r->parts, r->n);

	if (table < 0)
		return err_sys(e, -table, "build the routing table");
	return send_all(r, PARCEL_TABLE, table, e);
}

int routes_send_certs(struct routes *r, int fd, struct err *e)
{
	return send_all(r, PARCEL_CERTS, fd, e);
}

int routes_refresh(struct control *c, struct err *e)
{
	network_refresh(c); /* the same instances, for other apps */
	pthread_mutex_lock(&c->routes->publish);
	int r = publish(c->routes, e);
	pthread_mutex_unlock(&c->routes->publish);
	return r;
}

/* ---- receiving ---- */

/* Nobody waits for one that crashed, so nobody forgets its row: the oldest go. */
static void bound_rows(struct routes *r)
{
	struct drained **at = &r->drained;

	for (unsigned int n = 0; *at && n < DRAINED_MAX; n++)
		at = &(*at)->next;
	if (*at) {
		free(*at); /* it is the last one: each new row comes here */
		*at = NULL;
	}
}

static struct drained *drained_row(struct routes *r, uint64_t id, bool make)
{
	struct drained *d = r->drained;

	while (d && d->id != id)
		d = d->next;
	if (!d && make && (d = calloc(1, sizeof(*d)))) {
		bound_rows(r);
		d->id = id;
		d->next = r->drained;
		r->drained = d;
	}
	return d;
}

/* A worker that starts anew has nothing in flight at any removed instance. */
static void worker_hello(struct routes *r, unsigned int i)
{
	r->workers[i].up = true;
	for (struct drained *d = r->drained; d; d = d->next)
		d->workers |= 1u << i;
	for (unsigned int kind = PARCELS; kind-- > 0;) /* certificates before redirects */
		if (r->parcels[kind].fd >= 0)
			send_parcel(r, kind, i);
}

static void note_drained(struct routes *r, unsigned int i, uint64_t id)
{
	struct drained *d = drained_row(r, id, true);

	/* one that came back and goes again: what was said before its new end is old */
	if (d && r->workers[i].acked[PARCEL_TABLE] >= d->from)
		d->workers |= 1u << i;
}

static void note_stays(struct routes *r, uint64_t id)
{
	struct drained *d = drained_row(r, id, true);

	if (d)
		d->stays_ns = io_mono_ns() + STAYS_NS;
}

static void note_ack(struct routes *r, unsigned int i, const struct msg *m)
{
	for (unsigned int kind = 0; kind < PARCELS; kind++) {
		if (m->head.type != parcel_kinds[kind].ack ||
			m->head.size != sizeof(struct msg_table))
			continue;
		r->workers[i].acked[kind] =
			((const struct msg_table *)(const void *)m->body)->version;
		r->workers[i].status[kind] = m->head.status;
		r->workers[i].up = true;
	}
}

/* Another process of that worker counts anew. */
static void note_metrics(struct worker *w, const struct msg *m)
{
	const struct metrics *map;
	int r = m->nfds == 1 ? metrics_map(m->fds[0], &map) : -EBADMSG;

	if (r < 0) {
		log_warn("a router's metrics: %s", strerror(-r));
		return;
	}
	metrics_unmap(w->metrics);
	w->metrics = map;
}

/* Under the lock: what concerns the table and the certificates. */
static void note(struct routes *r, unsigned int i, const struct msg *m)
{
	const void *body = m->body;

	note_ack(r, i, m);
	if (m->head.type == MSG_HELLO) {
		worker_hello(r, i);
	} else if (m->head.type == MSG_METRICS) {
		note_metrics(&r->workers[i], m);
	} else if (m->head.type == MSG_DRAINED &&
		   m->head.size == sizeof(struct msg_instance)) {
		note_drained(r, i, ((const struct msg_instance *)body)->id);
	} else if (m->head.type == MSG_STAYS &&
		   m->head.size == sizeof(struct msg_instance)) {
		note_stays(r, ((const struct msg_instance *)body)->id);
	}
}

static uint32_t workers_up(const struct routes *r)
{
	uint32_t up = 0;

	for (unsigned int i = 0; i < r->n; i++)
		up |= r->workers[i].up ? 1u << i : 0;
	return up;
}

/* A message that does not fit ends its connections: the router asks again. */
static void give_sockets(struct routes *r, unsigned int i, const struct msg *m)
{
	struct msg_sockets body;
	int fds[PROTO_SOCKETS_MAX];
	unsigned int n = 0;

	if (m->head.size != sizeof(body))
		return;
	memcpy(&body, m->body, sizeof(body));
	if (body.n <= PROTO_SOCKETS_MAX)
		n = api_connect(r->c->api, body.n, fds);
	msg_send(r->workers[i].fd, MSG_API_SOCKETS, m->head.seq, n ? 0 : -EAGAIN, &body,
		sizeof(body), fds, n);
	while (n)
		close(fds[--n]);
}

/* Without the lock: what concerns an app's sleep, and the API. */
static void pass_on(struct routes *r, unsigned int i, const struct msg *m, uint32_t up)
{
	const struct msg_sleeper *s = (const void *)m->body;

	if (m->head.type == MSG_HELLO)
		sleep_new_worker(r->c, i);
	if (m->head.type == MSG_API_SOCKETS)
		give_sockets(r, i, m);
	if (m->head.size != sizeof(*s))
		return;
	if (m->head.type == MSG_IDLE)
		sleep_idle(r->c, s->app, i, up);
	else if (m->head.type == MSG_BUSY)
		sleep_busy(r->c, s->app, i);
	else if (m->head.type == MSG_WAKE)
		sleep_asked(r->c, s->app);
}

static void receive(struct routes *r, unsigned int i)
{
	struct msg *m = &r->in;
	uint32_t up;

	if (msg_recv(r->workers[i].fd, m) <= 0)
		return;
	pthread_mutex_lock(&r->lock);
	note(r, i, m);
	up = workers_up(r);
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
	pass_on(r, i, m, up);
	msg_close_fds(m);
}

static void *routes_main(void *arg)
{
	struct routes *r = arg;
	struct pollfd p[PROTO_WORKERS_MAX];

	for (;;) {
		for (unsigned int i = 0; i < r->n; i++)
			p[i] = (struct pollfd){.fd = r->workers[i].fd, .events = POLLIN};
		if (poll(p, r->n, -1) < 0)
			continue;
		for (unsigned int i = 0; i < r->n; i++) {
			if (p[i].revents & POLLIN)
				receive(r, i);
			else if (p[i].revents)
				usleep(100000); /* the pair is gone: berthd is going down */
		}
	}
	return NULL;
}

int routes_open(struct control *c, const int *fds, unsigned int n, struct routes **ret)
{
	struct routes *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (!r || table_open(&r->parts) < 0) {
		free(r);
		return -ENOMEM;
	}
	r->c = c;
	for (unsigned int kind = 0; kind < PARCELS;
		kind++) /* rises over our restarts too */
		r->parcels[kind] = (struct parcel){io_now_us(), -1};
	r->n = n;
	for (unsigned int i = 0; i < n; i++)
		r->workers[i].fd = fds[i];
	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->publish, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	*ret = r;
	return 0;
}

int routes_run(struct routes *r)
{
	struct msg_hello hello = {.epoch = io_mono_ns(), .pid = (uint32_t)getpid()};
	pthread_t thread;

	r->heard_ns = io_mono_ns() + STAYS_NS;
	for (unsigned int i = 0; i < r->n; i++)
		msg_send(r->workers[i].fd, MSG_HELLO, 0, 0, &hello, sizeof(hello), NULL,
			0);
	int code = pthread_create(&thread, NULL, routes_main, r);
	if (code)
		return -code;
	pthread_detach(thread);
	return 0;
}

int routes_metrics(struct routes *r, struct metrics_row **ret)
{
	int n = 0;

	*ret = NULL;
	if (!r)
		return 0;
	pthread_mutex_lock(&r->lock);
	for (unsigned int i = 0; i < r->n; i++) {
		int sum = r->workers[i].metrics ? metrics_add(r->workers[i].metrics,
							  io_mono_ns() / 1000, ret, n)
						: n;

		n = sum < 0 ? n : sum;
	}
	pthread_mutex_unlock(&r->lock);
	return n;
}

void routes_lock(struct routes *r)
{
	pthread_mutex_lock(&r->publish);
}

void routes_unlock(struct routes *r)
{
	pthread_mutex_unlock(&r->publish);
}

void routes_watch(struct routes *r, const uint64_t *ids, unsigned int n)
{
	pthread_mutex_lock(&r->lock);
	for (unsigned int i = 0; i < n; i++) {
		struct drained *d = drained_row(r, ids[i], true);
		if (d) {
			d->from = r->parcels[PARCEL_TABLE].version + 1;
			d->workers = 0;
		}
	}
	pthread_mutex_unlock(&r->lock);
}

/* Workers that made way have requests there: when that is to be asked again, 0: they have none. */
static uint64_t stays(struct routes *r, uint64_t id)
{
	struct drained *d = drained_row(r, id, false);

	return d && d->stays_ns > io_mono_ns() ? d->stays_ns : 0;
}

/* The same, or we have not been here long enough to hear of it. */
static uint64_t may_stay(struct routes *r, uint64_t id)
{
	uint64_t until = stays(r, id);

	if (until < r->heard_ns)
		until = r->heard_ns;
	return until > io_mono_ns() ? until : 0;
}

static bool drained(struct routes *r, uint64_t id)
{
	struct drained *d = drained_row(r, id, false);

	if (may_stay(r, id))
		return false;
	for (unsigned int i = 0; i < r->n; i++) {
		if (r->workers[i].up && !(d && (d->workers & (1u << i))))
			return false;
	}
	return true;
}

/* Until something changes, or a worker that made way has been silent for long enough. 0, or -ETIMEDOUT: it is until_ns. */
static int wait_change(struct routes *r, uint64_t id, uint64_t until_ns)
{
	uint64_t again = may_stay(r, id),
		 to = again && again < until_ns ? again : until_ns;
	struct timespec at = {(time_t)(to / 1000000000), (long)(to % 1000000000)};
	int status = -pthread_cond_timedwait(&r->changed, &r->lock, &at);

	return to < until_ns && status == -ETIMEDOUT ? 0 : status;
}

int routes_wait_drained(
	struct routes *r, const uint64_t *ids, unsigned int n, int timeout_ms)
{
	uint64_t until_ns = io_mono_ns() + (uint64_t)timeout_ms * 1000000;
	int status = 0;

	pthread_mutex_lock(&r->lock);
	/* A worker that starts anew while we wait has nothing there: its HELLO is noted in the rows that exist. */
	for (unsigned int i = 0; i < n; i++)
		drained_row(r, ids[i], true);
	for (unsigned int i = 0; i < n && status == 0;) {
		if (drained(r, ids[i]))
			i++;
		else
			status = wait_change(r, ids[i], until_ns);
	}
	pthread_mutex_unlock(&r->lock);
	return status;
}

bool routes_stay(struct routes *r, const uint64_t *ids, unsigned int n)
{
	bool any = false;

	pthread_mutex_lock(&r->lock);
	for (unsigned int i = 0; i < n; i++)
		any = any || stays(r, ids[i]);
	pthread_mutex_unlock(&r->lock);
	return any;
}

void routes_forget(struct routes *r, const uint64_t *ids, unsigned int n)
{
	pthread_mutex_lock(&r->lock);
	for (unsigned int i = 0; i < n; i++) {
		for (struct drained **at = &r->drained; *at; at = &(*at)->next) {
			struct drained *d = *at;
			if (d->id != ids[i])
				continue;
			/* what those that made way said holds beyond this wait */
			if (stays(r, d->id)) {
				d->from = 0;
				d->workers = 0;
			} else {
				*at = d->next;
				free(d);
			}
			break;
		}
	}
	pthread_mutex_unlock(&r->lock);
}
