/*
 * Request and response heads. What is accepted from a prefix does not change with more
 * bytes; what leaves after rewriting is read again as the same request or response: one
 * Host, one framing, nothing hop-by-hop, nothing that a client forged.
 */
#include "tests/fuzz/fuzz.h"

#include "router/worker.h"

static struct worker worker = {.random = {1, 2},
	.real_ms = 1700000000000,
	.date = "Tue, 14 Nov 2023 22:13:20 GMT"};
static struct downstream client = {
	.w = &worker, .port = 80, .ip = "192.0.2.1", .ip_len = 9};

#define NEAR 600u /* shorter ones are cut everywhere, longer ones at some places */
#define CUTS 24u

typedef int (*parse_fn)(const char *p, size_t n, struct http_head *h);

static int parse_response(const char *p, size_t n, struct http_head *h)
{
	return http_parse_response(p, n, false, h);
}

static int parse_head_response(const char *p, size_t n, struct http_head *h)
{
	return http_parse_response(p, n, true, h);
}

/* Cut at n: undecided before its end, accepted from there on, refused once and for all. */
static void check_cut(parse_fn parse, const char *p, size_t n, int whole)
{
	static struct http_head h;
	char *copy = malloc(n ? n : 1); /* exactly so long */

	CHECK(copy);
	memcpy(copy, p, n);
	int r = parse(copy, n, &h);
	CHECK(r <= 0 || (whole == r && n >= (size_t)r));
	CHECK(r >= 0 || whole < 0);
	CHECK(r || whole <= 0 || n < (size_t)whole);
	free(copy);
}

static void check_cuts(parse_fn parse, const char *p, size_t n, int whole)
{
	if (n <= NEAR)
		for (size_t k = 0; k < n; k++)
			check_cut(parse, p, k, whole);
	else
		for (size_t k = 1; k < CUTS; k++)
			check_cut(parse, p, n / CUTS * k, whole);
}

static bool inside(const struct http_head *h, uint32_t at, uint32_t len)
{
	return at <= h->len && len <= h->len - at;
}

static void check_head(const struct http_head *h, int r)
{
	CHECK(h->len == (uint32_t)r && h->len <= HTTP_HEAD_MAX);
	CHECK(h->n_fields <= HTTP_FIELDS_MAX);
	CHECK(inside(h, h->method, h->method_len) && inside(h, h->host, h->host_len) &&
		inside(h, h->path, h->path_len) && inside(h, h->reason, h->reason_len));
	for (uint32_t i = 0; i < h->n_fields; i++)
		CHECK(inside(h, h->fields[i].start, h->fields[i].name_len) &&
			inside(h, h->fields[i].value, h->fields[i].value_len) &&
			h->fields[i].end <= h->len);
}

/* How many lines of a head have that name; *ret the value of the last. */
static unsigned int lines_named(
	const char *head, size_t n, const char *name, const char **ret, size_t *ret_len)
{
	size_t len = strlen(name);
	unsigned int found = 0;

	for (const char *p = head, *end = head + n, *nl; p < end; p = nl + 1) {
		nl = memchr(p, '\n', (size_t)(end - p));
		CHECK(nl && nl > p && nl[-1] == '\r');
		CHECK(!memchr(p, '\r', (size_t)(nl - 1 - p)));
		if ((size_t)(nl - p) <= len || !http_equal(p, len, name) || p[len] != ':')
			continue;
		found++;
		for (*ret = p + len + 1; **ret == ' ' || **ret == '\t';)
			++*ret;
		for (*ret_len = (size_t)(nl - 1 - *ret);
			*ret_len &&
			((*ret)[*ret_len - 1] == ' ' || (*ret)[*ret_len - 1] == '\t');)
			--*ret_len;
	}
	return found;
}

static unsigned int count(const char *head, size_t n, const char *name)
{
	const char *value;
	size_t len;

	return lines_named(head, n, name, &value, &len);
}

static void check_value(
	const char *head, size_t n, const char *name, const char *want, size_t want_len)
{
	const char *value;
	size_t len;

	CHECK(lines_named(head, n, name, &value, &len) == 1);
	CHECK(len == want_len && memcmp(value, want, len) == 0);
}

/* An app sees it as the router did. */
static void check_request_out(
	const char *in, const struct http_head *h, const struct exchange *x)
{
	static struct http_head again;
	const char *out = x->head;
	size_t n = x->head_len;
	const char *path = in + h->path;

	CHECK(http_parse_request(out, n, &again) == (int)n);
	check_head(&again, (int)n);
	CHECK(!again.absolute && again.minor == 1);
	CHECK(again.method_len == h->method_len &&
		memcmp(out + again.method, in + h->method, h->method_len) == 0);
	CHECK(again.target_len >= h->path_len &&
		again.target_len <= h->path_len + 1u + !h->path_len);
	CHECK(memcmp(out + again.target + again.target_len - h->path_len, path,
		      h->path_len) == 0);
	CHECK(again.body == h->body && again.length == h->length);
	CHECK(again.upgrade == h->upgrade);
	CHECK(again.expect == (h->expect && h->minor));
	check_value(out, n, "host", in + h->host, h->host_len);
	CHECK(count(out, n, "content-length") ==
		(h->body == BODY_LENGTH || count(in, h->len, "content-length")));
	CHECK(count(out, n, "transfer-encoding") == (h->body == BODY_CHUNKED));
	CHECK(h->body != BODY_CHUNKED || !count(out, n, "content-length"));
	CHECK(count(out, n, "connection") == h->upgrade);
	CHECK(count(out, n, "upgrade") == h->upgrade);
	CHECK(!count(out, n, "keep-alive") && !count(out, n, "te") &&
		!count(out, n, "proxy-connection") && !count(out, n, "forwarded") &&
		!count(out, n, "x-forwarded-host"));
	CHECK(count(out, n, "via") >= 1 && !count(out, n, "proxy"));
	check_value(out, n, "x-forwarded-for", client.ip, client.ip_len);
	check_value(out, n, "x-forwarded-proto", "http", 4);
	check_value(out, n, "x-forwarded-port", "80", 2);
	CHECK(count(out, n, "x-request-id") == 1 &&
		count(out, n, "x-request-start") == 1);
	check_value(out, n, "x-request-id", out + x->id, x->id_len);
}

