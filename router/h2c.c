/* HTTP/2 to apps: requests of HTTP/1.1 as frames, frames as responses of HTTP/1.1. */
#include "router/h2c.h"
#include "router/h2_fields.h"
#include "router/h2_session.h"
#include "router/worker.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define FRAME_ROOM (2u * 16384u) /* nghttp2 gives one at a time, of 16 kB and its head */
#define CHUNK_ROOM 24u		 /* size line of a chunk and its end */
/* the client's, what we add, :method and its kin, te */
#define FIELDS_MAX (HTTP_FIELDS_MAX + 32u)

struct h2c {
	struct upstream *u;
	nghttp2_session *nghttp2;
	int32_t id;	   /* of the exchange's stream; 0: none */
	int lost;	   /* errno: why there is no whole response */
	bool sock;	   /* the socket may have more */
	bool open;	   /* nghttp2 knows the stream */
	bool heard;	   /* its settings came: it is HTTP/2 */
	bool dead, goaway; /* no more comes; no more requests are taken */
	bool broken;	   /* RST_STREAM was sent */
	bool is_head, has_length, chunked;
	bool final, ended, told; /* head of the response came; END_STREAM; and was said */
	uint32_t head_size, trailers_size;
	uint64_t left; /* of Content-Length */
	struct h2_noise noise;
	uint16_t status;
	size_t whole; /* of heads: up to the end of the last whole one */
	struct buf heads, data, trailers; /* of the response */
	struct buf out, out_trailers;	  /* of the request, payload alone */
	struct body req;
	struct pending wire; /* frames that the socket did not take */
};

/* ---- what comes in ---- */

/* As for clients. */
static int noise(struct h2c *h)
{
	return h2_noisy(&h->noise, h->u->w->now_ms)
		       ? nghttp2_session_terminate_session(
				 h->nghttp2, NGHTTP2_ENHANCE_YOUR_CALM)
		       : 0;
}

static int add_line(struct buf *b, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t len)
{
	buf_add(b, name, name_len);
	buf_add(b, ": ", 2);
	buf_add(b, value, len);
	return buf_add(b, "\r\n", 2) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* RFC 9110 6.5.1: what frames or routes a message is no trailer. */
static int on_trailer(struct h2c *h, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t len)
{
	h->trailers_size += (uint32_t)(name_len + len) + 4;
	if (h->trailers_size > HTTP_TRAILER_MAX)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (!h->chunked || http_identify((const char *)name, name_len) != HTTP_OTHER)
		return 0;
	return add_line(&h->trailers, name, name_len, value, len);
}

/* Nothing that could end a line of HTTP/1.1, whatever nghttp2 thinks of it. */
static bool one_line(const uint8_t *p, size_t n)
{
	return !memchr(p, '\r', n) && !memchr(p, '\n', n) && !memchr(p, '\0', n);
}

static void note_length(struct h2c *h, const uint8_t *value, size_t len)
{
	h->has_length = true;
	h->left = 0;
	for (size_t i = 0; i < len && i < 18; i++) /* the parser looks closer */
		h->left = h->left * 10 + (value[i] - '0');
}

/* RFC 9113 8.3: :status is the first. */
static int on_head(struct h2c *h, const uint8_t *name, size_t name_len,
	const uint8_t *value, size_t len)
{
	h->head_size += (uint32_t)(name_len + len) + 4;
	if (h->head_size > HTTP_HEAD_MAX || h->heads.len > H2C_HEADS_MAX)
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (name_len == 7 && !memcmp(name, ":status", 7)) {
		h->status = (uint16_t)((value[0] - '0') * 100 + (value[1] - '0') * 10 +
				       (value[2] - '0'));
		buf_addf(&h->heads, "HTTP/1.1 %.3s \r\n", (const char *)value);
		return h->heads.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
	}
	if (name_len == 14 && !memcmp(name, "content-length", 14))
		note_length(h, value, len);
	return add_line(&h->heads, name, name_len, value, len);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_len, const uint8_t *value, size_t len,
	uint8_t flags, void *arg)
{
	struct h2c *h = arg;

	(void)session, (void)flags;
	if (frame->hd.stream_id != h->id)
		return 0;
	if (!name_len || !one_line(name, name_len) || !one_line(value, len))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	return h->final ? on_trailer(h, name, name_len, value, len)
			: on_head(h, name, name_len, value, len);
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_len, const uint8_t *value, size_t len,
	uint8_t flags, void *arg)
{
	(void)session, (void)frame, (void)name, (void)name_len, (void)value;
	(void)len, (void)flags, (void)arg;
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* else it would be ignored */
}

/* A head is whole: how its body is framed is said in it. */
static void end_head(struct h2c *h, bool end)
{
	bool no_body = h->is_head || h->status == 204 || h->status == 304;

	h->final = h->status >= 200;
	h->head_size = 0;
	if (h->final && !h->has_length && !no_body) {
		h->chunked = !end;
		buf_adds(&h->heads,
			end ? "content-length: 0\r\n" : "transfer-encoding: chunked\r\n");
	}
	buf_add(&h->heads, "\r\n", 2);
	if (!h->final)
		h->has_length = false;
	h->whole = h->heads.len;
	if (h->heads.failed)
		h->lost = ENOMEM;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2c *h = arg;
	bool ours = h->id && frame->hd.stream_id == h->id;
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	(void)session;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (ours && !h->final)
			end_head(h, end);
		h->ended |= ours && end;
		return 0;
	case NGHTTP2_DATA:
		h->ended |= ours && end;
		return frame->hd.length || end ? 0 : noise(h);
	case NGHTTP2_SETTINGS:
		h->heard = true;
		return frame->hd.flags & NGHTTP2_FLAG_ACK ? 0 : noise(h);
	case NGHTTP2_PING:
		return frame->hd.flags & NGHTTP2_FLAG_ACK ? 0 : noise(h);
	case NGHTTP2_GOAWAY:
		h->goaway = true;
		return 0;
	case NGHTTP2_RST_STREAM:
	case NGHTTP2_PRIORITY:
		return noise(h);
	default:
		return 0;
	}
}

