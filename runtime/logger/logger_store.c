/* The logs of all apps. */
#include "runtime/logger/logger_store.h"
#include "lib/buf.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/name.h"
#include "runtime/logger/logger_limits.h"
#include "runtime/logger/logger_segments.h"
#include "runtime/logger/logger_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define BUCKETS 1024u
#define CLOSED_MAX                                                                       \
	1024u /* app ids are never used twice, so an old entry may be forgotten late */
#define STORE_KEEP 16384u
#define BLOCK_SIZE (256u << 10)

/* Lines that are not there, until the log says so. */
struct missing {
	uint64_t shaped, failed;
	int failed_errno;
	uint64_t told_us, retry_at_us;
};

struct app_log {
	struct app_log *next, *next_dirty, *next_owing;
	uint32_t id;
	bool dirty, owes;
	struct msg_log_limits limits;
	uint64_t tokens, filled_us; /* of the rate: lines or bytes that may come now */
	uint64_t last_us;
	struct missing missing;
	unsigned int pending_lines;
	struct buf pending; /* records */
	struct segments segments;
};

struct store {
	int dirfd;
	struct limits limits;
	struct app_log *buckets[BUCKETS];
	struct app_log *dirty, *owing;
	uint32_t closed[CLOSED_MAX];
	unsigned int n_closed;
	char block[BLOCK_SIZE];
};

struct store *store_new(int dirfd)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->dirfd = dirfd;
	limits_read(&s->limits, dirfd);
	return s;
}

/* ---- apps ---- */

/* App ids start at 1, so 0 is a free place. */
static bool is_closed(const struct store *s, uint32_t app)
{
	for (unsigned int i = 0; i < CLOSED_MAX; i++)
		if (s->closed[i] == app)
			return true;
	return false;
}

static struct app_log *find_app(struct store *s, uint32_t app)
{
	struct app_log *a = s->buckets[app % BUCKETS];

	while (a && a->id != app)
		a = a->next;
	return a;
}

static uint64_t rate_of(const struct app_log *a)
{
	return a->limits.rate_lines ? a->limits.rate_lines : a->limits.rate_bytes;
}

static struct app_log *get_app(struct store *s, uint32_t app)
{
	struct app_log *a = find_app(s, app);

	if (a || is_closed(s, app))
		return a;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->id = app;
	a->limits = limits_of(&s->limits, app);
	a->tokens = rate_of(a) * LOG_BURST_S;
	segments_open(&a->segments, s->dirfd, app);
	segments_trim(&a->segments, a->limits.budget_bytes);
	a->last_us = a->segments.last_us;
	a->next = s->buckets[app % BUCKETS];
	s->buckets[app % BUCKETS] = a;
	return a;
}

static void owe(struct store *s, struct app_log *a)
{
	if (a->owes)
		return;
	a->owes = true;
	a->next_owing = s->owing;
	s->owing = a;
}

static void count_shaped(struct store *s, struct app_log *a, uint64_t lines)
{
	if (!lines)
		return;
	if (!a->missing.shaped)
		a->missing.told_us = io_now_us();
	a->missing.shaped += lines;
	owe(s, a);
}

static uint64_t forward(struct app_log *a, uint64_t time_us)
{
	if (time_us > a->last_us)
		a->last_us = time_us;
	return a->last_us;
}

/* ---- writing ---- */

static void write_failed(struct store *s, struct app_log *a, int r, unsigned int lost)
{
	struct missing *m = &a->missing;

	if (r != -EAGAIN) {
		if (m->failed == 0)
			log_error("cannot write the log of app %u: %s", a->id,
				strerror(-r));
		m->failed_errno = -r;
		m->retry_at_us = io_now_us() + STORE_RETRY_US;
	}
	m->failed += lost;
	owe(s, a);
}

static bool may_try(const struct missing *m)
{
	uint64_t now;

	if (!m->failed)
		return true;
	now = io_now_us();
	return now >= m->retry_at_us || now + STORE_RETRY_US < m->retry_at_us;
}

/* 0, or -errno: what is missing is counted. */
static int write_lines(struct store *s, struct app_log *a, uint32_t release,
	const char *data, size_t len, unsigned int lines)
{
	unsigned int written = 0;
	int r = -EAGAIN;

	if (may_try(&a->missing))
		r = segments_write(&a->segments, a->limits.budget_bytes, release, data,
			len, &written);
	if (r < 0)
		write_failed(s, a, r, lines - written);
	return r;
}

/* "12,345" */
static void group_digits(uint64_t n, char out[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), at = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = '\0';
}

static int say(struct store *s, struct app_log *a, uint64_t n, const char *why)
{
	char count[32], text[192];
	struct text_block b = {.out = s->block, .room = BLOCK_SIZE};
	struct text_line l = {.start = text};
	unsigned int written;

	group_digits(n, count);
	l.len = (size_t)snprintf(text, sizeof(text), "%s line%s dropped (%s)", count,
		n == 1 ? "" : "s", why);
	text_block_prefix(&b, forward(a, io_now_us()), STORE_SOURCE);
	text_block_add(&b, &l);
	return segments_write(&a->segments, a->limits.budget_bytes, SEGMENTS_NO_RELEASE,
		b.out, b.len, &written);
}

