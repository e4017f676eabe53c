/* How a drain fares: what it keeps (drain/state.h), and what the logs hold beyond that. */
#include "control/api/request.h"
#include "control/logs/drains.h"
#include "lib/drain_url.h"
#include "lib/io.h"
#include "lib/name.h"
#include "lib/stamp.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct lag {
	uint64_t bytes, since_us; /* of the oldest line; 0: there is none */
};

static uint64_t value(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* The time of the line that begins there. */
static uint64_t time_at(int dir, const char *file, uint64_t offset)
{
	int fd autoclose = openat(dir, file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char stamp[STAMP_SIZE] = "";
	uint64_t us;

	if (fd < 0 || pread(fd, stamp, STAMP_SIZE - 1, (off_t)offset) != STAMP_SIZE - 1)
		return 0;
	return stamp_parse(stamp, 0, &us) < 0 ? 0 : us;
}

static void add_segment(struct lag *lag, int dir, const char *file, uint64_t name,
	uint64_t segment, uint64_t offset)
{
	struct stat st;
	uint64_t size, us;

	if (name < segment || fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	size = (uint64_t)st.st_size;
	offset = name == segment ? offset : 0;
	if (size <= offset)
		return;
	lag->bytes += size - offset;
	us = time_at(dir, file, offset);
	if (us && (!lag->since_us || us < lag->since_us))
		lag->since_us = us;
}

static void add_log(struct control *c, struct lag *lag, uint64_t app, uint64_t segment,
	uint64_t offset)
{
	char path[PATH_MAX];
	struct dirent *entry;
	uint64_t name;

	snprintf(path, sizeof(path), "%s/logs/%llu", c->state, (unsigned long long)app);
	DIR *dir = opendir(path);
	while (dir && (entry = readdir(dir)))
		if (log_segment_parse(entry->d_name, &name))
			add_segment(
				lag, dirfd(dir), entry->d_name, name, segment, offset);
	if (dir)
		closedir(dir);
}

static struct lag lag_of(struct control *c, const json_t *kept)
{
	struct lag lag = {0};
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(kept, "at"), i, row) {
		uint64_t v[3];

		for (size_t k = 0; k < ARRAY_LEN(v); k++)
			v[k] = (uint64_t)json_integer_value(json_array_get(row, k));
		add_log(c, &lag, v[0], v[1], v[2]);
	}
	return lag;
}

static const char *state_of(struct control *c, const json_t *kept)
{
	if (!drains_alive(c))
		return "stopped";
	if (!kept)
		return "starting";
	if (value(kept, "failing_us"))
		return "retrying";
	return value(kept, "delivered_us") ? "ok" : "nothing sent yet";
}

json_t *drain_report(struct control *c, const struct db_drain *d)
{
	char path[PATH_MAX], shown[DRAIN_URL_MAX] = "?";
	const uint64_t now = io_now_us();
	struct drain_url u;

	snprintf(path, sizeof(path), "%s/control/drains/%llu.json", c->state,
		(unsigned long long)d->id);
	json_t *kept = json_load_file(path, 0, NULL);
	const struct lag lag = lag_of(c, kept);
	const char *error = json_string_value(json_object_get(kept, "error"));
	if (drain_url_parse(d->url, &u, NULL) == 0)
		drain_url_show(&u, shown);
	explicit_bzero(&u, sizeof(u));
	json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:I, "
			      "s:I, s:o, s:b, s:b, s:b, s:o}",
		"id", (json_int_t)d->id, "app", d->app ? d->app_name : "(all)", "url",
		shown, "state", state_of(c, kept), "since",
		json_stamp(value(kept, "failing_us")), "error", error ? error : "",
		"lag_bytes", (json_int_t)lag.bytes, "lag_seconds",
		(json_int_t)(lag.since_us && lag.since_us < now
				     ? (now - lag.since_us) / 1000000
				     : 0),
		"sent_lines", (json_int_t)value(kept, "sent"), "refused_lines",
		(json_int_t)value(kept, "refused"), "lost_lines",
		(json_int_t)value(kept, "lost_lines"), "lost_bytes",
		(json_int_t)value(kept, "lost_bytes"), "delivered",
		json_stamp(value(kept, "delivered_us")), "gzip",
		(d->flags & DRAIN_GZIP) != 0, "insecure",
		(d->flags & DRAIN_INSECURE) != 0, "own_ca", d->has_ca, "added",
		json_stamp(d->created_us));
	json_decref(kept);
	return o;
}
