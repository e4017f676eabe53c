/* Head parser: one pass over the bytes, one over the fields for what they mean togethe */
#include "router/http.h"
#include <errno.h>
#include <string.h>

enum { C_TOKEN = 1, C_VALUE = 2, C_TARGET = 4, C_HOST = 8 };

#define T4 (C_TOKEN | C_VALUE | C_TARGET)
#define T8 (C_TOKEN | C_VALUE | C_TARGET | C_HOST)
#define V6 (C_VALUE | C_TARGET)

/* RFC 9110 5.6.2 tokens; 5.5 field values; targets take any visible character but '#'. */
static const uint8_t class[256] = {
	['\t'] = C_VALUE,
	[' '] = C_VALUE,
	['!'] = T4,
	['"'] = V6,
	['#'] = C_TOKEN | C_VALUE,
	['$'] = T4,
	['%'] = T4,
	['&'] = T4,
	['\''] = T4,
	['('] = V6,
	[')'] = V6,
	['*'] = T4,
	['+'] = T4,
	[','] = V6,
	['-'] = T8,
	['.'] = T8,
	['/'] = V6,
	['0' ... '9'] = T8,
	[':'] = V6,
	[';'] = V6,
	['<'] = V6,
	['='] = V6,
	['>'] = V6,
	['?'] = V6,
	['@'] = V6,
	['A' ... 'Z'] = T8,
	['['] = V6,
	['\\'] = V6,
	[']'] = V6,
	['^'] = T4,
	['_'] = T8,
	['`'] = T4,
	['a' ... 'z'] = T8,
	['{'] = V6,
	['|'] = T4,
	['}'] = V6,
	['~'] = T4,
	[0x80 ... 0xff] = C_VALUE,
};

static inline bool is(char c, uint8_t what)
{
	return class[(uint8_t)c] & what;
}

bool http_equal(const char *p, size_t len, const char *lower)
{
	size_t i;

	for (i = 0; i < len; i++) {
		char c = p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c | 0x20);
		if (c != lower[i] || !lower[i])
			return false;
	}
	return !lower[i];
}

/*
 * Names that share a length are told apart by a whole comparison; most lengths have one
 * or two.
 */
uint8_t http_identify(const char *p, size_t n)
{
	static const struct {
		const char *name;
		uint8_t len, id;
	} known[] = {
		{"te", 2, HTTP_HOP},
		{"host", 4, HTTP_HOST},
		{"date", 4, HTTP_DATE},
		{"proxy", 5, HTTP_FORGED}, /* would be HTTP_PROXY of a CGI program */
		{"expect", 6, HTTP_EXPECT},
		{"upgrade", 7, HTTP_UPGRADE},
		{"forwarded", 9, HTTP_FORGED},
		{"connection", 10, HTTP_CONNECTION},
		{"keep-alive", 10, HTTP_HOP},
		{"x-request-id", 12, HTTP_REQUEST_ID},
		{"content-length", 14, HTTP_CONTENT_LENGTH},
		{"http2-settings", 14, HTTP_HOP},
		{"x-request-start", 15, HTTP_FORGED},
		{"proxy-connection", 16, HTTP_HOP},
		{"transfer-encoding", 17, HTTP_TRANSFER_ENCODING},
	};
	size_t i;

	if (n > 12 && (p[0] | 0x20) == 'x' && http_equal(p, 12, "x-forwarded-"))
		return HTTP_FORGED;
	for (i = 0; i < ARRAY_LEN(known); i++) {
		if (known[i].len == n && (p[0] | 0x20) == known[i].name[0] &&
			http_equal(p, n, known[i].name))
			return known[i].id;
	}
	return HTTP_OTHER;
}

bool http_trailer_allowed(const char *p, size_t n)
{
	uint8_t id = http_identify(p, n);

	return id == HTTP_OTHER || id == HTTP_DATE || id == HTTP_REQUEST_ID;
}

/* CRLF at i: offset after it, 0 when cut off, -1 when something else is there. */
static long line_end(const char *p, size_t len, size_t i)
{
	if (i >= len)
		return 0;
	if (p[i] != '\r')
		return -1;
	if (i + 1 >= len)
		return 0;
	return p[i + 1] == '\n' ? (long)i + 2 : -1;
}

