/* Response heads: interim ones passed on, 101 opens a tunnel, the final one starts a b */
#include "router/compress.h"
#include "router/policy.h"
#include "router/worker.h"
#include <string.h>

static bool send_interim(struct exchange *x, const char *p)
{
	struct worker *w = x->client->w;
	size_t n;

	x->up->reused = false; /* the app is at work: not a stale connection */
	if (x->minor0)	       /* RFC 9110 15.2: not to a 1.0 client */
		return true;
	n = rewrite_response(x, &w->head, p, w->cold);
	if (downstream_send(x->client, w->cold, n) == 0)
		return true;
	exchange_abort(x, H27);
	return false;
}

static void start_tunnel(struct exchange *x, const char *p, size_t n)
{
	struct downstream *c = x->client;
	struct worker *w = c->w;
	size_t len;

	if (!x->upgrade || !w->head.upgrade) {
		exchange_fail(x, H17);
		return;
	}
	len = rewrite_response(x, &w->head, p, w->cold);
	x->status = 101;
	x->code = H_NONE; /* instances that refused before are forgotten */
	if (x->policy)
		policy_leave(x);
	x->state = X_TUNNEL;
	body_init(&x->req, BODY_EOF, 0);
	body_init(&x->resp, BODY_EOF, 0);
	x->sent_bytes = n - w->head.len;
	x->more = c->in; /* what the client sent ahead */
	c->in = (struct pending){0};
	if (downstream_send(c, w->cold, len) < 0 ||
		downstream_send(c, p + w->head.len, n - w->head.len) < 0) {
		exchange_abort(x, H27);
		return;
	}
	upstream_flush(x);
}

static void start_body(struct exchange *x, char *p, size_t n)
{
	struct worker *w = x->client->w;
	const struct http_head *h = &w->head;
	size_t len;

	body_init(&x->resp, h->body, h->length);
	if (x->client->via == VIA_STREAM)
		x->resp.chunk.trailers = &x->trailers;
	x->status = h->status;
	x->code = H_NONE;
	if (x->policy)
		policy_leave(x);
	x->inst->failures = 0;
	x->inst->sour_ms = 0;
	x->reuse = h->keep_alive && h->body != BODY_EOF;
	x->decode =
		(x->minor0 || x->client->via == VIA_STREAM) && h->body == BODY_CHUNKED;
	if (x->gzip)
		compress_begin(x, h, p);
	if (h->body == BODY_EOF || x->decode || !x->req.done || w->stopping)
		x->keep_alive = false;
	x->decode |= x->compressor && h->body == BODY_CHUNKED;
	len = rewrite_response(x, h, p, w->cold);
	pump_first(x, w->cold, len, p + h->len, n - h->len);
}

void response_start(struct exchange *x, char *p, size_t n)
{
	struct worker *w = x->client->w;

	while (n) {
		int r = http_parse_response(p, n, x->is_head, &w->head);

		if (r < 0) {
			exchange_fail(x, H17);
			return;
		}
		if (!r) {
			if (pending_set(&x->up->in, p, n) < 0)
				exchange_fail(x, H99);
			return;
		}
		if (w->head.status == 101) {
			start_tunnel(x, p, n);
			return;
		}
		if (w->head.status >= 200) {
			start_body(x, p, n);
			return;
		}
		if (!send_interim(x, p))
			return;
		p += r;
		n -= (size_t)r;
	}
}
