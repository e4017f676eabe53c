/* Finds where in the segments to begin, then walks forward, line by line. */
#include "control/logs.h"
#include "lib/proto.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BLOCK ((size_t)64 << 10)
#define STAMP_LEN (STAMP_SIZE - 1)
#define SEGMENT_NAME_LEN 20 /* 16 digits and ".log" */

/* One segment, read forward. */
struct scan {
	int fd;
	off_t at;   /* of the next read */
	size_t pos; /* of the next line in in */
	struct buf in;
	bool skip_first; /* began in the middle of a line */
};

struct logs {
	char folder[512];
	struct logs_query q;
	char since[STAMP_SIZE]; /* "": no limit */
	uint64_t segment;	/* 0: none yet */
	struct scan scan;
	uint64_t skip; /* matching lines before the first one wanted */
	uint64_t left; /* matching lines still wanted */
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

bool logs_match(
	const struct logs_query *q, const char *since, const char *line, size_t len)
{
	if (len < STAMP_LEN + 2)
		return !since[0] && !q->process[0] && !q->grep[0];
	if (since[0] && memcmp(line, since, STAMP_LEN) < 0)
		return false;
	const char *source = line + STAMP_LEN + 1;
	size_t rest = len - STAMP_LEN - 1;
	const char *colon = memmem(source, rest, ": ", 2);
	size_t source_len = colon ? (size_t)(colon - source) : rest;

	if (source_len == sizeof(LOG_SEGMENT_SOURCE) - 1 &&
		memcmp(source, LOG_SEGMENT_SOURCE, source_len) == 0)
		return false;
	if (q->process[0] &&
		(!source_len || !match_process(q->process, source, source_len)))
		return false;
	if (!q->grep[0])
		return true;
	const char *text = colon ? colon + 2 : source;
	return memmem(text, (size_t)(line + len - text), q->grep, strlen(q->grep)) !=
	       NULL;
}

/* ---- one segment ---- */

static void scan_close(struct scan *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->pos = 0;
	s->at = 0;
	s->skip_first = false;
	buf_reset(&s->in);
}

static int scan_open(struct scan *s, const char *folder, uint64_t segment, off_t at)
{
	char path[600];

	scan_close(s);
	snprintf(path, sizeof(path), "%s/%016llu.log", folder,
		(unsigned long long)segment);
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (s->fd < 0)
		return -errno;
	/* One byte earlier: a start just behind a newline must not lose the line that
	 * begins there. */
	s->skip_first = at > 0;
	s->at = at > 0 ? at - 1 : 0;
	return 0;
}

/* Reads another block. 1, 0 at the end for now, -errno. */
static int scan_fill(struct scan *s)
{
	buf_consume(&s->in, s->pos);
	s->pos = 0;
	char *room = buf_room(&s->in, BLOCK);
	if (!room)
		return -ENOMEM;
	ssize_t n = pread(s->fd, room, BLOCK, s->at);
	if (n < 0)
		return errno == EINTR ? 1 : -errno;
	s->in.len += (size_t)n;
	s->at += n;
	return n > 0;
}

/* The next whole line. 1, 0 when there is none now, -errno. */
static int scan_line(struct scan *s, const char **ret, size_t *ret_len)
{
	for (;;) {
		const char *start = s->in.data ? s->in.data + s->pos : NULL;
		size_t left = s->in.len - s->pos;
		const char *end = left ? memchr(start, '\n', left) : NULL;

		if (end || left > LOGS_LINE_MAX) {
			*ret = start;
			*ret_len = end ? (size_t)(end - start) : left;
			s->pos += *ret_len + (end != NULL);
			if (!s->skip_first)
				return 1;
			s->skip_first = false;
			continue;
		}
		int r = scan_fill(s);
		if (r <= 0)
			return r;
	}
}

/* ---- all segments ---- */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool parse_name(const char *name, uint64_t *ret)
{
	uint64_t n = 0;

	if (strlen(name) != SEGMENT_NAME_LEN || strcmp(name + 16, ".log") != 0)
		return false;
	for (int i = 0; i < 16; i++) {
		if (name[i] < '0' || name[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(name[i] - '0');
	}
	*ret = n;
	return n > 0;
}

/* Ascending; count, 0 when the folder is absent. */
static int list_segments(const char *folder, uint64_t **ret)
{
	DIR *dir = opendir(folder);
	size_t n = 0, cap = 0;
	struct dirent *entry;
	uint64_t number;

	*ret = NULL;
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (!parse_name(entry->d_name, &number))
			continue;
		if (n == cap) {
			cap = cap ? cap * 2 : 32;
			uint64_t *grown = reallocarray(*ret, cap, sizeof(**ret));

			if (!grown)
				break;
			*ret = grown;
		}
		(*ret)[n++] = number;
	}
	closedir(dir);
	if (n)
		qsort(*ret, n, sizeof(**ret), by_number);
	return (int)n;
}

static uint64_t segment_after(struct logs *l, uint64_t number)
{
	uint64_t *all autofree = NULL;
	int n = list_segments(l->folder, &all);

	for (int i = 0; i < n; i++) {
		if (all[i] > number)
			return all[i];
	}
	return 0;
}

/* Matching lines from offset at to the segment's end. */
static uint64_t count_from(struct logs *l, uint64_t segment, off_t at)
{
	struct scan s = {.fd = -1};
	uint64_t matches = 0;
	const char *line;
	size_t len;

	if (scan_open(&s, l->folder, segment, at) == 0) {
		while (scan_line(&s, &line, &len) > 0)
			matches += logs_match(&l->q, l->since, line, len);
	}
	scan_close(&s);
	buf_free(&s.in);
	return matches;
}

static off_t segment_size(struct logs *l, uint64_t segment)
{
	char path[600];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%016llu.log", l->folder,
		(unsigned long long)segment);
	return stat(path, &st) == 0 ? st.st_size : 0;
}

/*
 * Looks for `wanted` matches at the segment's end, in windows that grow. Returns how many
 * there are from *ret_at on: wanted or more, or all of the segment's.
 */
static uint64_t find_in_segment(
	struct logs *l, uint64_t segment, uint64_t wanted, off_t *ret_at)
{
	off_t size = segment_size(l, segment);

