/* Bodies and tunnels: receive into the hot buffer, check the framing, send on at once. */
#include "router/compress.h"
#include "router/h2.h"
#include "router/h2c.h"
#include "router/worker.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* copying this much behind a head is cheaper than a gathered send */
#define JOIN_MAX 8192u

/* One receive. Bytes, 0 end of stream, -EAGAIN, -errno. */
static ssize_t receive(int fd, char *hot, size_t size, bool eof, bool *readable)
{
	ssize_t n = recv(fd, hot, size, 0);

	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			*readable = errno == EINTR;
		return errno == EINTR ? -EAGAIN : -errno;
	}
	if ((size_t)n < size && !eof)
		*readable = false;
	return n;
}

bool upstream_full(const struct exchange *x)
{
	return x->head_off < x->head_len || pending_any(&x->more) ||
	       (x->up && x->up->h2 && h2c_full(x->up));
}

/* Sends now, keeps what is not taken. 0 or -errno. */
static int send_up(struct exchange *x, const char *p, size_t n)
{
	if (x->up->h2)
		return h2c_body(x, p, n);
	return pending_send(&x->more, x->up->ev.fd, p, n);
}

/* The request body's framing is broken, or the client left in the middle. */
static void body_broken(struct exchange *x, bool gone)
{
	if (gone)
		exchange_abort(x, H27);
	else
		exchange_refuse(
			x, body_announced(&x->req) > x->body_max ? 413 : 400, H_NONE);
}

/*
 * One piece of the request body. False when nothing more can be done now, or x is gone.
 */
static bool pump_up_once(struct exchange *x)
{
	struct downstream *c = x->client;
	char *hot = c->w->hot;
	ssize_t n = downstream_receive(c, hot, HOT_SIZE), took;

	if (n == -EAGAIN)
		return false;
	took = n > 0 ? body_take(&x->req, hot, (size_t)n) : -1;
	if (took < 0 || body_announced(&x->req) > x->body_max) {
		body_broken(x, n <= 0);
		return false;
	}
	x->replay = false;
	if (pending_set(&c->in, hot + took, (size_t)(n - took)) < 0) {
		exchange_abort(x, H99);
		return false;
	}
	if (send_up(x, hot, (size_t)took) < 0) {
		upstream_write_failed(x);
		return false;
	}
	if (x->state == X_SEND)
		downstream_deadline(c, x->req.done ? x->timeout_ms : x->idle_ms);
	else
		downstream_deadline(c, x->idle_ms);
	return true;
}

void pump_up(struct exchange *x)
{
	struct downstream *c = x->client;
	unsigned int i;

	if (x->state == X_TUNNEL) {
		pump_tunnel(x);
		return;
	}
	if (!x->up || x->up->connecting || (x->state != X_SEND && x->state != X_BODY))
		return;
	for (i = 0; i < PUMP_TURNS; i++) {
		if (!c->readable || x->req.done || x->up_dead || upstream_full(x))
			return;
		if (!pump_up_once(x))
			return;
	}
	downstream_again(c);
}

static void response_complete(struct exchange *x, bool extra)
{
	struct upstream *u = x->up;

	if (x->trailers.len)
		downstream_trailers(x->client, &x->trailers);
	exchange_release(x, x->reuse && !extra && x->req.done && !upstream_full(x) &&
				    !x->up_dead && !u->eof && !u->readable);
	exchange_done(x);
}

/* A piece of the response's body. 0 or -errno. */
static int send_body(struct exchange *x, const char *p, size_t n)
{
	if (x->compressor)
		return compress_send(x, NULL, 0, p, n, x->resp.done, !x->up->readable);
	x->sent_bytes += n;
	return downstream_send(x->client, p, n);
}

/* How much to receive at once. A long body in large pieces costs a quarter less. */
static size_t piece_size(const struct exchange *x)
{
	if (x->client->via == VIA_STREAM)
		return H2_RECEIVE;
	if (x->client->via != VIA_SOCKET || x->compressor || x->decode ||
		x->sent_bytes < HOT_SIZE)
		return HOT_SIZE;
	return downstream_room(x->client);
}

void pump_down(struct exchange *x)
{
	struct downstream *c = x->client;
	struct upstream *u = x->up;
	char *hot = c->w->hot;
	/* compressing takes its time: others get their turn after each piece */
	ssize_t left = x->compressor ? 1 : PUMP_TURNS * HOT_SIZE, n;

	for (; left > 0; left -= n) {
		ssize_t took;
		size_t data;

		if (pending_any(&c->out) || !u->readable)
			return;
		n = u->h2 ? h2c_receive(u, hot, HOT_SIZE)
			  : receive(u->ev.fd, hot, piece_size(x), u->eof, &u->readable);
		if (n == -EAGAIN) {
			/* a piece that just filled the buffer looked like more to come */
			if (x->compressor &&
				compress_send(x, NULL, 0, NULL, 0, false, true) < 0)
				exchange_abort(x, H27);
			return;
		}
		if (n <= 0) {
			upstream_lost(x, (int)-n);
			return;
		}
		if (x->decode) {
			took = body_decode(&x->resp, hot, (size_t)n, &data);
		} else {
			took = body_take(&x->resp, hot, (size_t)n);
			data = (size_t)took;
		}
		if (took < 0) {
			exchange_fail(x, H18);
			return;
		}
		if (send_body(x, hot, data) < 0) {
			exchange_abort(x, H27);
			return;
		}
		if (x->resp.done) {
			response_complete(x, took < n);
			return;
		}
		downstream_deadline(c, x->idle_ms);
	}
	downstream_again(c);
}