static int on_invalid_frame(
	nghttp2_session *session, const nghttp2_frame *frame, int error, void *arg)
{
	(void)session, (void)frame, (void)error;
	return noise(arg);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
	const uint8_t *data, size_t n, void *arg)
{
	struct h2c *h = arg;

	(void)flags;
	if (id != h->id) {
		nghttp2_session_consume_connection(session, n);
		return 0;
	}
	if (!h->final)
		h->lost = EPROTO;
	h->left -= n < h->left ? n : h->left;
	return buf_add(&h->data, data, n) < 0 ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* REFUSED_STREAM: also what a GOAWAY leaves out (RFC 9113 8.7). */
static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct h2c *h = arg;

	(void)session;
	if (id != h->id)
		return 0;
	h->open = false;
	buf_free(&h->out);
	buf_free(&h->out_trailers);
	if (!h->ended && !h->lost)
		h->lost = h->broken			    ? EPROTO
			  : error == NGHTTP2_REFUSED_STREAM ? ESTALE
							    : ECONNABORTED;
	return 0;
}

/* We say these only to an app that did something wrong. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2c *h = arg;

	(void)session;
	if (frame->hd.type == NGHTTP2_RST_STREAM && frame->hd.stream_id == h->id)
		h->broken = true;
	if (frame->hd.type != NGHTTP2_GOAWAY)
		return 0;
	h->dead = true;
	if (!h->ended && !h->lost)
		h->lost = EPROTO;
	return 0;
}

static bool more_data(const struct h2c *h, size_t *ret)
{
	/* the last byte waits for END_STREAM: what comes behind it makes it wrong */
	bool hold = h->has_length && !h->left && !h->ended;

	*ret = h->data.len > hold ? h->data.len - hold : 0;
	return *ret;
}

static bool more(const struct h2c *h)
{
	size_t n;

	return h->whole || more_data(h, &n) || h->lost ||
	       (h->chunked && h->ended && !h->told) || (h->dead && !h->ended);
}

