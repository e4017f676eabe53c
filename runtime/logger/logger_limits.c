/* What was said of apps' logs, and its file: a line of four numbers each. */
#include "runtime/logger/logger_limits.h"
#include "lib/buf.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FILE_NAME "limits"

/* Where the app's is, or would be. */
static unsigned int find(const struct limits *l, uint32_t app)
{
	unsigned int low = 0, high = l->n;

	while (low < high) {
		unsigned int mid = low + (high - low) / 2;

		if (l->list[mid].app < app)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static const struct msg_log_limits *get(const struct limits *l, uint32_t app)
{
	unsigned int at = find(l, app);

	return at < l->n && l->list[at].app == app ? &l->list[at] : NULL;
}

static bool says_nothing(const struct msg_log_limits *m)
{
	return !m->budget_bytes && !m->rate_lines && !m->rate_bytes;
}

static int grow(struct limits *l)
{
	unsigned int cap = l->cap ? l->cap * 2 : 16;
	struct msg_log_limits *list;

	if (l->n < l->cap)
		return 0;
	if (cap > LIMITS_APPS_MAX)
		return -ENOSPC;
	list = reallocarray(l->list, cap, sizeof(*list));
	if (!list)
		return -ENOMEM;
	l->list = list;
	l->cap = cap;
	return 0;
}

static int put(struct limits *l, const struct msg_log_limits *set)
{
	unsigned int at = find(l, set->app);
	bool there = at < l->n && l->list[at].app == set->app;
	int r;

	if (says_nothing(set)) {
		if (there)
			memmove(&l->list[at], &l->list[at + 1],
				(--l->n - at) * sizeof(l->list[0]));
		return 0;
	}
	if (!there) {
		r = grow(l);
		if (r < 0)
			return r;
		memmove(&l->list[at + 1], &l->list[at],
			(l->n++ - at) * sizeof(l->list[0]));
	}
	l->list[at] = *set;
	return 0;
}

/* Not synced: after a power loss control, which has started too, has told all of it again. */
static int save(const struct limits *l, int dirfd)
{
	autobuf b = BUF_INIT;
	int fd autoclose = openat(dirfd, FILE_NAME ".new",
		O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return -errno;
	for (unsigned int i = 0; i < l->n; i++)
		buf_addf(&b, "%" PRIu32 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			l->list[i].app, l->list[i].budget_bytes, l->list[i].rate_lines,
			l->list[i].rate_bytes);
	r = b.failed ? -ENOMEM : io_write_all(fd, b.data, b.len);
	if (r == 0 && renameat(dirfd, FILE_NAME ".new", dirfd, FILE_NAME) < 0)
		r = -errno;
	return r;
}

void limits_read(struct limits *l, int dirfd)
{
	autobuf b = BUF_INIT;
	char *rest, *line;

	*l = (struct limits){0};
	if (io_read_file(dirfd, FILE_NAME, &b) < 0 || !b.data)
		return;
	rest = b.data;
	while ((line = strsep(&rest, "\n"))) {
		struct msg_log_limits m = {0};

		if (sscanf(line, "%" SCNu32 " %" SCNu64 " %" SCNu64 " %" SCNu64, &m.app,
			    &m.budget_bytes, &m.rate_lines, &m.rate_bytes) == 4)
			(void)put(l, &m);
	}
}

void limits_free(struct limits *l)
{
	free(l->list);
	*l = (struct limits){0};
}

int limits_set(struct limits *l, int dirfd, const struct msg_log_limits *set)
{
	const struct msg_log_limits *old = get(l, set->app);
	int r;

	if (old ? memcmp(old, set, sizeof(*set)) == 0 : says_nothing(set))
		return 0;
	r = put(l, set);
	return r < 0 ? r : save(l, dirfd);
}

struct msg_log_limits limits_of(const struct limits *l, uint32_t app)
{
	const struct msg_log_limits *own = get(l, app), *all = get(l, 0);
	struct msg_log_limits ret = {.app = app, .budget_bytes = LOG_BUDGET_DEFAULT};
	const struct msg_log_limits *const order[] = {all, app ? own : NULL};

	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		const struct msg_log_limits *m = order[i];

		if (m && m->budget_bytes)
			ret.budget_bytes = m->budget_bytes;
		if (m && (m->rate_lines || m->rate_bytes)) {
			ret.rate_lines = m->rate_lines;
			ret.rate_bytes = m->rate_bytes;
		}
	}
	if (ret.rate_lines == LOG_RATE_OFF)
		ret.rate_lines = 0;
	return ret;
}
