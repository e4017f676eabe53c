/* The last lines that one instance wrote. */
#include "control/run/tail.h"
#include "lib/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define TAIL_BYTES (256 << 10) /* of the newest segment: twenty lines are far less */
#define SETTLE_MS 60
#define SETTLE_TURNS 5
#define STAMP_LEN 27 /* 2026-01-02T03:04:05.678901Z */

static int open_newest(struct control *c, uint32_t app)
{
	char path[PATH_MAX], newest[NAME_MAX + 1] = "";
	struct dirent *d;

	snprintf(path, sizeof(path), "%s/logs/%u", c->state, app);
	DIR *dir = opendir(path);
	if (!dir)
		return -1;
	while ((d = readdir(dir))) {
		size_t n = strlen(d->d_name);
		if (n > 4 && strcmp(d->d_name + n - 4, ".log") == 0 &&
			strcmp(d->d_name, newest) > 0)
			snprintf(newest, sizeof(newest), "%s", d->d_name);
	}
	int fd = newest[0] ? openat(dirfd(dir), newest, O_RDONLY | O_CLOEXEC) : -1;
	closedir(dir);
	return fd;
}

static void stamp(uint64_t us, char out[STAMP_LEN + 1])
{
	time_t s = (time_t)(us / 1000000u);
	struct tm tm;
	char day[24];

	gmtime_r(&s, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, STAMP_LEN + 1, "%.19s.%06uZ", day, (unsigned int)(us % 1000000u));
}

/* The log stands still for one turn, or it takes too long. */
static int open_settled(struct control *c, uint32_t app)
{
	struct timespec pause = {.tv_nsec = SETTLE_MS * 1000000L};
	off_t size = -1;
	int fd = -1;

	for (int i = 0; i < SETTLE_TURNS; i++) {
		struct stat st = {0};
		if (fd >= 0)
			close(fd);
		fd = open_newest(c, app);
		if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size == size)
			break;
		size = st.st_size;
		nanosleep(&pause, NULL);
	}
	return fd;
}

/* The last bytes of the newest segment, from a line's beginning on. */
static int read_end(struct control *c, uint32_t app, struct buf *text)
{
	int fd autoclose = open_settled(c, app);

	if (fd < 0)
		return fd;
	off_t size = lseek(fd, 0, SEEK_END);
	bool cut = size > TAIL_BYTES;
	lseek(fd, cut ? size - TAIL_BYTES : 0, SEEK_SET);
	text->max = TAIL_BYTES;
	int r = io_read_all(fd, text);
	if (r < 0 && r != -EMSGSIZE) /* that: more was written meanwhile */
		return r;
	char *first = cut ? strchr(text->data, '\n') : NULL;
	if (first)
		buf_consume(text, (size_t)(first + 1 - text->data));
	return 0;
}

bool tail_read(struct control *c, uint32_t app, const char *source, uint64_t since_us,
	unsigned int n, struct buf *out)
{
	char from[STAMP_LEN + 1];
	autobuf text = BUF_INIT;
	size_t len = strlen(source);
	const char **lines autofree = calloc(n, sizeof(*lines));
	unsigned int found = 0;
	bool whole = false; /* something older is there too */

	if (!lines || read_end(c, app, &text) < 0)
		return false;
	stamp(since_us, from);
	char *rest = text.data;
	for (char *line; (line = strsep(&rest, "\n"));) {
		char *name = strchr(line, ' ');
		bool older = name && strncmp(line, from, STAMP_LEN) < 0;
		whole |= older;
		if (!name || older || strncmp(name + 1, source, len) != 0 ||
			strncmp(name + 1 + len, ": ", 2) != 0)
			continue;
		lines[found++ % n] = name + 1 + len + 2;
	}
	for (unsigned int i = found > n ? found - n : 0; i < found; i++)
		buf_addf(out, "%s\n", lines[i % n]);
	return whole && found <= n;
}
