/* The pairs to berthd and control: hello, tables in, sockets in, drained instances out */
#include "lib/io.h"
#include "lib/log.h"
#include "router/metrics.h"
#include "router/tls.h"
#include "router/worker.h"
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define RETRY_MS 64u
#define MESSAGES_MAX 64 /* in a row from one pair */

int link_ask_sockets(struct worker *w, uint64_t id, uint32_t n, int family, uint32_t seq)
{
	struct msg_sockets body = {.id = id, .n = n, .family = (uint32_t)family};
	bool api = id == API_INSTANCE;
	int r = msg_send(api ? w->control.fd : w->berthd.fd,
		api ? MSG_API_SOCKETS : MSG_ROUTER_SOCKETS, seq, 0, &body, sizeof(body),
		NULL, 0);

	if (r < 0)
		wheel_set(&w->wheel, &w->link_timer, w->now_ms + RETRY_MS);
	return r;
}

void link_ask_later(struct worker *w, struct stock *s)
{
	s->asking = true;
	s->unsent = true;
	w->asks_unsent = true;
	wheel_set(&w->wheel, &w->link_timer, w->now_ms + RETRY_MS);
}

int link_ask_wake(struct worker *w, uint64_t id, uint32_t seq)
{
	struct msg_instance body = {id};
	int r = msg_send(
		w->berthd.fd, MSG_ROUTER_WAKE, seq, 0, &body, sizeof(body), NULL, 0);

	if (r < 0)
		wheel_set(&w->wheel, &w->link_timer, w->now_ms + RETRY_MS);
	return r;
}

int link_tell(struct worker *w, uint32_t type, uint32_t app)
{
	struct msg_sleeper body = {.app = app};
	int r;

	if (w->left)
		return 0; /* control would take it for the successor's word */
	r = msg_send(w->control.fd, type, 0, 0, &body, sizeof(body), NULL, 0);

	if (r < 0)
		wheel_set(&w->wheel, &w->link_timer, w->now_ms + RETRY_MS);
	return r;
}

static void send_drained(struct worker *w)
{
	size_t i;

	for (i = 0; i < w->n_drained; i++) {
		struct msg_instance body = {w->drained[i]};

		if (msg_send(w->control.fd, MSG_DRAINED, 0, 0, &body, sizeof(body), NULL,
			    0) < 0)
			break;
	}
	w->n_drained -= i;
	memmove(w->drained, w->drained + i, w->n_drained * sizeof(*w->drained));
	if (w->n_drained)
		wheel_set(&w->wheel, &w->link_timer, w->now_ms + RETRY_MS);
}

void link_drained(struct worker *w, uint64_t id)
{
	if (w->left)
		return; /* the successor's HELLO has said it */
	if (w->n_drained == w->cap_drained) {
		size_t cap = w->cap_drained ? w->cap_drained * 2 : 64;
		uint64_t *grown = realloc(w->drained, cap * sizeof(*grown));

		if (!grown) {
			log_error("no memory to report instance %llu",
				(unsigned long long)id);
			return;
		}
		w->drained = grown;
		w->cap_drained = cap;
	}
	w->drained[w->n_drained++] = id;
	if (w->n_drained == 1) /* else the timer runs */
		send_drained(w);
}

/* struct msg_certs is the same. The oldest go first. */
static void send_acks(struct worker *w)
{
	unsigned int i;

	for (i = 0; i < w->n_acks; i++) {
		const struct ack *a = &w->acks[i];
		struct msg_table body = {a->version};

		if (msg_send(w->control.fd, a->type, a->seq, a->status, &body,
			    sizeof(body), NULL, 0) < 0)
			break;
	}
	w->n_acks -= i;
	memmove(w->acks, w->acks + i, w->n_acks * sizeof(*w->acks));
	if (w->n_acks)
		wheel_set(&w->wheel, &w->link_timer, w->now_ms + RETRY_MS);
}

static void retry_sends(void *arg)
{
	struct worker *w = arg;

	if (w->n_acks)
		send_acks(w);
	if (w->n_drained)
		send_drained(w);
	if (w->asks_unsent)
		backend_ask_again(w, false);
	if (w->tells_unsent)
		sleepers_retry(w, false);
}

/* Behind many drained instances there may be no room yet: it is said later. */
static void acknowledge(
	struct worker *w, uint32_t type, uint32_t seq, uint64_t version, int status)
{
	if (w->n_acks == ACKS_MAX) {
		log_error("table %llu is not acknowledged: control does not read",
			(unsigned long long)w->acks[0].version);
		memmove(w->acks, w->acks + 1, --w->n_acks * sizeof(*w->acks));
	}
	w->acks[w->n_acks++] = (struct ack){type, seq, version, status};
	send_acks(w);
}

static int load_table(struct worker *w, const struct msg *m, uint64_t version)
{
	struct table *t = NULL;
	struct err e = {0};
	int r;

	if (m->nfds != 1)
		return -EBADMSG;
	if (version < w->table_version)
		return -ESTALE;
	r = table_load(m->fds[0], &t, &e);
	if (r < 0) {
		log_error("table %llu refused: %s", (unsigned long long)version, e.text);
		return r;
	}
	r = backend_apply(w, t);
	if (r < 0) {
		table_free(t);
		return r;
	}
	w->table_version = version;
	return 0;
}

