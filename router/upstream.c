/* Connections to instances: pooled or new, sending the request, noticing their end. */
#include "router/compress.h"
#include "router/h2c.h"
#include "router/worker.h"
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define RESETS_MAX 3

static void dead_event(struct worker *w, struct ev *ev, uint32_t events)
{
	(void)w, (void)ev, (void)events;
}

static void unpool(struct upstream *u)
{
	if (!u->prev)
		return;
	*u->prev = u->next;
	if (u->next)
		u->next->prev = u->prev;
	u->prev = NULL;
	u->inst->n_idle--;
}

void upstream_close(struct upstream *u)
{
	struct worker *w = u->w;

	unpool(u);
	wheel_del(&w->wheel, &u->timer);
	if (u->h2)
		h2c_free(u);
	worker_unwatch(w, &u->ev);
	close(u->ev.fd);
	u->ev.fd = -1;
	u->ev.fn = dead_event;
	pending_free(&u->in);
	slab_put(&w->upstream_slab, u);
}

/* No more sockets come: who waits for one takes a connection that has become free. */
static void reuse_for_waiting(struct instance *i)
{
	for (int k = 0; k < 2; k++) {
		struct exchange *x = i->stock[k].waiters;

		if (x && i->idle) {
			backend_unwait(x);
			upstream_get(x);
		}
	}
}

void upstream_put(struct upstream *u, bool reuse)
{
	struct instance *i = u->inst;

	if (u->h2)
		reuse = h2c_leave(u);
	if (!reuse || !i->listed || i->n_idle >= POOL_MAX) {
		upstream_close(u);
		return;
	}
	u->next = i->idle;
	if (u->next)
		u->next->prev = &u->next;
	u->prev = &i->idle;
	i->idle = u;
	i->n_idle++;
	wheel_set(&u->w->wheel, &u->timer, u->w->now_ms + POOL_IDLE_MS);
	if (u->w->left)
		reuse_for_waiting(i);
}

/* The last one: its instance is at rest. */
static void close_idle(struct upstream *u)
{
	struct instance *i = u->inst;
	struct worker *w = u->w;

	upstream_close(u);
	if (!i->n_idle && !i->inflight)
		backend_rest(w, i);
}

static void idle_timeout(void *arg)
{
	struct upstream *u = arg;

	if (!u->x)
		close_idle(u);
}

