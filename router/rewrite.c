/* Heads as they leave: kept fields copied in runs, hop-by-hop ones left out, ours adde */
#include "router/compress.h"
#include "router/forwarded.h"
#include "router/policy.h"
#include "router/worker.h"
#include <errno.h>
#include <string.h>

#define ID_MAX 200u
/* what rewrite_request adds at most: Via, X-Forwarded-*, id, start, upgrade */
#define EXTRA_ROOM (512u + FORWARDED_ROOM)

struct out {
	char *p;
	uint32_t len;
};

static void add(struct out *o, const char *s, size_t n)
{
	memcpy(o->p + o->len, s, n);
	o->len += (uint32_t)n;
}

#define ADD(o, literal) add(o, literal, sizeof(literal) - 1)

static void add_number(struct out *o, uint64_t v)
{
	char digits[20];
	size_t i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	add(o, digits + i, sizeof(digits) - i);
}

/* Kept: what people and other proxies make; no quote or space could break a log line. */
static bool id_valid(const char *p, size_t n)
{
	size_t i;

	if (!n || n > ID_MAX)
		return false;
	for (i = 0; i < n; i++) {
		char c = p[i];

		if (!((c >= '0' && c <= '9') ||
			    ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
			    c == '_' || c == '.' || c == '+' || c == '/' || c == '='))
			return false;
	}
	return true;
}

/* A random version 4 UUID (RFC 9562). */
static void add_uuid(struct worker *w, struct out *o)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t r[2] = {worker_random(w), worker_random(w)};
	char *p = o->p + o->len;
	int i, k = 0;

	r[0] = (r[0] & ~0xf000ull) | 0x4000u;
	r[1] = (r[1] & ~(3ull << 62)) | 2ull << 62;
	for (i = 0; i < 32; i++) {
		if (i == 8 || i == 12 || i == 16 || i == 20)
			p[k++] = '-';
		p[k++] = hex[r[i / 16] >> (60 - i % 16 * 4) & 15];
	}
	o->len += (uint32_t)k;
}

static bool keeps_request_field(
	const struct http_head *h, const struct http_field *f, bool keep_id)
{
	switch (f->id) {
	case HTTP_CONNECTION:
	case HTTP_UPGRADE:
	case HTTP_HOP:
	case HTTP_FORGED:
		return false;
	case HTTP_HOST:
		return !h->absolute;
	case HTTP_EXPECT:
		return h->minor > 0;
	case HTTP_REQUEST_ID:
		return keep_id && f == &h->fields[h->id_field - 1];
	default:
		return true;
	}
}

/* TE: trailers, with or without codings (RFC 9110 10.1.4). It is said anew to apps that are spoken to in HTTP/2. */
static bool takes_trailers(const struct http_field *f, const char *p)
{
	return f->name_len == 2 && http_equal(p + f->start, 2, "te") &&
	       memmem(p + f->value, f->value_len, "trailers", 8);
}

/* Fields that are kept lie mostly side by side: each run is one copy. */
static void add_request_fields(struct exchange *x, struct out *o,
	const struct http_head *h, const char *p, bool keep_id)
{
	uint32_t from = 0, to = 0, i;

	for (i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->fields[i];

		if (!keeps_request_field(h, f, keep_id)) {
			x->te |= f->id == HTTP_HOP && takes_trailers(f, p);
			continue;
		}
		if (f->start != to) {
			add(o, p + from, to - from);
			from = f->start;
		}
		to = f->end;
		if (f->id == HTTP_HOST) {
			x->host = o->len + (f->value - from);
			x->host_len = f->value_len;
		} else if (f->id == HTTP_REQUEST_ID) {
			x->id = o->len + (f->value - from);
			x->id_len = f->value_len;
		}
	}
	add(o, p + from, to - from);
}

