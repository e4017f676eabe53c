/* All drains, and what becomes of their batches. */
#include "drain/outlet.h"
#include "drain/line.h"
#include "drain/state.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/stamp.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define SAVE_MS 500
#define LOOK_MS 200	   /* whether what was handed over has arrived; */
#define LOOK_LATER_MS 2000 /* where that takes longer than */
#define LOOK_OFTEN_NS UINT64_C(3000000000)
#define MS UINT64_C(1000000)

static void run(struct drain *d);

/* ---- when ---- */

static void on_turn(void *arg)
{
	struct drain *d = arg;

	d->timer = NULL;
	if (d->phase == PHASE_PAUSED)
		d->phase = PHASE_CLOSED;
	run(d);
}

static void run_in(struct drain *d, uint64_t ms)
{
	if (!d->timer)
		d->timer = loop_after(d->outlet->loop, ms, on_turn, d);
}

static void on_save(void *arg)
{
	struct outlet *o = arg;

	o->saving = NULL;
	outlet_save(o);
}

static void changed(struct drain *d)
{
	d->unsaved = true;
	if (!d->outlet->saving)
		d->outlet->saving =
			loop_after(d->outlet->loop, SAVE_MS, on_save, d->outlet);
}

void outlet_save(struct outlet *o)
{
	for (struct drain *d = o->first; d; d = d->next)
		if (d->unsaved && state_save(o->state, d) == 0)
			d->unsaved = false;
}

/* ---- a batch ---- */

static void put_lost(struct drain *d, struct cursor *c, const struct lost *lost)
{
	char text[256], stamp[STAMP_SIZE], size[24];
	int n;

	stamp_format_us(io_now_us(), stamp);
	num_format_size(lost->bytes, size);
	if (lost->bytes)
		n = snprintf(text, sizeof(text),
			"%s " DRAIN_SOURCE
			": %s of the log, at least %llu lines, went before they could be "
			"sent: its budget was used up",
			stamp, size, (unsigned long long)lost->lines);
	else
		n = snprintf(text, sizeof(text),
			"%s " DRAIN_SOURCE ": part of the log went before it could be "
			"sent: its budget was used up",
			stamp);
	d->transport->put(d, text, (size_t)n, c);
	d->batch.lines++;
}

/* Lines about drains, and those that sending made: with them a quiet app would never be done. */
static bool is_ours(const struct outlet *o, const char *text, size_t len)
{
	struct line l;

	line_parse(text, len, &l);
	return line_is_of(&l, DRAIN_SOURCE) || line_is_of(&l, LOG_SEGMENT_SOURCE) ||
	       (line_is_of(&l, "berth[router]") &&
		       memmem(l.text, l.text_len, o->nonce, strlen(o->nonce)));
}

static void fill_from(struct drain *d, struct cursor *c)
{
	size_t taken = 0, len;
	struct lost lost;
	const char *text;
	int r = 0;

	d->batch = (struct mark){.cursor = c};
	if (cursor_tell_lost(c, &lost))
		put_lost(d, c, &lost);
	while (taken < d->batch_bytes && !d->out.failed &&
		(r = cursor_line(c, &text, &len)) > 0) {
		taken += len + 1;
		if (is_ours(d->outlet, text, len))
			continue;
		d->transport->put(d, text, len, c);
		d->batch.lines++;
	}
	if (r < 0) {
		log_error("cannot read the log of app %u: %s", c->log->app, strerror(-r));
		c->more = false;
	}
	if (d->out.failed) {
		buf_free(&d->out);
		d->batch.lines = 0;
		c->read = c->kept;
		c->more = false; /* until there is more, and perhaps more memory */
		return;
	}
	d->batch.end = c->read;
	/* nothing to send, and nothing under way: that far it is done */
	if (!d->batch.lines && !d->n_marks &&
		memcmp(&c->kept, &c->read, sizeof(c->kept)) != 0) {
		cursor_keep(c, &c->read);
		changed(d);
	}
}

/* The next batch; its readers take turns. False: there is nothing to be sent. */
static bool fill(struct drain *d)
{
	struct cursor *c = d->turn ? d->turn : d->cursors, *first = c;

	d->out.max = (BATCH_BYTES + LINE_HEAD_MAX) * 24;
	d->out_sent = 0;
	for (; c; c = c->next ? c->next : d->cursors) {
		while (c->more && c->log->name[0] && !d->batch.lines)
			fill_from(d, c);
		if (d->batch.lines) {
			d->turn = c->next;
			return true;
		}
		if ((c->next ? c->next : d->cursors) == first)
			break;
	}
	buf_free(&d->out);
	return false;
}

