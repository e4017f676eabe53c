/* Streams of HTTP/2: requests in as HTTP/1.1, responses out as frames. */
#include "router/h2_stream.h"
#include "router/h2_fields.h"
#include "router/worker.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Less than this waits for the end of the turn and goes with the others'. */
#define DIRECT_MIN 24576u
#define CHUNK_ROOM 24u /* size line and end of a chunk, and the last one */

static struct h2_stream *stream_of(struct downstream *c)
{
	return (struct h2_stream *)(void *)c;
}

/* ---- life ---- */

struct h2_stream *stream_new(struct h2 *h, int32_t id)
{
	const struct downstream *from = h->c;
	struct h2_stream *s = slab_get(&from->w->stream_slab);

	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	downstream_init(&s->c, from->w);
	s->c.via = VIA_STREAM;
	s->c.tls = from->tls;
	s->c.port = from->port;
	s->c.ip_len = from->ip_len;
	memcpy(s->c.ip, from->ip, sizeof(s->c.ip));
	s->h2 = h;
	s->id = id;
	s->next = h->streams;
	if (s->next)
		s->next->prev = &s->next;
	s->prev = &h->streams;
	h->streams = s;
	h->n_streams++;
	nghttp2_session_set_stream_user_data(session_of(h), id, s);
	downstream_deadline(&s->c, HEAD_MS);
	return s;
}

static void leave(struct h2_stream *s)
{
	struct h2 *h = s->h2;

	if (!h)
		return;
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	s->h2 = NULL;
	if (!--h->n_streams && h->c->state == CLIENT_H2)
		h2_idles(h);
	nghttp2_session_set_stream_user_data(session_of(h), s->id, NULL);
	/* what nobody will take gives its room back */
	if (s->input.len)
		nghttp2_session_consume_connection(session_of(h), s->input.len);
	h2_want_write(h);
}

void stream_closed(struct h2_stream *s)
{
	leave(s);
	downstream_again(&s->c);
}

void h2_stream_close(struct downstream *c)
{
	struct h2_stream *s = stream_of(c);
	struct h2 *h = s->h2;

	if (h) {
		leave(s);
		if (s->head_whole)
			nghttp2_submit_rst_stream(session_of(h), NGHTTP2_FLAG_NONE, s->id,
				NGHTTP2_INTERNAL_ERROR);
		else /* no other stream can go on before it is */
			nghttp2_session_terminate_session(
				session_of(h), NGHTTP2_ENHANCE_YOUR_CALM);
	}
	wheel_del(&c->w->wheel, &c->timer);
	c->state = CLIENT_CLOSED;
	h2_head_free(&s->head);
	buf_free(&s->input);
	buf_free(&s->trailers_in);
	buf_free(&s->trailers_out);
	pending_free(&c->in);
	pending_free(&c->out);
	if (!c->again) /* else downstream_run_again lets go of it */
		slab_put(&c->w->stream_slab, s);
}

/* ---- the request ---- */

void stream_head(struct h2_stream *s, bool end)
{
	if (!s->head_whole) {
		s->head_whole = true;
		s->has_body = !end;
		downstream_again(&s->c);
	}
	if (end)
		stream_input(s, NULL, 0, true);
}

bool stream_input(struct h2_stream *s, const char *p, size_t n, bool end)
{
	s->input_end |= end;
	if (s->over || (n && buf_add(&s->input, p, n) < 0))
		return false;
	s->c.readable = true;
	downstream_again(&s->c);
	return true;
}

/* RFC 9110 6.5.1: what frames or routes a message is no trailer. Only with framing there is a place for them. */
void stream_trailer(struct h2_stream *s, const char *name, size_t name_len,
	const char *value, size_t len)
{
	struct buf *b = &s->trailers_in;

	if (!s->has_body || http_identify(name, name_len) != HTTP_OTHER ||
		b->len + name_len + len + 4 > HTTP_TRAILER_MAX)
		return;
	buf_add(b, name, name_len);
	buf_add(b, ": ", 2);
	buf_add(b, value, len);
	buf_add(b, "\r\n", 2);
}

/* RFC 6455 4.1: 16 bytes in base64. Nobody checks what they are. */
static void make_key(struct worker *w, char key[25])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint64_t random = 0;

	for (int i = 0; i < 21; i++, random >>= 6) {
		if (i % 10 == 0)
			random = worker_random(w);
		key[i] = digits[random & 63];
	}
	memcpy(key + 21, "A==", 4);
}

