/* What all that lies below the state folder takes of the disk. */
#include "runtime/usage.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/name.h"
#include "runtime/disk/layers.h"
#include "runtime/disk/tally.h"
#include "runtime/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

struct usage {
	struct loop *loop;
	const struct folders *folders;
	struct instances *instances;
	int pidfd; /* of the child at work, or -1 */
	struct loop_io *watch;
};

struct usage *usage_new(struct loop *l, const struct folders *f, struct instances *in)
{
	struct usage *u = calloc(1, sizeof(*u));

	if (u)
		*u = (struct usage){
			.loop = l, .folders = f, .instances = in, .pidfd = -1};
	return u;
}

/* ---- in the child ---- */

struct count {
	struct instances *instances;
	int state, out;
	uint32_t kinds; /* as in msg_usage */
	struct tally tally;
	uint64_t other; /* what has no row of its own */
	bool other_partial;
};

/* Who asked is gone: so are the rows. */
static void tell(struct count *c, struct usage_row *row)
{
	if (c->tally.partial)
		row->flags |= USAGE_PARTIAL;
	c->tally.partial = false;
	if (io_write_all(c->out, row, sizeof(*row)) < 0)
		_exit(1);
}

/* ---- what is in which folder: the row of an entry, or false when it is none of these ---- */

static bool is_layer(const char *name, struct usage_row *row)
{
	row->kind = USAGE_LAYER;
	if (id_parse(name, "", &row->id))
		return true;
	row->kind = USAGE_UPPER;
	return id_parse(name, ".tmp", &row->id);
}

static bool is_repo(const char *name, struct usage_row *row)
{
	const char *end = strrchr(name, '.');

	row->kind = USAGE_REPO;
	if (!end || strcmp(end, ".git") != 0 || end - name > NAME_MAX_LEN)
		return false;
	snprintf(row->name, sizeof(row->name), "%.*s", (int)(end - name), name);
	return name_valid(row->name);
}

static bool is_app(const char *name, struct usage_row *row)
{
	uint64_t app;

	if (num_parse_u64(name, 1, UINT32_MAX, &app) < 0)
		return false;
	row->app = (uint32_t)app;
	return true;
}

static bool is_logs(const char *name, struct usage_row *row)
{
	row->kind = USAGE_LOGS;
	return is_app(name, row);
}

static bool is_cache(const char *name, struct usage_row *row)
{
	const char *dot = strchr(name, '.');
	char app[16];

	row->kind = USAGE_SCRATCH; /* what the overlay of a build's cache works in */
	if (id_parse(name, ".work", &row->id))
		return true;
	row->kind = USAGE_CACHE;
	if (!dot)
		return is_app(name, row);
	snprintf(app, sizeof(app), "%.*s", (int)(dot - name), name);
	return is_app(app, row) && id_parse(dot + 1, "", &row->id);
}

static bool is_volume(const char *name, struct usage_row *row)
{
	row->kind = USAGE_VOLUME;
	return id_parse(name, "", &row->id) || id_parse(name, ".img", &row->id);
}

static bool is_snapshots(const char *name, struct usage_row *row)
{
	row->kind = USAGE_SNAPSHOTS;
	return id_parse(name, "", &row->id);
}

static bool is_scratch(const char *name, struct usage_row *row)
{
	row->kind = USAGE_SCRATCH;
	return id_parse(name, "", &row->id);
}

static const struct place {
	const char *folder;
	uint32_t kinds; /* of its rows */
	bool (*is)(const char *name, struct usage_row *row);
} places[] = {
	{"layers", 1u << USAGE_LAYER | 1u << USAGE_UPPER, is_layer},
	{"repos", 1u << USAGE_REPO, is_repo},
	{"cache", 1u << USAGE_CACHE | 1u << USAGE_SCRATCH, is_cache},
	{"logs", 1u << USAGE_LOGS, is_logs},
	{"volumes", 1u << USAGE_VOLUME, is_volume},
	{"snapshots", 1u << USAGE_SNAPSHOTS, is_snapshots},
	{"scratch", 1u << USAGE_SCRATCH, is_scratch},
};

/* ---- counting ---- */

/* A final layer never changes: it was counted once. */
static uint64_t layer_bytes(struct count *c, int layers, const char *name, uint64_t id)
{
	uint64_t size = layer_size(layers, id), sum;

	if (size == 0)
		return tally_tree(&c->tally, layers, name);
	int dir autoclose = openat(layers, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0; /* removed meanwhile */
	sum = size + tally_entry(&c->tally, layers, name);
	sum += tally_entry(&c->tally, dir, "size");
	return sum + tally_entry(&c->tally, dir, "synced");
}

static void note_used(int dir, const char *name, struct usage_row *row)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mtim.tv_sec > 0)
		row->used_us = (uint64_t)st.st_mtim.tv_sec * 1000000 +
			       (uint64_t)st.st_mtim.tv_nsec / 1000;
}

static void find_app(void *arg, const struct record *r)
{
	struct usage_row *row = arg;

	if (r->id == row->id)
		row->app = r->app;
}

static bool wants(const struct count *c, uint32_t kinds)
{
	return c->kinds & kinds;
}