static bool has_more(const struct drain *d)
{
	for (const struct cursor *c = d->cursors; c; c = c->next)
		if (c->more && c->log->name[0])
			return true;
	return false;
}

/* As far as it goes now. */
static void run(struct drain *d)
{
	if (d->phase != PHASE_CLOSED && d->phase != PHASE_OPEN)
		return;
	if (!d->batch.lines && d->n_marks == MARKS_MAX)
		return; /* until some of it has arrived */
	if (!d->batch.lines && !fill(d))
		return;
	if (d->phase == PHASE_CLOSED && d->transport->open) {
		d->phase = PHASE_OPENING;
		d->transport->open(d);
		return;
	}
	d->phase = PHASE_SENDING;
	d->transport->send(d);
}

static void drop_batch(struct drain *d)
{
	if (d->out.cap > 4 * BATCH_BYTES || !has_more(d))
		buf_free(&d->out);
	else
		buf_reset(&d->out);
	d->out_sent = 0;
	d->batch.lines = 0;
}

/* Let others have their turn. */
static void next_batch(struct drain *d)
{
	drop_batch(d);
	d->phase = d->transport->open ? PHASE_OPEN : PHASE_CLOSED;
	if (has_more(d))
		run_in(d, d->transport->pace_ms);
}

/* ---- how it fares ---- */

static void note_delivered(struct drain *d, unsigned int lines)
{
	d->sent_lines += lines;
	d->delivered_us = io_now_us();
	d->failures = 0;
	d->failing_us = 0;
	d->error[0] = '\0';
	changed(d);
	if (d->told) {
		d->told = false;
		d->outlet->tell(d->outlet, d, true, "");
	}
}

static void note_failed(struct drain *d, const char *text)
{
	if (!d->failing_us)
		d->failing_us = io_now_us();
	d->failures++;
	snprintf(d->error, sizeof(d->error), "%s", text);
	for (char *c = d->error; *c; c++) /* a stranger said it, perhaps */
		if (*c < ' ' || *c > '~')
			*c = '?';
	changed(d);
	if (!d->told && io_now_us() - d->failing_us >= UNWELL_MS * 1000) {
		d->told = true;
		d->outlet->tell(d->outlet, d, false, d->error);
	}
}

/* Doubling, a quarter more or less. */
static uint64_t pause_after(unsigned int failures)
{
	uint64_t ms = PAUSE_MS;
	uint32_t random = 0;

	for (; failures > 1 && ms < PAUSE_MAX_MS; failures--)
		ms *= 2;
	if (ms > PAUSE_MAX_MS)
		ms = PAUSE_MAX_MS;
	(void)!getrandom(&random, sizeof(random), GRND_NONBLOCK);
	return ms * 3 / 4 + random % (ms / 2);
}

static void stop(struct drain *d)
{
	d->transport->close(d);
	loop_cancel(d->timer);
	loop_cancel(d->settle);
	d->timer = d->settle = NULL;
	d->n_marks = 0;
	d->batch.lines = 0;
	buf_free(&d->out);
	for (struct cursor *c = d->cursors; c; c = c->next)
		cursor_rewind(c);
	d->phase = PHASE_CLOSED;
}

static void pause_for(struct drain *d, uint64_t ms)
{
	d->phase = PHASE_PAUSED;
	run_in(d, ms);
}

void drain_failed(struct drain *d, uint64_t pause_ms, const char *fmt, ...)
{
	char text[256];
	uint64_t own;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	stop(d);
	note_failed(d, text);
	own = pause_after(d->failures);
	if (pause_ms > PAUSE_WISH_MS)
		pause_ms = PAUSE_WISH_MS;
	pause_for(d, pause_ms > own ? pause_ms : own);
}

void drain_closed(struct drain *d, const char *error)
{
	if (d->n_marks || d->batch.lines || d->phase == PHASE_OPENING)
		drain_failed(d, 0, "%s", error);
	else
		stop(d);
}

void drain_opened(struct drain *d)
{
	d->phase = PHASE_OPEN;
	run_in(d, 0);
}