/* Head and first bytes in one send. 0 or -errno. */
static int send_both(
	struct downstream *c, char *head, size_t head_len, const char *p, size_t n)
{
	struct iovec iov[2] = {{head, head_len}, {(void *)(uintptr_t)p, n}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = 2};
	ssize_t sent;
	int r;

	if (n <= JOIN_MAX || pending_any(&c->out) || c->via != VIA_SOCKET) {
		size_t most = c->via == VIA_TLS ? HOT_SIZE : JOIN_MAX;
		size_t join = n <= most && n <= HOT_SIZE - head_len ? n : 0;

		memcpy(head + head_len, p, join);
		r = downstream_send(c, head, head_len + join);
		return r ? r : downstream_send(c, p + join, n - join);
	}
	sent = sendmsg(c->ev.fd, &mh, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN && errno != EINTR)
		return -errno;
	if (sent < 0)
		sent = 0;
	if ((size_t)sent < head_len) {
		r = downstream_send(c, head + sent, head_len - (size_t)sent);
		return r ? r : downstream_send(c, p, n);
	}
	sent -= (ssize_t)head_len;
	return downstream_send(c, p + sent, n - (size_t)sent);
}

static int send_first(
	struct exchange *x, char *head, size_t head_len, const char *p, size_t n)
{
	if (x->compressor)
		return compress_send(
			x, head, head_len, p, n, x->resp.done, !x->up->readable);
	x->sent_bytes = n;
	return send_both(x->client, head, head_len, p, n);
}

void pump_first(struct exchange *x, char *head, size_t head_len, char *p, size_t n)
{
	struct downstream *c = x->client;
	ssize_t took;
	size_t data;

	if (x->decode) {
		took = body_decode(&x->resp, p, n, &data);
	} else {
		took = body_take(&x->resp, p, n);
		data = (size_t)took;
	}
	if (took < 0) {
		exchange_fail(x, H17);
		return;
	}
	x->state = X_BODY;
	if (send_first(x, head, head_len, p, data) < 0) {
		exchange_abort(x, H27);
		return;
	}
	if (x->resp.done)
		response_complete(x, (size_t)took < n);
	else
		downstream_deadline(c, x->idle_ms);
}

/* One direction of a tunnel, up or down. False when x is gone. */
static bool tunnel_move(struct exchange *x, bool up, unsigned int *moves)
{
	struct downstream *c = x->client;
	struct upstream *u = x->up;
	struct pending *full = up ? &x->more : &c->out;
	struct body *b = up ? &x->req : &x->resp;
	bool *readable = up ? &c->readable : &u->readable;
	char *hot = c->w->hot;
	ssize_t n;
	int r;

	if (b->done || !*readable || pending_any(full) || (up && upstream_full(x)))
		return true;
	n = up ? downstream_receive(c, hot, HOT_SIZE)
	       : receive(u->ev.fd, hot, HOT_SIZE, u->eof, &u->readable);
	if (n == -EAGAIN)
		return true;
	if (n < 0) {
		exchange_abort(x, up ? H27 : H18);
		return false;
	}
	if (!n) {
		b->done = true;
		return true;
	}
	++*moves;
	x->sent_bytes += up ? 0 : (uint64_t)n;
	r = up ? pending_send(&x->more, u->ev.fd, hot, (size_t)n)
	       : downstream_send(c, hot, (size_t)n);
	if (r < 0) {
		exchange_abort(x, up ? H18 : H27);
		return false;
	}
	return true;
}

/*
 * Passes ends on once everything before them is sent. False when both are, and x is
 * gone.
 */
static bool tunnel_ends(struct exchange *x)
{
	struct downstream *c = x->client;

	if (x->req.done && !x->half_up && !upstream_full(x)) {
		x->half_up = true;
		shutdown(x->up->ev.fd, SHUT_WR);
	}
	if (x->resp.done && !x->half_down && !pending_any(&c->out)) {
		x->half_down = true;
		downstream_shut(c);
	}
	if (!x->half_up || !x->half_down)
		return true;
	x->keep_alive = false;
	x->stays = false;
	exchange_release(x, false);
	exchange_done(x);
	return false;
}

void pump_tunnel(struct exchange *x)
{
	unsigned int moves = 0, before, i;

	for (i = 0; i < PUMP_TURNS; i++) {
		before = moves;
		if (!tunnel_move(x, true, &moves) || !tunnel_move(x, false, &moves) ||
			!tunnel_ends(x))
			return;
		if (moves == before)
			break;
	}
	if (moves)
		downstream_deadline(x->client, x->idle_ms);
	if (i == PUMP_TURNS)
		downstream_again(x->client);
}