static struct exchange *rewrite(const struct http_head *h, const char *p)
{
	struct exchange *x = calloc(1, sizeof(*x));

	CHECK(x);
	x->client = &client;
	x->minor0 = !h->minor;
	x->upgrade = h->upgrade;
	CHECK(rewrite_request(x, h, p, 0) == 0);
	return x;
}

static void free_exchange(struct exchange *x)
{
	if (x->head != x->space)
		free(x->head);
	free(x);
}

/* What is added may be more than this router itself would take. */
#define ADDED_BYTES 512
#define ADDED_FIELDS 8u

static bool at_limit(const struct http_head *h)
{
	return h->len > HTTP_HEAD_MAX - ADDED_BYTES ||
	       h->n_fields > HTTP_FIELDS_MAX - ADDED_FIELDS;
}

static void try_request(const char *p, size_t n)
{
	static struct http_head h, again;
	int r = http_parse_request(p, n, &h);

	check_cuts(http_parse_request, p, n, r);
	if (r <= 0)
		return;
	check_head(&h, r);
	int name = http_host_name(p + h.host, h.host_len);
	CHECK(name > 0 && name <= 253 && (uint32_t)name <= h.host_len);
	struct exchange *x = rewrite(&h, p);
	if (at_limit(&h)) {
		free_exchange(x);
		return;
	}
	check_request_out(p, &h, x);
	/* a second router in the way changes nothing more */
	CHECK(http_parse_request(x->head, x->head_len, &again) > 0);
	struct exchange *y = rewrite(&again, x->head);
	check_request_out(x->head, &again, y);
	CHECK(y->head_len == x->head_len + strlen("Via: 1.1 berth\r\n"));
	free_exchange(y);
	free_exchange(x);
}

static void check_response_out(const struct exchange *x, const struct http_head *h,
	const char *p, const char *out, size_t n)
{
	static struct http_head again;
	bool no_body = h->status < 200 || h->status == 204;

	CHECK(http_parse_rewritten(out, n, x->is_head, &again) == (int)n);
	CHECK(again.status == h->status && again.minor == 1);
	CHECK(again.reason_len == h->reason_len &&
		memcmp(out + again.reason, p + h->reason, h->reason_len) == 0);
	CHECK(!count(out, n, "keep-alive") && !count(out, n, "te") &&
		!count(out, n, "proxy-connection"));
	CHECK(count(out, n, "transfer-encoding") + count(out, n, "content-length") <= 1);
	CHECK(!no_body ||
		count(out, n, "transfer-encoding") + count(out, n, "content-length") ==
			0);
	CHECK(count(out, n, "connection") <= 1u + (h->status == 426));
	CHECK(h->status < 200 || count(out, n, "date") >= 1);
	if (x->minor0) {
		CHECK(!count(out, n, "transfer-encoding"));
		return;
	}
	CHECK(again.body == h->body && (no_body || again.length == h->length));
	CHECK(h->status < 200 || again.keep_alive == x->keep_alive);
}

static void try_response(const char *p, size_t n, bool head, bool minor0)
{
	static struct http_head h;
	static struct exchange x;
	int r = http_parse_response(p, n, head, &h);

	if (r <= 0)
		return;
	check_head(&h, r);
	CHECK(h.status >= 100 && h.status <= 599);
	x = (struct exchange){.client = &client, .is_head = head, .minor0 = minor0};
	/* as response.c decides; a 101 that is no upgrade is not passed on */
	x.keep_alive = h.body != BODY_EOF && !(minor0 && h.body == BODY_CHUNKED);
	if (h.status == 101 && !h.upgrade)
		return;
	char *out = malloc((size_t)r + RESPONSE_ROOM);
	CHECK(out);
	size_t len = rewrite_response(&x, &h, p, out);
	CHECK(len <= (size_t)r + RESPONSE_ROOM);
	check_response_out(&x, &h, p, out, len);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http_head h;
	const char *p = (const char *)data;
	size_t n = size < HOT_SIZE ? size : HOT_SIZE; /* no more is ever parsed at once */

	(void)http_host_name(p, n);
	try_request(p, n);
	check_cuts(parse_response, p, n, parse_response(p, n, &h));
	check_cuts(parse_head_response, p, n, parse_head_response(p, n, &h));
	for (int i = 0; i < 4; i++)
		try_response(p, n, i & 1, i & 2);
	return 0;
}
