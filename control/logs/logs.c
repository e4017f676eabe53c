/* Finds where in the segments to begin, then walks forward, line by line. */
#include "control/logs/logs.h"
#include "control/logs/watchlog.h"
#include "lib/jtext.h"
#include "lib/proto.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define WINDOW_FIRST ((off_t)64 << 10)
#define WINDOW_MAX ((off_t)4 << 20)

/* A part of a segment that has matching lines. */
struct span {
	uint64_t segment;
	off_t from, to;
	uint64_t matches;
};

struct logs {
	char folder[512];
	struct logs_query q;
	char until[STAMP_SIZE]; /* "": no limit */
	struct watchlog *watch;
	/* what is planned: spans, last first; then on from where the log ended */
	struct span *spans;
	size_t n_spans, cap_spans;
	uint64_t skip; /* matching lines before the first one wanted */
	/* where it is */
	uint64_t segment; /* 0: none yet */
	int fd;
	struct segment_scan scan;
	uint32_t release; /* of app lines, where it is */
	bool over;
	struct buf out;
};

/* ---- lines ---- */

static bool match_process(const char *process, const char *source, size_t len)
{
	const char *open = memchr(source, '[', len);
	size_t want = strlen(process);

	if (!open || source[len - 1] != ']')
		return false;
	const char *name = open + 1;
	size_t name_len = (size_t)(source + len - 1 - name);
	return name_len >= want && memcmp(name, process, want) == 0 &&
	       (name_len == want || name[want] == '.');
}

bool logs_match(const struct logs_query *q, const struct segment_line *l)
{
	return !l->own &&
	       (!q->process[0] || match_process(q->process, l->source, l->source_len)) &&
	       needle_find(&q->grep, l->text, l->text_len);
}

static bool is_apps(const struct segment_line *l)
{
	return l->source_len > 4 && memcmp(l->source, "app[", 4) == 0;
}

/*
 * Of whole lines in len bytes the first that matches; *ret_used: up to and with it, or all. release: what is known, and
 * is kept up to date.
 */
static bool first_match(const struct logs_query *q, const char *in, size_t len,
	uint32_t *release, struct segment_line *ret, size_t *ret_used)
{
	const char *at = in, *end = in + len;

	while (at < end) {
		/* Straight to where the text is, unless releases are to be followed. */
		if (q->grep.len && !q->release) {
			const char *hit = needle_find(&q->grep, at, (size_t)(end - at));
			const char *nl =
				hit ? memrchr(at, '\n', (size_t)(hit - at)) : NULL;

			if (!hit)
				break;
			at = nl ? nl + 1 : at;
		}
		const char *nl = memchr(at, '\n', (size_t)(end - at));
		const char *stop = nl ? nl : end, *line = at;

		at = nl ? nl + 1 : end;
		if (!segment_parse(line, (size_t)(stop - line), ret))
			continue;
		if (ret->own)
			segment_release(ret, release);
		if (q->release && (!is_apps(ret) || *release != q->release))
			continue;
		if (!logs_match(q, ret))
			continue;
		*ret_used = (size_t)(at - in);
		return true;
	}
	*ret_used = len;
	return false;
}

/* ---- what is planned ---- */

/* Of which release lines from there on are; 0 unless that is asked. */
static uint32_t release_at(struct logs *l, int fd, off_t from)
{
	struct segment_line line;
	uint32_t release = 0;
	const char *in;
	size_t len, used;
	struct logs_query none = {.grep = l->q.grep, .release = UINT32_MAX};

	if (!l->q.release || !from)
		return 0;
	segment_scan_start(&l->scan, fd, 0, from);
	while (segment_scan_lines(&l->scan, &in, &len) > 0) {
		first_match(&none, in, len, &release, &line, &used);
		segment_scan_take(&l->scan, used);
	}
	return release;
}

static uint64_t count(struct logs *l, int fd, off_t from, off_t to)
{
	struct segment_line line;
	uint32_t release = release_at(l, fd, from);
	uint64_t matches = 0;
	const char *in;
	size_t len, used;

	segment_scan_start(&l->scan, fd, from, to);
	while (segment_scan_lines(&l->scan, &in, &len) > 0) {
		matches += first_match(&l->q, in, len, &release, &line, &used);
		segment_scan_take(&l->scan, used);
	}
	return matches;
}