	for (off_t window = BLOCK;; window *= 4) {
		off_t at = window < size ? size - window : 0;
		uint64_t matches = count_from(l, segment, at);

		*ret_at = at;
		if (matches >= wanted || at == 0)
			return matches;
	}
}

/* Where the last q.lines matches begin. */
static void position_at_tail(struct logs *l, const uint64_t *all, int n)
{
	uint64_t found = 0;

	for (int i = n - 1; i >= 0; i--) {
		off_t at = 0;

		found += find_in_segment(l, all[i], l->q.lines - found, &at);
		l->segment = all[i];
		if (scan_open(&l->scan, l->folder, all[i], at) < 0)
			l->scan.fd = -1;
		if (found >= l->q.lines || (l->q.since_us && all[i] <= l->q.since_us))
			break;
	}
	l->skip = found > l->q.lines ? found - l->q.lines : 0;
}

/* The segment that holds the time since_us: the last one that begins no later. */
static void position_at_time(struct logs *l, const uint64_t *all, int n)
{
	int first = 0;

	while (first + 1 < n && all[first + 1] <= l->q.since_us)
		first++;
	if (n) {
		l->segment = all[first];
		scan_open(&l->scan, l->folder, all[first], 0);
	}
}

struct logs *logs_open(const char *folder, const struct logs_query *q)
{
	struct logs *l = calloc(1, sizeof(*l));
	uint64_t *all autofree = NULL;

	if (!l)
		return NULL;
	l->q = *q;
	l->left = q->lines && !q->follow ? q->lines : UINT64_MAX;
	l->scan.fd = -1;
	snprintf(l->folder, sizeof(l->folder), "%s", folder);
	if (q->since_us)
		stamp_format_us(q->since_us, l->since);
	int n = list_segments(l->folder, &all);
	if (q->lines)
		position_at_tail(l, all, n);
	else
		position_at_time(l, all, n);
	return l;
}

void logs_close(struct logs *l)
{
	if (!l)
		return;
	scan_close(&l->scan);
	buf_free(&l->scan.in);
	buf_free(&l->out);
	free(l);
}

/* Takes what is left of the current segment. More than 0 when a line was taken. */
static int take_lines(struct logs *l, size_t enough)
{
	const char *line;
	size_t len;
	int taken = 0, r = 0;

	while (l->scan.fd >= 0 && l->left && l->out.len < enough &&
		(r = scan_line(&l->scan, &line, &len)) > 0) {
		taken = 1;
		if (!logs_match(&l->q, l->since, line, len))
			continue;
		if (l->skip) {
			l->skip--;
			continue;
		}
		l->left--;
		buf_add(&l->out, line, len);
		buf_add(&l->out, "\n", 1);
	}
	return r < 0 ? r : l->out.failed ? -ENOMEM : taken;
}

static int next_segment(struct logs *l)
{
	uint64_t next = segment_after(l, l->segment);

	if (!next)
		return 0;
	/* The writer may have added to this one after its end was seen and before the
	 * next one was made. */
	int r = take_lines(l, SIZE_MAX);
	if (r < 0)
		return r;
	l->segment = next;
	r = scan_open(&l->scan, l->folder, next, 0);
	return r < 0 && r != -ENOENT ? r : 1;
}

ssize_t logs_read(struct logs *l, char *out, size_t size)
{
	int r = 1;

	while (r > 0 && l->left && l->out.len < size) {
		r = take_lines(l, size);
		if (r == 0)
			r = next_segment(l);
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