static void count_other(struct count *c, int dir, const char *name)
{
	if (!wants(c, 1u << USAGE_OTHER))
		return;
	c->other += tally_tree(&c->tally, dir, name);
	c->other_partial |= c->tally.partial;
	c->tally.partial = false;
}

static void count_entry(struct count *c, const struct place *p, int dir, const char *name)
{
	struct usage_row row = {0};

	if (!p->is(name, &row)) {
		count_other(c, dir, name);
		return;
	}
	if (!wants(c, 1u << row.kind))
		return;
	if (row.kind == USAGE_CACHE)
		note_used(dir, name, &row);
	if (row.kind == USAGE_SCRATCH)
		instances_walk(c->instances, find_app, &row);
	row.bytes = row.kind == USAGE_LAYER ? layer_bytes(c, dir, name, row.id)
					    : tally_tree(&c->tally, dir, name);
	tell(c, &row);
}

/* Calls what for each entry of a folder. */
static void each_entry(struct count *c, int at, const char *folder,
	void (*what)(struct count *, const struct place *, int dir, const char *name),
	const struct place *p)
{
	int fd = openat(at, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			what(c, p, fd, e->d_name);
	closedir(d);
}

static void count_whole(struct count *c, uint32_t kind, const char *name)
{
	struct usage_row row = {.kind = kind};

	if (!wants(c, 1u << kind))
		return;
	uint64_t folder = tally_entry(&c->tally, c->state, name);

	c->other += folder;
	row.bytes = tally_tree(&c->tally, c->state, name) - folder;
	tell(c, &row);
}

static void count_top(
	struct count *c, const struct place *none UNUSED, int dir, const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		if (strcmp(places[i].folder, name) != 0)
			continue;
		c->other += tally_entry(&c->tally, dir, name);
		if (wants(c, places[i].kinds | 1u << USAGE_OTHER))
			each_entry(c, dir, name, count_entry, &places[i]);
		return;
	}
	if (strcmp(name, "control") == 0)
		count_whole(c, USAGE_CONTROL, name);
	else if (strcmp(name, "trash") == 0)
		count_whole(c, USAGE_TRASH, name);
	else
		count_other(c, dir, name);
}

/*
 * Scratch space with a size is a file system of its own in a file without a name: what the
 * sandbox's root says is in it. One without a size says what the host's file system has,
 * and has a folder instead.
 */
static void count_unnamed(void *arg, const struct record *r)
{
	const struct sandbox_record *s = &r->sandbox;
	struct count *c = arg;
	struct usage_row row = {.kind = USAGE_UNNAMED, .id = r->id, .app = r->app};
	char path[48];
	struct statfs fs;

	snprintf(path, sizeof(path), "scratch/%016" PRIx64, r->id);
	if (s->flags & SANDBOX_ENTERED || r->upper ||
		faccessat(c->state, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return;
	int pidfd autoclose = process_open((pid_t)s->pid, s->start_time);
	snprintf(path, sizeof(path), "/proc/%u/root", s->pid);
	if (pidfd < 0 || statfs(path, &fs) < 0 ||
		pidfd_send_signal(pidfd, 0, NULL, 0) < 0)
		return;
	row.bytes = (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize;
	tell(c, &row);
}

static _Noreturn void work(struct count *c)
{
	struct usage_row end = {.kind = USAGE_END};

	(void)setpriority(PRIO_PROCESS, 0, 10);
	alarm(USAGE_MAX_S);
	if (process_keep(&c->state, &c->out) < 0)
		_exit(1);
	c->other = tally_entry(&c->tally, c->state, ".");
	each_entry(c, c->state, ".", count_top, NULL);
	if (wants(c, 1u << USAGE_UNNAMED))
		instances_walk(c->instances, count_unnamed, c);
	c->tally.partial = c->other_partial;
	if (wants(c, 1u << USAGE_OTHER))
		tell(c, &(struct usage_row){.kind = USAGE_OTHER, .bytes = c->other});
	tell(c, &end);
	_exit(0);
}

/* ---- in berthd ---- */

static void on_done(void *arg, uint32_t events UNUSED)
{
	struct usage *u = arg;
	siginfo_t si;

	(void)waitid(P_PIDFD, (id_t)u->pidfd, &si, WEXITED | WNOHANG);
	loop_del(u->watch);
	u->watch = NULL;
	close(u->pidfd);
	u->pidfd = -1;
}

int usage_start(struct usage *u, uint32_t kinds, int out)
{
	struct count c = {.instances = u->instances,
		.state = u->folders->state,
		.out = out,
		.kinds = kinds ? kinds : ~0u,
		.tally = TALLY_INIT};
	pid_t pid;

	if (u->pidfd >= 0)
		return -EBUSY;
	pid = fork();
	if (pid == 0)
		work(&c);
	if (pid < 0)
		return -errno;
	u->pidfd = pidfd_open(pid, 0);
	if (u->pidfd < 0)
		return -errno;
	u->watch = loop_add(u->loop, u->pidfd, EPOLLIN, on_done, u);
	if (u->watch)
		return 0;
	close(u->pidfd);
	u->pidfd = -1;
	return -ENOMEM;
}

void usage_free(struct usage *u)
{
	if (!u)
		return;
	loop_del(u->watch);
	if (u->pidfd >= 0)
		close(u->pidfd);
	free(u);
}
