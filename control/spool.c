/* Archives as clients send them, kept as files without a name. */
#include "control/spool.h"
#include "control/data/space.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

/* ---- those that are there ---- */

static struct {
	pthread_mutex_t lock;
	uint64_t since_us[SPOOLS_MAX]; /* 0: free */
} taken = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int enter(struct err *e)
{
	int slot = -1;

	pthread_mutex_lock(&taken.lock);
	for (int i = 0; i < SPOOLS_MAX && slot < 0; i++)
		if (!taken.since_us[i])
			slot = i;
	if (slot >= 0)
		taken.since_us[slot] = io_now_us();
	pthread_mutex_unlock(&taken.lock);
	return slot < 0 ? err_set(e, EBUSY,
				  "%d archives are being read already: try again when "
				  "one is done",
				  SPOOLS_MAX)
			: slot;
}

static void leave(int slot)
{
	pthread_mutex_lock(&taken.lock);
	taken.since_us[slot] = 0;
	pthread_mutex_unlock(&taken.lock);
}

uint64_t spool_oldest(void)
{
	uint64_t oldest = 0;

	pthread_mutex_lock(&taken.lock);
	for (int i = 0; i < SPOOLS_MAX; i++)
		if (taken.since_us[i] && (!oldest || taken.since_us[i] < oldest))
			oldest = taken.since_us[i];
	pthread_mutex_unlock(&taken.lock);
	return oldest;
}

/* ---- the archive ---- */

/* Half of what there is: the archive, and then what is in it. */
static uint64_t room(struct control *c)
{
	struct space now;
	uint64_t left = space_look(c, &now) < 0 ? SPOOL_BYTES_MAX * 2 : space_room(&now);

	return left / 2 < SPOOL_BYTES_MAX ? left / 2 : SPOOL_BYTES_MAX;
}

/* Up to the end; in pieces, so that a caller that goes is noticed. */
int spool_copy(int from, int to, uint64_t max_bytes, struct sink *s, struct err *e)
{
	char *part autofree = malloc(1 << 18);
	uint64_t sum = 0;
	ssize_t n;
	int r;

	if (!part)
		return err_set(e, ENOMEM, "out of memory");
	for (;;) {
		struct pollfd p[2] = {{.fd = from, .events = POLLIN},
			{.fd = s->watch_fd, .events = POLLRDHUP}};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return err_sys(e, errno, "wait for the archive");
		if (sink_cancelled(s))
			return err_set(e, ECANCELED, "cancelled");
		if (!p[0].revents)
			continue;
		n = read(from, part, 1 << 18);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return n < 0 ? err_sys(e, errno, "read the archive") : 0;
		sum += (uint64_t)n;
		if (sum > max_bytes)
			return err_set(e, EFBIG,
				"the archive has more than the %llu MB there is room for",
				(unsigned long long)(max_bytes >> 20));
		r = io_write_all(to, part, (size_t)n);
		if (r < 0)
			return err_sys(e, -r, "keep the archive");
	}
}

/* A file of zeros is a thousand times as large as what gzip makes of it. */
static uint64_t unpacked(struct control *c, int archive)
{
	uint64_t max = room(c), sane = SPOOL_RATIO_FROM;
	struct stat st;

	if (fstat(archive, &st) == 0 && (uint64_t)st.st_size > sane / SPOOL_RATIO_MAX)
		sane = (uint64_t)st.st_size * SPOOL_RATIO_MAX;
	return sane < max ? sane : max;
}

int spool_file(struct control *c, struct err *e)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/control", c->state);
	int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd < 0 ? err_sys(e, errno, "make a file in %s", path) : fd;
}

/* What is in an archive takes at least as much as the archive. */
static int check_space(struct control *c, int fd, struct sink *s, struct err *e)
{
	struct stat st;

	return fstat(fd, &st) < 0 ? err_sys(e, errno, "look at the archive")
				  : space_for(c, (uint64_t)st.st_size,
					    "what is in this archive", 0, s, e);
}

int spool_fill(struct spool *p, struct control *c,
	int (*fill)(void *arg, int to, uint64_t max_bytes, struct sink *s, struct err *e),
	void *arg, struct sink *s, struct err *e)
{
	char path[64];

	*p = (struct spool)SPOOL_NONE;
	p->slot = enter(e);
	if (p->slot < 0)
		return p->slot;
	int r = space_for(c, SPACE_RELEASE, "an archive", 0, s, e);
	if (r < 0)
		return r;
	int to autoclose = spool_file(c, e);
	if (to < 0)
		return to;
	r = fill(arg, to, room(c), s, e);
	if (r == 0)
		r = check_space(c, to, s, e);
	if (r < 0)
		return r;
	p->max_bytes = unpacked(c, to);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
	p->fd = open(path, O_RDONLY | O_CLOEXEC);
	return p->fd < 0 ? err_sys(e, errno, "open the archive") : 0;
}

static int copy_all(void *arg, int to, uint64_t max_bytes, struct sink *s, struct err *e)
{
	return spool_copy(*(int *)arg, to, max_bytes, s, e);
}

int spool_take(
	struct spool *p, struct control *c, int from, struct sink *s, struct err *e)
{
	return spool_fill(p, c, copy_all, &from, s, e);
}

void spool_drop(struct spool *p)
{
	if (p->fd >= 0)
		close(p->fd);
	if (p->slot >= 0)
		leave(p->slot);
	*p = (struct spool)SPOOL_NONE;
}
