/* A file of the host, below BERTH_STATE/drains: the log's lines, each after its app's name. */
#include "drain/line.h"
#include "drain/outlet.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES ((off_t)64 << 20) /* then the next is begun, */
#define FILES_KEPT 4 /* and so many older ones stay: NAME.1 is the newest of them */

static void path_of(const struct drain *d, int number, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/drains/%.*s", d->outlet->state, DRAIN_FILE_MAX,
		d->url.rest);
	if (number)
		snprintf(out + strlen(out), 8, ".%d", number);
}

static void move_on(const struct drain *d)
{
	char from[PATH_MAX], to[PATH_MAX];

	for (int i = FILES_KEPT; i > 0; i--) {
		path_of(d, i - 1, from);
		path_of(d, i, to);
		if (rename(from, to) < 0 && errno != ENOENT)
			return;
	}
}

static int open_file(const struct drain *d)
{
	char path[PATH_MAX];

	path_of(d, 0, path);
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
}

static void send_batch(struct drain *d)
{
	int fd autoclose = open_file(d);
	struct stat st = {0};

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size >= FILE_BYTES) {
		move_on(d);
		close(fd);
		fd = open_file(d);
		st.st_size = 0;
	}
	int r = fd < 0 ? -errno : io_write_all(fd, d->out.data, d->out.len);
	if (r < 0) {
		/* what a full disk let through is half a line, perhaps */
		if (fd >= 0)
			(void)!ftruncate(fd, st.st_size);
		drain_failed(d, 0, "cannot write drains/%.*s: %s", DRAIN_FILE_MAX,
			d->url.rest, strerror(-r));
		return;
	}
	drain_delivered(d);
}

static void close_none(struct drain *d UNUSED)
{
}

static void put(struct drain *d, const char *text, size_t len, const struct cursor *c)
{
	struct line l;

	line_parse(text, len, &l);
	line_plain(&d->out, &l, c->log->name);
}

const struct transport transport_file = {.send = send_batch,
	.close = close_none,
	.put = put,
	.linger_ms = LINGER_MS,
	.batch_bytes = BATCH_BYTES};
