/* Control groups of sandboxes: limits, counts, killing; version 2, version 1 and the mix
 * of both. */
#include "runtime/cgroup/cgroup.h"
#include "lib/buf.h"
#include "lib/io.h"
#include "runtime/guards.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
/* Under systemd: a delegated unit of its own, so that a restart of berthd never meets
 * populated groups. */
#define CGROUP_APPS_UNIT CGROUP_ROOT "/system.slice/berth-apps.service"
#define CGROUP_LEAF "berth-aside"
#define KILL_ROUNDS 50
#define MOVE_ROUNDS 50

#define WRITE_TRIES 10

static const char *const controllers[CGROUP_KINDS] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_CPU] = "cpu",
	[CGROUP_CPUACCT] = "cpuacct",
	[CGROUP_PIDS] = "pids",
	[CGROUP_FREEZER] = "freezer",
	[CGROUP_IO] = "blkio",
};

static void id_name(char out[17], uint64_t id)
{
	snprintf(out, 17, "%016" PRIx64, id);
}

int cgroup_write(int dir, const char *name, const char *text)
{
	int fd autoclose = openat(dir, name, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);
	ssize_t n = -1;

	if (fd < 0)
		return -errno;
	/* a memory limit is not set while a signal, or a tracer, waits for this thread */
	for (int i = 0; n < 0 && (i == 0 || errno == EINTR) && i < WRITE_TRIES; i++)
		n = write(fd, text, len);
	return n == (ssize_t)len ? 0 : -errno;
}

uint64_t cgroup_number(int dir, const char *name, const char *key)
{
	autobuf b = {.max = 64 << 10};
	size_t len = strlen(key);

	if (dir < 0 || io_read_file(dir, name, &b) < 0 || !b.data)
		return 0;
	for (char *line = b.data; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, len) == 0 && (len == 0 || line[len] == ' '))
			return strtoull(line + len, NULL, 10);
	}
	return 0;
}

static bool has_word(const char *list, const char *word, char sep)
{
	size_t len = strlen(word);

	for (const char *p = list; p; p = strchr(p, sep), p = p ? p + 1 : NULL)
		if (strncmp(p, word, len) == 0 &&
			(p[len] == sep || p[len] == '\0' || p[len] == '\n'))
			return true;
	return false;
}

/*
 * Fills where[kind] with the mount points of v1 hierarchies from /proc/self/mountinfo
 * (proc(5)); a controller mounted together with an earlier one gets none of its own.
 */
static int find_v1(char where[CGROUP_KINDS][128])
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char line[1024], root[256], at[128], type[32], options[256];

	if (!f)
		return -errno;
	while (fgets(line, sizeof(line), f)) {
		char *dash = strstr(line, " - ");
		bool taken = false;

		if (!dash || sscanf(dash, " - %31s %*s %255s", type, options) != 2 ||
			strcmp(type, "cgroup") != 0 ||
			sscanf(line, "%*s %*s %*s %255s %127s", root, at) != 2 ||
			strcmp(root, "/") != 0)
			continue;
		for (int k = 0; k < CGROUP_KINDS; k++)
			if (!taken && !where[k][0] &&
				has_word(options, controllers[k], ',')) {
				memcpy(where[k], at, sizeof(at));
				taken = true;
			}
	}
	fclose(f);
	return 0;
}

static int make_parent(struct cgroups *g, int kind, const char *root, struct err *e)
{
	g->root[kind] = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->root[kind] < 0)
		return err_sys(e, errno, "cannot open %s", root);
	if (mkdirat(g->root[kind], g->name, 0755) < 0 && errno != EEXIST)
		return err_sys(
			e, errno, "cannot make control group %s/%s", root, g->name);
	g->parent[kind] =
		openat(g->root[kind], g->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (g->parent[kind] < 0)
		return err_sys(
			e, errno, "cannot open control group %s/%s", root, g->name);
	return 0;
}

static bool v2_has(int dir, const char *controller)
{
	autobuf b = {.max = 4096};

	return io_read_file(dir, "cgroup.controllers", &b) == 0 && b.data &&
	       has_word(b.data, controller, ' ');
}

/* 1 when this v2 folder may hand down memory, cpu and pids, 0 when not, -ENOENT when it is
 * no v2 folder. */
static int v2_has_all(const char *root)
{
	int dir autoclose = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0 || faccessat(dir, "cgroup.controllers", F_OK, 0) < 0)
		return -ENOENT;
	return v2_has(dir, "memory") && v2_has(dir, "cpu") && v2_has(dir, "pids");
}

