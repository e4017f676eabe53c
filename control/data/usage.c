/* What the things below the state folder take of the disk, as berthd counts them. */
#include "control/data/usage.h"
#include "control/engine.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#define WAIT_MS 150000 /* berthd's child ends before */
#define BUSY_MS 100
#define BUSY_TRIES 100

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER; /* berthd counts one at a time */

void usage_clear(struct usage *u)
{
	free(u->rows);
	*u = (struct usage){0};
}

static int keep(struct usage *u, const struct usage_row *row)
{
	size_t room = u->n & (u->n - 1) ? 0 : u->n ? u->n * 2 : 1; /* at powers of two */
	struct usage_row *rows;

	if (u->n == USAGE_ROWS_MAX)
		return -E2BIG;
	if (room) {
		rows = reallocarray(u->rows, room, sizeof(*rows));
		if (!rows)
			return -ENOMEM;
		u->rows = rows;
	}
	u->rows[u->n++] = *row;
	return 0;
}

/* A row that ends early, or does not come: the child was ended. */
static int read_rows(int fd, struct usage *ret)
{
	struct usage_row row;

	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		int r = poll(&p, 1, WAIT_MS);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r == 0 ? -ETIMEDOUT : -errno;
		r = io_read_full(fd, &row, sizeof(row)); /* written whole */
		if (r < 0)
			return r;
		row.name[sizeof(row.name) - 1] = '\0';
		if (row.kind == USAGE_END)
			return 0;
		r = keep(ret, &row);
		if (r < 0)
			return r;
	}
}

/* One that an earlier control asked for may still be at work. */
static int ask(struct control *c, uint32_t kinds, int out)
{
	struct msg_usage m = {.kinds = kinds};
	int r = -EBUSY;

	for (int i = 0; r == -EBUSY && i < BUSY_TRIES; i++) {
		if (i)
			poll(NULL, 0, BUSY_MS);
		r = engine_call(c->engine, MSG_USAGE, &m, sizeof(m), &out, 1, NULL);
	}
	return r;
}

int usage_read(struct control *c, uint32_t kinds, struct usage *ret, struct err *e)
{
	int ends[2], r;

	*ret = (struct usage){0};
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "make a pipe");
	pthread_mutex_lock(&one);
	r = ask(c, kinds, ends[1]);
	close(ends[1]);
	if (r == 0)
		r = read_rows(ends[0], ret);
	pthread_mutex_unlock(&one);
	close(ends[0]);
	return r < 0 ? err_sys(e, -r, "count what is on the disk") : 0;
}