static void add_request_line(
	struct exchange *x, struct out *o, const struct http_head *h, const char *p)
{
	add(o, p + h->method, h->method_len);
	x->method_len = h->method_len;
	ADD(o, " ");
	x->path = o->len;
	if (!h->path_len && http_equal(p + h->method, h->method_len, "options"))
		ADD(o, "*"); /* RFC 9112 3.2.4 */
	else if (!h->path_len || p[h->path] == '?')
		ADD(o, "/");
	add(o, p + h->path, h->path_len);
	x->path_len = o->len - x->path;
	ADD(o, " HTTP/1.1\r\n");
	if (!h->absolute)
		return;
	ADD(o, "Host: ");
	x->host = o->len;
	x->host_len = h->host_len;
	add(o, p + h->host, h->host_len);
	ADD(o, "\r\n");
}

static void add_trusted(
	struct exchange *x, struct out *o, const struct http_head *h, const char *p)
{
	uint32_t at = 0, len = 0;
	size_t n = forwarded_compose(x, h, p, o->p + o->len, &at, &len);

	x->fwd = o->len + at;
	x->fwd_len = len;
	o->len += (uint32_t)n;
}

static void add_ours(struct exchange *x, struct out *o, const struct http_head *h,
	const char *p, bool keep_id)
{
	struct downstream *c = x->client;

	if (h->has_hops && h->hops) {
		ADD(o, "Max-Forwards: ");
		add_number(o, h->hops - 1);
		ADD(o, "\r\n");
	}
	/* RFC 9110 7.6.3: another line continues the list */
	add(o,
		c->via == VIA_STREAM ? "Via: 2.0 berth\r\n"
		: x->minor0	     ? "Via: 1.0 berth\r\n"
				     : "Via: 1.1 berth\r\n",
		16);
	if (forwarded_trusted(c)) {
		add_trusted(x, o, h, p);
	} else {
		ADD(o, "X-Forwarded-For: ");
		add(o, c->ip, c->ip_len);
		ADD(o, "\r\nX-Forwarded-Proto: http");
		add(o, "s", x->https ? 1 : 0);
		ADD(o, "\r\nX-Forwarded-Port: ");
		add_number(o, c->port);
		ADD(o, "\r\n");
	}
	if (!keep_id) {
		ADD(o, "X-Request-Id: ");
		x->id = o->len;
		add_uuid(c->w, o);
		x->id_len = o->len - x->id;
		ADD(o, "\r\n");
	}
	ADD(o, "X-Request-Start: ");
	add_number(o, c->w->real_ms);
	if (x->upgrade) {
		const struct http_field *f = &h->fields[h->upgrade_field - 1];

		ADD(o, "\r\nConnection: Upgrade\r\nUpgrade: ");
		add(o, p + f->value, f->value_len);
	}
	ADD(o, "\r\n\r\n");
}

int rewrite_request(
	struct exchange *x, const struct http_head *h, const char *p, size_t body)
{
	size_t need = h->len + h->host_len + EXTRA_ROOM + body;
	struct out o = {x->space, 0};
	bool keep_id = false;

	x->https = x->client->tls != 0;
	if (need > sizeof(x->space)) {
		o.p = malloc(need);
		if (!o.p)
			return -ENOMEM;
	}
	x->head = o.p;
	if (h->id_field) {
		const struct http_field *f = &h->fields[h->id_field - 1];

		keep_id = id_valid(p + f->value, f->value_len);
	}
	add_request_line(x, &o, h, p);
	add_request_fields(x, &o, h, p, keep_id);
	add_ours(x, &o, h, p, keep_id);
	add(&o, p + h->len, body);
	x->head_len = o.len;
	return 0;
}

static bool is_etag(const char *p, const struct http_field *f)
{
	return f->name_len == 4 && http_equal(p + f->start, 4, "etag");
}

/* What holds of the bytes before they are compressed alone. */
static bool of_the_bytes(const char *name, size_t n)
{
	return http_equal(name, n, "etag") || http_equal(name, n, "accept-ranges") ||
	       http_equal(name, n, "content-md5") || http_equal(name, n, "digest") ||
	       http_equal(name, n, "content-digest");
}