static int hand_down(int dir)
{
	return cgroup_write(dir, "cgroup.subtree_control", "+memory +cpu +pids");
}

/* Not everywhere delegated; without it only reading and writing have no limit. */
static bool hand_down_io(int dir)
{
	return v2_has(dir, "io") &&
	       cgroup_write(dir, "cgroup.subtree_control", "+io") == 0;
}

/* Moves whoever sits in the group itself to a leaf below it. */
static int empty_into_leaf(int dir)
{
	int leaf autoclose = -1;
	int r;

	if (mkdirat(dir, CGROUP_LEAF, 0755) < 0 && errno != EEXIST)
		return -errno;
	leaf = openat(dir, CGROUP_LEAF, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (leaf < 0)
		return -errno;
	for (int i = 0; i < MOVE_ROUNDS; i++) { /* they may fork meanwhile */
		autobuf b = {.max = 1 << 20};
		if ((r = io_read_file(dir, "cgroup.procs", &b)) < 0 || !b.len)
			return r;
		for (char *p = b.data, *end; (end = strchr(p, '\n')); p = end + 1) {
			*end = '\0';
			r = cgroup_write(leaf, "cgroup.procs", p);
			if (r < 0 && r != -ESRCH)
				return r;
		}
	}
	return 0;
}

/*
 * A group with processes of its own hands no controllers down (cgroups(7), "no internal
 * processes"; the host's root is exempt). A folder given to berth holds only what keeps
 * it, or berthd itself: they move aside.
 */
static int open_v2(struct cgroups *g, const char *root, bool given, struct err *e)
{
	int r = make_parent(g, CGROUP_MEMORY, root, e);

	if (r < 0)
		return r;
	g->v2 = true;
	r = hand_down(g->root[CGROUP_MEMORY]);
	if (r == -EBUSY && given && (r = empty_into_leaf(g->root[CGROUP_MEMORY])) == 0)
		r = hand_down(g->root[CGROUP_MEMORY]);
	if (r == 0)
		r = hand_down(g->parent[CGROUP_MEMORY]);
	g->io = r == 0 && hand_down_io(g->root[CGROUP_MEMORY]) &&
		hand_down_io(g->parent[CGROUP_MEMORY]);
	if (r == -EBUSY)
		return err_set(e, EBUSY,
			"%s has processes of its own, so no limits can be handed down in "
			"it; name a folder delegated to berth in BERTH_CGROUP",
			root);
	return r < 0 ? err_sys(e, -r,
			       "cannot hand the memory, cpu and pids controllers to "
			       "%s/%s",
			       root, g->name)
		     : 0;
}

static int open_v1(struct cgroups *g, struct err *e)
{
	char where[CGROUP_KINDS][128] = {0};
	int r = find_v1(where);

	for (int k = 0; r == 0 && k < CGROUP_KINDS; k++)
		if (where[k][0])
			r = make_parent(g, k, where[k], e);
	if (r < 0)
		return r;
	if (g->parent[CGROUP_MEMORY] < 0 || g->parent[CGROUP_CPU] < 0 ||
		g->parent[CGROUP_PIDS] < 0)
		return err_set(e, ENOSYS,
			"this kernel offers no control groups for memory, cpu and pids");
	return 0;
}

int cgroups_open(struct cgroups *g, const char *id, struct err *e)
{
	const char *root = getenv("BERTH_CGROUP"); /* a delegated folder, for packagers */
	bool given = root || access(CGROUP_APPS_UNIT, F_OK) == 0;
	int has;

	*g = (struct cgroups){0};
	for (int k = 0; k < CGROUP_KINDS; k++)
		g->parent[k] = g->root[k] = -1;
	snprintf(g->name, sizeof(g->name), "berth-%.8s", id);
	if (!root)
		root = given ? CGROUP_APPS_UNIT : CGROUP_ROOT;
	has = v2_has_all(root);
	if (has <= 0 && given)
		return err_set(e, ENOSYS,
			has < 0 ? "%s is no version 2 control group; see BERTH_CGROUP"
				: "%s lacks the memory, cpu or pids controller; delegate "
				  "them to it",
			root);
	return has > 0 ? open_v2(g, root, given, e) : open_v1(g, e);
}

void cgroups_close(struct cgroups *g)
{
	for (int k = 0; k < CGROUP_KINDS; k++) {
		if (g->parent[k] >= 0)
			close(g->parent[k]);
		if (g->root[k] >= 0)
			close(g->root[k]);
		g->parent[k] = g->root[k] = -1;
	}
}

int cgroups_remove(struct cgroups *g)
{
	int r = 0;

	for (int k = 0; k < CGROUP_KINDS; k++)
		if (g->root[k] >= 0 && unlinkat(g->root[k], g->name, AT_REMOVEDIR) < 0 &&
			errno != ENOENT)
			r = -errno;
	return r;
}

int cgroup_open(const struct cgroups *g, int kind, uint64_t id)
{
	int parent = g->v2 ? g->parent[CGROUP_MEMORY] : g->parent[kind];
	char name[17];
	int fd;

	if (parent < 0)
		return -ENOENT;
	id_name(name, id);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int cgroup_join_fds(const struct cgroups *g, uint64_t id, int fds[CGROUP_FDS])
{
	for (int k = 0; k < CGROUP_KINDS; k++)
		fds[k] = -1;
	if (g->v2)
		return (fds[0] = cgroup_open(g, CGROUP_MEMORY, id)) < 0 ? fds[0] : 0;
	for (int k = 0; k < CGROUP_KINDS; k++) {
		int dir autoclose = -1;

		if (g->parent[k] < 0)
			continue;
		dir = cgroup_open(g, k, id);
		if (dir == -ENOENT && k == CGROUP_IO)
			continue;
		fds[k] = dir < 0 ? -1 : openat(dir, "tasks", O_WRONLY | O_CLOEXEC);
		if (fds[k] < 0) {
			int r = dir < 0 ? dir : -errno;
			/* whoever closes what it finds in fds must not close another's */
			while (k-- > 0)
				if (fds[k] >= 0)
					close(TAKE_FD(fds[k]));
			return r;
		}
	}
	return 0;
}

int cgroup_leave(const struct cgroups *g, const int fds[CGROUP_FDS])
{
	for (int k = 0; k < CGROUP_KINDS && !g->v2; k++) {
		int fd autoclose = -1;

		if (fds[k] < 0) /* not joined either */
			continue;
		fd = openat(g->parent[k], "tasks", O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) != 1)
			return -errno;
	}
	return 0;
}

int cgroup_prepare(const struct cgroups *g, uint64_t id, struct err *e)
{
	char name[17];
	int r = 0;

	id_name(name, id);
	for (int k = 0; r == 0 && k < CGROUP_KINDS; k++)
		if (g->parent[k] >= 0 && k != CGROUP_IO &&
			mkdirat(g->parent[k], name, 0755) < 0 && errno != EEXIST)
			r = err_sys(e, errno, "cannot make the %s control group",
				controllers[k]);
	return r;
}

int cgroup_join(const struct cgroups *g, uint64_t id)
{
	char path[32];

	snprintf(path, sizeof(path), "%016" PRIx64 "/tasks", id);
	for (int k = 0; k < CGROUP_IO && !g->v2; k++) {
		int fd autoclose = -1;

		if (g->parent[k] < 0)
			continue;
		fd = openat(g->parent[k], path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) != 1)
			return -errno;
	}
	return 0;
}