static void rate_text(const struct app_log *a, char out[64])
{
	snprintf(out, 64, "rate %llu%s/s", (unsigned long long)rate_of(a),
		a->limits.rate_bytes ? " bytes" : "");
}

/* Once lines can be written again, the log says what is missing. */
static void tell(struct store *s, struct app_log *a)
{
	struct missing *m = &a->missing;
	uint64_t now = io_now_us();
	char why[64];

	if (m->failed && may_try(m)) {
		if (say(s, a, m->failed, strerror(m->failed_errno)) == 0)
			m->failed = 0;
		else
			m->retry_at_us = now + STORE_RETRY_US;
	}
	if (!m->failed && m->shaped &&
		(now >= m->told_us + STORE_TELL_US || now < m->told_us)) {
		rate_text(a, why);
		if (say(s, a, m->shaped, why) == 0)
			m->shaped = 0;
		m->told_us = now;
	}
}

/* ---- rate ---- */

static void refill(struct app_log *a, uint64_t now_us)
{
	uint64_t rate = rate_of(a), full = rate * LOG_BURST_S, past;

	if (now_us < a->filled_us)
		a->filled_us = now_us;
	past = now_us - a->filled_us;
	if (past >= LOG_BURST_S * 1000000ull ||
		past * rate / 1000000 >= full - a->tokens) {
		a->tokens = full;
		a->filled_us = now_us;
		return;
	}
	uint64_t more = past * rate / 1000000;

	a->tokens += more;
	a->filled_us += more * 1000000 / rate; /* what is less than a token counts on */
}

static struct text_allowance allowance(struct app_log *a, uint64_t now_us)
{
	struct text_allowance ret = {UINT64_MAX, UINT64_MAX};

	if (!rate_of(a))
		return ret;
	refill(a, now_us);
	if (a->limits.rate_lines)
		ret.lines = a->tokens;
	else
		ret.bytes = a->tokens;
	return ret;
}

static void keep_allowance(struct app_log *a, const struct text_allowance *left)
{
	if (rate_of(a))
		a->tokens = a->limits.rate_lines ? left->lines : left->bytes;
}

/* ---- instances ---- */

/* Over the rate: counted, not written. Returns how many bytes. */
static size_t pass_over(
	struct store *s, struct app_log *a, const char *data, size_t len, bool at_end)
{
	struct text_line line;
	size_t at = 0, used;
	uint64_t lines = 0;

	while ((used = text_next_line(data + at, len - at, at_end, &line)) > 0) {
		lines++;
		at += used;
	}
	count_shaped(s, a, lines);
	return at;
}

static size_t write_blocks(struct store *s, struct app_log *a,
	const struct store_input *in, struct text_block *b,
	struct text_allowance *allowed)
{
	size_t at = 0;

	for (;;) {
		size_t used = text_block_lines(
			b, in->data + at, in->len - at, in->at_end, allowed);

		if (!used)
			return at;
		at += used;
		(void)write_lines(s, a, in->release, b->out, b->len, b->lines);
		b->len = 0;
		b->lines = 0;
	}
}

static void flush_app(struct store *s, struct app_log *a);

size_t store_lines(struct store *s, const struct store_input *in, uint64_t now_us)
{
	struct app_log *a = get_app(s, in->app);
	struct text_block b = {.out = s->block, .room = BLOCK_SIZE};
	struct text_allowance allowed;
	size_t at;

	if (!a) /* it is going */
		return in->len;
	if (a->pending.len)
		flush_app(s, a);
	if (a->owes)
		tell(s, a);
	allowed = allowance(a, now_us);
	text_block_prefix(&b, forward(a, now_us), in->source);
	at = write_blocks(s, a, in, &b, &allowed);
	keep_allowance(a, &allowed);
	if (!allowed.lines || !allowed.bytes)
		at += pass_over(s, a, in->data + at, in->len - at, in->at_end);
	return at;
}

/* ---- records ---- */

static void empty_pending(struct app_log *a)
{
	/* Thousands of quiet apps must not each keep the buffer of their loudest moment.
	 */
	if (a->pending.cap > STORE_KEEP)
		buf_free(&a->pending);
	else
		buf_reset(&a->pending);
	a->pending_lines = 0;
}

static void flush_app(struct store *s, struct app_log *a)
{
	if (a->pending.len == 0)
		return;
	if (a->owes)
		tell(s, a);
	(void)write_lines(s, a, SEGMENTS_NO_RELEASE, a->pending.data, a->pending.len,
		a->pending_lines);
	empty_pending(a);
}