static bool keeps_response_field(const struct exchange *x, const struct http_head *h,
	const struct http_field *f, const char *p)
{
	bool no_body = h->status < 200 || h->status == 204;

	switch (f->id) {
	case HTTP_CONNECTION:
	case HTTP_UPGRADE:
	case HTTP_HOP:
		return false;
	case HTTP_CONTENT_LENGTH: /* RFC 9110 8.6: not in these */
		return !no_body && !x->compressor;
	case HTTP_TRANSFER_ENCODING:
		return !no_body && !x->minor0 && !x->compressor;
	default:
		return !x->compressor || !of_the_bytes(p + f->start, f->name_len);
	}
}

static void add_response_fields(
	const struct exchange *x, struct out *o, const struct http_head *h, const char *p)
{
	uint32_t from = 0, to = 0, i;
	bool dated = h->status < 200;

	for (i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->fields[i];

		if (!keeps_response_field(x, h, f, p))
			continue;
		dated |= f->id == HTTP_DATE;
		if (f->start != to) {
			add(o, p + from, to - from);
			from = f->start;
		}
		to = f->end;
	}
	add(o, p + from, to - from);
	if (dated)
		return;
	ADD(o, "Date: "); /* RFC 9110 6.6.1 */
	add(o, x->client->w->date, STAMP_HTTP_SIZE - 1);
	ADD(o, "\r\n");
}

/*
 * The same content in other bytes: equal by weak comparison alone (RFC 9110 8.8.1). A response has one: more would be more than
 * RESPONSE_ROOM.
 */
static void add_etag(struct out *o, const struct http_head *h, const char *p)
{
	for (uint32_t i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->fields[i];

		if (!is_etag(p, f) || !f->value_len)
			continue;
		ADD(o, "ETag: ");
		if (p[f->value] == '"')
			ADD(o, "W/");
		add(o, p + f->value, f->value_len);
		ADD(o, "\r\n");
		return;
	}
}

static void add_compressed(
	const struct exchange *x, struct out *o, const struct http_head *h, const char *p)
{
	add_etag(o, h, p);
	ADD(o, "Content-Encoding: gzip\r\n");
	if (compress_chunks(x))
		ADD(o, "Transfer-Encoding: chunked\r\n");
}

/* What the app's options add. */
static void add_options(
	const struct exchange *x, struct out *o, const struct http_head *h, const char *p)
{
	if (h->status < 200 && h->status != 101)
		return;
	if (x->vary)
		ADD(o, "Vary: Accept-Encoding\r\n");
	if (x->compressor)
		add_compressed(x, o, h, p);
	if (x->inst)
		o->len += (uint32_t)policy_cookies(x, o->p + o->len);
}

/* Our own hop: whether the connection goes on, and a protocol switched to or asked for. */
static void add_connection(
	const struct exchange *x, struct out *o, const struct http_head *h, const char *p)
{
	bool final = h->status >= 200;

	if (h->upgrade && (h->status == 101 || h->status == 426)) {
		const struct http_field *f = &h->fields[h->upgrade_field - 1];

		ADD(o, "Upgrade: ");
		add(o, p + f->value, f->value_len);
		ADD(o, "\r\nConnection: Upgrade\r\n");
	}
	if (final && !x->keep_alive)
		ADD(o, "Connection: close\r\n");
	else if (final && x->minor0)
		ADD(o, "Connection: keep-alive\r\n");
}

size_t rewrite_response(
	const struct exchange *x, const struct http_head *h, const char *p, char *out)
{
	struct out o = {out, 0};

	ADD(&o, "HTTP/1.1 ");
	add_number(&o, h->status);
	ADD(&o, " ");
	add(&o, p + h->reason, h->reason_len);
	ADD(&o, "\r\n");
	add_response_fields(x, &o, h, p);
	if (x->vary || x->sticky_key || x->group)
		add_options(x, &o, h, p);
	add_connection(x, &o, h, p);
	ADD(&o, "\r\n");
	return o.len;
}
