/* When there may be more in a log. */
#include "control/logs/watchlog.h"
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

static atomic_uint count;

struct watchlog {
	int fd, folder, above; /* watches, -1: none */
	char path[512];
};

static void watch_folder(struct watchlog *w)
{
	w->folder = inotify_add_watch(w->fd, w->path,
		IN_MODIFY | IN_CREATE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
}

/* Nothing was ever logged: its folder comes with the first line. */
static void watch_above(struct watchlog *w)
{
	char path[sizeof(w->path)];

	memcpy(path, w->path, sizeof(path));
	w->above = inotify_add_watch(w->fd, dirname(path), IN_CREATE | IN_ONLYDIR);
	watch_folder(w); /* it may have come meanwhile */
}

struct watchlog *watchlog_open(const char *folder)
{
	struct watchlog *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->above = w->folder = w->fd = -1;
	snprintf(w->path, sizeof(w->path), "%s", folder);
	if (atomic_fetch_add(&count, 1) < WATCHLOG_MAX)
		w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd >= 0)
		watch_folder(w);
	if (w->fd >= 0 && w->folder < 0 && errno == ENOENT)
		watch_above(w);
	if (w->fd < 0 || (w->folder < 0 && w->above < 0)) {
		watchlog_close(w);
		return NULL;
	}
	return w;
}

void watchlog_close(struct watchlog *w)
{
	if (!w)
		return;
	atomic_fetch_sub(&count, 1);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

int watchlog_fd(const struct watchlog *w)
{
	return w->fd;
}

static bool is_end(const struct watchlog *w, const struct inotify_event *e)
{
	return e->wd == w->folder &&
	       e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED);
}

bool watchlog_read(struct watchlog *w)
{
	_Alignas(struct inotify_event) char data[4096];
	bool there = true;
	ssize_t n;

	while ((n = read(w->fd, data, sizeof(data))) > 0)
		for (const char *at = data; at < data + n;) {
			const struct inotify_event *e = (const void *)at;

			there = there && !is_end(w, e);
			at += sizeof(*e) + e->len;
		}
	if (w->folder < 0) {
		watch_folder(w);
		if (w->folder >= 0)
			inotify_rm_watch(w->fd, w->above);
	}
	return there;
}
