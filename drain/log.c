/* The logs of apps, read forward. */
#include "drain/log.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/name.h"
#include "lib/proto.h"
#include "lib/stamp.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#define BLOCK                                                                            \
	((size_t)128 << 10) /* longer than any line: 16 kB, each byte four at most */
#define SEGMENTS_MAX 4096u
#define STAMP_LEN (STAMP_SIZE - 1)
#define WATCH_ROOT (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)
#define WATCH_LOG                                                                        \
	(IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

#define LOOK_MS 500 /* how late a line may be that inotify has no room for */

struct logs {
	int dir, notify, root_wd; /* -1: none */
	struct loop *loop;
	struct loop_io *io;
	struct loop_timer *look; /* NULL: all is watched */
	bool blind;		 /* and that is told */
	char folder[PATH_MAX];
	struct log_events events;
	struct app_log *first;
	/* the block: of which reader's file, from where */
	struct cursor *of;
	uint64_t segment, from;
	size_t len;
	char block[BLOCK];
};

/* ---- segments ---- */

static int by_name(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int open_folder(const struct app_log *l)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", l->app);
	return openat(
		l->logs->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static int read_segments(DIR *dir, struct app_log *into)
{
	struct dirent *entry;
	struct stat st;
	uint64_t name;

	while ((entry = readdir(dir)) && into->n_segments < SEGMENTS_MAX) {
		size_t n = into->n_segments;

		if (!log_segment_parse(entry->d_name, &name) ||
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if ((n & (n - 1)) == 0) {
			void *more = reallocarray(
				into->segments, n ? n * 2 : 1, sizeof(*into->segments));

			if (!more)
				return -ENOMEM;
			into->segments = more;
		}
		into->segments[n].name = name;
		into->segments[n].size = (uint64_t)st.st_size;
		into->n_segments++;
	}
	if (into->n_segments)
		qsort(into->segments, into->n_segments, sizeof(*into->segments), by_name);
	return 0;
}

static bool has_segment(const struct app_log *l, uint64_t name)
{
	for (size_t i = 0; i < l->n_segments; i++)
		if (l->segments[i].name == name)
			return true;
	return false;
}

/* The first that comes after, 0: none. */
static uint64_t segment_after(const struct app_log *l, uint64_t name)
{
	for (size_t i = 0; i < l->n_segments; i++)
		if (l->segments[i].name > name)
			return l->segments[i].name;
	return 0;
}

/* ---- what the budget takes ---- */

static void close_file(struct cursor *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	if (c->log->logs->of == c)
		c->log->logs->of = NULL;
}

/* The rest of a file that has no name any more. */
static void count_rest(struct cursor *c, uint64_t offset)
{
	struct logs *s = c->log->logs;
	ssize_t n;

	s->of = NULL;
	while ((n = pread(c->fd, s->block, BLOCK, (off_t)offset)) > 0) {
		c->lost.bytes += (uint64_t)n;
		offset += (uint64_t)n;
		for (const char *at = s->block;
			(at = memchr(at, '\n', (size_t)(s->block + n - at))); at++)
			c->lost.lines++;
	}
}

/* The segment that it reads was removed: on to the next that is there. old: as they were before. */
static void skip_removed(struct cursor *c, const struct app_log *old)
{
	const uint64_t from = c->read.segment, to = segment_after(c->log, from);
	bool known = false;

	if (from == 0 || has_segment(c->log, from))
		return;
	if (c->fd >= 0 && c->fd_segment == from) {
		count_rest(c, c->read.offset);
		known = true;
	}
	for (size_t i = 0; i < old->n_segments; i++) {
		const uint64_t name = old->segments[i].name, size = old->segments[i].size;

		if (name < from || (to && name >= to) || (name == from && known))
			continue;
		c->lost.bytes += name != from		 ? size
				 : size > c->read.offset ? size - c->read.offset
							 : 0;
		known = true;
	}
	if (!known || c->lost.bytes != c->read.told.bytes)
		c->lost.gaps++;
	close_file(c);
	c->read.segment = to; /* 0: whatever comes */
	c->read.offset = 0;
	if (!has_segment(c->log, c->kept.segment)) {
		c->kept.segment = to;
		c->kept.offset = 0;
	}
}

/* A reader of a log that had no segment yet begins with the first, so that it misses that when it goes. */
static void take_first(struct cursor *c)
{
	const uint64_t first = segment_after(c->log, 0);

	if (!c->read.segment)
		c->read.segment = first;
	if (!c->kept.segment)
		c->kept.segment = first;
}

static void list(struct app_log *l)
{
	struct app_log old = *l;
	int fd = open_folder(l);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	l->segments = NULL;
	l->n_segments = 0;
	l->listed = true;
	if (dir)
		read_segments(dir, l);
	else if (fd >= 0)
		close(fd);
	for (struct cursor *c = l->cursors; c && dir; c = c->next_of_log) {
		skip_removed(c, &old);
		take_first(c);
	}
	free(old.segments);
	if (dir)
		closedir(dir);
}

/* ---- reading ---- */

static int open_file(struct cursor *c)
{
	char path[48];
	struct stat st;

	if (c->fd >= 0 && c->fd_segment == c->read.segment)
		return 0;
	close_file(c);
	snprintf(path, sizeof(path), "%u/%0*llu.log", c->log->app, LOG_SEGMENT_DIGITS,
		(unsigned long long)c->read.segment);
	c->fd = openat(c->log->logs->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (c->fd < 0)
		return -errno;
	c->fd_segment = c->read.segment;
	/* a power cut may have taken its end */
	if (fstat(c->fd, &st) == 0 && (uint64_t)st.st_size < c->read.offset)
		c->read.offset = (uint64_t)st.st_size;
	return 0;
}

/* A line of the block; false: it has none at the reader's place. */
static bool line_in_block(struct cursor *c, const char **ret, size_t *ret_len)
{
	struct logs *s = c->log->logs;
	const uint64_t at = c->read.offset - s->from;
	const char *end;

	if (s->of != c || s->segment != c->read.segment || c->read.offset < s->from ||
		at >= s->len)
		return false;
	*ret = s->block + at;
	end = memchr(*ret, '\n', s->len - (size_t)at);
	if (!end && at > 0)
		return false;
	if (!end && s->len < BLOCK)
		return false;
	*ret_len = end ? (size_t)(end - *ret) : s->len;
	c->read.offset += *ret_len + (end != NULL);
	return true;
}

static int fill_block(struct cursor *c)
{
	struct logs *s = c->log->logs;
	ssize_t n = pread(c->fd, s->block, BLOCK, (off_t)c->read.offset);

	s->of = NULL;
	if (n < 0)
		return -errno;
	s->of = c;
	s->segment = c->read.segment;
	s->from = c->read.offset;
	s->len = (size_t)n;
	return 0;
}

static int line_of_segment(struct cursor *c, const char **ret, size_t *ret_len)
{
	int r;

	if (line_in_block(c, ret, ret_len))
		return 1;
	r = open_file(c);
	if (r == 0)
		r = fill_block(c);
	return r < 0 ? r : line_in_block(c, ret, ret_len);
}

int cursor_line(struct cursor *c, const char **ret, size_t *ret_len)
{
	for (;;) {
		uint64_t next;
		int r;

		if (!c->log->listed)
			list(c->log);
		next = segment_after(c->log, c->read.segment);
		/* that there is a next one is known before this one's end is looked for: nothing is added to it any more */
		r = c->read.segment ? line_of_segment(c, ret, ret_len) : 0;
		if (r > 0)
			return 1;
		if (r == -ENOENT && has_segment(c->log, c->read.segment)) {
			c->log->listed = false;
			continue;
		}
		if (r < 0 && r != -ENOENT)
			return r;
		if (!next) {
			c->more = false;
			close_file(c); /* thousands of quiet logs need none */
			return 0;
		}
		c->read.segment = next;
		c->read.offset = 0;
	}
}

bool cursor_tell_lost(struct cursor *c, struct lost *ret)
{
	if (c->lost.gaps == c->read.told.gaps)
		return false;
	*ret = (struct lost){.bytes = c->lost.bytes - c->read.told.bytes,
		.lines = c->lost.lines - c->read.told.lines,
		.gaps = c->lost.gaps - c->read.told.gaps};
	c->read.told = c->lost;
	return true;
}

void cursor_rewind(struct cursor *c)
{
	c->read = c->kept;
	c->more = true;
	skip_removed(c, c->log);
	/* held open, so that its lines can be counted when the budget takes it */
	if (c->read.segment)
		open_file(c);
}

void cursor_keep(struct cursor *c, const struct place *at)
{
	if (has_segment(c->log, at->segment))
		c->kept = *at;
	else
		c->kept.told =
			at->told; /* it was removed while the answer was on its way */
}

/* Goes to the first line that is not before the time. */
static void go_to(struct cursor *c, uint64_t since_us)
{
	char since[STAMP_SIZE];
	const char *line;
	size_t len;

	stamp_format_us(since_us, since);
	for (size_t i = 0; i < c->log->n_segments && c->log->segments[i].name <= since_us;
		i++)
		c->read.segment = c->log->segments[i].name;
	for (;;) {
		struct place before = c->read;

		if (cursor_line(c, &line, &len) <= 0)
			break;
		if (len < STAMP_LEN || memcmp(line, since, STAMP_LEN) < 0)
			continue;
		/* the line may lie in a later segment than the place before it */
		if (before.segment != c->read.segment)
			before = (struct place){.segment = c->read.segment,
				.offset = c->read.offset - len - 1};
		c->read = before;
		break;
	}
	c->kept = c->read;
	c->more = true;
}

struct cursor *cursor_new(
	struct app_log *l, void *owner, const struct place *from, uint64_t since_us)
{
	struct cursor *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->log = l;
	c->owner = owner;
	c->fd = -1;
	c->more = true;
	if (!l->listed)
		list(l);
	c->next_of_log = l->cursors;
	l->cursors = c;
	if (from) {
		c->read = c->kept = *from;
		c->lost = from->told;
		skip_removed(c, l);
		take_first(c);
	} else {
		go_to(c, since_us);
	}
	return c;
}

void cursor_free(struct cursor *c)
{
	if (!c)
		return;
	for (struct cursor **at = &c->log->cursors; *at; at = &(*at)->next_of_log)
		if (*at == c) {
			*at = c->next_of_log;
			break;
		}
	close_file(c);
	free(c);
}

/* ---- watching ---- */

static void on_look(void *arg);

/* Others of this user may have all that the host allows one. What is not watched is looked at now and then. */
static void be_blind(struct logs *s, int error)
{
	if (!s->blind)
		log_warn("logs cannot be watched: %s; what comes is looked for twice a "
			 "second",
			strerror(error));
	s->blind = true;
	if (!s->look)
		s->look = loop_after(s->loop, LOOK_MS, on_look, s);
}

static void watch(struct app_log *l)
{
	char path[PATH_MAX + 16];

	snprintf(path, sizeof(path), "%s/%u", l->logs->folder, l->app);
	l->wd = inotify_add_watch(l->logs->notify, path, WATCH_LOG);
	if (l->wd < 0 && errno != ENOENT)
		be_blind(l->logs, errno);
	l->listed = false;
}

struct app_log *logs_get(struct logs *s, uint32_t app)
{
	struct app_log *l;

	for (l = s->first; l; l = l->next)
		if (l->app == app)
			return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	*l = (struct app_log){.logs = s, .app = app, .next = s->first, .wd = -1};
	s->first = l;
	watch(l);
	return l;
}

struct app_log *logs_first(struct logs *s)
{
	return s->first;
}

void logs_tidy(struct logs *s)
{
	struct app_log **at = &s->first;

	while (*at) {
		struct app_log *l = *at;

		if (l->cursors) {
			at = &l->next;
			continue;
		}
		*at = l->next;
		if (l->wd >= 0)
			inotify_rm_watch(s->notify, l->wd);
		free(l->segments);
		free(l);
	}
}

static void wake(struct app_log *l)
{
	struct cursor *next;

	for (struct cursor *c = l->cursors; c; c = next) {
		next = c->next_of_log;
		c->more = true;
		l->logs->events.more(l->logs->events.arg, c);
	}
}

static void find_one(struct logs *s, const char *name)
{
	uint64_t app;
	struct app_log *l;

	if (num_parse_u64(name, 1, UINT32_MAX, &app) < 0 ||
		!(l = logs_get(s, (uint32_t)app)))
		return;
	if (l->wd < 0)
		watch(l);
	s->events.found(s->events.arg, l);
	wake(l);
}

void logs_find(struct logs *s)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		return;
	while ((entry = readdir(dir)))
		find_one(s, entry->d_name);
	closedir(dir);
}

/* Its folder was removed, or moved to where things are removed. Files that are open would keep it. */
static void lose(struct app_log *l)
{
	for (struct cursor *c = l->cursors; c; c = c->next_of_log)
		close_file(c);
	if (l->wd >= 0)
		inotify_rm_watch(l->logs->notify, l->wd);
	l->wd = -1;
	l->listed = false;
	l->logs->events.gone(l->logs->events.arg, l);
}

static void lose_one(struct logs *s, const char *name)
{
	uint64_t app;
	struct app_log *l = s->first;

	if (num_parse_u64(name, 1, UINT32_MAX, &app) < 0)
		return;
	while (l && l->app != app)
		l = l->next;
	if (l)
		lose(l);
}

static void on_folder(struct logs *s, const struct inotify_event *ev)
{
	if (ev->mask & (IN_DELETE | IN_MOVED_FROM))
		lose_one(s, ev->name);
	else
		find_one(s, ev->name);
}

static void on_lost_events(struct logs *s)
{
	for (struct app_log *l = s->first; l; l = l->next) {
		l->listed = false;
		wake(l);
	}
	logs_find(s);
}

static void on_log_event(struct logs *s, const struct inotify_event *ev)
{
	struct app_log *l = s->first;

	while (l && l->wd != ev->wd)
		l = l->next;
	if (!l)
		return;
	if (ev->mask & IN_IGNORED)
		return; /* on_folder knows */
	if (ev->mask & ~(uint32_t)IN_MODIFY) {
		list(l); /* at once: what is gone is counted while others know it */
	}
	wake(l);
}

static void on_notify(void *arg, uint32_t events UNUSED)
{
	struct logs *s = arg;
	union {
		struct inotify_event first;
		char bytes[16384];
	} in;
	ssize_t n = read(s->notify, in.bytes, sizeof(in.bytes));

	for (ssize_t at = 0; at < n;) {
		const struct inotify_event *ev = (const void *)(in.bytes + at);

		at += (ssize_t)(sizeof(*ev) + ev->len);
		if (ev->mask & IN_Q_OVERFLOW)
			on_lost_events(s);
		else if (ev->wd == s->root_wd && ev->len)
			on_folder(s, ev);
		else
			on_log_event(s, ev);
	}
}

static void open_notify(struct logs *s)
{
	s->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (s->notify >= 0)
		s->root_wd = inotify_add_watch(s->notify, s->folder, WATCH_ROOT);
	if (s->root_wd >= 0)
		s->io = loop_add(s->loop, s->notify, EPOLLIN, on_notify, s);
	if (s->io)
		return;
	be_blind(s, errno);
	if (s->notify >= 0)
		close(s->notify);
	s->notify = s->root_wd = -1;
}

static void look_at(struct app_log *l)
{
	int folder;

	watch(l);
	folder = open_folder(l);
	if (folder < 0) {
		lose(l);
		return;
	}
	close(folder);
	wake(l);
}

static void on_look(void *arg)
{
	struct logs *s = arg;
	bool unknown = s->root_wd < 0; /* which folders there are */

	s->look = NULL;
	if (unknown)
		open_notify(s);
	for (struct app_log *l = s->first; l; l = l->next)
		if (l->wd < 0)
			look_at(l);
	if (unknown)
		logs_find(s);
	if (!s->look && s->blind) {
		s->blind = false;
		log_info("all logs are watched again");
	}
}

int logs_open(struct loop *loop, const char *folder, const struct log_events *events,
	struct logs **ret)
{
	struct logs *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*ret = s;
	s->loop = loop;
	s->notify = s->root_wd = -1;
	s->events = *events;
	snprintf(s->folder, sizeof(s->folder), "%s", folder);
	s->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir < 0)
		return -errno;
	open_notify(s);
	return 0;
}

void logs_free(struct logs *s)
{
	if (!s)
		return;
	logs_tidy(s);
	loop_cancel(s->look);
	loop_del(s->io);
	if (s->notify >= 0)
		close(s->notify);
	if (s->dir >= 0)
		close(s->dir);
	free(s);
}