static void feed(struct h2c *h, ssize_t n)
{
	ssize_t r;

	if (n > 0) {
		r = nghttp2_session_mem_recv(
			h->nghttp2, (const uint8_t *)h->u->w->hot, (size_t)n);
		if (r >= 0)
			return;
		h->lost = h->lost || h->ended ? h->lost : EPROTO;
	}
	h->dead = true;
	h->sock = false;
}

static void read_some(struct h2c *h)
{
	struct upstream *u = h->u;

	for (unsigned int i = 0; i < PUMP_TURNS && h->sock && !h->dead; i++) {
		ssize_t n = recv(u->ev.fd, u->w->hot, HOT_SIZE, 0);

		if (n < 0 && errno == EAGAIN) {
			h->sock = false;
			return;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n > 0 && (size_t)n < HOT_SIZE && !u->eof)
			h->sock = false;
		feed(h, n);
	}
}

void h2c_readable(struct upstream *u)
{
	u->h2->sock = true;
	u->readable = true;
}

void h2c_turn(struct upstream *u)
{
	struct h2c *h = u->h2;

	read_some(h);
	if (h2c_write(u) < 0)
		h->sock = !h->dead; /* what it said before is still read */
	u->readable = more(h) || h->sock;
}

/* ---- what goes out ---- */

static ssize_t provide(nghttp2_session *session, int32_t id, uint8_t *p, size_t size,
	uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2c *h = arg;
	size_t n = h->out.len < size ? h->out.len : size, fields;
	nghttp2_nv trailers[HTTP_FIELDS_MAX];

	(void)source;
	if (id != h->id)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (!n && !h->req.done)
		return NGHTTP2_ERR_DEFERRED;
	if (n)
		memcpy(p, h->out.data, n);
	buf_consume(&h->out, n);
	if (h->out.len || !h->req.done)
		return (ssize_t)n;
	buf_free(&h->out);
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	fields = h->out_trailers.len
			 ? h2_fields_of_trailers(h->out_trailers.data,
				   h->out_trailers.len, trailers, HTTP_FIELDS_MAX)
			 : 0;
	if (fields && nghttp2_submit_trailer(session, id, trailers, fields) == 0)
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	return (ssize_t)n;
}

/* As many frames as fit the worker's buffer. Their length, or -EPROTO. */
static ssize_t collect(struct h2c *h)
{
	char *out = h->u->w->cold;
	const uint8_t *p;
	size_t len = 0;
	ssize_t n;

	while (HOT_SIZE - len >= FRAME_ROOM) {
		n = nghttp2_session_mem_send(h->nghttp2, &p);
		if (n < 0 || n > (ssize_t)FRAME_ROOM)
			return -EPROTO;
		if (!n)
			break;
		memcpy(out + len, p, (size_t)n);
		len += (size_t)n;
	}
	return (ssize_t)len;
}

int h2c_write(struct upstream *u)
{
	struct h2c *h = u->h2;
	ssize_t n;
	int r;

	for (;;) {
		r = pending_flush(&h->wire, u->ev.fd);
		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		n = collect(h);
		if (n <= 0)
			return (int)n;
		r = pending_send(&h->wire, u->ev.fd, u->w->cold, (size_t)n);
		if (r < 0)
			return r;
	}
}

bool h2c_greeted(const struct upstream *u)
{
	return !pending_any(&u->h2->wire) || u->h2->wire.off;
}

bool h2c_full(const struct upstream *u)
{
	return u->h2->out.len || pending_any(&u->h2->wire);
}

/* What a request of HTTP/1.1 says about its own connection stays behind; Host has become :authority. */
static bool passes(const nghttp2_nv *f)
{
	switch (http_identify((const char *)f->name, f->namelen)) {
	case HTTP_HOST:
	case HTTP_CONNECTION:
	case HTTP_TRANSFER_ENCODING:
	case HTTP_UPGRADE:
	case HTTP_HOP:
		return false;
	default:
		return true;
	}
}

