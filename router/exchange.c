/* A request's way: where it goes, what happens when that fails, how it ends. */
#include "router/compress.h"
#include "router/h2c.h"
#include "router/metrics.h"
#include "router/policy.h"
#include "router/worker.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct exchange *exchange_new(struct downstream *c)
{
	struct exchange *x = slab_get(&c->w->exchange_slab);

	if (!x)
		return NULL;
	memset(x, 0, offsetof(struct exchange, space));
	x->client = c;
	x->head = x->space;
	x->replay = true;
	x->body_max = REQUEST_BODY_MAX;
	x->start_ms = c->w->now_ms;
	x->start_us = c->w->now_us;
	c->x = x;
	c->w->n_exchanges++;
	return x;
}

static void exchange_free(struct exchange *x)
{
	struct worker *w = x->client->w;

	pending_free(&x->more);
	buf_free(&x->trailers);
	if (x->head != x->space)
		free(x->head);
	x->client->x = NULL;
	w->n_exchanges--;
	slab_put(&w->exchange_slab, x);
}

void exchange_release(struct exchange *x, bool reuse)
{
	struct upstream *u = x->up;

	if (x->state == X_HELD && x->prev)
		hold_del(x);
	if (x->state == X_SOCKET && x->prev)
		backend_unwait(x);
	x->up = NULL;
	if (u) {
		u->x = NULL;
		upstream_put(u, reuse);
	}
	if (x->inst)
		backend_leave(x);
}

/* Logs and frees; what becomes of the connection is the caller's. */
static void finish(struct exchange *x)
{
	exchange_release(x, false);
	if (x->policy)
		policy_leave(x);
	if (x->compressor)
		compress_end(x);
	metrics_note(x->client->w, x);
	access_line(x->client->w, x);
	exchange_free(x);
}

void exchange_done(struct exchange *x)
{
	struct downstream *c = x->client;
	bool keep = x->keep_alive && x->req.done;

	x->state = X_FLUSH;
	if (pending_any(&c->out) && c->via != VIA_STREAM) {
		downstream_deadline(c, x->idle_ms ? x->idle_ms : DEFAULT_IDLE_MS);
		return;
	}
	/* the rest of the body, or another request, is still to come: no reset may meet it */
	if (!x->req.done || (!keep && x->stays))
		c->readable = true;
	finish(x);
	downstream_next(c, keep);
}

bool exchange_gets(const struct exchange *x)
{
	return x->is_head || (x->method_len == 3 && !memcmp(x->head, "GET", 3));
}

/* Nothing of an app's is said to this request: its connection is let go. */
static void say_ourselves(struct exchange *x, unsigned int status)
{
	x->status = (uint16_t)status;
	exchange_release(x, false);
	x->keep_alive = x->keep_alive && x->req.done && !x->client->w->stopping;
}

/* A page instead of a response. */
static void answer(
	struct exchange *x, unsigned int status, enum hcode code, const char *fields)
{
	struct downstream *c = x->client;
	struct page own = policy_page(x, status, code);

	x->code = (uint8_t)code;
	say_ourselves(x, status);
	own.fields = fields;
	x->sent_bytes = respond_page(c, status, own, x->is_head, x->keep_alive);
	exchange_done(x);
}

/* The end of the connection is what says to the client that the response is whole. */
static bool ends_with_connection(const struct exchange *x)
{
	if (x->client->via == VIA_STREAM)
		return false;
	return x->resp.kind == BODY_EOF ? !x->compressor : x->decode && x->minor0;
}