static void new_table(struct worker *w, struct msg *m)
{
	struct msg_table body;
	uint32_t seq = m->head.seq;
	int r;

	if (m->head.size != sizeof(body)) {
		acknowledge(w, MSG_TABLE_ACK, seq, 0, -EBADMSG);
		return;
	}
	memcpy(&body, m->body, sizeof(body));
	r = load_table(w, m, body.version);
	acknowledge(w, MSG_TABLE_ACK, seq, body.version, r);
	if (r == 0) {
		backend_sweep(w);
		hold_release(w, 0);
	}
}

static int load_certs(struct worker *w, const struct msg *m, uint64_t version)
{
	struct certs *c = NULL;
	struct err e = {0};
	int r;

	if (m->nfds != 1)
		return -EBADMSG;
	if (version < w->certs_version)
		return -ESTALE;
	r = certs_load(m->fds[0], &c, &e);
	if (r < 0) {
		log_error("certificates %llu refused: %s", (unsigned long long)version,
			e.text);
		return r;
	}
	tls_set_certs(w, c);
	w->certs_version = version;
	return 0;
}

static void new_certs(struct worker *w, const struct msg *m)
{
	struct msg_certs body = {0};
	int r = -EBADMSG;

	if (m->head.size == sizeof(body)) {
		memcpy(&body, m->body, sizeof(body));
		r = load_certs(w, m, body.version);
	}
	acknowledge(w, MSG_CERTS_ACK, m->head.seq, body.version, r);
}

static void control_message(struct worker *w, struct msg *m)
{
	switch (m->head.type) {
	case MSG_HELLO:
		w->certs_version = 0;
		w->table_version = 0; /* a new control counts anew, and sends its table */
		w->n_acks = 0;
		sleepers_new_control(w);
		metrics_send(w);
		backend_ask_control(w);
		break;
	case MSG_API_SOCKETS:
		backend_sockets(w, m);
		break;
	case MSG_TABLE:
		new_table(w, m);
		break;
	case MSG_CERTS:
		new_certs(w, m);
		break;
	default:
		log_warn("control sent message %u, which is not for the router",
			m->head.type);
	}
}

static void berthd_message(struct worker *w, struct msg *m)
{
	switch (m->head.type) {
	case MSG_HELLO:
		backend_ask_again(w, true);
		sleepers_retry(w, true);
		break;
	case MSG_ROUTER_WAKE:
		sleeper_woken(w, m);
		break;
	case MSG_ROUTER_SOCKETS:
		backend_sockets(w, m);
		break;
	default:
		log_warn("berthd sent message %u, which is not for the router",
			m->head.type);
	}
}

/*
 * The monitor holds both ends of each pair: an end of stream means that all of berth is
 * going.
 */
static void pair_event(struct worker *w, struct ev *ev, uint32_t events)
{
	int i, r = 1;

	(void)events;
	for (i = 0; i < MESSAGES_MAX; i++) {
		r = msg_recv(ev->fd, &w->msg);
		if (r == -EPROTO && !w->msg.cut) {
			log_warn("a malformed message was dropped");
			continue;
		}
		if (r <= 0 && r != -EPROTO) /* one without its descriptors is answered */
			break;
		if (ev == &w->control)
			control_message(w, &w->msg);
		else
			berthd_message(w, &w->msg);
		msg_close_fds(&w->msg);
	}
	if (r == 0 || (r < 0 && r != -EAGAIN && r != -EPROTO))
		worker_stop(w);
}

static int watch_pair(struct worker *w, struct ev *ev)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = ev};
	struct msg_hello hello = {.epoch = w->epoch, .pid = (uint32_t)getpid()};
	int r = io_set_nonblock(ev->fd, true);

	if (r < 0)
		return r;
	ev->fn = pair_event;
	if (epoll_ctl(w->epfd, EPOLL_CTL_ADD, ev->fd, &e) < 0)
		return -errno;
	return msg_send(ev->fd, MSG_HELLO, 0, 0, &hello, sizeof(hello), NULL, 0);
}

int link_start(struct worker *w)
{
	int r;

	w->link_timer.fn = retry_sends;
	w->link_timer.arg = w;
	r = watch_pair(w, &w->berthd);
	if (!r)
		r = watch_pair(w, &w->control);
	if (!r)
		metrics_send(w);
	return r;
}

/* Before the successor says HELLO, and again and again: control waits for these requests too. */
static void say_stays(void *arg)
{
	struct worker *w = arg;

	for (struct instance *i = w->instances; i; i = i->next) {
		struct msg_instance body = {i->id};

		if (i->inflight && msg_send(w->control.fd, MSG_STAYS, 0, 0, &body,
					   sizeof(body), NULL, 0) < 0)
			break;
	}
	wheel_set(&w->wheel, &w->stays_timer, w->now_ms + PROTO_STAYS_MS);
}

void link_say_left(struct worker *w)
{
	if (msg_send(w->berthd.fd, MSG_ROUTER_LEAVES, 0, 0, NULL, 0, NULL, 0) < 0)
		log_warn("berthd is not told that another may start: it waits for the "
			 "end");
}

void link_leave(struct worker *w)
{
	w->left = true;
	w->stays_timer = (struct wheel_timer){.fn = say_stays, .arg = w};
	say_stays(w);
	epoll_ctl(w->epfd, EPOLL_CTL_DEL, w->berthd.fd, NULL);
	epoll_ctl(w->epfd, EPOLL_CTL_DEL, w->control.fd, NULL);
	link_say_left(w);
}
