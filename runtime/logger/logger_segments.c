/* The segments of one app's log. */
#include "runtime/logger/logger_segments.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/name.h"
#include "lib/proto.h"
#include "runtime/logger/logger_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define HEAD_MAX 128

static void segment_path(char out[64], uint32_t app, uint64_t name)
{
	snprintf(out, 64, "%u/%0*llu.log", app, LOG_SEGMENT_DIGITS,
		(unsigned long long)name);
}

static void insert(struct segments *s, uint64_t name, uint64_t size)
{
	unsigned int at = s->n;

	if (s->n == SEGMENTS_MAX)
		return;
	while (at > 0 && s->list[at - 1].name > name)
		at--;
	memmove(&s->list[at + 1], &s->list[at], (s->n - at) * sizeof(s->list[0]));
	s->list[at] = (struct segment){.name = name, .size = size};
	s->n++;
}

static void read_folder(struct segments *s)
{
	char name[16];
	struct dirent *entry;
	struct stat st;
	uint64_t number;
	DIR *dir;
	int fd;

	snprintf(name, sizeof(name), "%u", s->app);
	fd = openat(s->dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (log_segment_parse(entry->d_name, &number) &&
			fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode))
			insert(s, number, (uint64_t)st.st_size);
	closedir(dir);
}

/* There is one. */
static struct segment *newest(struct segments *s)
{
	return &s->list[s->n - 1];
}

/* ---- what a crash left ---- */

/* How much of data, from the start, has no byte that no line holds. */
static size_t sound_length(const char *data, size_t len)
{
	size_t i = 0;

	while (i < len &&
		((unsigned char)data[i] >= ' ' || data[i] == '\n' || data[i] == '\t') &&
		data[i] != 0x7f)
		i++;
	return i;
}

/* Where the last whole line of data ends: one that begins with a stamp, and has no damage before it. *ret_us: its stamp. */
static size_t sound_end(const char *data, size_t len, uint64_t *ret_us)
{
	size_t end = sound_length(data, len);

	while (end > 0) {
		const char *nl = memrchr(data, '\n', end), *before;

		if (!nl)
			return 0;
		end = (size_t)(nl - data);
		before = memrchr(data, '\n', end);
		size_t start = before ? (size_t)(before + 1 - data) : 0;

		*ret_us = text_stamp_parse(data + start, end - start);
		if (*ret_us)
			return end + 1;
		end = start;
	}
	return 0;
}

/*
 * A window at the end, and as long as nothing in it is sound, the one before it. Windows overlap by a line, so that one
 * holds it whole.
 */
static int cut_damage(struct segments *s, int fd, struct segment *last)
{
	char *data autofree = malloc(SEGMENTS_CHECK);
	uint64_t end = last->size, start;
	size_t sound = 0;

	if (!data)
		return -ENOMEM;
	do {
		start = end > SEGMENTS_CHECK ? end - SEGMENTS_CHECK : 0;
		ssize_t n = pread(fd, data, (size_t)(end - start), (off_t)start);

		if (n < 0)
			return -errno;
		sound = sound_end(data, (size_t)n, &s->last_us);
		end = start + TEXT_ROOM;
	} while (!sound && start > 0);
	if (start + sound == last->size)
		return 0;
	last->size = start + sound;
	return ftruncate(fd, (off_t)last->size) < 0 ? -errno : 0;
}

