/* Control groups of sandboxes: limits, counts, killing; version 2, version 1 and the mix
 * of both. */
#ifndef RUNTIME_CGROUP_H
#define RUNTIME_CGROUP_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/proto.h"

enum cgroup_kind {
	CGROUP_MEMORY,
	CGROUP_CPU,
	CGROUP_CPUACCT,
	CGROUP_PIDS,
	CGROUP_FREEZER,
	CGROUP_KINDS
};
#define CGROUP_FDS CGROUP_KINDS

/* The parents "berth-<id>", one a controller (v1) or a single one (v2, in
 * parent[CGROUP_MEMORY]). */
struct cgroups {
	bool v2;
	int parent[CGROUP_KINDS]; /* -1: this host has no such controller, or it is
				     mounted with an earlier one */
	int root[CGROUP_KINDS];	  /* folder that holds the parent */
	char name[16];
};

/*
 * Finds the hierarchies and makes the parents. Version 2: below the folder that
 * BERTH_CGROUP names, else the unit berth-apps.service when systemd has delegated that,
 * else the host's root group; processes that sit in one of the first two itself are moved
 * to its leaf berth-aside, since a group with processes hands no limits down (cgroups(7)).
 * -ENOSYS when memory, cpu or pids cannot be limited here, -EBUSY when processes are in
 * the way.
 */
int cgroups_open(struct cgroups *g, const char *id, struct err *e);
void cgroups_close(struct cgroups *g);
/* Removes the parents; -EBUSY while a group below has processes. */
int cgroups_remove(struct cgroups *g);

/*
 * Makes the sandbox's groups with its limits. v1: fds are its "tasks" files, into each of
 * which the child writes "0" (a parent that writes the child's pid waits 10 ms for the
 * kernel); v2: fds[0] is the folder, for clone3.
 */
int cgroup_make(const struct cgroups *g, uint64_t id, const struct msg_limits_body *l,
	int fds[CGROUP_FDS], struct err *e);
/* As cgroup_make's fds, for a group that exists. -ENOENT. */
int cgroup_join_fds(const struct cgroups *g, uint64_t id, int fds[CGROUP_FDS]);
/* v1: the calling process moves into berth's own groups, above those of all sandboxes;
 * what one of them reads in its /proc/PID/cgroup then says nothing of the host. It
 * allocates no memory. 0 or -errno (errno too). */
int cgroup_leave(const struct cgroups *g);
int cgroup_limit(const struct cgroups *g, uint64_t id, const struct msg_limits_body *l,
	struct err *e);
/* SIGKILL to every process, frozen ones thawed. 0, also when the group is gone. */
int cgroup_kill(const struct cgroups *g, uint64_t id);
/*
 * Whether its processes stand still. 0 as soon as the kernel was told (they stop within
 * microseconds, one in the middle of a disk access after it); -ENOENT the group is gone,
 * -EOPNOTSUPP this host has no freezer.
 */
int cgroup_freeze(const struct cgroups *g, uint64_t id, bool on);
/* 1 when they were told to, 0, or -errno as cgroup_freeze. */
int cgroup_frozen(const struct cgroups *g, uint64_t id);
/*
 * Lets its memory go to swap until it is thawed (v2; on v1 its limit counts both), and
 * opens the file that reclaims memory when text is written to it: a write that may take
 * seconds and ends early with a signal. fd or -errno.
 */
int cgroup_reclaim_open(const struct cgroups *g, uint64_t id, char text[24]);
/* -EBUSY while processes (or zombies) are left; absent is 0. */
int cgroup_remove(const struct cgroups *g, uint64_t id);

struct cgroup_counts {
	uint64_t oom_kills, memory_peak_bytes,
		cpu_us; /* 0 where the kernel does not tell */
	uint64_t memory_limit_bytes;
};
void cgroup_read(const struct cgroups *g, uint64_t id, struct cgroup_counts *ret);
/* Calls cb with every id that has a group. */
void cgroups_list(const struct cgroups *g, void (*cb)(void *arg, uint64_t id), void *arg);

#endif
