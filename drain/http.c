/* JSON lines by POST, a batch each; the answer's status says what became of it. Nothing else of an answer is used. */
#include "drain/line.h"
#include "drain/outlet.h"
#include "lib/name.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define HEAD_MAX (32u << 10)
#define BODY_MAX                                                                         \
	(64u << 10) /* read and forgotten, so that the connection can be used again */

struct http {
	struct call *call;
	struct curl_slist *headers;
	struct buf packed;
	uint64_t head, body; /* bytes of the answer */
	uint64_t wish_ms;    /* its Retry-After */
	bool running, too_long;
};

/* ---- the answer ---- */

static size_t on_head(char *line, size_t one, size_t len, void *arg)
{
	static const char name[] = "retry-after:";
	struct http *h = arg;
	char value[24] = "";
	uint64_t seconds;
	size_t n;

	h->head += len * one;
	if (h->head > HEAD_MAX)
		return 0;
	if (len <= sizeof(name) || strncasecmp(line, name, sizeof(name) - 1) != 0)
		return len * one;
	line += sizeof(name) - 1;
	line += strspn(line, " \t"); /* a line ends with CR LF */
	n = strspn(line, "0123456789");
	if (n < sizeof(value))
		memcpy(value, line, n);
	if (num_parse_u64(value, 0, 86400, &seconds) == 0)
		h->wish_ms = seconds * 1000;
	return len * one;
}

static size_t on_body(char *data UNUSED, size_t one, size_t len, void *arg)
{
	struct http *h = arg;

	h->body += len * one;
	h->too_long = h->body > BODY_MAX;
	return h->too_long ? 0 : len * one;
}

/* Of 4xx these are of the address or of the moment, the others of the batch. */
static bool may_pass(long status)
{
	static const long others[] = {401, 403, 404, 405, 407, 408, 421, 423, 425, 429};

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		if (others[i] == status)
			return true;
	return status / 100 != 4;
}

static void judge(struct drain *d, long status, uint64_t wish_ms)
{
	if (status / 100 == 2)
		drain_delivered(d);
	else if (status == 413 && d->batch_bytes > BATCH_BYTES_MIN) {
		d->batch_bytes /= 2;
		d->smaller = 0;
		drain_failed(d, 0,
			"the receiver answers 413 (too large): trying smaller batches");
	} else if (status / 100 == 3)
		drain_failed(d, 0,
			"the receiver answers %ld, a redirect, which is not followed: "
			"name the right URL",
			status);
	else if (may_pass(status))
		drain_failed(d, wish_ms, "the receiver answers %ld", status);
	else
		drain_refused(d, "the receiver answers %ld", status);
}

static void on_done(struct call *call, CURLcode code)
{
	struct drain *d = call->drain;
	struct http *h = d->way;
	long status = 0;
	char text[256];

	curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_WRITE_ERROR && h->too_long)
		code = CURLE_OK;
	if (code != CURLE_OK && h->head > HEAD_MAX)
		snprintf(text, sizeof(text), "the answer has more than %u kB of headers",
			HEAD_MAX >> 10);
	else
		call_error(call, code, text);
	call_stop(d->outlet->net, call);
	h->running = false;
	buf_free(&h->packed);
	if (code == CURLE_OK)
		judge(d, status, h->wish_ms);
	else
		drain_failed(d, 0, "%s", text);
}

/* ---- the question ---- */

static void add_header(struct http *h, const char *text)
{
	struct curl_slist *longer = curl_slist_append(h->headers, text);

	if (longer)
		h->headers = longer;
}

static void set_up(struct drain *d, struct http *h)
{
	CURL *curl = h->call->curl;
	char id[80];

	snprintf(id, sizeof(id), "X-Request-Id: %s", d->outlet->nonce);
	add_header(h, "Content-Type: application/x-ndjson");
	add_header(h, "Expect:");
	add_header(h, id);
	if (d->gzip)
		add_header(h, "Content-Encoding: gzip");
	curl_easy_setopt(curl, CURLOPT_POST, 1L);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, h->headers);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "berth");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)STALL_MS);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_head);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, h);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, h);
	if (d->url.user[0]) {
		curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		curl_easy_setopt(curl, CURLOPT_USERNAME, d->url.user);
		curl_easy_setopt(curl, CURLOPT_PASSWORD, d->url.password);
	}
}

static struct http *ready(struct drain *d)
{
	struct http *h = d->way;
	char url[NET_URL_MAX];

	if (h)
		return h;
	net_url(&d->url, url);
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->call = call_new(d->outlet->net, d, url);
	if (!h->call) {
		free(h);
		return NULL;
	}
	h->call->done = on_done;
	set_up(d, h);
	d->way = h;
	return h;
}

static int pack(const struct buf *in, struct buf *out)
{
	z_stream z = {0};
	int r;

	if (deflateInit2(&z, 4, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	const size_t most = deflateBound(&z, in->len);
	char *to = buf_room(out, most);
	z.next_in = (unsigned char *)in->data;
	z.avail_in = (unsigned int)in->len;
	z.next_out = (unsigned char *)to;
	z.avail_out = to ? (unsigned int)most : 0;
	r = to ? deflate(&z, Z_FINISH) : Z_MEM_ERROR;
	out->len = z.total_out;
	deflateEnd(&z);
	return r == Z_STREAM_END ? 0 : -ENOMEM;
}

static void send_batch(struct drain *d)
{
	struct http *h = ready(d);
	const struct buf *body = &d->out;

	if (!h || (d->gzip && pack(&d->out, &h->packed) < 0)) {
		drain_failed(d, 0, "out of memory");
		return;
	}
	if (d->gzip)
		body = &h->packed;
	h->head = h->body = h->wish_ms = 0;
	h->too_long = false;
	curl_easy_setopt(h->call->curl, CURLOPT_POSTFIELDS, body->data);
	curl_easy_setopt(
		h->call->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
	h->running = call_start(d->outlet->net, h->call) == 0;
	if (!h->running)
		drain_failed(d, 0, "out of memory");
}

static void close_http(struct drain *d)
{
	struct http *h = d->way;

	if (!h)
		return;
	call_free(d->outlet->net, h->call);
	curl_slist_free_all(h->headers);
	buf_free(&h->packed);
	free(h);
	d->way = NULL;
}

static void put(struct drain *d, const char *text, size_t len, const struct cursor *c)
{
	struct line l;
	char id[80];

	line_parse(text, len, &l);
	snprintf(id, sizeof(id), "%u-%llu-%llu%s", c->log->app,
		(unsigned long long)c->read.segment, (unsigned long long)c->read.offset,
		line_is_of(&l, DRAIN_SOURCE) ? "-lost" : "");
	line_json(&d->out, &l, c->log->name, id);
}

const struct transport transport_http = {.send = send_batch,
	.close = close_http,
	.put = put,
	.linger_ms = LINGER_HTTP_MS,
	.batch_bytes = BATCH_BYTES};