static int open_newest(struct segments *s)
{
	struct segment *last = newest(s);
	char path[64];
	int fd autoclose = -1;
	int r;

	segment_path(path, s->app, last->name);
	fd = openat(s->dirfd, path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	r = cut_damage(s, fd, last);
	if (r < 0)
		return r;
	s->fd = TAKE_FD(fd);
	s->release = SEGMENTS_NO_RELEASE;
	return 0;
}

/* ---- */

static void drop_oldest(struct segments *s)
{
	char path[64];

	segment_path(path, s->app, s->list[0].name);
	if (unlinkat(s->dirfd, path, 0) < 0 && errno != ENOENT)
		log_warn("cannot remove log segment %s: %s", path, strerror(errno));
	s->n--;
	memmove(&s->list[0], &s->list[1], s->n * sizeof(s->list[0]));
}

static void trim(struct segments *s, uint64_t budget, uint64_t more, unsigned int keep)
{
	uint64_t total = more;

	for (unsigned int i = 0; i < s->n; i++)
		total += s->list[i].size;
	while (s->n > keep && (total > budget || s->n == SEGMENTS_MAX)) {
		total -= s->list[0].size;
		drop_oldest(s);
	}
}

void segments_trim(struct segments *s, uint64_t budget)
{
	trim(s, budget, 0, 1);
}

static int open_segment_file(struct segments *s, uint64_t name)
{
	const int flags = O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	char path[64], dir[16];
	int fd;

	segment_path(path, s->app, name);
	fd = openat(s->dirfd, path, flags, 0640);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	/* The folder above has the group and its setgid bit: both are inherited. */
	snprintf(dir, sizeof(dir), "%u", s->app);
	if (mkdirat(s->dirfd, dir, 0750) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(s->dirfd, path, flags, 0640);
	return fd < 0 ? -errno : fd;
}

static int start_segment(struct segments *s, uint64_t name)
{
	int fd;

	segments_close(s);
	if (s->n && name <= newest(s)->name)
		name = newest(s)->name + 1;
	fd = open_segment_file(s, name);
	if (fd < 0)
		return fd;
	s->fd = fd;
	insert(s, name, 0);
	return 0;
}

/* A file for len more bytes. */
static int ready(struct segments *s, uint64_t budget, uint64_t first_us, size_t len)
{
	uint64_t full = budget / SEGMENTS_OF_BUDGET;

	if (s->n && newest(s)->size + len <= full && (s->fd >= 0 || open_newest(s) == 0))
		return 0;
	trim(s, budget, len > full ? len : full, 0);
	return start_segment(s, first_us);
}

/* The bookkeeping line that data needs before it, if any. How long. */
static size_t make_head(
	const struct segments *s, uint32_t release, const char *data, char out[HEAD_MAX])
{
	bool first = s->list[s->n - 1].size == 0;
	uint64_t before = s->n > 1 ? s->list[s->n - 2].name : 0;
	size_t n = TEXT_STAMP_LEN;

	if (!first && (release == SEGMENTS_NO_RELEASE || release == s->release))
		return 0;
	if (release == SEGMENTS_NO_RELEASE)
		release = s->release == SEGMENTS_NO_RELEASE ? 0 : s->release;
	memcpy(out, data, TEXT_STAMP_LEN);
	n += (size_t)snprintf(out + n, HEAD_MAX - n, " %s: ", LOG_SEGMENT_SOURCE);
	if (first)
		n += (size_t)snprintf(out + n, HEAD_MAX - n, "after=%0*llu ",
			LOG_SEGMENT_DIGITS, (unsigned long long)before);
	return n + (size_t)snprintf(out + n, HEAD_MAX - n, "release=%u\n", release);
}

/* All of it, or how much of it: what a disk took before it was full. */
static int write_both(int fd, struct iovec v[2], size_t *ret_done)
{
	size_t total = v[0].iov_len + v[1].iov_len;

	*ret_done = 0;
	for (;;) {
		ssize_t n = writev(fd, v, 2);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		*ret_done += (size_t)n;
		if (*ret_done == total)
			return 0;
		if (n == 0)
			return -EIO;
		for (int i = 0; i < 2; i++) {
			size_t part = (size_t)n < v[i].iov_len ? (size_t)n : v[i].iov_len;

			v[i].iov_base = (char *)v[i].iov_base + part;
			v[i].iov_len -= part;
			n -= (ssize_t)part;
		}
	}
}

static unsigned int count_lines(const char *data, size_t len)
{
	unsigned int n = 0;

	for (const char *end = data + len;
		(data = memchr(data, '\n', (size_t)(end - data))); data++)
		n++;
	return n;
}

/* Of what was written before an error whole lines stay. */
static void keep_whole(struct segments *s, const char *data, size_t head, size_t done,
	unsigned int *ret_lines)
{
	const char *nl = done > head ? memrchr(data, '\n', done - head) : NULL;
	size_t keep = nl ? (size_t)(nl + 1 - data) : 0;

	*ret_lines = count_lines(data, keep);
	newest(s)->size += keep ? head + keep : 0;
	(void)!ftruncate(s->fd, (off_t)newest(s)->size);
	segments_close(s);
}

int segments_write(struct segments *s, uint64_t budget, uint32_t release,
	const char *data, size_t len, unsigned int *ret_lines)
{
	char head[HEAD_MAX];
	size_t head_len, done;
	int r = ready(s, budget, text_stamp_parse(data, len), len + HEAD_MAX);

	*ret_lines = 0;
	if (r < 0)
		return r;
	head_len = make_head(s, release, data, head);
	struct iovec v[2] = {{head, head_len}, {(void *)(uintptr_t)data, len}};

	r = write_both(s->fd, v, &done);
	if (r < 0) {
		keep_whole(s, data, head_len, done, ret_lines);
		return r;
	}
	newest(s)->size += head_len + len;
	if (release != SEGMENTS_NO_RELEASE)
		s->release = release;
	else if (head_len && s->release == SEGMENTS_NO_RELEASE)
		s->release = 0;
	return 0;
}

void segments_open(struct segments *s, int dirfd, uint32_t app)
{
	*s = (struct segments){
		.dirfd = dirfd, .app = app, .fd = -1, .release = SEGMENTS_NO_RELEASE};
	read_folder(s);
	if (s->n && open_newest(s) < 0)
		segments_close(s);
	if (s->n && s->last_us < newest(s)->name)
		s->last_us = newest(s)->name;
}

void segments_trim_folder(int dirfd, uint32_t app, uint64_t budget)
{
	struct segments *s autofree = calloc(1, sizeof(*s));

	if (!s)
		return;
	*s = (struct segments){.dirfd = dirfd, .app = app, .fd = -1};
	read_folder(s);
	segments_trim(s, budget);
}

void segments_close(struct segments *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->release = SEGMENTS_NO_RELEASE;
}