/* The client has not got all of a response that began: a reset says so where an end would say the opposite. */
static void close_early(struct exchange *x)
{
	struct downstream *c = x->client;
	struct linger reset = {.l_onoff = 1};
	bool part = x->state == X_BODY || (x->state == X_FLUSH && pending_any(&c->out));

	if (part && ends_with_connection(x))
		setsockopt(c->ev.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	finish(x);
	downstream_close(c);
}

/*
 * Part of the response is out: only cutting the connection tells the client that it is
 * not whole.
 */
static void cut(struct exchange *x, enum hcode code)
{
	x->code = (uint8_t)code;
	close_early(x);
}

void exchange_say(struct exchange *x, const char *status, const char *fields, size_t len,
	const char *body, size_t n)
{
	struct downstream *c = x->client;
	char *out = c->w->cold;
	int head;

	say_ourselves(x, (unsigned int)strtoul(status, NULL, 10));
	x->sent_bytes = x->is_head ? 0 : n;
	head = snprintf(out, HOT_SIZE - n,
		"HTTP/1.1 %s\r\nDate: %s\r\nContent-Length: %zu\r\nConnection: %s\r\n"
		"%.*s\r\n",
		status, c->w->date, n, x->keep_alive ? "keep-alive" : "close", (int)len,
		fields);
	memcpy(out + head, body, x->sent_bytes);
	/* a client that is gone is noticed by its event */
	(void)!downstream_send(c, out, (size_t)head + x->sent_bytes);
	exchange_done(x);
}

void exchange_fail(struct exchange *x, enum hcode code)
{
	if (x->state >= X_BODY)
		cut(x, code);
	else
		answer(x, respond_status(code), code, NULL);
}

void exchange_refuse(struct exchange *x, unsigned int status, enum hcode code)
{
	if (x->state >= X_BODY) {
		cut(x, code);
		return;
	}
	x->keep_alive = false;
	answer(x, status, code, NULL);
}

void exchange_answer(struct exchange *x, unsigned int status, const char *fields)
{
	answer(x, status, H_NONE, fields);
}

void exchange_abort(struct exchange *x, enum hcode code)
{
	x->code = (uint8_t)code;
	if (!x->status)
		x->status = 499;
	close_early(x);
}

static const struct table_host *exchange_host(const struct exchange *x)
{
	const char *host = x->head + x->host;
	int name = http_host_name(host, x->host_len);

	return name > 0 ? table_find(x->client->w->table, host, (size_t)name) : NULL;
}

const struct table_app *exchange_app(const struct exchange *x)
{
	const struct table_host *row = exchange_host(x);

	return row ? &x->client->w->table->apps[row->app] : NULL;
}

void exchange_dispatch(struct exchange *x)
{
	struct worker *w = x->client->w;
	const struct table_host *row;
	const struct table_app *app;
	struct instance *inst;

	if (x->generation != w->generation) {
		/* what refused under an older table says nothing about this one */
		x->generation = w->generation;
		x->n_tried = 0;
		x->code = H_NONE;
	}
	if (!w->table) { /* this worker is young: control sends it within milliseconds */
		hold_add(x, NO_TABLE_MS);
		return;
	}
	row = exchange_host(x);
	if (!row) {
		answer(x, 404, H_NONE, NULL);
		return;
	}
	app = &w->table->apps[row->app];
	x->app = app->id;
	if (front_answers(x, row))
		return;
	x->timeout_ms = app->timeout_ms ? app->timeout_ms : DEFAULT_TIMEOUT_MS;
	x->idle_ms = app->idle_timeout_ms ? app->idle_timeout_ms : DEFAULT_IDLE_MS;
	if (app->options && !policy_admit(x, app))
		return;
	if (body_announced(&x->req) > x->body_max) {
		exchange_refuse(x, 413, H_NONE);
		return;
	}
	x->h2c = app->options && (table_options_of(w->table, app)->flags & OPTION_H2C);
	if (x->h2c && x->upgrade && !(app->flags & APP_MAINTENANCE)) {
		exchange_answer(x, 501, NULL); /* a WebSocket would be RFC 8441 */
		return;
	}
	if (app->flags & APP_MAINTENANCE) {
		exchange_fail(x, H80);
		return;
	}
	inst = backend_pick(w, app, x);
	if (inst) {
		backend_enter(inst, x);
		upstream_get(x);
	} else if (app->flags & APP_HOLD) {
		hold_add(x, app->hold_ms);
		if (app->flags & APP_ASLEEP)
			sleeper_wake(w, app);
	} else {
		exchange_fail(x, x->code ? (enum hcode)x->code : H10);
	}
}

void exchange_retry(struct exchange *x, enum hcode code)
{
	if (x->inst && x->n_tried < TRIED_MAX)
		x->tried[x->n_tried++] = x->inst->id;
	x->code = (uint8_t)code;
	exchange_release(x, false);
	x->head_off = 0;
	x->family = 0;
	exchange_dispatch(x);
}

static void timeout_sending(struct exchange *x)
{
	struct upstream *u = x->up;
	bool app_slow = x->req.done || upstream_full(x);

	if (u && u->connecting) {
		backend_failed(x->inst, u->w->now_ms, true);
		exchange_retry(x, H19);
	} else if (app_slow) {
		backend_failed(x->inst, x->client->w->now_ms, false);
		exchange_fail(x, H12);
	} else {
		exchange_refuse(x, 408, H28);
	}
}

void exchange_timeout(struct exchange *x)
{
	switch ((enum exchange_state)x->state) {
	case X_HELD:
		exchange_fail(x, H20);
		break;
	case X_SOCKET:
		exchange_retry(x, H19);
		break;
	case X_SEND:
		timeout_sending(x);
		break;
	case X_BODY:
	case X_TUNNEL:
	case X_FLUSH:
		exchange_fail(x, pending_any(&x->client->out) ? H28 : H15);
		break;
	}
}

void exchange_continue(struct exchange *x)
{
	struct downstream *c = x->client;

	if (x->state == X_FLUSH) {
		if (!pending_any(&c->out))
			exchange_done(x);
		return;
	}
	if (!x->up)
		return;
	if (x->state == X_TUNNEL) {
		pump_tunnel(x);
		return;
	}
	if (x->up->h2 && !x->up->connecting)
		h2c_turn(x->up);
	if (c->readable && !x->req.done) {
		pump_up(x);
		if (c->x != x)
			return;
	}
	if (x->up && x->up->readable)
		upstream_read(x);
}