/* RFC 9113 8.3.1. The scheme is that of the connection, as servers check; the client's is in X-Forwarded-Proto. */
static size_t list_fields(
	const struct exchange *x, const char *end, nghttp2_nv out[FIELDS_MAX])
{
	const char *head = x->head, *p = memchr(head, '\n', (size_t)(end - head));
	size_t n = 0;

	out[n++] = h2_field(":method", 7, head, x->method_len);
	out[n++] = h2_field(":scheme", 7, "http", 4);
	out[n++] = h2_field(":authority", 10, head + x->host, x->host_len);
	out[n++] = h2_field(":path", 5, head + x->path, x->path_len);
	if (x->te)
		out[n++] = h2_field("te", 2, "trailers", 8);
	for (p = p ? p + 1 : end; n < FIELDS_MAX && h2_field_next(&p, end, &out[n]);)
		n += passes(&out[n]);
	return n;
}

static void begin(struct h2c *h, const struct exchange *x)
{
	h->lost = 0;
	h->broken = h->has_length = h->chunked = h->final = h->ended = h->told = false;
	h->is_head = x->is_head;
	h->head_size = h->trailers_size = 0;
	h->left = 0;
	body_init(&h->req, (enum body_kind)x->req.kind, body_announced(&x->req));
	h->req.chunk.trailers = &h->out_trailers;
}

/* The head's empty line is there: rewrite_request wrote it. */
static const char *end_of_head(const struct exchange *x)
{
	const char *end = memmem(x->head, x->head_len, "\r\n\r\n", 4);

	return end ? end + 2 : x->head + x->head_len;
}

/* Framing is taken off here, and put on again as frames. */
static void add_body(struct h2c *h, const char *p, size_t n)
{
	char *at = h->open ? buf_room(&h->out, n) : NULL;
	size_t data = 0;

	if (!at)
		return; /* nobody wants it any more */
	memcpy(at, p, n);
	body_decode(&h->req, at, n, &data);
	h->out.len += data;
	nghttp2_session_resume_data(h->nghttp2, h->id);
}

void h2c_request(struct exchange *x)
{
	struct h2c *h = x->up->h2;
	const nghttp2_data_provider body = {.read_callback = provide};
	const char *end = end_of_head(x);
	nghttp2_nv fields[FIELDS_MAX];
	size_t n = list_fields(x, end, fields);

	begin(h, x);
	h->id = nghttp2_submit_request(
		h->nghttp2, NULL, fields, n, h->req.done ? NULL : &body, h);
	if (h->id < 0) { /* no memory, or no more numbers on this connection */
		h->id = 0;
		h->lost = ESTALE;
		h->goaway = true;
		return;
	}
	h->open = true;
	end += 2;
	if (end < x->head + x->head_len)
		add_body(h, end, (size_t)(x->head + x->head_len - end));
}

int h2c_body(struct exchange *x, const char *p, size_t n)
{
	add_body(x->up->h2, p, n);
	return h2c_write(x->up);
}

/* ---- the response, as HTTP/1.1 ---- */

static size_t take_head(struct h2c *h, char *p, size_t size)
{
	size_t n = h->whole < size ? h->whole : size;

	if (!n)
		return 0;
	memcpy(p, h->heads.data, n);
	buf_consume(&h->heads, n);
	h->whole -= n;
	if (!h->heads.len)
		buf_free(&h->heads);
	return n;
}

static size_t take_data(struct h2c *h, char *p, size_t size)
{
	size_t n, len = 0, room = h->chunked ? CHUNK_ROOM : 0;

	if (size <= room || !more_data(h, &n))
		return 0;
	n = n < size - room ? n : size - room;
	if (h->chunked)
		len = (size_t)snprintf(p, CHUNK_ROOM, "%zx\r\n", n);
	memcpy(p + len, h->data.data, n);
	len += n;
	if (h->chunked) {
		memcpy(p + len, "\r\n", 2);
		len += 2;
	}
	buf_consume(&h->data, n);
	if (!h->data.len)
		buf_free(&h->data);
	nghttp2_session_consume(h->nghttp2, h->id, n);
	return len;
}

static size_t take_end(struct h2c *h, char *p, size_t size)
{
	size_t n = h->trailers.len;

	if (!h->chunked || !h->ended || h->told || h->data.len || size < n + 5)
		return 0;
	memcpy(p, "0\r\n", 3);
	if (n)
		memcpy(p + 3, h->trailers.data, n);
	memcpy(p + 3 + n, "\r\n", 2);
	h->told = true;
	return n + 5;
}

