/* A drain's turn: a batch is filled, handed to its transport, and what becomes of it. */
#include "drain/line.h"
#include "drain/outlet.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/stamp.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

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

void drain_run_in(struct drain *d, uint64_t ms)
{
	if (!d->timer)
		d->timer = loop_after(d->outlet->loop, ms, on_turn, d);
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
		drain_changed(d);
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
		drain_run_in(d, d->transport->pace_ms);
}

/* ---- how it fares ---- */

static void note_delivered(struct drain *d, unsigned int lines)
{
	d->sent_lines += lines;
	d->delivered_us = io_now_us();
	d->failures = 0;
	d->failing_us = 0;
	d->error[0] = '\0';
	drain_changed(d);
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
	drain_changed(d);
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

void drain_stop(struct drain *d)
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
	drain_run_in(d, ms);
}

void drain_failed(struct drain *d, uint64_t pause_ms, const char *fmt, ...)
{
	char text[256];
	uint64_t own;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	drain_stop(d);
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
	else {
		drain_stop(d);
		drain_run_in(d, d->transport->linger_ms); /* what came just before */
	}
}

void drain_opened(struct drain *d)
{
	d->phase = PHASE_OPEN;
	drain_run_in(d, 0);
}

/* A receiver that takes less at once would else be asked in vain each time. */
static void grow(struct drain *d)
{
	if (d->batch_bytes >= d->transport->batch_bytes || ++d->smaller < BATCHES_SMALLER)
		return;
	d->smaller = 0;
	d->batch_bytes *= 2;
	if (d->batch_bytes > d->transport->batch_bytes)
		d->batch_bytes = d->transport->batch_bytes;
}

void drain_delivered(struct drain *d)
{
	cursor_keep(d->batch.cursor, &d->batch.end);
	grow(d);
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
	drain_stop(d);
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