/* Its head as HTTP/1.1, and on as any other. */
static void start(struct h2_stream *s)
{
	char *hot = s->c.w->hot, key[25];
	int n;

	s->started = true;
	make_key(s->c.w, key);
	n = h2_head_write(&s->head, s->has_body, key, hot);
	s->is_head = s->head.is_head;
	s->connect = s->head.connect;
	s->chunked = s->head.chunked;
	h2_head_free(&s->head);
	s->c.readable = s->input.len || (s->input_end && s->chunked);
	downstream_head(&s->c, hot, n);
}

bool h2_stream_run(struct downstream *c)
{
	struct h2_stream *s = stream_of(c);

	if (c->state == CLIENT_CLOSED) {
		slab_put(&c->w->stream_slab, s);
		return true;
	}
	if (!s->h2) {
		if (c->x)
			exchange_abort(c->x, H27);
		else
			downstream_close(c);
		return true;
	}
	if (c->state == CLIENT_IDLE && s->head_whole && !s->started) {
		start(s);
		return true;
	}
	return c->state != CLIENT_BUSY;
}

/* n bytes were taken: the client may send as many more. */
static void consume(struct h2_stream *s, size_t n)
{
	buf_consume(&s->input, n);
	if (!s->input.len)
		buf_free(&s->input);
	if (!s->h2)
		return;
	nghttp2_session_consume(session_of(s->h2), s->id, n);
	h2_want_write(s->h2);
}

static size_t take_end(struct h2_stream *s, char *p)
{
	size_t n = s->trailers_in.failed ? 0 : s->trailers_in.len;

	s->input_told = true;
	memcpy(p, "0\r\n", 3);
	if (n)
		memcpy(p + 3, s->trailers_in.data, n);
	memcpy(p + 3 + n, "\r\n", 2);
	return n + 5;
}

/* One chunk of what is there; after the last byte the end. */
static size_t take_chunk(struct h2_stream *s, char *p, size_t size)
{
	size_t n = s->input.len < size - CHUNK_ROOM ? s->input.len : size - CHUNK_ROOM;
	size_t len = 0;

	if (n) {
		len = (size_t)snprintf(p, CHUNK_ROOM, "%zx\r\n", n);
		memcpy(p + len, s->input.data, n);
		memcpy(p + len + n, "\r\n", 2);
		len += n + 2;
		consume(s, n);
	}
	if (!s->input.len && s->input_end && size - len >= s->trailers_in.len + 5)
		len += take_end(s, p + len);
	return len;
}

ssize_t h2_stream_receive(struct downstream *c, char *p, size_t size)
{
	struct h2_stream *s = stream_of(c);
	size_t n = s->input.len < size ? s->input.len : size;

	if (s->chunked && !s->input_told) {
		n = take_chunk(s, p, size);
	} else if (n) {
		memcpy(p, s->input.data, n);
		consume(s, n);
	} else if (s->input_end) {
		return 0;
	}
	c->readable = s->input.len || (s->input_end && !s->input_told);
	return n ? (ssize_t)n : -EAGAIN;
}

/* ---- the response ---- */

/* RFC 9113 8.2.2: what is about one connection stays behind. */
static bool passes(const struct http_field *f)
{
	switch (f->id) {
	case HTTP_CONNECTION:
	case HTTP_TRANSFER_ENCODING:
	case HTTP_UPGRADE:
	case HTTP_HOP:
		return false;
	default:
		return true;
	}
}

static size_t list_fields(const struct http_head *h, const char *p, const char *status,
	nghttp2_nv out[HTTP_FIELDS_MAX + RESPONSE_FIELDS + 1])
{
	size_t n = 0;

	out[n++] = h2_field(":status", 7, status, 3);
	for (uint32_t i = 0; i < h->n_fields; i++) {
		const struct http_field *f = &h->fields[i];

		if (passes(f))
			out[n++] = h2_field(
				p + f->start, f->name_len, p + f->value, f->value_len);
	}
	return n;
}

/*
 * RFC 9113 8.1: all is answered, and the rest of the request is not wanted. Not before the answer is out: nghttp2 drops what
 * waits for a stream that is reset.
 */
static void refuse_rest(struct h2_stream *s)
{
	if (s->over && s->end_sent && !s->input_end)
		nghttp2_submit_rst_stream(
			session_of(s->h2), NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
}

void stream_sent(struct h2_stream *s)
{
	s->end_sent = true;
	refuse_rest(s);
}

/* True: a head of trailers follows, which ends the stream. */
static bool submit_trailers(struct h2_stream *s)
{
	nghttp2_nv fields[HTTP_FIELDS_MAX];
	const struct buf *lines = &s->trailers_out;
	size_t n = lines->len ? h2_fields_of_trailers(
					lines->data, lines->len, fields, HTTP_FIELDS_MAX)
			      : 0;

	return n && nghttp2_submit_trailer(session_of(s->h2), s->id, fields, n) == 0;
}

void h2_stream_trailers(struct downstream *c, const struct buf *lines)
{
	buf_add(&stream_of(c)->trailers_out, lines->data, lines->len);
}

/* How much of the body fits the next frame. */
static ssize_t provide(nghttp2_session *session, int32_t id, uint8_t *buf, size_t size,
	uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	size_t n;

	(void)buf, (void)source, (void)arg;
	if (!s)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	n = s->direct_len ? s->direct_len : s->c.out.len - s->c.out.off;
	if (!n && !s->done)
		return NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n > size)
		return (ssize_t)size;
	if (s->done) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (submit_trailers(s))
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	}
	return (ssize_t)n;
}

