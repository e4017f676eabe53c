/* Request heads of HTTP/2, written down as HTTP/1.1 for the one strict parser. */
#include "router/h2_head.h"
#include <errno.h>
#include <string.h>

struct text {
	const char *p;
	uint32_t len;
};

/* In front of each field. */
struct lengths {
	uint32_t name, value;
};

/* The pseudo fields, and what stands for them. */
struct parts {
	struct text method, path, scheme, authority, protocol, host;
	bool bad;
};

static struct {
	const char *name;
	size_t offset;
} const pseudos[] = {
	{":method", offsetof(struct parts, method)},
	{":path", offsetof(struct parts, path)},
	{":scheme", offsetof(struct parts, scheme)},
	{":authority", offsetof(struct parts, authority)},
	{":protocol", offsetof(struct parts, protocol)},
	{"host", offsetof(struct parts, host)},
};

static bool same(struct text a, const char *word)
{
	return a.p && a.len == strlen(word) && !memcmp(a.p, word, a.len);
}

/* Nothing that could end a line of HTTP/1.1, whatever nghttp2 thinks of it. */
static bool value_ok(struct text v)
{
	return !memchr(v.p, '\r', v.len) && !memchr(v.p, '\n', v.len) &&
	       !memchr(v.p, '\0', v.len);
}

static bool name_ok(struct text n)
{
	return n.len && value_ok(n) && !memchr(n.p, ':', n.len) &&
	       !memchr(n.p, ' ', n.len) && !memchr(n.p, '\t', n.len);
}

/* Visible characters only: they stand in the request line. */
static bool visible(struct text v)
{
	for (uint32_t i = 0; i < v.len; i++)
		if ((uint8_t)v.p[i] <= ' ' || v.p[i] == 0x7f)
			return false;
	return v.len > 0;
}

int h2_head_add(struct h2_head *h, const char *name, size_t name_len, const char *value,
	size_t value_len)
{
	struct lengths len = {(uint32_t)name_len, (uint32_t)value_len};
	char *at;

	h->size += (uint32_t)(name_len + value_len) + 4;
	h->too_large |= h->size > HTTP_HEAD_MAX;
	if (h->size > H2_HEAD_STOP)
		return -E2BIG;
	if (h->too_large)
		return 0;
	at = buf_room(&h->fields, sizeof(len) + name_len + value_len);
	if (!at)
		return -E2BIG;
	memcpy(at, &len, sizeof(len));
	memcpy(at + sizeof(len), name, name_len);
	memcpy(at + sizeof(len) + name_len, value, value_len);
	h->fields.len += sizeof(len) + name_len + value_len;
	return 0;
}

/* The field at *at, which moves on. False at the end. */
static bool next_field(
	const struct h2_head *h, size_t *at, struct text *name, struct text *value)
{
	struct lengths len;

	if (*at >= h->fields.len)
		return false;
	memcpy(&len, h->fields.data + *at, sizeof(len));
	*name = (struct text){h->fields.data + *at + sizeof(len), len.name};
	*value = (struct text){name->p + len.name, len.value};
	*at += sizeof(len) + len.name + len.value;
	return true;
}

/* RFC 9113 8.2.2: what is about one HTTP/1.1 connection is malformed here. */
static bool about_connection(struct text name)
{
	return same(name, "connection") || same(name, "upgrade") ||
	       same(name, "transfer-encoding") || same(name, "keep-alive") ||
	       same(name, "proxy-connection");
}

/* Where a field that is not passed on as it is belongs. NULL: it is. */
static struct text *part_for(struct parts *p, struct text name)
{
	for (size_t i = 0; i < ARRAY_LEN(pseudos); i++)
		if (same(name, pseudos[i].name))
			return (struct text *)(void *)((char *)p + pseudos[i].offset);
	return NULL;
}

