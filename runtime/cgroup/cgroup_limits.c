/*
 * Limits of a sandbox, as the kernel's files take them. A change of several files is made
 * as a whole: what was there is read first, and written back when a later file refuses.
 */
#include "lib/buf.h"
#include "lib/io.h"
#include "lib/name.h"
#include "runtime/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PERIOD_US 100000u
#define CHANGES_MAX 6

/* One file to be written. */
struct change {
	uint32_t which; /* of enum limit_bits */
	int dir;
	const char *file;
	char text[48], old[64];
	bool optional; /* not every kernel has the file */
};

struct changes {
	struct change list[CHANGES_MAX];
	size_t n;
};

static void add(struct changes *c, uint32_t which, int dir, const char *file,
	const char *fmt, ...) PRINTF(5, 6);
static void add(struct changes *c, uint32_t which, int dir, const char *file,
	const char *fmt, ...)
{
	struct change *one = &c->list[c->n++];
	va_list ap;

	*one = (struct change){.which = which,
		.dir = dir,
		.file = file,
		.optional = strstr(file, "swap") || strstr(file, "memsw")};
	va_start(ap, fmt);
	vsnprintf(one->text, sizeof(one->text), fmt, ap);
	va_end(ap);
}

/* v1: memory and swap together must never be less than memory. */
static void add_memory(
	struct changes *c, const struct cgroups *g, int dir, uint64_t bytes, bool fresh)
{
	static const char memory[] = "memory.limit_in_bytes",
			  both[] = "memory.memsw.limit_in_bytes";
	bool up = !fresh && bytes > cgroup_number(dir, memory, "");

	if (g->v2) {
		add(c, LIMIT_MEMORY, dir, "memory.max", "%" PRIu64, bytes);
		add(c, LIMIT_MEMORY, dir, "memory.swap.max", "0");
		return;
	}
	add(c, LIMIT_MEMORY, dir, up ? both : memory, "%" PRIu64, bytes);
	add(c, LIMIT_MEMORY, dir, up ? memory : both, "%" PRIu64, bytes);
}

static void add_cpu(
	struct changes *c, const struct cgroups *g, int dir, uint32_t millis, bool fresh)
{
	uint64_t quota = (uint64_t)millis * PERIOD_US / 1000;

	if (g->v2) {
		add(c, LIMIT_CPU, dir, "cpu.max", "%" PRIu64 " %u", quota, PERIOD_US);
		return;
	}
	if (!fresh) /* a new group's is PERIOD_US */
		add(c, LIMIT_CPU, dir, "cpu.cfs_period_us", "%u", PERIOD_US);
	add(c, LIMIT_CPU, dir, "cpu.cfs_quota_us", "%" PRIu64, quota);
}

static void keep_old(struct change *c)
{
	autobuf b = {.max = sizeof(c->old) - 1};

	if (io_read_file(c->dir, c->file, &b) == 0 && b.data)
		snprintf(c->old, sizeof(c->old), "%.*s", (int)strcspn(b.data, "\n"),
			b.data);
}

/* All or none. 0, or -errno and the one that failed. */
static int put_all(struct changes *c, bool fresh, const struct change **ret_failed)
{
	for (size_t i = 0; i < c->n; i++) {
		struct change *one = &c->list[i];
		int r;

		if (!fresh)
			keep_old(one);
		r = cgroup_write(one->dir, one->file, one->text);
		if (r == 0 || (r == -ENOENT && one->optional))
			continue;
		while (i-- > 0)
			if (c->list[i].old[0])
				cgroup_write(
					c->list[i].dir, c->list[i].file, c->list[i].old);
		*ret_failed = one;
		return r;
	}
	return 0;
}

static int say_failed(
	const struct change *c, int r, const struct msg_limits_body *l, struct err *e)
{
	char size[24];

	num_format_size(l->memory_bytes, size);
	if (c->which == LIMIT_MEMORY)
		return err_sys(e, -r, "cannot limit memory to %s", size);
	if (c->which == LIMIT_CPU)
		return err_sys(
			e, -r, "cannot limit the processor to %u/1000", l->cpu_millis);
	return err_sys(e, -r, "cannot limit processes to %u", l->pids);
}

/*
 * v2 would take a limit below what is used, and kill to keep it. As v1 does, take back
 * what can be taken, and refuse the rest.
 */
static int make_room_v2(int dir, uint64_t bytes)
{
	uint64_t used = cgroup_number(dir, "memory.current", "");
	char text[24];

	if (used <= bytes)
		return 0;
	snprintf(text, sizeof(text), "%" PRIu64, used - bytes);
	cgroup_write(dir, "memory.reclaim", text);
	return cgroup_number(dir, "memory.current", "") <= bytes ? 0 : -EBUSY;
}

static int say_used(const struct cgroups *g, int dir, uint64_t bytes, uint64_t *ret_used,
	struct err *e)
{
	uint64_t used = cgroup_number(
		dir, g->v2 ? "memory.current" : "memory.usage_in_bytes", "");
	char has[24], wanted[24];