void stream_take(struct h2_stream *s, char *p, size_t n)
{
	struct pending *out = &s->c.out;

	downstream_deadline(&s->c, s->c.x ? s->c.x->idle_ms : DEFAULT_IDLE_MS);
	if (s->direct_len) {
		memcpy(p, s->direct, n);
		s->direct += n;
		s->direct_len -= n;
		return;
	}
	if (n)
		memcpy(p, out->data + out->off, n);
	out->off += (uint32_t)n;
	if (pending_any(out))
		return;
	pending_free(out);
	if (s->c.x)
		downstream_again(&s->c); /* there is room for more */
}

static int submit(struct h2_stream *s, const struct http_head *h, const char *p)
{
	const nghttp2_data_provider body = {.read_callback = provide};
	nghttp2_nv fields[HTTP_FIELDS_MAX + RESPONSE_FIELDS + 1];
	bool tunnel = s->connect && h->status == 101, final = h->status >= 200 || tunnel;
	bool data = tunnel || (final && h->body != BODY_NONE);
	char status[4];
	size_t n;

	if (s->connect && h->status / 100 == 2)
		return -EPROTO; /* a 200 would open the tunnel */
	snprintf(status, sizeof(status), "%03u", tunnel ? 200u : h->status % 1000u);
	n = list_fields(h, p, status, fields);
	s->head_sent = final;
	s->data_on = data;
	if (!final)
		return nghttp2_submit_headers(session_of(s->h2), NGHTTP2_FLAG_NONE, s->id,
			NULL, fields, n, NULL);
	return nghttp2_submit_response(
		session_of(s->h2), s->id, fields, n, data ? &body : NULL);
}

/* A whole head is first in p. How long it is, or -EPROTO. */
static int send_head(struct h2_stream *s, const char *p, size_t n)
{
	struct http_head *h = &s->c.w->sent_head;
	int r = http_parse_rewritten(p, n, s->is_head, h);

	return r <= 0 || submit(s, h, p) ? -EPROTO : r;
}

/* What can be sent at once is not copied. How much of it was, or -errno. */
static ssize_t send_direct(struct h2_stream *s, const char *p, size_t n)
{
	int r;

	if (n < DIRECT_MIN || pending_any(&s->c.out) || pending_any(&s->h2->c->out))
		return 0;
	s->direct = p;
	s->direct_len = n;
	r = h2_write_now(s->h2);
	n -= s->direct_len;
	s->direct_len = 0;
	return r < 0 ? r : (ssize_t)n;
}

int h2_stream_send(struct downstream *c, const char *p, size_t n)
{
	struct h2_stream *s = stream_of(c);
	bool own = p != c->w->cold; /* frames are collected there */
	ssize_t sent = 0;
	int r = 0;

	if (!s->h2)
		return -EPIPE;
	h2_want_write(s->h2);
	if (!s->head_sent) {
		r = send_head(s, p, n);
		if (r < 0)
			return r;
		p += r;
		n -= (size_t)r;
	}
	if (!n || !s->data_on)
		return 0;
	nghttp2_session_resume_data(session_of(s->h2), s->id);
	if (own)
		sent = send_direct(s, p, n);
	if (sent < 0 || (size_t)sent == n)
		return sent < 0 ? (int)sent : 0;
	return pending_append(&c->out, p + sent, n - (size_t)sent);
}

void h2_stream_shut(struct downstream *c)
{
	struct h2_stream *s = stream_of(c);

	s->done = true;
	if (!s->h2)
		return;
	nghttp2_session_resume_data(session_of(s->h2), s->id);
	h2_want_write(s->h2);
}

void h2_stream_end(struct downstream *c)
{
	struct h2_stream *s = stream_of(c);

	if (!s->h2 || !s->head_sent) {
		h2_stream_close(c);
		return;
	}
	s->over = true;
	c->state = CLIENT_LINGER;
	refuse_rest(s);
	h2_stream_shut(c);
	if (s->input.len) { /* comes too late */
		nghttp2_session_consume_connection(session_of(s->h2), s->input.len);
		buf_free(&s->input);
	}
	downstream_deadline(c, DEFAULT_IDLE_MS);
}