/* One field line at `at`: offset of the next, 0 when cut off, -1 when malformed. */
static long scan_field(const char *p, size_t len, size_t at, struct http_field *f)
{
	size_t i = at, end;
	long next;

	while (i < len && is(p[i], C_TOKEN))
		i++;
	if (i == len)
		return 0;
	if (p[i] != ':' || i == at)
		return -1;
	f->start = (uint32_t)at;
	f->name_len = (uint32_t)(i - at);
	for (i++; i < len && (p[i] == ' ' || p[i] == '\t');)
		i++;
	f->value = (uint32_t)i;
	while (i < len && is(p[i], C_VALUE))
		i++;
	next = line_end(p, len, i);
	if (next <= 0)
		return next;
	for (end = i; end > f->value && (p[end - 1] == ' ' || p[end - 1] == '\t');)
		end--;
	f->value_len = (uint32_t)(end - f->value);
	f->end = (uint32_t)next;
	f->id = http_identify(p + at, f->name_len);
	return next;
}

struct limits {
	uint32_t head, fields;
};

static const struct limits received = {HTTP_HEAD_MAX, HTTP_FIELDS_MAX},
			   rewritten = {HTTP_HEAD_MAX + RESPONSE_ROOM,
				   HTTP_FIELDS_MAX + RESPONSE_FIELDS};

/* All fields from `at` to the empty line: head length, 0, or -400 / -431. */
static int scan_fields(const char *p, size_t len, size_t at, const struct limits *max,
	struct http_head *h)
{
	long next;

	h->n_fields = 0;
	for (;;) {
		if (at < len && p[at] == '\r') {
			next = line_end(p, len, at);
			if (next > 0 && (size_t)next > max->head)
				return -431;
			return next < 0 ? -400 : (int)next;
		}
		if (at < len && h->n_fields == max->fields)
			return -431;
		next = scan_field(p, len, at, &h->fields[h->n_fields]);
		if (next < 0)
			return -400;
		if (!next)
			return len >= max->head ? -431 : 0;
		h->n_fields++;
		at = (size_t)next;
	}
}

/* "HTTP/1.x" at p[i]: 0, or -400 / -505. */
static int scan_version(const char *p, struct http_head *h)
{
	if (memcmp(p, "HTTP/", 5) != 0 || p[5] < '0' || p[5] > '9' || p[6] != '.' ||
		p[7] < '0' || p[7] > '9')
		return -400;
	if (p[5] != '1')
		return -505;
	h->minor = p[7] !=
		   '0'; /* a higher minor version is understood as 1.1 (RFC 9110 2.5) */
	return 0;
}