/* Where it cannot be limited, MSG_HOST says so. */
static int limit_io(const struct cgroups *g, uint64_t id, const struct msg_limits_body *l)
{
	int dir autoclose = -1;

	if ((!l->io_read_bytes && !l->io_write_bytes) || cgroup_limit_io(g, id, l) < 0 ||
		g->v2)
		return -1;
	dir = cgroup_open(g, CGROUP_IO, id);
	return dir < 0 ? -1 : openat(dir, "tasks", O_WRONLY | O_CLOEXEC);
}

int cgroup_make(const struct cgroups *g, uint64_t id, const struct msg_limits_body *l,
	int *ret_io, struct err *e)
{
	int r = cgroup_prepare(g, id, e);

	*ret_io = -1;
	if (r == 0)
		r = cgroup_limit(g, id, l, LIMIT_ALL | CGROUP_FRESH, NULL, e);
	if (r < 0)
		cgroup_remove(g, id);
	else
		*ret_io = limit_io(g, id, l);
	return r;
}

/* One round: every process in it gets SIGKILL. The number found. */
static int kill_listed(int dir)
{
	autobuf b = {.max = 4 << 20};
	int n = 0;

	if (io_read_file(dir, "cgroup.procs", &b) < 0 || !b.data)
		return 0;
	for (char *p = b.data, *end; (end = strchr(p, '\n')); p = end + 1) {
		long pid = strtol(p, NULL, 10);
		if (pid > 1 && kill((pid_t)pid, SIGKILL) == 0)
			n++;
	}
	return n;
}