/* Bytes or an end on a connection that nobody uses make it useless. */
static bool still_quiet(const struct upstream *u)
{
	char c;

	return recv(u->ev.fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void upstream_event(struct worker *w, struct ev *ev, uint32_t events)
{
	struct upstream *u = (struct upstream *)ev;
	struct exchange *x = u->x;

	(void)w;
	if (!x) {
		if ((events & ~(uint32_t)EPOLLOUT) && !still_quiet(u))
			close_idle(u);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		u->readable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		u->eof = true;
	if (!x->up_dead && (x->head_off < x->head_len || pending_any(&x->more))) {
		upstream_flush(x);
		if (u->x != x)
			return;
	}
	if (u->readable && !u->connecting)
		upstream_read(x);
}

/* For HTTP/2: what came first, because it may have made room, or an answer. */
static void h2c_event(struct worker *w, struct ev *ev, uint32_t events)
{
	struct upstream *u = (struct upstream *)ev;
	struct exchange *x = u->x;
	bool full = x && upstream_full(x);

	(void)w;
	if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		u->eof = true;
	if (events & ~(uint32_t)EPOLLOUT)
		h2c_readable(u);
	if (!u->connecting)
		h2c_turn(u);
	if (!x) {
		if (u->eof || !h2c_fit(u))
			close_idle(u);
		return;
	}
	if (full && !x->up_dead) {
		upstream_flush(x);
		if (u->x != x)
			return;
	}
	if (u->readable && !u->connecting)
		upstream_read(x);
}

static bool usable(struct upstream *u, const struct exchange *x)
{
	if (u->h2)
		return x->h2c && h2c_fit(u);
	return !x->h2c && (x->idempotent || still_quiet(u));
}

/*
 * The most recently used idle connection; one whose request cannot be repeated is
 * looked at first.
 */
static struct upstream *take_idle(struct instance *i, const struct exchange *x)
{
	struct upstream *u;

	while ((u = i->idle)) {
		if (usable(u, x)) {
			unpool(u);
			wheel_set(&u->w->wheel, &u->timer, TIMER_NEVER);
			return u;
		}
		upstream_close(u);
	}
	return NULL;
}

static void attach(struct exchange *x, struct upstream *u)
{
	u->x = x;
	x->up = u;
	x->state = X_SEND;
	x->up_dead = false;
}

void upstream_get(struct exchange *x)
{
	struct instance *i = x->inst;
	struct upstream *u = x->fresh ? NULL : take_idle(i, x);
	uint8_t family = i->family == 2 ? 1 : x->family;
	int fd;

	if (u) {
		u->reused = true;
		u->readable = false;
		attach(x, u);
		upstream_flush(x);
		return;
	}
	downstream_deadline(x->client, CONNECT_MS);
	fd = backend_socket(x, family);
	if (fd >= 0)
		upstream_connect(x, fd, family);
}

static int connect_loopback(int fd, uint8_t family, uint32_t port)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int r;

	if (family)
		r = connect(fd, (struct sockaddr *)&a6, sizeof(a6));
	else
		r = connect(fd, (struct sockaddr *)&a4, sizeof(a4));
	return r < 0 && errno != EINPROGRESS ? -errno : 0;
}

static void connected(struct exchange *x)
{
	struct upstream *u = x->up;

	u->connecting = false;
	u->inst->family = (uint8_t)(u->family + 1);
	x->connect_ms = x->client->w->now_ms - x->start_ms;
}

static void connect_failed(struct exchange *x, uint8_t family)
{
	struct instance *i = x->inst;
	struct upstream *u = x->up;

	x->up = NULL;
	if (u) {
		u->x = NULL;
		upstream_close(u);
	}
	if (!i->family && !family && i->port) {
		/* it may listen on ::1 alone ("localhost" in Node) */
		x->family = 1;
		x->code = H21;
		x->head_off = 0;
		upstream_get(x);
		return;
	}
	backend_failed(i, x->client->w->now_ms, true);
	exchange_retry(x, H21);
}

void upstream_connect(struct exchange *x, int fd, uint8_t family)
{
	struct worker *w = x->client->w;
	struct upstream *u = slab_get(&w->upstream_slab);
	uint32_t port = x->inst->port;
	int r = port ? connect_loopback(fd, family, port) : 0;

	if (!u || r < 0) {
		close(fd);
		if (u)
			slab_put(&w->upstream_slab, u);
		connect_failed(x, family);
		return;
	}
	memset(u, 0, sizeof(*u));
	u->ev = (struct ev){x->h2c ? h2c_event : upstream_event, fd};
	u->w = w;
	u->inst = x->inst;
	u->family = family;
	u->connecting = true;
	u->timer.fn = idle_timeout;
	u->timer.arg = u;
	u->timer.want_ms = TIMER_NEVER;
	attach(x, u);
	if (!port)
		connected(x);
	if ((x->h2c && h2c_open(u) < 0) || worker_watch(w, &u->ev) < 0) {
		connect_failed(x, family);
		return;
	}
	upstream_flush(x);
}

/* The instance reads no more. Its answer may have been sent already: look for it. */
static void write_failed_with(struct exchange *x, int err)
{
	struct upstream *u = x->up;

	if (u->connecting) {
		upstream_lost(x, err);
		return;
	}
	x->up_dead = true;
	pending_free(&x->more);
	if (u->h2)
		h2c_readable(u);
	u->readable = true;
	u->eof = true;
	upstream_read(x);
}

/* Nothing waits any more for the app to take it. */
static void flushed(struct exchange *x)
{
	if (x->state == X_SEND)
		downstream_deadline(x->client, x->req.done ? x->timeout_ms : x->idle_ms);
	if (!x->req.done)
		pump_up(x);
}

static void flush_h2c(struct exchange *x)
{
	struct upstream *u = x->up;
	int r;

	if (x->head_off < x->head_len) {
		h2c_request(x);
		x->head_off = x->head_len;
	}
	r = h2c_write(u);
	if (r < 0) {
		write_failed_with(x, -r);
		return;
	}
	if (u->connecting && h2c_greeted(u))
		connected(x);
	if (!upstream_full(x))
		flushed(x);
}

void upstream_flush(struct exchange *x)
{
	struct upstream *u = x->up;
	ssize_t n;
	int r;

	if (u->h2) {
		flush_h2c(x);
		return;
	}
	while (x->head_off < x->head_len) {
		n = send(u->ev.fd, x->head + x->head_off, x->head_len - x->head_off,
			MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != EINTR) {
			write_failed_with(x, errno);
			return;
		}
		if (u->connecting)
			connected(x);
		if (n > 0)
			x->head_off += (uint32_t)n;
	}
	r = pending_flush(&x->more, u->ev.fd);
	if (r == -EAGAIN)
		return;
	if (r < 0) {
		write_failed_with(x, -r);
		return;
	}
	if (x->state == X_TUNNEL) {
		pump_tunnel(x);
		return;
	}
	flushed(x);
}

/* A pooled connection that the instance closed while our request was on its way. */
static bool was_stale(const struct exchange *x)
{
	const struct upstream *u = x->up;

	return u->reused && !u->in.len && x->replay && x->resets < RESETS_MAX &&
	       (x->idempotent || !x->head_off);
}

/* RFC 9113 8.7: it was not looked at, whatever its method. */
static bool was_refused(const struct exchange *x, int err)
{
	return err == ESTALE && x->replay && x->resets < RESETS_MAX;
}

void upstream_lost(struct exchange *x, int err)
{
	struct upstream *u = x->up;

	if (u->connecting) {
		connect_failed(x, u->family);
	} else if (x->state == X_BODY) {
		if (x->resp.kind == BODY_EOF && !err) {
			x->resp.done = true;
			if (x->compressor &&
				compress_send(x, NULL, 0, NULL, 0, true, true) < 0) {
				exchange_abort(x, H27);
				return;
			}
			exchange_release(x, false);
			exchange_done(x);
			return;
		}
		exchange_fail(x, H18);
	} else if (err == EPROTO) {
		exchange_fail(x, H17);
	} else if (was_stale(x) || was_refused(x, err)) {
		x->resets++;
		x->fresh = true;
		x->head_off = 0;
		exchange_release(x, false);
		exchange_dispatch(x);
	} else {
		backend_failed(x->inst, u->w->now_ms, false);
		exchange_fail(x, H13);
	}
}

/* As read_head; h2c_receive may use the hot buffer itself. */
static void read_head_h2c(struct exchange *x)
{
	struct upstream *u = x->up;
	char *hot = u->w->hot;
	size_t old = u->in.len;
	ssize_t n = h2c_receive(u, hot + old, HOT_SIZE - old);

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		upstream_lost(x, (int)-n);
		return;
	}
	if (u->readable)
		downstream_again(x->client);
	if (old)
		memcpy(hot, u->in.data, old);
	pending_free(&u->in);
	response_start(x, hot, old + (size_t)n);
}

static void read_head(struct exchange *x)
{
	struct upstream *u = x->up;
	char *hot = u->w->hot;
	size_t old = u->in.len;
	ssize_t n;

	if (u->h2) {
		read_head_h2c(x);
		return;
	}
	if (old)
		memcpy(hot, u->in.data, old);
	n = recv(u->ev.fd, hot + old, HOT_SIZE - old, 0);
	if (n < 0 && errno == EAGAIN) {
		u->readable = false;
		return;
	}
	if (n <= 0) {
		upstream_lost(x, n < 0 ? errno : 0);
		return;
	}
	if ((size_t)n < HOT_SIZE - old && !u->eof)
		u->readable = false;
	if (u->readable)
		downstream_again(x->client);
	pending_free(&u->in);
	response_start(x, hot, old + (size_t)n);
}

void upstream_read(struct exchange *x)
{
	if (pending_any(&x->client->out))
		return; /* goes on when the client has taken it */
	if (x->state == X_SEND)
		read_head(x);
	else if (x->state == X_TUNNEL)
		pump_tunnel(x);
	else
		pump_down(x);
}

void upstream_write_failed(struct exchange *x)
{
	write_failed_with(x, EPIPE);
}