/* Offset after the request line, 0, or minus a status. */
static int scan_request_line(const char *p, size_t len, size_t i, struct http_head *h)
{
	size_t start = i;
	long next;
	int r;

	while (i < len && is(p[i], C_TOKEN) && i - start < HTTP_METHOD_MAX)
		i++;
	if (i == len)
		return 0;
	if (i - start == HTTP_METHOD_MAX && is(p[i], C_TOKEN))
		return -501; /* RFC 9112 3: longer than any that is implemented */
	if (p[i] != ' ' || i == start)
		return -400;
	h->method = (uint32_t)start;
	h->method_len = (uint32_t)(i - start);
	start = ++i;
	while (i < len && is(p[i], C_TARGET) && i - start <= HTTP_TARGET_MAX)
		i++;
	if (i - start > HTTP_TARGET_MAX)
		return -414;
	if (i == len)
		return 0;
	if (p[i] != ' ' || i == start)
		return -400;
	h->target = (uint32_t)start;
	h->target_len = (uint32_t)(i - start);
	if (len - ++i < 8)
		return 0;
	r = scan_version(p + i, h);
	if (r < 0)
		return r;
	next = line_end(p, len, i + 8);
	return next < 0 ? -400 : (int)next;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

int http_host_name(const char *p, size_t len)
{
	size_t i = 0, name, digits;

	if (len && p[0] == '[') {
		for (i = 1; i < len && p[i] != ']'; i++)
			if (!is_hex(p[i]) && p[i] != ':' && p[i] != '.')
				return -EINVAL;
		if (i++ >= len || i < 4)
			return -EINVAL;
	} else {
		while (i < len && is(p[i], C_HOST))
			i++;
	}
	name = i;
	if (i < len && p[i++] != ':')
		return -EINVAL;
	for (digits = 0; i < len; i++, digits++)
		if (p[i] < '0' || p[i] > '9')
			return -EINVAL;
	if (digits > 5 || !name || p[0] == '.')
		return -EINVAL;
	if (p[name - 1] == '.')
		name--;
	return name > 253 ? -EINVAL : (int)name;
}

/*
 * RFC 3986 2.1: two hexadecimal digits after each '%' of a path. Queries are left alone:
 * browsers send "?100%" as it was typed.
 */
static int check_percent(const char *p, size_t len)
{
	const char *query = memchr(p, '?', len), *end = query ? query : p + len;

	while ((p = memchr(p, '%', (size_t)(end - p)))) {
		if (end - p < 3 || !is_hex(p[1]) || !is_hex(p[2]))
			return -400;
		p += 3;
	}
	return 0;
}

/*
 * RFC 9112 3.2: origin-form, absolute-form, "*" for OPTIONS. CONNECT is not for us, and
 * TRACE would show a client what we add (RFC 9110 9.3.8).
 */
static int read_target(const char *p, struct http_head *h)
{
	const char *t = p + h->target, *end = t + h->target_len, *a;
	size_t scheme;

	if (http_equal(p + h->method, h->method_len, "connect") ||
		http_equal(p + h->method, h->method_len, "trace"))
		return -501;
	h->path = h->target;
	h->path_len = h->target_len;
	h->absolute = false;
	if (*t == '/')
		return check_percent(t, h->target_len);
	if (h->target_len == 1 && *t == '*')
		return http_equal(p + h->method, h->method_len, "options") ? 0 : -400;
	if (h->target_len > 7 && http_equal(t, 7, "http://"))
		scheme = 7;
	else if (h->target_len > 8 && http_equal(t, 8, "https://"))
		scheme = 8;
	else
		return -400;
	for (a = t + scheme; a < end && *a != '/' && *a != '?';)
		a++;
	h->absolute = true;
	h->host = h->target + (uint32_t)scheme;
	h->host_len = (uint32_t)(a - t) - (uint32_t)scheme;
	h->path = (uint32_t)(a - p);
	h->path_len = (uint32_t)(end - a);
	return http_host_name(p + h->host, h->host_len) < 0
		       ? -400
		       : check_percent(a, h->path_len);
}

static int read_length(const char *p, size_t len, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i;

	if (!len || len > 18)
		return -EINVAL;
	for (i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -EINVAL;
		v = v * 10 + (uint64_t)(p[i] - '0');
	}
	*ret = v;
	return 0;
}

/* Calls of next_token walk a comma list; false at its end. */
static bool next_token(const char **p, const char *end, const char **tok, size_t *len)
{
	const char *s = *p, *e;

	while (s < end && (*s == ',' || *s == ' ' || *s == '\t'))
		s++;
	if (s == end)
		return false;
	for (e = s; e < end && *e != ',';)
		e++;
	*p = e;
	while (e > s && (e[-1] == ' ' || e[-1] == '\t'))
		e--;
	*tok = s;
	*len = (size_t)(e - s);
	return true;
}

static bool same_name(const char *a, const char *b, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((a[i] | 0x20) != (b[i] | 0x20))
			return false;
	return true;
}

/*
 * A field named by Connection is hop-by-hop. Those that frame or route are not in its
 * power.
 */
static void drop_named(const char *p, struct http_head *h, const char *tok, size_t len)
{
	uint32_t i;

	for (i = 0; i < h->n_fields; i++) {
		struct http_field *f = &h->fields[i];

		if (f->id == HTTP_OTHER && f->name_len == len &&
			same_name(p + f->start, tok, len))
			f->id = HTTP_HOP;
	}
}

struct framing {
	bool length, coding, close;
	int unknown; /* coding: -501 */
	unsigned int hosts;
};

static void read_connection(const char *p, struct http_head *h,
	const struct http_field *f, struct framing *fr)
{
	const char *s = p + f->value, *end = s + f->value_len, *tok;
	size_t len;

	while (next_token(&s, end, &tok, &len)) {
		if (http_equal(tok, len, "close"))
			fr->close = true;
		else if (http_equal(tok, len, "keep-alive"))
			h->keep_alive = true;
		else if (http_equal(tok, len, "upgrade"))
			h->upgrade = true;
		else
			drop_named(p, h, tok, len);
	}
	if (fr->close) /* whatever else is said (RFC 9112 9.3) */
		h->keep_alive = false;
}

/* A tunnel to another version of HTTP would carry requests that nobody here parses. */
static bool upgrade_passable(const char *p, const struct http_field *f)
{
	const char *s = p + f->value, *end = s + f->value_len, *tok;
	size_t len;
	bool any = false;

	while (next_token(&s, end, &tok, &len)) {
		if (len >= 3 && (http_equal(tok, 3, "h2c") || http_equal(tok, 3, "tls")))
			return false;
		if (len >= 4 && http_equal(tok, 4, "http"))
			return false;
		any = true;
	}
	return any;
}

static int read_coding(const char *p, const struct http_field *f)
{
	const char *s = p + f->value, *end = s + f->value_len, *tok;
	size_t len;
	unsigned int n = 0;

	if (http_equal(s, f->value_len, "chunked"))
		return 0;
	while (next_token(&s, end, &tok, &len))
		if (http_equal(tok, len, "chunked"))
			n++;
	/* a coding we do not know, chunked last: 501; anything else is a framing trick */
	return f->value_len && n <= 1 && !memchr(p + f->value, ';', f->value_len) ? -501
										  : -400;
}

/* What requests and responses have in common. 0 or minus a status. */
static int read_field(const char *p, struct http_head *h, uint32_t i, struct framing *fr)
{
	struct http_field *f = &h->fields[i];

	switch (f->id) {
	case HTTP_CONTENT_LENGTH:
		if (fr->length || read_length(p + f->value, f->value_len, &h->length) < 0)
			return -400;
		fr->length = true;
		break;
	case HTTP_TRANSFER_ENCODING:
		if (fr->coding)
			return -400;
		fr->coding = true;
		fr->unknown = h->minor ? read_coding(p, f) : -400;
		return fr->unknown == -501 ? 0 : fr->unknown;
	case HTTP_CONNECTION:
		read_connection(p, h, f, fr);
		break;
	case HTTP_UPGRADE:
		if (h->upgrade_field)
			return -400;
		h->upgrade_field = i + 1;
		break;
	default:
		break;
	}
	return 0;
}

static int read_request_field(
	const char *p, struct http_head *h, uint32_t i, struct framing *fr)
{
	struct http_field *f = &h->fields[i];

	switch (f->id) {
	case HTTP_HOST:
		if (fr->hosts++ || http_host_name(p + f->value, f->value_len) < 0)
			return -400;
		if (!h->absolute) {
			h->host = f->value;
			h->host_len = f->value_len;
		}
		return 0;
	case HTTP_EXPECT:
		if (h->expect || !http_equal(p + f->value, f->value_len, "100-continue"))
			return -417;
		h->expect = true;
		return 0;
	case HTTP_REQUEST_ID:
		h->id_field = h->id_field ? h->id_field : i + 1;
		return 0;
	case HTTP_OTHER:
		/* apps that read CGI-style names cannot tell a_b from a-b */
		if (memchr(p + f->start, '_', f->name_len))
			f->id = HTTP_HOP;
		return 0;
	default:
		return read_field(p, h, i, fr);
	}
}

/* RFC 9110 7.6.2, of OPTIONS: other methods' is not ours to read, TRACE is refused. */
static int read_hops(const char *p, struct http_head *h)
{
	for (uint32_t i = 0; i < h->n_fields; i++) {
		struct http_field *f = &h->fields[i];

		if (!http_equal(p + f->start, f->name_len, "max-forwards"))
			continue;
		if (h->has_hops || !f->value_len)
			return -400;
		for (uint32_t k = f->value; k < f->value + f->value_len; k++) {
			if (p[k] < '0' || p[k] > '9')
				return -400;
			h->hops = h->hops * 10 + (uint32_t)(p[k] - '0');
			if (h->hops > HTTP_HOPS_MAX)
				h->hops = HTTP_HOPS_MAX + 1;
		}
		h->has_hops = true;
		f->id = HTTP_FORGED; /* said anew, one less */
	}
	return 0;
}

static void reset(struct http_head *h)
{
	memset(h, 0, offsetof(struct http_head, fields));
}

int http_parse_request(const char *p, size_t len, struct http_head *h)
{
	struct framing fr = {0};
	size_t start = 0;
	uint32_t i;
	int r;

	reset(h);
	/*
	 * RFC 9112 2.2: an empty line before the request line is ignored; two are
	 * enough
	 */
	while (start < 4 && len - start >= 2 && p[start] == '\r' && p[start + 1] == '\n')
		start += 2;
	if (start < 4 && len - start == 1 && p[start] == '\r')
		return 0;
	r = scan_request_line(p, len, start, h);
	if (r <= 0)
		return r;
	r = scan_fields(p, len, (size_t)r, &received, h);
	if (r <= 0)
		return r;
	h->len = (uint32_t)r;
	h->keep_alive = h->minor > 0;
	r = read_target(p, h);
	for (i = 0; !r && i < h->n_fields; i++)
		r = read_request_field(p, h, i, &fr);
	if (!r && h->method_len == 7 && !memcmp(p + h->method, "OPTIONS", 7))
		r = read_hops(p, h);
	if (r < 0)
		return r;
	if (fr.hosts != 1 || (fr.length && fr.coding))
		return -400;
	if (fr.unknown)
		return fr.unknown;
	if (fr.coding)
		h->body = BODY_CHUNKED;
	else if (h->length)
		h->body = BODY_LENGTH;
	h->upgrade = h->upgrade && h->upgrade_field && h->minor && h->body == BODY_NONE &&
		     upgrade_passable(p, &h->fields[h->upgrade_field - 1]);
	return (int)h->len;
}

/* Offset after the status line, 0, or -502. */
static int scan_status_line(const char *p, size_t len, struct http_head *h)
{
	size_t i = 12;
	long next;

	if (len < 13)
		return 0;
	if (scan_version(p, h) < 0 || p[8] != ' ')
		return -502;
	for (int k = 9; k < 12; k++) {
		if (p[k] < '0' || p[k] > '9')
			return -502;
		h->status = (uint16_t)(h->status * 10 + (p[k] - '0'));
	}
	if (p[i] == ' ')
		i++;
	else if (p[i] != '\r')
		return -502;
	h->reason = (uint32_t)i;
	while (i < len && is(p[i], C_VALUE))
		i++;
	h->reason_len = (uint32_t)i - h->reason;
	next = line_end(p, len, i);
	if (next < 0 || h->status < 100 || h->status > 599)
		return -502;
	return (int)next;
}

static void response_body(struct http_head *h, const struct framing *fr, bool head)
{
	if (head || h->status < 200 || h->status == 204 || h->status == 304)
		h->body = BODY_NONE;
	else if (fr->coding)
		h->body = BODY_CHUNKED;
	else if (!fr->length)
		h->body = BODY_EOF;
	else
		h->body = h->length ? BODY_LENGTH : BODY_NONE;
}

static int parse_response(const char *p, size_t len, bool head, const struct limits *max,
	struct http_head *h)
{
	struct framing fr = {0};
	uint32_t i;
	int r;

	reset(h);
	r = scan_status_line(p, len, h);
	if (r <= 0)
		return r ? r : len >= max->head ? -502 : 0;
	r = scan_fields(p, len, (size_t)r, max, h);
	if (r <= 0)
		return r < 0 ? -502 : 0;
	h->len = (uint32_t)r;
	h->keep_alive = h->minor > 0;
	for (i = 0; i < h->n_fields; i++)
		if (read_field(p, h, i, &fr) < 0)
			return -502;
	if (fr.unknown || (fr.length && fr.coding))
		return -502;
	h->upgrade = h->upgrade && h->upgrade_field;
	response_body(h, &fr, head);
	return (int)h->len;
}

int http_parse_response(const char *p, size_t len, bool head, struct http_head *h)
{
	return parse_response(p, len, head, &received, h);
}

int http_parse_rewritten(const char *p, size_t len, bool head, struct http_head *h)
{
	return parse_response(p, len, head, &rewritten, h);
}
