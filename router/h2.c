/* HTTP/2 connections: nghttp2's callbacks, frames in and out, the end. */
#include "router/h2.h"
#include "router/h2_stream.h"
#include "router/worker.h"
#include <errno.h>
#include <string.h>

/* ---- what comes in ---- */

static int noise(struct h2 *h)
{
	return h2_noisy(&h->noise, h->c->w->now_ms)
		       ? nghttp2_session_terminate_session(
				 session_of(h), NGHTTP2_ENHANCE_YOUR_CALM)
		       : 0;
}

static int begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2 *h = arg;

	if (frame->hd.type != NGHTTP2_HEADERS ||
		frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	if (!stream_new(h, frame->hd.stream_id))
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (h->c->w->stopping && !h->last) {
		h->last = true; /* this was the one more */
		nghttp2_submit_goaway(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
			NGHTTP2_NO_ERROR, NULL, 0);
	}
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len,
	uint8_t flags, void *arg)
{
	struct h2_stream *s =
		nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)flags, (void)arg;
	if (s && s->head_whole)
		stream_trailer(
			s, (const char *)name, name_len, (const char *)value, value_len);
	if (!s || s->head_whole)
		return 0;
	return h2_head_add(&s->head, (const char *)name, name_len, (const char *)value,
		       value_len) < 0
		       ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE
		       : 0;
}

static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
	const uint8_t *name, size_t name_len, const uint8_t *value, size_t value_len,
	uint8_t flags, void *arg)
{
	(void)session, (void)frame, (void)name, (void)name_len, (void)value;
	(void)value_len, (void)flags;
	noise(arg);
	return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* else it would be ignored */
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct h2_stream *s =
		nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (s)
			stream_head(s, end);
		return 0;
	case NGHTTP2_DATA:
		if (s && end)
			stream_input(s, NULL, 0, true);
		return frame->hd.length || end ? 0 : noise(arg);
	case NGHTTP2_PING:
	case NGHTTP2_SETTINGS:
		return frame->hd.flags & NGHTTP2_FLAG_ACK ? 0 : noise(arg);
	case NGHTTP2_RST_STREAM:
	case NGHTTP2_PRIORITY:
		return noise(arg);
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
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)flags, (void)arg;
	if (!s || !stream_input(s, (const char *)data, n, false))
		nghttp2_session_consume_connection(session, n);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);

	(void)error, (void)arg;
	if (s)
		stream_closed(s);
	return 0;
}

/* ---- what goes out ---- */

static int send_collected(struct h2 *h)
{
	struct worker *w = h->c->w;
	size_t n = w->cold_len;

	w->cold_len = 0;
	return n ? downstream_send(h->c, w->cold, n) : 0;
}