static void add_line(struct store *s, struct app_log *a, uint64_t time_us,
	const struct store_record *r)
{
	struct text_line line = {
		.start = r->text, .len = r->len < TEXT_LINE_MAX ? r->len : TEXT_LINE_MAX};
	struct text_block b = {.out = buf_room(&a->pending,
				       TEXT_PREFIX_MAX + line.len * PLAIN_FACTOR + 64)};

	if (!b.out) {
		a->pending.failed = false;
		write_failed(s, a, -ENOMEM, 1);
		return;
	}
	text_block_prefix(&b, forward(a, time_us), r->source);
	text_block_add(&b, &line);
	a->pending.len += b.len;
	a->pending_lines++;
}

static bool within_rate(struct store *s, struct app_log *a, size_t len, uint64_t now_us)
{
	struct text_allowance allowed = allowance(a, now_us);

	if (!allowed.lines || !allowed.bytes) {
		count_shaped(s, a, 1);
		return false;
	}
	if (a->limits.rate_lines)
		a->tokens--;
	else if (a->limits.rate_bytes)
		a->tokens -= len < a->tokens ? len : a->tokens;
	return true;
}

void store_add(
	struct store *s, const struct store_record *r, uint64_t time_us, uint64_t now_us)
{
	struct app_log *a = get_app(s, r->app);

	if (!a || (r->shaped && !within_rate(s, a, r->len, now_us)))
		return;
	add_line(s, a, time_us, r);
	if (!a->dirty) {
		a->dirty = true;
		a->next_dirty = s->dirty;
		s->dirty = a;
	}
	if (a->pending.len > STORE_FLUSH_SIZE)
		flush_app(s, a);
}

void store_flush(struct store *s)
{
	while (s->dirty) {
		struct app_log *a = s->dirty;

		s->dirty = a->next_dirty;
		a->dirty = false;
		flush_app(s, a);
	}
}

/* ---- */

bool store_owes(const struct store *s)
{
	return s->owing != NULL;
}

void store_tell(struct store *s)
{
	struct app_log **at = &s->owing;

	store_flush(s);
	while (*at) {
		struct app_log *a = *at;

		tell(s, a);
		if (a->missing.shaped || a->missing.failed) {
			at = &a->next_owing;
			continue;
		}
		*at = a->next_owing;
		a->owes = false;
	}
}

static void apply_limits(struct store *s, struct app_log *a)
{
	uint64_t rate = rate_of(a);

	a->limits = limits_of(&s->limits, a->id);
	if (rate_of(a) != rate)
		a->tokens = rate_of(a) * LOG_BURST_S;
	segments_trim(&a->segments, a->limits.budget_bytes);
}

static void trim_app(struct store *s, uint32_t app)
{
	struct app_log *a = find_app(s, app);

	if (a)
		apply_limits(s, a);
	else
		segments_trim_folder(
			s->dirfd, app, limits_of(&s->limits, app).budget_bytes);
}

static void trim_all(struct store *s)
{
	int fd = openat(s->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	uint64_t app;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (num_parse_u64(entry->d_name, 1, UINT32_MAX, &app) == 0)
			trim_app(s, (uint32_t)app);
	closedir(dir);
}

int store_set_limits(struct store *s, const struct msg_log_limits *l)
{
	int r;

	store_flush(s);
	r = limits_set(&s->limits, s->dirfd, l);
	if (l->app)
		trim_app(s, l->app);
	else
		trim_all(s);
	return r;
}

static void drop_owing(struct store *s, const struct app_log *a)
{
	for (struct app_log **at = &s->owing; *at; at = &(*at)->next_owing)
		if (*at == a) {
			*at = a->next_owing;
			return;
		}
}

static void free_app(struct store *s, struct app_log *a)
{
	drop_owing(s, a);
	segments_close(&a->segments);
	buf_free(&a->pending);
	free(a);
}

void store_close_app(struct store *s, uint32_t app)
{
	struct msg_log_limits none = {.app = app};

	store_flush(s);
	for (struct app_log **at = &s->buckets[app % BUCKETS]; *at; at = &(*at)->next) {
		struct app_log *a = *at;

		if (a->id != app)
			continue;
		*at = a->next;
		free_app(s, a);
		break;
	}
	(void)limits_set(&s->limits, s->dirfd, &none);
	s->closed[s->n_closed++ % CLOSED_MAX] = app;
}

void store_open_app(struct store *s, uint32_t app)
{
	for (unsigned int i = 0; i < CLOSED_MAX; i++)
		if (s->closed[i] == app)
			s->closed[i] = 0;
}

void store_free(struct store *s)
{
	if (!s)
		return;
	for (struct app_log *a = s->owing; a; a = a->next_owing)
		a->missing.told_us = 0;
	store_flush(s);
	store_tell(s);
	for (unsigned int i = 0; i < BUCKETS; i++) {
		while (s->buckets[i]) {
			struct app_log *a = s->buckets[i];

			s->buckets[i] = a->next;
			free_app(s, a);
		}
	}
	limits_free(&s->limits);
	free(s);
}