	if (ret_used)
		*ret_used = used;
	num_format_size(used, has);
	num_format_size(bytes, wanted);
	return err_set(e, EBUSY, "it uses %s of memory, more than %s", has, wanted);
}

/* ---- disks ---- */

/* One disk's line; 0 takes the limit away. */
static int put_disk(
	const struct cgroups *g, int dir, const struct disk *d, uint64_t r, uint64_t w)
{
	char text[96], read[24] = "max", write[24] = "max";
	int e;

	if (!g->v2) {
		snprintf(text, sizeof(text), "%u:%u %" PRIu64, d->major, d->minor, r);
		e = cgroup_write(dir, "blkio.throttle.read_bps_device", text);
		snprintf(text, sizeof(text), "%u:%u %" PRIu64, d->major, d->minor, w);
		return e < 0 ? e
			     : cgroup_write(dir, "blkio.throttle.write_bps_device", text);
	}
	if (r)
		snprintf(read, sizeof(read), "%" PRIu64, r);
	if (w)
		snprintf(write, sizeof(write), "%" PRIu64, w);
	snprintf(text, sizeof(text), "%u:%u rbps=%s wbps=%s", d->major, d->minor, read,
		write);
	return cgroup_write(dir, "io.max", text);
}

static int put_disks(const struct cgroups *g, int dir, uint64_t r, uint64_t w)
{
	int failed = 0;

	for (unsigned int i = 0; i < g->disks.n; i++) {
		int e = put_disk(g, dir, &g->disks.list[i], r, w);
		if (e < 0)
			failed = e;
	}
	return failed;
}

static int make_io_group(const struct cgroups *g, uint64_t id)
{
	char name[17];

	snprintf(name, sizeof(name), "%016" PRIx64, id);
	if (mkdirat(g->parent[CGROUP_IO], name, 0755) < 0 && errno != EEXIST)
		return -errno;
	return cgroup_open(g, CGROUP_IO, id);
}

int cgroup_limit_io(const struct cgroups *g, uint64_t id, const struct msg_limits_body *l)
{
	bool wanted = l->io_read_bytes || l->io_write_bytes;
	int dir autoclose = -1;

	if (!g->disks.n)
		return wanted ? -EOPNOTSUPP : 0;
	dir = !g->v2 && wanted ? make_io_group(g, id) : cgroup_open(g, CGROUP_IO, id);
	if (dir == -ENOENT && !wanted)
		return 0;
	return dir < 0 ? dir : put_disks(g, dir, l->io_read_bytes, l->io_write_bytes);
}

void cgroup_io_lift(const struct cgroups *g, uint64_t id)
{
	int dir autoclose = g->disks.n ? cgroup_open(g, CGROUP_IO, id) : -1;

	if (dir >= 0)
		put_disks(g, dir, 0, 0);
}

int cgroups_use_disks(struct cgroups *g, const struct disks *d, struct err *e)
{
	int dir = g->parent[g->v2 ? CGROUP_MEMORY : CGROUP_IO];
	int r;

	if (dir < 0 || (g->v2 && !g->io))
		return err_set(e, ENOSYS,
			g->v2 ? "the io controller is not available here"
			      : "this host has no blkio hierarchy of its own");
	g->disks = *d;
	r = put_disks(g, dir, 0, 0); /* changes nothing, but says whether it could */
	if (r < 0)
		g->disks.n = 0;
	return r < 0 ? err_sys(e, -r, "the kernel takes no limit for the disk") : 0;
}

/* ---- */

int cgroup_limit(const struct cgroups *g, uint64_t id, const struct msg_limits_body *l,
	uint32_t which, uint64_t *ret_used, struct err *e)
{
	int memory autoclose = cgroup_open(g, CGROUP_MEMORY, id);
	int cpu autoclose = cgroup_open(g, CGROUP_CPU, id);
	int pids autoclose = cgroup_open(g, CGROUP_PIDS, id);
	const bool fresh = which & CGROUP_FRESH;
	const struct change *failed = NULL;
	struct changes c = {.n = 0};
	int r = 0;

	if (memory < 0 || cpu < 0 || pids < 0)
		return err_set(e, ENOENT, "its control group is gone");
	if (which & LIMIT_MEMORY)
		add_memory(&c, g, memory, l->memory_bytes, fresh);
	if (which & LIMIT_CPU)
		add_cpu(&c, g, cpu, l->cpu_millis, fresh);
	if (which & LIMIT_PIDS)
		add(&c, LIMIT_PIDS, pids, "pids.max", "%u", l->pids);
	if (g->v2 && !fresh && which & LIMIT_MEMORY)
		r = make_room_v2(memory, l->memory_bytes);
	if (r == 0)
		r = put_all(&c, fresh, &failed);
	if (r == -EBUSY && (!failed || failed->which == LIMIT_MEMORY))
		return say_used(g, memory, l->memory_bytes, ret_used, e);
	return r < 0 ? say_failed(failed, r, l, e) : 0;
}