/* Room for n bytes behind what is collected. NULL: the client is gone. */
static char *collect(struct h2 *h, size_t n)
{
	struct worker *w = h->c->w;
	char *at;

	if (n > HOT_SIZE - w->cold_len && send_collected(h) < 0)
		return NULL;
	at = w->cold + w->cold_len;
	w->cold_len += n;
	return at;
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	bool body = frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS;
	struct h2_stream *s = NULL;

	(void)arg;
	if (body && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (s)
		stream_sent(s);
	return 0;
}

static ssize_t data_max(nghttp2_session *session, uint8_t kind, int32_t id,
	int32_t window, int32_t stream_window, uint32_t frame_max, void *arg)
{
	int32_t n = window < stream_window ? window : stream_window;

	(void)session, (void)kind, (void)id, (void)arg;
	if (n > (int32_t)H2_DATA_MAX)
		n = H2_DATA_MAX;
	return n < (int32_t)frame_max ? n : (int32_t)frame_max;
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame,
	const uint8_t *frame_head, size_t n, nghttp2_data_source *source, void *arg)
{
	struct h2_stream *s =
		nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	char *at = s ? collect(arg, 9 + n) : NULL;

	(void)source;
	if (!at)
		return s ? NGHTTP2_ERR_CALLBACK_FAILURE
			 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	memcpy(at, frame_head, 9);
	stream_take(s, at + 9, n);
	return 0;
}

/* Frames until there are none, or the socket is full. -errno: the client is gone. */
static int write_frames(struct h2 *h)
{
	const uint8_t *p;
	ssize_t n;
	char *at;

	while (!pending_any(&h->c->out)) {
		n = nghttp2_session_mem_send(session_of(h), &p);
		if (n < 0)
			return -EPROTO;
		if (!n)
			break;
		at = collect(h, (size_t)n);
		if (!at)
			return -EPIPE;
		memcpy(at, p, (size_t)n);
	}
	return send_collected(h);
}

int h2_write_now(struct h2 *h)
{
	int r;

	h->c->w->cold_len = 0;
	r = write_frames(h);
	h->c->w->cold_len = 0;
	return r;
}

static void flush(struct downstream *c)
{
	struct h2 *h = c->h2;
	int r;

	if (pending_any(&c->out))
		return;
	r = h2_write_now(h);
	if (r < 0) {
		downstream_close(c);
		return;
	}
	if (pending_any(&c->out) || nghttp2_session_want_write(session_of(h)) ||
		nghttp2_session_want_read(session_of(h)))
		return;
	downstream_next(c, false);
}

void h2_want_write(struct h2 *h)
{
	struct worker *w = h->c->w;

	if (h->dirty)
		return;
	h->dirty = true;
	h->dirty_next = w->h2_dirty;
	w->h2_dirty = h;
}

void h2_flush_all(struct worker *w)
{
	struct h2 *h;

	while ((h = w->h2_dirty)) {
		w->h2_dirty = h->dirty_next;
		h->dirty = false;
		flush(h->c);
	}
}

/* ---- the connection ---- */

static nghttp2_session_callbacks *make_callbacks(void)
{
	static const struct h2_calls calls = {.header = on_header,
		.invalid_header = on_invalid_header,
		.frame = on_frame,
		.invalid_frame = on_invalid_frame,
		.data = on_data,
		.close = on_close,
		.sent = on_sent};
	nghttp2_session_callbacks *k = h2_callbacks(&calls);

	if (!k)
		return NULL;
	nghttp2_session_callbacks_set_on_begin_headers_callback(k, begin_headers);
	nghttp2_session_callbacks_set_send_data_callback(k, send_data);
	nghttp2_session_callbacks_set_data_source_read_length_callback(k, data_max);
	return k;
}

/* Made with the first connection, and kept. */
static int prepare(struct worker *w)
{
	if (!w->h2_callbacks)
		w->h2_callbacks = make_callbacks();
	if (!w->h2_option)
		w->h2_option = h2_option();
	return w->h2_callbacks && w->h2_option ? 0 : -ENOMEM;
}

void h2_teardown(struct worker *w)
{
	nghttp2_session_callbacks_del(w->h2_callbacks);
	nghttp2_option_del(w->h2_option);
	h2_rooms_free(&w->h2_rooms);
	w->h2_callbacks = NULL;
	w->h2_option = NULL;
}

static int greet(struct h2 *h)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_STREAM_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP_HEAD_MAX},
		{NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
	};

	if (nghttp2_submit_settings(
		    session_of(h), NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) ||
		nghttp2_session_set_local_window_size(
			session_of(h), NGHTTP2_FLAG_NONE, 0, H2_WINDOW))
		return -ENOMEM;
	h2_want_write(h);
	return 0;
}

static int make_session(struct h2 *h)
{
	struct worker *w = h->c->w;
	nghttp2_mem mem;

	h2_memory_open(&h->memory, &w->h2_rooms, &mem);
	if (nghttp2_session_server_new3(
		    &h->nghttp2, w->h2_callbacks, h, w->h2_option, &mem)) {
		h2_memory_close(&h->memory, &w->h2_rooms);
		return -ENOMEM;
	}
	h->memory.filling = false;
	return 0;
}