void drain_delivered(struct drain *d)
{
	cursor_keep(d->batch.cursor, &d->batch.end);
	d->batch_bytes = d->transport->batch_bytes;
	note_delivered(d, d->batch.lines);
	next_batch(d);
}

void drain_refused(struct drain *d, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	d->refused_lines += d->batch.lines;
	cursor_keep(d->batch.cursor, &d->batch.end);
	log_warn("drain %llu: %u lines were refused: %s", (unsigned long long)d->id,
		d->batch.lines, text);
	stop(d);
	note_failed(d, text);
	pause_for(d, pause_after(1)); /* the next batch may be better */
}

/* ---- what is on its way ---- */

static void settle_later(struct drain *d);

static void on_settle(void *arg)
{
	struct drain *d = arg;
	const uint64_t now = io_mono_ns();
	uint64_t arrived = d->transport->arrived ? d->transport->arrived(d) : UINT64_MAX;
	unsigned int n = 0, lines = 0;

	d->settle = NULL;
	for (unsigned int i = 0; i < d->n_marks; i++)
		if (!d->marks[i].arrived_ns && arrived >= d->marks[i].bytes)
			d->marks[i].arrived_ns = now;
	for (; n < d->n_marks && d->marks[n].arrived_ns &&
		now - d->marks[n].arrived_ns >= SETTLE_MS * MS;
		n++) {
		cursor_keep(d->marks[n].cursor, &d->marks[n].end);
		lines += d->marks[n].lines;
	}
	if (n) {
		memmove(d->marks, d->marks + n, (d->n_marks - n) * sizeof(d->marks[0]));
		d->n_marks -= n;
		note_delivered(d, lines);
	}
	if (d->n_marks && !d->marks[0].arrived_ns &&
		now - d->marks[0].sent_ns >= STALL_MS * MS) {
		drain_failed(d, 0, "the receiver took nothing for %d s", STALL_MS / 1000);
		return;
	}
	settle_later(d);
	if (n && d->phase == PHASE_OPEN)
		run(d);
}

static void settle_later(struct drain *d)
{
	uint64_t age;

	if (d->settle || !d->n_marks)
		return;
	age = io_mono_ns() - d->marks[0].sent_ns;
	d->settle = loop_after(d->outlet->loop,
		age < LOOK_OFTEN_NS ? LOOK_MS : LOOK_LATER_MS, on_settle, d);
}

void drain_handed(struct drain *d, uint64_t bytes)
{
	struct mark *m = &d->marks[d->n_marks++];

	*m = d->batch;
	m->bytes = bytes;
	m->sent_ns = io_mono_ns();
	settle_later(d);
	next_batch(d);
}

/* ---- which there are ---- */

static void put_cursor(struct drain *d, struct cursor *c)
{
	if (!c)
		return;
	c->next = d->cursors;
	d->cursors = c;
	if (!c->log->name[0] && !c->log->asked) {
		c->log->asked = true;
		d->outlet->ask(d->outlet, c->log);
	}
	run_in(d, d->transport->linger_ms);
}

static void read_app(struct drain *d, struct app_log *l)
{
	struct place from;

	for (struct cursor *c = d->cursors; c; c = c->next)
		if (c->log == l)
			return;
	put_cursor(
		d, cursor_new(l, d, state_place(d->saved, l->app, &from) ? &from : NULL,
			   d->created_us));
}

static void on_more(void *arg UNUSED, struct cursor *c)
{
	struct drain *d = c->owner;

	if (d->phase == PHASE_CLOSED || d->phase == PHASE_OPEN)
		run_in(d, d->transport->linger_ms);
}

static void on_found(void *arg, struct app_log *l)
{
	struct outlet *o = arg;

	for (struct drain *d = o->first; d; d = d->next)
		if (!d->app)
			read_app(d, l);
}

/* Its readers go; what is on its way of them is forgotten. */
static void forget(struct drain *d, struct app_log *l)
{
	struct cursor **at = &d->cursors;

	while (*at && (*at)->log != l)
		at = &(*at)->next;
	if (!*at)
		return;
	struct cursor *c = *at;
	stop(d);
	*at = c->next;
	d->turn = NULL;
	cursor_free(c);
	run_in(d, 0);
}

static void on_gone(void *arg, struct app_log *l)
{
	struct outlet *o = arg;

	for (struct drain *d = o->first; d; d = d->next)
		if (!d->app)
			forget(d, l);
}