static int add_span(struct logs *l, const struct span *s)
{
	if (l->n_spans == l->cap_spans) {
		size_t cap = l->cap_spans ? l->cap_spans * 2 : 32;
		struct span *grown = reallocarray(l->spans, cap, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		l->spans = grown;
		l->cap_spans = cap;
	}
	l->spans[l->n_spans++] = *s;
	return 0;
}

/* The last matches between from and to, in windows from the end on, each looked at once. */
static int plan_backward(
	struct logs *l, uint64_t segment, int fd, off_t from, off_t to, uint64_t *found)
{
	off_t window = WINDOW_FIRST;

	while (to > from && *found < l->q.lines) {
		/* Of which release a line is, all that is before it in the segment tells. */
		off_t at = !l->q.release && to - from > window
				   ? segment_line_start(fd, to - window)
				   : from;
		struct span s = {
			.segment = segment, .from = at < from ? from : at, .to = to};

		s.matches = count(l, fd, s.from, s.to);
		if (s.matches && add_span(l, &s) < 0)
			return -ENOMEM;
		*found += s.matches;
		to = s.from;
		if (window < WINDOW_MAX)
			window *= 4;
	}
	return 0;
}

/* Which bytes of a segment are asked for. */
static void limit(const struct logs *l, int fd, off_t *from, off_t *to)
{
	struct stat st;

	*from = 0;
	*to = fstat(fd, &st) == 0 ? st.st_size : 0;
	if (l->q.until_us)
		*to = segment_find_time(fd, *to, l->q.until_us + 1);
	else
		*to = segment_line_start(fd, *to);
	if (l->q.since_us)
		*from = segment_find_time(fd, *to, l->q.since_us);
}

static bool is_after(const struct logs *l, uint64_t number)
{
	return l->q.until_us && number > l->q.until_us;
}

/* One segment's part of it. */
static int plan_segment(struct logs *l, uint64_t segment, int fd, uint64_t *found)
{
	struct span s = {.segment = segment};
	int r = 0;

	limit(l, fd, &s.from, &s.to);
	/* After all else, what comes. */
	if (l->q.follow && !l->n_spans)
		r = add_span(
			l, &(struct span){.segment = segment, .from = s.to, .to = -1});
	if (r < 0 || s.to <= s.from)
		return r;
	return l->q.lines ? plan_backward(l, segment, fd, s.from, s.to, found)
			  : add_span(l, &s);
}

/* The last q.lines matches, or all since the time. */
static int plan(struct logs *l)
{
	uint64_t *all autofree = NULL, found = 0;
	int n = segment_list(l->folder, &all), r = 0;

	for (int i = n - 1; i >= 0 && r == 0 && (!l->q.lines || found < l->q.lines);
		i--) {
		int fd autoclose =
			is_after(l, all[i]) ? -1 : segment_open(l->folder, all[i]);

		if (fd >= 0)
			r = plan_segment(l, all[i], fd, &found);
		if (l->q.since_us && all[i] < l->q.since_us)
			break;
	}
	l->skip = l->q.lines && found > l->q.lines ? found - l->q.lines : 0;
	return r;
}

/* ---- going there ---- */

static int go(struct logs *l, uint64_t segment, off_t from, off_t to)
{
	int fd = segment == l->segment && l->fd >= 0 ? l->fd
						     : segment_open(l->folder, segment);

	if (fd < 0)
		return fd;
	if (fd != l->fd && l->fd >= 0)
		close(l->fd);
	l->fd = fd;
	l->segment = segment;
	l->release = release_at(l, fd, from);
	segment_scan_start(&l->scan, fd, from, to);
	return 0;
}

static int go_to_span(struct logs *l)
{
	const struct span *s = &l->spans[--l->n_spans];
	int r = go(l, s->segment, s->from, s->to);

	if (r != -ENOENT)
		return r;
	l->skip = 0; /* the budget took it, with the lines that were one too many */
	return 0;
}

/* ---- lines out ---- */

/* What is no UTF-8 can only be damage. */
static void add_json_string(struct buf *out, const char *text, size_t len)
{
	size_t sound = jtext_utf8(text, len);

	buf_add(out, "\"", 1);
	for (size_t i = 0; i < sound; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			buf_addf(out, "\\u%04x", c);
		else
			buf_add(out, &text[i], 1);
	}
	buf_adds(out, "\"");
}

static void add_json(struct buf *out, const struct segment_line *line)
{
	buf_addf(out, "{\"time\": \"%.*s\", \"source\": ", (int)SEGMENT_STAMP_LEN,
		line->line);
	add_json_string(out, line->source, line->source_len);
	buf_adds(out, ", \"text\": ");
	add_json_string(out, line->text, line->text_len);
	buf_adds(out, "}\n");
}

static void add_text(struct logs *l, const struct segment_line *line)
{
	if (l->q.json) {
		add_json(&l->out, line);
		return;
	}
	buf_add(&l->out, line->line, line->len);
	buf_add(&l->out, "\n", 1);
}

static void take_line(struct logs *l, const struct segment_line *line)
{
	if (l->until[0] && memcmp(line->line, l->until, SEGMENT_STAMP_LEN) > 0)
		l->over = true;
	else if (l->skip)
		l->skip--;
	else
		add_text(l, line);
}

/* What is left of where it is. More than 0 when something was taken. */
static int take_lines(struct logs *l, size_t enough)
{
	const char *in;
	size_t len, used, done;
	int r = 0, taken = 0;

	while (l->fd >= 0 && !l->over && l->out.len < enough &&
		(r = segment_scan_lines(&l->scan, &in, &len)) > 0) {
		struct segment_line line;

		taken = 1;
		for (done = 0; done < len && l->out.len < enough && !l->over;
			done += used)
			if (first_match(&l->q, in + done, len - done, &l->release, &line,
				    &used))
				take_line(l, &line);
		segment_scan_take(&l->scan, done);
	}
	return r < 0 ? r : l->out.failed ? -ENOMEM : taken;
}

/* Says so when the segment that was just gone to does not follow on the one before it. */
static void tell_gap(struct logs *l, uint64_t before)
{
	struct segment_line first, line;
	const char *in, *nl;
	char text[256];
	uint64_t after;
	size_t len;

	if (!before || segment_scan_lines(&l->scan, &in, &len) <= 0)
		return;
	nl = memchr(in, '\n', len);
	if (!nl || !segment_parse(in, (size_t)(nl - in), &first) || !first.own ||
		!segment_after(&first, &after) || after == before)
		return;
	int n = snprintf(text, sizeof(text),
		"%.*s berth[logs]: lines are missing here: the log's budget took them "
		"before they were read",
		(int)SEGMENT_STAMP_LEN, first.line);
	if (segment_parse(text, (size_t)n, &line))
		add_text(l, &line);
}

static uint64_t segment_behind(struct logs *l)
{
	uint64_t *all autofree = NULL;
	int n = segment_list(l->folder, &all);

	for (int i = 0; i < n; i++)
		if (all[i] > l->segment)
			return all[i];
	return 0;
}

/* 1 when it went on, 0 when there is no other. */
static int next_segment(struct logs *l)
{
	uint64_t before = l->segment, next = segment_behind(l);
	int r;

	if (!next)
		return 0;
	/* The writer may have added to this one after its end was seen and before the
	 * next one was made. */
	r = take_lines(l, SIZE_MAX);
	if (r < 0)
		return r;
	r = go(l, next, 0, -1);
	if (r < 0)
		return r == -ENOENT ? 1 : r;
	tell_gap(l, before);
	return 1;
}

static int next_place(struct logs *l)
{
	int r;

	if (l->n_spans) {
		r = go_to_span(l);
		return r < 0 ? r : 1;
	}
	if (!l->q.follow) {
		l->over = true;
		return 0;
	}
	return next_segment(l);
}

ssize_t logs_read(struct logs *l, char *out, size_t size)
{
	int r = 1;

	while (r > 0 && !l->over && l->out.len < size) {
		r = take_lines(l, size);
		if (r == 0 && !l->over)
			r = next_place(l);
	}
	if (r < 0 && !l->out.len)
		return r;
	size_t n = l->out.len < size ? l->out.len : size;
	if (n) {
		memcpy(out, l->out.data, n);
		buf_consume(&l->out, n);
	}
	return (ssize_t)n;
}

/* ---- */

struct logs *logs_open(const char *folder, const struct logs_query *q)
{
	struct logs *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->q = *q;
	l->fd = -1;
	snprintf(l->folder, sizeof(l->folder), "%s", folder);
	if (q->until_us)
		stamp_format_us(q->until_us, l->until);
	if (q->follow) /* first: what comes while it looks is not missed */
		l->watch = watchlog_open(folder);
	if (plan(l) < 0) {
		logs_close(l);
		return NULL;
	}
	return l;
}

void logs_close(struct logs *l)
{
	if (!l)
		return;
	watchlog_close(l->watch);
	if (l->fd >= 0)
		close(l->fd);
	buf_free(&l->scan.in);
	buf_free(&l->out);
	free(l->spans);
	free(l);
}

bool logs_over(const struct logs *l)
{
	return l->over && !l->out.len;
}

int logs_fd(const struct logs *l)
{
	return l->watch ? watchlog_fd(l->watch) : -1;
}

void logs_woken(struct logs *l)
{
	if (l->watch && !watchlog_read(l->watch))
		l->over = true;
}