int h2_start(struct downstream *c, const char *p, size_t n)
{
	struct h2 *h = prepare(c->w) < 0 ? NULL : calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->c = c;
	h->noise.since_ms = c->w->now_ms;
	if (make_session(h) < 0) {
		free(h);
		return -ENOMEM;
	}
	c->h2 = h;
	c->state = CLIENT_H2;
	if (greet(h) < 0 || h2_input(h, p, n) < 0)
		return -ENOMEM;
	return 0;
}

static void unmark(struct h2 *h)
{
	struct h2 **at = &h->c->w->h2_dirty;

	while (*at != h)
		at = &(*at)->dirty_next;
	*at = h->dirty_next;
}

void h2_free(struct downstream *c)
{
	struct h2 *h = c->h2;
	struct h2_stream *s, *next;

	c->h2 = NULL;
	for (s = h->streams; s; s = next) {
		next = s->next;
		stream_closed(s);
	}
	if (h->dirty)
		unmark(h);
	nghttp2_session_del(session_of(h));
	h2_memory_close(&h->memory, &c->w->h2_rooms);
	free(h);
}

void h2_idles(struct h2 *h)
{
	h->idled = false;
	downstream_deadline(h->c, H2_REST_MS);
}

/* The next deadline of the connection itself: its streams have their own. */
static void set_deadline(struct h2 *h)
{
	if (h->n_streams)
		wheel_set(&h->c->w->wheel, &h->c->timer, TIMER_NEVER);
	else
		h2_idles(h);
}

static void rest(struct h2 *h)
{
	h->idled = true;
	if (!h->dirty && !pending_any(&h->c->out))
		h2_memory_rest(&h->memory);
	downstream_deadline(h->c, CLIENT_IDLE_MS - H2_REST_MS);
}

int h2_input(struct h2 *h, const char *p, size_t n)
{
	ssize_t r = nghttp2_session_mem_recv(session_of(h), (const uint8_t *)p, n);

	set_deadline(h);
	h2_want_write(h);
	return r < 0 ? -EPROTO : 0;
}

void h2_read(struct downstream *c)
{
	unsigned int i;
	ssize_t n;

	/* also while the client takes nothing: what it says may free what waits for it */
	for (i = 0; i < PUMP_TURNS && c->readable; i++) {
		n = downstream_receive(c, c->w->hot, HOT_SIZE);
		if (n == -EAGAIN)
			return;
		if (n <= 0 || h2_input(c->h2, c->w->hot, (size_t)n) < 0) {
			downstream_close(c);
			return;
		}
	}
	if (c->readable)
		downstream_again(c);
}

void h2_writable(struct downstream *c)
{
	h2_want_write(c->h2);
}

void h2_timeout(struct downstream *c)
{
	if (!c->h2->idled) {
		rest(c->h2);
		return;
	}
	if (pending_any(&c->out)) {
		downstream_close(c);
		return;
	}
	nghttp2_session_terminate_session(session_of(c->h2), NGHTTP2_NO_ERROR);
	h2_want_write(c->h2);
	downstream_deadline(c, LINGER_MS);
	c->h2->last = true;
}

void h2_goaway(struct downstream *c, bool last)
{
	struct h2 *h = c->h2;

	if (!last)
		nghttp2_submit_shutdown_notice(session_of(h));
	else if (!h->last)
		nghttp2_submit_goaway(session_of(h), NGHTTP2_FLAG_NONE,
			nghttp2_session_get_last_proc_stream_id(session_of(h)),
			NGHTTP2_NO_ERROR, NULL, 0);
	h->last |= last;
	h2_want_write(h);
}

bool h2_busy(const struct downstream *c)
{
	return c->h2->n_streams || pending_any(&c->out) || c->h2->dirty;
}
