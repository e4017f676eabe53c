/* Segments of an app's log, read. */
#include "control/logs/segment.h"
#include "lib/name.h"
#include "lib/proto.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define PROBE 4096u

/* ---- which there are ---- */

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* n digits, nothing else among them. */
static bool parse_digits(const char *s, int n, uint64_t *ret)
{
	*ret = 0;
	for (int i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		*ret = *ret * 10 + (uint64_t)(s[i] - '0');
	}
	return true;
}

int segment_list(const char *folder, uint64_t **ret)
{
	DIR *dir = opendir(folder);
	size_t n = 0, cap = 0;
	struct dirent *entry;
	uint64_t number;

	*ret = NULL;
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (!log_segment_parse(entry->d_name, &number))
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

int segment_open(const char *folder, uint64_t number)
{
	char path[600];
	int fd;

	snprintf(path, sizeof(path), "%s/%0*llu.log", folder, LOG_SEGMENT_DIGITS,
		(unsigned long long)number);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* ---- where ---- */

static bool is_stamp(const char *p)
{
	return p[4] == '-' && p[7] == '-' && p[10] == 'T' && p[19] == '.' &&
	       p[SEGMENT_STAMP_LEN - 1] == 'Z';
}

/* Where the next line begins after a newline at or behind at; -1 when none does before end. */
static off_t next_line(int fd, off_t at, off_t end)
{
	char part[PROBE];

	while (at < end) {
		size_t want = end - at < (off_t)sizeof(part) ? (size_t)(end - at)
							     : sizeof(part);
		ssize_t n = pread(fd, part, want, at);
		const char *nl = n > 0 ? memchr(part, '\n', (size_t)n) : NULL;

		if (nl)
			return at + (nl - part) + 1;
		if (n <= 0)
			return -1;
		at += n;
	}
	return -1;
}

/* The first line with a stamp that begins at or behind `at`, where a line begins; -1: none before end. */
static off_t stamped_line(int fd, off_t at, off_t end, char stamp[SEGMENT_STAMP_LEN])
{
	while (at >= 0 && at + (off_t)SEGMENT_STAMP_LEN < end) {
		if (pread(fd, stamp, SEGMENT_STAMP_LEN, at) ==
				(ssize_t)SEGMENT_STAMP_LEN &&
			is_stamp(stamp))
			return at;
		at = next_line(fd, at, end);
	}
	return -1;
}

off_t segment_find_time(int fd, off_t size, uint64_t us)
{
	char want[STAMP_SIZE], stamp[SEGMENT_STAMP_LEN];
	off_t low = 0, high = size; /* where it may begin */

	stamp_format_us(us, want);
	while (low < high) {
		off_t mid = low + (high - low) / 2;
		off_t start = mid ? next_line(fd, mid - 1, size) : 0;

		start = stamped_line(fd, start, size, stamp);
		if (start < 0 || start >= high ||
			memcmp(stamp, want, SEGMENT_STAMP_LEN) >= 0)
			high = mid;
		else
			low = start + 1;
	}
	if (low == 0)
		return 0;
	low = next_line(fd, low - 1, size);
	return low < 0 ? segment_line_start(fd, size) : low;
}

off_t segment_line_start(int fd, off_t at)
{
	char part[PROBE];

	while (at > 0) {
		size_t want = at < (off_t)sizeof(part) ? (size_t)at : sizeof(part);
		ssize_t n = pread(fd, part, want, at - (off_t)want);
		const char *nl = n > 0 ? memrchr(part, '\n', (size_t)n) : NULL;

		if (nl)
			return at - (off_t)want + (nl - part) + 1;
		if (n <= 0)
			return at;
		at -= (off_t)want;
	}
	return 0;
}

/* ---- line by line ---- */

void segment_scan_start(struct segment_scan *s, int fd, off_t at, off_t end)
{
	s->fd = fd;
	s->at = at;
	s->end = end;
	s->pos = 0;
	buf_reset(&s->in);
}

off_t segment_scan_where(const struct segment_scan *s)
{
	return s->at - (off_t)(s->in.len - s->pos);
}

/* Reads another block. 1, 0 at the end for now, -errno. */
static int fill(struct segment_scan *s)
{
	size_t want = SEGMENT_BLOCK;
	ssize_t n;
	char *room;

	buf_consume(&s->in, s->pos);
	s->pos = 0;
	if (s->end >= 0 && s->end - s->at < (off_t)want)
		want = s->end > s->at ? (size_t)(s->end - s->at) : 0;
	room = buf_room(&s->in, SEGMENT_BLOCK);
	if (!room)
		return -ENOMEM;
	do
		n = want ? pread(s->fd, room, want, s->at) : 0;
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	s->in.len += (size_t)n;
	s->at += n;
	return n > 0;
}

int segment_scan_lines(struct segment_scan *s, const char **ret, size_t *ret_len)
{
	for (;;) {
		size_t left = s->in.len - s->pos;
		const char *start = s->in.data ? s->in.data + s->pos : NULL;
		const char *nl = left ? memrchr(start, '\n', left) : NULL;

		if (nl || left > SEGMENT_LINE_MAX) { /* no line is that long: damage */
			*ret = start;
			*ret_len = nl ? (size_t)(nl + 1 - start) : left;
			return 1;
		}
		int r = fill(s);
		if (r > 0)
			continue;
		/* The logger may cut a torn line, and write another in its place. */
		s->at -= (off_t)(s->in.len - s->pos);
		s->pos = 0;
		buf_reset(&s->in);
		return r;
	}
}

void segment_scan_take(struct segment_scan *s, size_t len)
{
	s->pos += len;
}

bool segment_parse(const char *line, size_t len, struct segment_line *ret)
{
	const size_t own_len = sizeof(LOG_SEGMENT_SOURCE) - 1;

	if (len < SEGMENT_STAMP_LEN + 4 || !is_stamp(line) ||
		line[SEGMENT_STAMP_LEN] != ' ')
		return false;
	*ret = (struct segment_line){
		.line = line, .len = len, .source = line + SEGMENT_STAMP_LEN + 1};
	size_t rest = len - SEGMENT_STAMP_LEN - 1;
	const char *colon = memchr(ret->source, ':', rest);

	if (!colon || colon + 1 == line + len || colon[1] != ' ')
		return false;
	ret->source_len = (size_t)(colon - ret->source);
	ret->text = colon + 2;
	ret->text_len = (size_t)(line + len - ret->text);
	ret->own = ret->source_len == own_len &&
		   memcmp(ret->source, LOG_SEGMENT_SOURCE, own_len) == 0;
	return true;
}

bool segment_after(const struct segment_line *l, uint64_t *ret)
{
	static const char word[] = "after=";
	const size_t n = sizeof(word) - 1;

	return l->text_len >= n + LOG_SEGMENT_DIGITS && memcmp(l->text, word, n) == 0 &&
	       parse_digits(l->text + n, LOG_SEGMENT_DIGITS, ret);
}

bool segment_release(const struct segment_line *l, uint32_t *ret)
{
	static const char word[] = "release=";
	const size_t n = sizeof(word) - 1;
	const char *at = memmem(l->text, l->text_len, word, n),
		   *end = l->text + l->text_len;

	if (!at)
		return false;
	*ret = 0;
	for (at += n; at < end && *at >= '0' && *at <= '9'; at++)
		*ret = *ret * 10 + (uint32_t)(*at - '0');
	return true;
}
