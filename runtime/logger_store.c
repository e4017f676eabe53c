/* The log segments of all apps. */
#include "runtime/logger_store.h"
#include "lib/buf.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/name.h"
#include "lib/plain.h"
#include "runtime/logger_text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define BUCKETS 1024u
#define CLOSED_MAX                                                                       \
	1024u /* app ids are never used twice, so an old entry may be forgotten late */
#define SEGMENTS_MAX 256u
#define SEGMENT_DIGITS 16
#define STORE_KEEP 16384u
#define TAIL_MAX ((STORE_SOURCE_MAX + TEXT_LINE_MAX * PLAIN_FACTOR) + 64)

struct segment {
	uint64_t name;
	uint64_t size;
};

struct app_log {
	struct app_log *next, *next_dirty;
	uint32_t id;
	bool dirty;
	int fd;				       /* of the newest segment, or -1 */
	struct segment segments[SEGMENTS_MAX]; /* oldest first */
	unsigned int n_segments;
	uint64_t last_us, first_pending_us, retry_at_us;
	uint64_t dropped;
	int drop_errno;
	unsigned int pending_lines;
	struct buf pending;
};

struct store {
	int dirfd;
	uint64_t budget;
	struct app_log *buckets[BUCKETS];
	struct app_log *dirty;
	uint32_t closed[CLOSED_MAX];
	unsigned int n_closed;
};

struct store *store_new(int dirfd, uint64_t budget_bytes)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->dirfd = dirfd;
	s->budget = budget_bytes;
	return s;
}

static void segment_path(char out[64], uint32_t app, uint64_t name)
{
	snprintf(out, 64, "%u/%0*llu.log", app, SEGMENT_DIGITS, (unsigned long long)name);
}

static bool parse_segment(const char *file, uint64_t *name)
{
	char digits[SEGMENT_DIGITS + 1];

	if (strlen(file) != SEGMENT_DIGITS + 4 ||
		strcmp(file + SEGMENT_DIGITS, ".log") != 0)
		return false;
	memcpy(digits, file, SEGMENT_DIGITS);
	digits[SEGMENT_DIGITS] = '\0';
	return num_parse_u64(digits, 0, UINT64_MAX, name) == 0;
}

static void insert_segment(struct app_log *a, uint64_t name, uint64_t size)
{
	unsigned int at = a->n_segments;

	if (a->n_segments == SEGMENTS_MAX)
		return;
	while (at > 0 && a->segments[at - 1].name > name)
		at--;
	memmove(&a->segments[at + 1], &a->segments[at],
		(a->n_segments - at) * sizeof(a->segments[0]));
	a->segments[at] = (struct segment){.name = name, .size = size};
	a->n_segments++;
}

static void read_segments(struct store *s, struct app_log *a)
{
	char dir_name[16];
	struct dirent *entry;
	struct stat st;
	uint64_t name;
	DIR *dir;
	int fd;

	snprintf(dir_name, sizeof(dir_name), "%u", a->id);
	fd = openat(s->dirfd, dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return;
	}
	while ((entry = readdir(dir)))
		if (parse_segment(entry->d_name, &name) &&
			fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode))
			insert_segment(a, name, (uint64_t)st.st_size);
	closedir(dir);
}

/* A crash can leave half a line at the end: everything after the last newline goes. */
static int cut_torn_tail(int fd, uint64_t *size)
{
	size_t want = *size < TAIL_MAX ? (size_t)*size : TAIL_MAX;
	char *tail autofree = malloc(want + 1);
	ssize_t n;

	if (!tail)
		return -ENOMEM;
	n = pread(fd, tail, want, (off_t)(*size - want));
	if (n < 0)
		return -errno;
	while (n > 0 && tail[n - 1] != '\n')
		n--;
	if ((size_t)n == want)
		return 0;
	*size = *size - want + (uint64_t)n;
	return ftruncate(fd, (off_t)*size) < 0 ? -errno : 0;
}

static struct segment *newest(struct app_log *a)
{
	return a->n_segments ? &a->segments[a->n_segments - 1] : NULL;
}