ssize_t h2c_receive(struct upstream *u, char *p, size_t size)
{
	struct h2c *h = u->h2;
	size_t n = 0;

	if (!more(h) && h->sock)
		h2c_turn(u);
	if (h->lost == EPROTO)
		return -EPROTO;
	n += take_head(h, p, size);
	if (!h->whole) {
		n += take_data(h, p + n, size - n);
		n += take_end(h, p + n, size - n);
	}
	if (n && h2c_write(u) < 0) /* it may send more */
		h->sock = !h->dead;
	u->readable = more(h) || h->sock;
	if (n)
		return (ssize_t)n;
	if (h->lost)
		return -h->lost;
	return h->dead ? 0 : -EAGAIN;
}

/* ---- the connection ---- */

/* Made with the first connection, and kept. */
static int prepare(struct worker *w)
{
	static const struct h2_calls calls = {.header = on_header,
		.invalid_header = on_invalid_header,
		.frame = on_frame,
		.invalid_frame = on_invalid_frame,
		.data = on_data,
		.close = on_close,
		.sent = on_sent};

	if (!w->h2c_callbacks)
		w->h2c_callbacks = h2_callbacks(&calls);
	if (!w->h2c_option)
		w->h2c_option = h2_option();
	return w->h2c_callbacks && w->h2c_option ? 0 : -ENOMEM;
}

void h2c_teardown(struct worker *w)
{
	nghttp2_session_callbacks_del(w->h2c_callbacks);
	nghttp2_option_del(w->h2c_option);
	w->h2c_callbacks = NULL;
	w->h2c_option = NULL;
}

static int greet(struct h2c *h)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2C_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEAD_MAX},
	};

	if (nghttp2_submit_settings(
		    h->nghttp2, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) ||
		nghttp2_session_set_local_window_size(
			h->nghttp2, NGHTTP2_FLAG_NONE, 0, H2C_WINDOW))
		return -ENOMEM;
	return 0;
}

int h2c_open(struct upstream *u)
{
	struct h2c *h = prepare(u->w) < 0 ? NULL : calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->u = u;
	h->noise.since_ms = u->w->now_ms;
	if (nghttp2_session_client_new2(
		    &h->nghttp2, u->w->h2c_callbacks, h, u->w->h2c_option)) {
		free(h);
		return -ENOMEM;
	}
	u->h2 = h;
	return greet(h);
}

/* What is left of the exchange that was here. */
static void forget(struct h2c *h)
{
	if (h->data.len)
		nghttp2_session_consume_connection(h->nghttp2, h->data.len);
	h->id = 0;
	h->lost = 0;
	h->open = h->chunked = false;
	h->whole = 0;
	buf_free(&h->heads);
	buf_free(&h->data);
	buf_free(&h->trailers);
	buf_free(&h->out);
	buf_free(&h->out_trailers);
}

static bool fit(const struct h2c *h)
{
	return h->heard && !h->dead && !h->goaway && !h->u->eof && !h->open &&
	       !pending_any(&h->wire);
}

bool h2c_fit(struct upstream *u)
{
	h2c_readable(u);
	h2c_turn(u);
	return fit(u->h2);
}

/* RFC 9113 8.1: the response is whole, what is left of the request is not wanted. */
bool h2c_leave(struct upstream *u)
{
	struct h2c *h = u->h2;

	if (h->open)
		nghttp2_submit_rst_stream(h->nghttp2, NGHTTP2_FLAG_NONE, h->id,
			h->ended ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
	forget(h);
	return !u->connecting && h2c_write(u) == 0 && fit(h);
}

void h2c_free(struct upstream *u)
{
	struct h2c *h = u->h2;

	forget(h);
	if (!h->dead && !u->connecting && !pending_any(&h->wire)) {
		nghttp2_session_terminate_session(h->nghttp2, NGHTTP2_NO_ERROR);
		(void)!h2c_write(u);
	}
	nghttp2_session_del(h->nghttp2);
	pending_free(&h->wire);
	free(h);
	u->h2 = NULL;
}
