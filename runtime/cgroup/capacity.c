/* What limits can mean on this host: more than it has is no limit. */
#include "lib/buf.h"
#include "lib/io.h"
#include "runtime/inside.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>

static uint64_t read_number(int dir, const char *path)
{
	autobuf b = {.max = 64};

	return io_read_file(dir, path, &b) < 0 || !b.data ? 0
							  : strtoull(b.data, NULL, 10);
}

/* Raising the hard limit takes a capability that not every host gives its root. */
uint32_t capacity_nofile(void)
{
	uint64_t most = read_number(AT_FDCWD, "/proc/sys/fs/nr_open");
	struct rlimit old, higher;

	if (getrlimit(RLIMIT_NOFILE, &old) < 0)
		return LIMIT_NOFILE_MIN;
	higher = (struct rlimit){old.rlim_cur, most};
	if (most <= old.rlim_max || setrlimit(RLIMIT_NOFILE, &higher) < 0)
		most = old.rlim_max;
	else
		setrlimit(RLIMIT_NOFILE, &old);
	return most > LIMIT_NOFILE_MAX ? LIMIT_NOFILE_MAX : (uint32_t)most;
}

/* 0 and "max" are no limit. */
static void lower(uint64_t *n, uint64_t limit)
{
	if (limit && limit < *n)
		*n = limit;
}

static uint64_t count_pids(const struct cgroups *g)
{
	uint64_t n = LIMIT_PIDS_MAX;

	lower(&n, read_number(AT_FDCWD, "/proc/sys/kernel/pid_max"));
	lower(&n, read_number(AT_FDCWD, "/proc/sys/kernel/threads-max"));
	lower(&n, cgroup_number(
			  g->root[g->v2 ? CGROUP_MEMORY : CGROUP_PIDS], "pids.max", ""));
	return n;
}

static uint64_t count_memory(const struct cgroups *g)
{
	struct sysinfo s;
	uint64_t n;

	if (sysinfo(&s) < 0)
		return LIMIT_MEMORY_MAX;
	n = (uint64_t)s.totalram * s.mem_unit;
	lower(&n, cgroup_number(g->root[CGROUP_MEMORY],
			  g->v2 ? "memory.max" : "memory.limit_in_bytes", ""));
	return n;
}

static uint64_t count_cpu_millis(const struct cgroups *g)
{
	uint64_t n, quota, period;
	autobuf b = {.max = 64};
	cpu_set_t set;

	n = sched_getaffinity(0, sizeof(set), &set) < 0 ? LIMIT_CPU_MAX
							: 1000u * CPU_COUNT(&set);
	if (g->v2 && io_read_file(g->root[CGROUP_MEMORY], "cpu.max", &b) == 0 && b.data &&
		sscanf(b.data, "%lu %lu", &quota, &period) == 2 && period)
		lower(&n, quota * 1000 / period);
	return n;
}

void capacity_read(const struct cgroups *g, struct msg_host *ret)
{
	ret->memory_bytes = count_memory(g);
	ret->cpu_millis = (uint32_t)count_cpu_millis(g);
	ret->pids = (uint32_t)count_pids(g);
}

uint32_t runtime_nofile(const struct runtime *rt, uint32_t wanted)
{
	return wanted && wanted < rt->nofile_max ? wanted : rt->nofile_max;
}

void runtime_host(const struct runtime *rt, struct msg_host *ret)
{
	*ret = (struct msg_host){.nofile = rt->nofile_max};
	capacity_read(&rt->cgroups, ret);
	memcpy(ret->no_io, rt->no_io, sizeof(ret->no_io));
	memcpy(ret->no_scratch, rt->no_scratch, sizeof(ret->no_scratch));
	memcpy(ret->no_unix, rt->no_unix, sizeof(ret->no_unix));
}