static int open_newest(struct store *s, struct app_log *a)
{
	struct segment *last = newest(a);
	char path[64];
	int fd autoclose = -1;
	int r;

	segment_path(path, a->id, last->name);
	fd = openat(s->dirfd, path, O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	r = cut_torn_tail(fd, &last->size);
	if (r < 0)
		return r;
	a->fd = TAKE_FD(fd);
	return 0;
}

static void drop_oldest(struct store *s, struct app_log *a)
{
	char path[64];

	segment_path(path, a->id, a->segments[0].name);
	if (unlinkat(s->dirfd, path, 0) < 0 && errno != ENOENT)
		log_warn("cannot remove log segment %s: %s", path, strerror(errno));
	a->n_segments--;
	memmove(&a->segments[0], &a->segments[1], a->n_segments * sizeof(a->segments[0]));
}

static void make_room(struct store *s, struct app_log *a, uint64_t segment_size)
{
	uint64_t total = segment_size;

	for (unsigned int i = 0; i < a->n_segments; i++)
		total += a->segments[i].size;
	while (a->n_segments && (total > s->budget || a->n_segments == SEGMENTS_MAX)) {
		total -= a->segments[0].size;
		drop_oldest(s, a);
	}
}

static int open_segment_file(struct store *s, struct app_log *a, uint64_t name)
{
	char path[64], dir[16];
	int fd;

	segment_path(path, a->id, name);
	fd = openat(s->dirfd, path,
		O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? -errno : fd;
	/* The folder above has the group and its setgid bit: both are inherited. */
	snprintf(dir, sizeof(dir), "%u", a->id);
	if (mkdirat(s->dirfd, dir, 0750) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(s->dirfd, path,
		O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
	return fd < 0 ? -errno : fd;
}

static void close_file(struct app_log *a)
{
	if (a->fd >= 0)
		close(a->fd);
	a->fd = -1;
}

static int start_segment(struct store *s, struct app_log *a)
{
	uint64_t name = a->first_pending_us;
	int fd;

	close_file(a);
	make_room(s, a, s->budget / STORE_SEGMENTS);
	if (newest(a) && name <= newest(a)->name)
		name = newest(a)->name + 1;
	fd = open_segment_file(s, a, name);
	if (fd < 0)
		return fd;
	a->fd = fd;
	insert_segment(a, name, 0);
	return 0;
}

/* A file with room for what is pending. */
static int ready_file(struct store *s, struct app_log *a)
{
	struct segment *last = newest(a);

	if (!last || last->size + a->pending.len > s->budget / STORE_SEGMENTS)
		return start_segment(s, a);
	if (a->fd >= 0)
		return 0;
	return open_newest(s, a) < 0 ? start_segment(s, a) : 0;
}

static int write_pending(struct store *s, struct app_log *a)
{
	struct segment *last;
	int r = ready_file(s, a);

	if (r < 0)
		return r;
	last = newest(a);
	r = io_write_all(a->fd, a->pending.data, a->pending.len);
	if (r < 0) {
		/* What a full disk let through is half a line: take it back. */
		(void)!ftruncate(a->fd, (off_t)last->size);
		return r;
	}
	last->size += a->pending.len;
	return 0;
}

static void add_line(struct app_log *a, uint64_t time_us, const char *source,
	const char *text, size_t len, bool cut)
{
	char *room;

	if (time_us < a->last_us)
		time_us = a->last_us;
	room = buf_room(
		&a->pending, TEXT_STAMP_LEN + STORE_SOURCE_MAX + len * PLAIN_FACTOR + 64);
	if (!room) {
		a->dropped++;
		a->drop_errno = ENOMEM;
		a->pending.failed = false;
		return;
	}
	if (a->pending.len == 0)
		a->first_pending_us = time_us;
	a->last_us = time_us;
	text_stamp(room, time_us);
	a->pending.len += TEXT_STAMP_LEN;
	buf_addf(&a->pending, " %.*s: ", STORE_SOURCE_MAX, source);
	a->pending.len += plain_copy(
		a->pending.data + a->pending.len, text, len, PLAIN_WITHOUT_COLOURS);
	buf_adds(&a->pending, cut ? TEXT_CUT_MARK "\n" : "\n");
	a->pending_lines++;
}

/* Once lines can be written again, the log says what is missing. */
static void tell_dropped(struct app_log *a)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%llu lines were dropped here: %s",
		(unsigned long long)a->dropped, strerror(a->drop_errno));

	a->dropped = 0;
	add_line(a, io_now_us(), "berth[logger]", text, (size_t)n, false);
}

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
	uint64_t now = io_now_us();
	int r = -EAGAIN;

	if (a->pending.len == 0)
		return;
	if (a->dropped == 0 || now >= a->retry_at_us ||
		now + STORE_RETRY_US < a->retry_at_us)
		r = write_pending(s, a);
	if (r < 0) {
		if (r != -EAGAIN) {
			if (a->dropped == 0)
				log_error("cannot write the log of app %u: %s", a->id,
					strerror(-r));
			a->drop_errno = -r;
			a->retry_at_us = now + STORE_RETRY_US;
			close_file(a);
		}
		a->dropped += a->pending_lines;
	}
	empty_pending(a);
	if (r == 0 && a->dropped) {
		tell_dropped(a);
		if (write_pending(s, a) < 0)
			log_error("cannot tell app %u of its dropped lines", a->id);
		empty_pending(a);
	}
}

/* App ids start at 1, so 0 is a free place. */
static bool is_closed(const struct store *s, uint32_t app)
{
	for (unsigned int i = 0; i < CLOSED_MAX; i++)
		if (s->closed[i] == app)
			return true;
	return false;
}

static struct app_log *get_app(struct store *s, uint32_t app)
{
	struct app_log **bucket = &s->buckets[app % BUCKETS], *a;

	for (a = *bucket; a; a = a->next)
		if (a->id == app)
			return a;
	if (is_closed(s, app))
		return NULL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->id = app;
	a->fd = -1;
	read_segments(s, a);
	a->next = *bucket;
	*bucket = a;
	return a;
}

void store_add(struct store *s, uint32_t app, uint64_t time_us, const char *source,
	const char *text, size_t len, bool cut)
{
	struct app_log *a = get_app(s, app);

	if (!a)
		return;
	if (len > TEXT_LINE_MAX)
		len = TEXT_LINE_MAX;
	add_line(a, time_us, source, text, len, cut);
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

static void free_app(struct app_log *a)
{
	close_file(a);
	buf_free(&a->pending);
	free(a);
}

void store_close_app(struct store *s, uint32_t app)
{
	store_flush(s);
	for (struct app_log **at = &s->buckets[app % BUCKETS]; *at; at = &(*at)->next) {
		struct app_log *a = *at;

		if (a->id != app)
			continue;
		*at = a->next;
		free_app(a);
		break;
	}
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
	store_flush(s);
	for (unsigned int i = 0; i < BUCKETS; i++) {
		while (s->buckets[i]) {
			struct app_log *a = s->buckets[i];

			s->buckets[i] = a->next;
			free_app(a);
		}
	}
	free(s);
}