int cgroup_kill(const struct cgroups *g, uint64_t id)
{
	int dir autoclose = cgroup_open(g, g->v2 ? CGROUP_MEMORY : CGROUP_PIDS, id);
	int freezer autoclose = g->v2 ? -1 : cgroup_open(g, CGROUP_FREEZER, id);

	if (dir < 0)
		return dir == -ENOENT ? 0 : dir;
	if (!GUARD(GUARD_KILL))
		return 0;
	cgroup_io_lift(g, id); /* whoever waits for a limited disk dies after it */
	if (g->v2 && cgroup_write(dir, "cgroup.kill", "1") == 0)
		return 0;
	if (freezer >= 0)
		cgroup_write(freezer, "freezer.state",
			"THAWED"); /* a frozen process takes no signal */
	for (int i = 0; i < KILL_ROUNDS && kill_listed(dir) > 0; i++)
		;
	return 0;
}

static int open_freezer(const struct cgroups *g, uint64_t id)
{
	return !g->v2 && g->parent[CGROUP_FREEZER] < 0
		       ? -EOPNOTSUPP
		       : cgroup_open(g, CGROUP_FREEZER, id);
}

int cgroup_freeze(const struct cgroups *g, uint64_t id, bool on)
{
	int dir autoclose = open_freezer(g, id);

	if (dir < 0)
		return dir;
	if (!g->v2)
		return cgroup_write(dir, "freezer.state", on ? "FROZEN" : "THAWED");
	if (!on)
		cgroup_write(dir, "memory.swap.max", "0"); /* see cgroup_reclaim_open */
	return cgroup_write(dir, "cgroup.freeze", on ? "1" : "0");
}

int cgroup_frozen(const struct cgroups *g, uint64_t id)
{
	int dir autoclose = open_freezer(g, id);

	if (dir < 0)
		return dir;
	return cgroup_number(
		       dir, g->v2 ? "cgroup.freeze" : "freezer.self_freezing", "") != 0;
}

int cgroup_reclaim_open(const struct cgroups *g, uint64_t id, char text[24])
{
	int dir autoclose = cgroup_open(g, CGROUP_MEMORY, id);
	int fd;

	if (dir < 0)
		return dir;
	if (g->v2)
		cgroup_write(dir, "memory.swap.max", "max");
	snprintf(text, 24, "%" PRIu64,
		g->v2 ? cgroup_number(dir, "memory.current", "") : 0);
	fd = openat(dir, g->v2 ? "memory.reclaim" : "memory.force_empty",
		O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int cgroup_remove(const struct cgroups *g, uint64_t id)
{
	char name[17];
	int r = 0;

	id_name(name, id);
	/* the one that cgroups_list looks at is made first and goes last */
	for (int k = CGROUP_KINDS - 1; k >= CGROUP_MEMORY; k--)
		if (g->parent[k] >= 0 && unlinkat(g->parent[k], name, AT_REMOVEDIR) < 0 &&
			errno != ENOENT)
			r = -errno;
	return r;
}

void cgroup_read(const struct cgroups *g, uint64_t id, struct cgroup_counts *ret)
{
	int memory autoclose = cgroup_open(g, CGROUP_MEMORY, id);
	int cpu autoclose = -1;

	*ret = (struct cgroup_counts){0};
	if (g->v2) {
		ret->oom_kills = cgroup_number(memory, "memory.events", "oom_kill");
		ret->memory_peak_bytes = cgroup_number(memory, "memory.peak", "");
		ret->memory_limit_bytes = cgroup_number(memory, "memory.max", "");
		ret->cpu_us = cgroup_number(memory, "cpu.stat", "usage_usec");
		return;
	}
	/* memory.failcnt stays 0 when a process is killed; this count does not */
	ret->oom_kills = cgroup_number(memory, "memory.oom_control", "oom_kill");
	ret->memory_peak_bytes = cgroup_number(memory, "memory.max_usage_in_bytes", "");
	ret->memory_limit_bytes = cgroup_number(memory, "memory.limit_in_bytes", "");
	cpu = cgroup_open(
		g, g->parent[CGROUP_CPUACCT] >= 0 ? CGROUP_CPUACCT : CGROUP_CPU, id);
	ret->cpu_us = cgroup_number(cpu, "cpuacct.usage", "") / 1000;
}

void cgroups_list(const struct cgroups *g, void (*cb)(void *arg, uint64_t id), void *arg)
{
	int fd =
		openat(g->parent[CGROUP_MEMORY], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char *end;

	if (!d) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(d))) {
		uint64_t id = strtoull(entry->d_name, &end, 16);
		if (strlen(entry->d_name) == 16 && *end == '\0')
			cb(arg, id);
	}
	closedir(d);
}
