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
	CGROUP_IO, /* v1: made for a sandbox with such a limit only: it costs every start */
	CGROUP_KINDS
};
#define CGROUP_FDS CGROUP_KINDS

#define DISKS_MAX 8
/* Whole disks, by the kernel's numbers; see disk/disks.h. */
struct disk {
	unsigned int major, minor;
};
struct disks {
	struct disk list[DISKS_MAX];
	unsigned int n;
};

/* The parents "berth-<id>", one a controller (v1) or a single one (v2, in
 * parent[CGROUP_MEMORY]). */
struct cgroups {
	bool v2;
	int parent[CGROUP_KINDS]; /* -1: this host has no such controller, or it is
				     mounted with an earlier one */
	int root[CGROUP_KINDS];	  /* folder that holds the parent */
	char name[16];
	bool io;	    /* v2: the io controller was handed down */
	struct disks disks; /* whose reads and writes can be limited; none: not here */
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
/* Reads and writes of these disks can be limited from now on. 0, or -errno with the
 * reason why not in e. */
int cgroups_use_disks(struct cgroups *g, const struct disks *d, struct err *e);
/* Removes the parents; -EBUSY while a group below has processes. */
int cgroups_remove(struct cgroups *g);

/* Makes the sandbox's groups, without limits; any thread. Those that exist are no error. */
int cgroup_prepare(const struct cgroups *g, uint64_t id, struct err *e);
/* v1: the calling process moves into the groups that cgroup_prepare made (a parent that
 * moves it waits 10 ms for the kernel); v2: nothing, clone3 did it. It allocates no memory.
 * 0 or -errno (errno too). */
int cgroup_join(const struct cgroups *g, uint64_t id);
/*
 * The groups and their limits; processes may be in them. *ret_io: v1, with a limit of
 * reading and writing, the "tasks" file of one group more, into which the process writes
 * "0"; else -1.
 */
int cgroup_make(const struct cgroups *g, uint64_t id, const struct msg_limits_body *l,
	int *ret_io, struct err *e);
/* Ways into a sandbox's groups. v1: the "tasks" files, into each of which the process that
 * enters writes "0", -1: none; v2: fds[0] is the folder, for clone3. -ENOENT. */
int cgroup_join_fds(const struct cgroups *g, uint64_t id, int fds[CGROUP_FDS]);
/* v1: the calling process moves into berth's own groups, above those of all sandboxes,
 * where it will join (fds); what one of them reads in its /proc/PID/cgroup then says
 * nothing of the host. It allocates no memory. 0 or -errno (errno too). */
int cgroup_leave(const struct cgroups *g, const int fds[CGROUP_FDS]);
/*
 * Sets the limits of memory, processor and processes that which (enum limit_bits) names,
 * all of them or, on failure, none. -EBUSY: it uses more memory than that, *ret_used (may
 * be NULL) says how much. CGROUP_FRESH: a new group, so there is nothing to be put back.
 */
#define CGROUP_FRESH (1u << 31)
int cgroup_limit(const struct cgroups *g, uint64_t id, const struct msg_limits_body *l,
	uint32_t which, uint64_t *ret_used, struct err *e);
/* Those of reading and writing. 0, -EOPNOTSUPP where that is not possible, -errno. */
int cgroup_limit_io(
	const struct cgroups *g, uint64_t id, const struct msg_limits_body *l);
/* SIGKILL to every process, frozen ones thawed, those that wait for a limited disk let
 * go. 0, also when the group is gone. */
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

/*
 * A descriptor that is ready for *ret_events (of epoll) when the group ran out of memory;
 * nothing wakes up before. The count may follow some milliseconds later (v1); the event
 * also comes without a kill (v2: each time the limit is reached). The caller's; -errno.
 */
int cgroup_oom_open(const struct cgroups *g, uint64_t id, uint32_t *ret_events);
/* Makes it quiet until the next event. */
void cgroup_oom_quiet(const struct cgroups *g, int fd);
/*
 * A sandbox's folder in the hierarchy of kind. fd, -ENOENT: there is none, -errno. v1's
 * for CGROUP_IO lacks the processes that started before its first such limit.
 */
int cgroup_open(const struct cgroups *g, int kind, uint64_t id);
/* One write to a file of such a folder. 0 or -errno. */
int cgroup_write(int dir, const char *name, const char *text);
/* The number after key (or at the start when key is empty) in a file of "key value"
 * lines; 0 when absent. */
uint64_t cgroup_number(int dir, const char *name, const char *key);
/* Takes the limits of reading and writing away. */
void cgroup_io_lift(const struct cgroups *g, uint64_t id);

#endif
