/* Who a request came from, when the peer is a proxy that may say so. */
#include "router/forwarded.h"
#include "lib/addr.h"
#include "router/worker.h"
#include <stdio.h>
#include <string.h>

static bool in_nets(const struct table *t, const struct addr *a)
{
	for (uint32_t i = 0; i < t->n_nets; i++) {
		const struct table_net *n = &t->nets[i];
		struct addr net = {.family = (int)n->family, .prefix = n->prefix};

		memcpy(net.bytes, n->addr, sizeof(net.bytes));
		if (addr_contains(&net, a))
			return true;
	}
	return false;
}

static bool address_of(const char *p, size_t len, struct addr *ret)
{
	char text[64];

	if (!len || len >= sizeof(text) || memchr(p, '/', len))
		return false;
	memcpy(text, p, len);
	text[len] = '\0';
	if (addr_parse(text, ret) < 0)
		return false;
	addr_unmap(ret);
	return true;
}

bool forwarded_trusted(const struct downstream *c)
{
	const struct table *t = c->w->table;
	struct addr a;

	return t && t->n_nets && address_of(c->ip, c->ip_len, &a) && in_nets(t, &a);
}

static size_t put(char *out, size_t at, const char *p, size_t n)
{
	memcpy(out + at, p, n);
	return at + n;
}

/* The last field of that name; NULL: none. */
static const struct http_field *last(
	const struct http_head *h, const char *p, const char *name)
{
	for (uint32_t i = h->n_fields; i-- > 0;) {
		const struct http_field *f = &h->fields[i];

		if (f->id == HTTP_FORGED && http_equal(p + f->start, f->name_len, name))
			return f;
	}
	return NULL;
}

/* All the fields are one list (RFC 9110 5.3). */
static size_t put_list(const struct http_head *h, const char *p, char *out, size_t at)
{
	for (uint32_t i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->fields[i];

		if (f->id != HTTP_FORGED || !f->value_len ||
			!http_equal(p + f->start, f->name_len, "x-forwarded-for"))
			continue;
		at = put(out, at, p + f->value, f->value_len);
		at = put(out, at, ", ", 2);
	}
	return at;
}

static bool space(char c)
{
	return c == ' ' || c == '\t' || c == ',';
}

/* From its end: proxies, then the client. What is no address is not believed, nor what is before it. */
static void find_client(const struct table *t, const char *out, size_t from, size_t to,
	uint32_t *ret_at, uint32_t *ret_len)
{
	struct addr a;

	while (to > from) {
		size_t end = to, start;

		while (end > from && space(out[end - 1]))
			end--;
		for (start = end; start > from && !space(out[start - 1]);)
			start--;
		if (!address_of(out + start, end - start, &a))
			return;
		*ret_at = (uint32_t)start;
		*ret_len = (uint32_t)(end - start);
		if (!in_nets(t, &a))
			return;
		to = start;
	}
}

static bool digits(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	return n && n < 6;
}

size_t forwarded_compose(struct exchange *x, const struct http_head *h, const char *p,
	char *out, uint32_t *ret_at, uint32_t *ret_len)
{
	static const char name[] = "X-Forwarded-For: ";
	const struct downstream *c = x->client;
	const struct http_field *proto = last(h, p, "x-forwarded-proto"),
				*port = last(h, p, "x-forwarded-port");
	size_t at = put(out, 0, name, sizeof(name) - 1), from = at;

	at = put_list(h, p, out, at);
	at = put(out, at, c->ip, c->ip_len);
	find_client(c->w->table, out, from, at, ret_at, ret_len);
	if (proto)
		x->https = http_equal(p + proto->value, proto->value_len, "https");
	at += (size_t)snprintf(out + at, FORWARDED_ROOM / 2, "\r\nX-Forwarded-Proto: %s",
		x->https ? "https" : "http");
	if (port && digits(p + port->value, port->value_len))
		at += (size_t)snprintf(out + at, FORWARDED_ROOM / 2,
			"\r\nX-Forwarded-Port: %.*s\r\n", (int)port->value_len,
			p + port->value);
	else
		at += (size_t)snprintf(out + at, FORWARDED_ROOM / 2,
			"\r\nX-Forwarded-Port: %u\r\n", x->https ? 443u : c->port);
	return at;
}