void outlet_name(struct outlet *o, uint32_t app, const char *name)
{
	struct app_log *l = logs_get(o->logs, app);

	if (!l)
		return;
	l->asked = false;
	if (!name[0])
		on_gone(o, l);
	snprintf(l->name, sizeof(l->name), "%s", name);
	for (struct cursor *c = l->cursors; c; c = c->next_of_log)
		on_more(o, c);
}

static struct drain *find(struct outlet *o, uint64_t id)
{
	struct drain *d = o->first;

	while (d && d->id != id)
		d = d->next;
	return d;
}

static const struct transport *transport_of(enum drain_kind kind)
{
	switch (kind) {
	case DRAIN_TCP:
	case DRAIN_TLS:
		return &transport_stream;
	case DRAIN_UDP:
		return &transport_udp;
	case DRAIN_HTTP:
	case DRAIN_HTTPS:
		return &transport_http;
	case DRAIN_FILE:
		break;
	}
	return &transport_file;
}

static void free_drain(struct drain *d)
{
	stop(d);
	while (d->cursors) {
		struct cursor *c = d->cursors;

		d->cursors = c->next;
		cursor_free(c);
	}
	explicit_bzero(&d->url, sizeof(d->url));
	json_decref(d->saved);
	free(d->ca);
	free(d);
}

static bool is_on(const json_t *said, const char *key)
{
	return json_is_true(json_object_get(said, key));
}

/* NULL with e. */
static struct drain *make(
	struct outlet *o, uint64_t id, const json_t *said, struct err *e)
{
	const char *url = json_string_value(json_object_get(said, "url"));
	const char *ca = json_string_value(json_object_get(said, "ca"));
	struct drain *d = calloc(1, sizeof(*d));

	if (!d || !url || drain_url_parse(url, &d->url, e) < 0) {
		free(d);
		err_set(e, EPROTO, "control named a drain without a URL");
		return NULL;
	}
	d->outlet = o;
	d->id = id;
	d->app = (uint32_t)json_integer_value(json_object_get(said, "app"));
	d->created_us = (uint64_t)json_integer_value(json_object_get(said, "created_us"));
	d->gzip = is_on(said, "gzip");
	d->insecure = is_on(said, "insecure");
	d->local = is_on(said, "local");
	d->ca = ca ? strdup(ca) : NULL;
	d->transport = transport_of(d->url.kind);
	d->batch_bytes = d->transport->batch_bytes;
	return d;
}

int outlet_put(struct outlet *o, const json_t *said, struct err *e)
{
	const uint64_t id = (uint64_t)json_integer_value(json_object_get(said, "drain"));
	struct drain *d = find(o, id);

	if (d) {
		d->named = true;
		return 0;
	}
	d = make(o, id, said, e);
	if (!d)
		return -e->code;
	d->named = true;
	d->saved = state_load(o->state, d);
	d->next = o->first;
	o->first = d;
	if (d->app) {
		struct app_log *l = logs_get(o->logs, d->app);

		if (l)
			read_app(d, l);
	} else {
		logs_find(o->logs);
		for (struct app_log *l = logs_first(o->logs); l; l = l->next)
			read_app(d, l);
	}
	changed(d);
	return 0;
}

void outlet_settle_list(struct outlet *o)
{
	struct drain **at = &o->first;

	while (*at) {
		struct drain *d = *at;

		if (d->named) {
			d->named = false;
			at = &d->next;
			continue;
		}
		*at = d->next;
		state_remove(o->state, d->id);
		free_drain(d);
	}
	logs_tidy(o->logs);
}

int outlet_open(struct outlet *o, struct err *e)
{
	const struct log_events events = {
		.more = on_more, .found = on_found, .gone = on_gone, .arg = o};
	char folder[512];
	uint64_t random[2];
	int r;

	if (getrandom(random, sizeof(random), 0) != sizeof(random) ||
		gethostname(o->host, sizeof(o->host) - 1) < 0)
		return err_sys(e, errno, "look at the host");
	snprintf(o->nonce, sizeof(o->nonce), "drain-%016llx%016llx",
		(unsigned long long)random[0], (unsigned long long)random[1]);
	snprintf(folder, sizeof(folder), "%s/logs", o->state);
	r = logs_open(o->loop, folder, &events, &o->logs);
	if (r < 0)
		return err_sys(e, -r, "open %s", folder);
	r = net_open(o->loop, &o->net);
	return r < 0 ? err_sys(e, -r, "start libcurl") : 0;
}