static void find_parts(const struct h2_head *h, struct parts *p)
{
	struct text name, value, *part;
	size_t at = 0;

	while (next_field(h, &at, &name, &value)) {
		part = part_for(p, name);
		if (!part) {
			p->bad |= !name_ok(name) || !value_ok(value) ||
				  about_connection(name);
			continue;
		}
		p->bad |= part->p || !visible(value);
		*part = value;
	}
}

/* RFC 9113 8.3.1: Host and :authority must not differ. 0 or minus a status. */
static int check_parts(struct h2_head *h, struct parts *p)
{
	h->is_head = same(p->method, "HEAD");
	h->connect = same(p->method, "CONNECT");
	if (h->connect && !p->protocol.p && !p->bad)
		return -501; /* it has no path and no scheme */
	if (p->bad || !p->method.p || !p->path.p || !p->scheme.p)
		return -400;
	if (!p->authority.p)
		p->authority = p->host;
	else if (p->host.p && (p->host.len != p->authority.len ||
				      memcmp(p->host.p, p->authority.p, p->host.len)))
		return -400;
	if (!p->authority.p || (p->path.p[0] != '/' && !same(p->path, "*")))
		return -400;
	if (!p->protocol.p)
		return 0;
	if (!h->connect)
		return -400;
	return same(p->protocol, "websocket") ? 0 : -501;
}

struct out {
	char *p;
	size_t len;
};

static void add(struct out *o, struct text t)
{
	memcpy(o->p + o->len, t.p, t.len);
	o->len += t.len;
}

#define ADD(o, literal) add(o, (struct text){literal, sizeof(literal) - 1})

/* RFC 9113 8.2.3: the pieces are one field again. */
static void add_cookies(const struct h2_head *h, struct out *o)
{
	struct text name, value;
	size_t at = 0;
	bool any = false;

	while (next_field(h, &at, &name, &value)) {
		if (!same(name, "cookie"))
			continue;
		if (any)
			ADD(o, "; ");
		else
			ADD(o, "cookie: ");
		add(o, value);
		any = true;
	}
	if (any)
		ADD(o, "\r\n");
}

/* True when the length of the body is among them. */
static bool add_fields(const struct h2_head *h, struct parts *p, struct out *o)
{
	struct text name, value;
	bool length = false, cookies = false;
	size_t at = 0;

	while (next_field(h, &at, &name, &value)) {
		if (part_for(p, name))
			continue;
		if (same(name, "cookie")) {
			cookies = true;
			continue;
		}
		length |= same(name, "content-length");
		add(o, name);
		ADD(o, ": ");
		add(o, value);
		ADD(o, "\r\n");
	}
	if (cookies)
		add_cookies(h, o);
	return length;
}

int h2_head_write(struct h2_head *h, bool more, const char *key, char *out)
{
	struct parts p = {0};
	struct out o = {out, 0};
	bool length;
	int r;

	if (h->too_large)
		return -431;
	find_parts(h, &p);
	r = check_parts(h, &p);
	if (r < 0)
		return r;
	add(&o, h->connect ? (struct text){"GET", 3} : p.method);
	ADD(&o, " ");
	add(&o, p.path);
	ADD(&o, " HTTP/1.1\r\nHost: ");
	add(&o, p.authority);
	ADD(&o, "\r\n");
	length = add_fields(h, &p, &o);
	if (h->connect && length)
		return -400;
	if (h->connect) {
		ADD(&o, "Connection: Upgrade\r\nUpgrade: websocket\r\n"
			"Sec-WebSocket-Key: ");
		add(&o, (struct text){key, (uint32_t)strlen(key)});
		ADD(&o, "\r\n");
	}
	h->chunked = more && !length && !h->connect;
	if (h->chunked)
		ADD(&o, "Transfer-Encoding: chunked\r\n");
	ADD(&o, "\r\n");
	return (int)o.len;
}

void h2_head_free(struct h2_head *h)
{
	buf_free(&h->fields);
	*h = (struct h2_head){0};
}
