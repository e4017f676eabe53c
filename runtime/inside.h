/* What the files behind runtime.h share: the runtime itself and the pieces a start is
 * made of. */
#ifndef RUNTIME_INSIDE_H
#define RUNTIME_INSIDE_H

#include "lib/addr.h"
#include "lib/buf.h"
#include "runtime/cgroup/cgroup.h"
#include "runtime/disk/scratch.h"
#include "runtime/network/netns.h"
#include "runtime/runtime.h"
#include "runtime/sandbox/seccomp.h"
#include "runtime/sandbox/userns.h"

#include <limits.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>

#define RUNTIME_BLOCKS                                                                   \
	31u /* berths a host can hold: 0x74000000 + 31 * 2^26 stays below 2^32 */
#define RUNTIME_SLOTS                                                                    \
	1024u /* apps of one berth that can have processes at the same time */
#define RUNTIME_UID_BASE 0x74000000u
#define RUNTIME_AHEAD_MAX 8
#define RUNTIME_AHEAD_PROCESSES 2u
#define START_SECONDS_MAX 20 /* milliseconds are normal, also under load */

struct slot {
	uint32_t app;	    /* 0: free */
	unsigned int users; /* sandboxes */
	int userns, idmap;  /* -1: to be made */
};

/* Open mounts: whoever closes the last descriptor waits while the kernel undoes it. */
struct mount_fds {
	int fds[PROTO_LAYERS_MAX + 2 +
		PROTO_MOUNTS_MAX]; /* and the skeleton, the upper one, caches */
	unsigned int n;
};

/* scratch, its mount, and mounts, its mount namespace, are held so that the last to let
 * go of them is not the ending sandbox; -1: not held. */
struct live {
	struct sandbox_record rec;
	int scratch, mounts;
	struct live *next;
};

/* A process for a sandbox and berthd's end of the line to it; pid 0: none. */
struct spawned {
	pid_t pid;
	int pidfd, line;
};
#define SPAWNED_NONE ((struct spawned){.pidfd = -1, .line = -1})

/* What waits for the sandbox with this id; 0: free. */
struct ahead {
	uint64_t id;
	struct spawned process;
};

struct runtime {
	char id[9];
	char state[PATH_MAX], run[PATH_MAX], registry[PATH_MAX], lib[PATH_MAX];
	uint64_t boot;
	uint32_t uid_base, addr_base;
	int state_fd, layers_fd, volumes_fd, snapshots_fd, cache_fd, scratch_fd;
	int names_fd;  /* network/names.h */
	int listen_fd; /* sandbox/listener.h */
	int self_netns;
	int template_ns; /* mount namespace that every sandbox starts from; see sandbox/template.c
			  */
	int init_exec, build_exec; /* sealed copies: no host path, and nothing to
				      overwrite; build_exec may be -1 */
	bool overlay_by_fd;
	bool protected;			  /* berthd has an oom_score_adj of its own */
	uint8_t ignored[NSIG], n_ignored; /* signals that it ignores */
	struct cgroups cgroups;
	struct sock_fprog filter;
	struct netpool *pool;
	struct network *network; /* network/network.h */
	struct scratchpool *scratch;
	char no_scratch
		[256];	   /* why sizes cannot be kept here; "": the last one was made */
	char no_io[128];   /* why reading and writing cannot be limited; "": can */
	char no_unix[128]; /* why nothing is given a listener; "": can be */
	uint32_t nofile_max; /* the highest limit of open files a sandbox can get */
	struct slot *slots;  /* RUNTIME_SLOTS */
	struct live *live;
	pthread_mutex_t ahead_lock;
	struct ahead ahead[RUNTIME_AHEAD_MAX]; /* under the lock */
	uint32_t ahead_processes;	       /* how many wait at a time; tests say 0 */
	uint64_t ahead_newest;		       /* of the ids that started */
	uint64_t ahead_last;		       /* id after which they come */
	unsigned int ahead_tries;
	bool ahead_asked;   /* the helper thread is about to make them */
	char *host_env[24]; /* NULL-terminated NAME=VALUE for START_HOST_APT */
};

/* registry.c: who owns which block. Each takes the host-wide lock itself. */
int registry_claim(const char *registry, const char *state, const char *id,
	unsigned int *ret_block, struct err *e);
int registry_release(const char *registry, const char *state, struct err *e);
enum registry_family { REGISTRY_IPV4, REGISTRY_IPV6 };
/* IPv6 only on a host that has it. */
int registry_forward_on(const char *registry, enum registry_family f, struct err *e);

/* sandbox/template.c: a small mount namespace with the state folders, /dev and the host's files;
 * its fd, or -errno. */
int template_make(struct runtime *rt, struct err *e);

/* host.c: the host's settings that sandboxes share. */
int host_resolv_conf(struct buf *out); /* resolv.conf without loopback servers */
int host_apt_conf(struct buf *out);    /* the host's Acquire:: settings as an apt.conf */
int host_npmrc(struct buf *out);       /* the host's global npmrc files, joined */
int host_env(char **out, size_t max,
	struct err *e); /* allocated NAME=VALUE, NULL-terminated */
#define HOST_RESOLV "/etc/resolv.conf"
#define HOST_RESOLV_UPSTREAM                                                             \
	"/run/systemd/resolve/resolv.conf"   /* what systemd-resolved asks itself */
extern const char *const host_npmrc_files[]; /* NULL-terminated */
bool host_is_loopback(const char *server);
/* Calls cb(arg, line) for each line of the file, without the newline; a missing file has
 * none. */
void host_each_line(const char *path, void (*cb)(void *arg, char *line), void *arg);

/*
 * network/reach.c: calls cb for every address and TCP port (53: UDP too) that sandboxes may reach
 * even in a private range. reach_servers reads files only; reach_named asks the resolver,
 * so it may block for long.
 */
typedef void (*host_addr_cb)(void *arg, int family, const void *addr, unsigned int port);
void reach_servers(host_addr_cb cb, void *arg);
/* How many names the resolver could not look up for now. */
unsigned int reach_named(host_addr_cb cb, void *arg);

/* cgroup/capacity.c: what limits can mean on this host. */
/* The highest limit of open files that a child of this process can be given. */
uint32_t capacity_nofile(void);
/* Processors, memory, processes: of the host, or of the group that all of berth is in. */
void capacity_read(const struct cgroups *g, struct msg_host *ret);
/* Of this host, for a wanted number of open files; 0: the most. */
uint32_t runtime_nofile(const struct runtime *rt, uint32_t wanted);

/* sandbox/ahead.c: the sandbox takes what was made for it, its process when there is one; then
 * the next ones' is made. */
struct spawned ahead_use(struct runtime *rt, uint64_t id);
void ahead_guess(struct runtime *rt, uint64_t id);
/* Ends the processes that wait. */
void ahead_drop(struct runtime *rt);

/*
 * sandbox/running.c: gives back what a start took: the slot (NULL: none), the address, and later
 * cgroup, scratch folder and mounts (unmounting writes to the disk). The descriptors of l
 * are taken over, l is not.
 */
void sandbox_forget(struct runtime *rt, struct slot *s, const struct live *l);
/* Closes them on the helper's thread. */
void mounts_close_later(struct runtime *rt, const struct mount_fds *m);

/* The folder beside the caches that the overlay of one sandbox's cache works in; it goes
 * with the sandbox. 0 or -errno. */
int cache_make_work(struct runtime *rt, uint64_t sandbox);
void cache_work_name(uint64_t sandbox, char out[24]);
/* MOUNT_CACHE_PART: the folder of a part, beside the app's cache, and a place for the overlay of
 * mount i of a sandbox to work in. 0 or -errno. */
int cache_make_part(struct runtime *rt, uint32_t app, uint64_t part);
int cache_make_part_work(struct runtime *rt, uint64_t sandbox, unsigned int i);
void cache_part_name(uint32_t app, uint64_t part, char out[32]);
void cache_part_work_name(uint64_t sandbox, unsigned int i, char out[32]);

/* The fixed descriptors that berth-init finds; see sandbox/init.c. */
enum {
	INIT_FD_SPEC = 3,
	INIT_FD_EXIT,
	INIT_FD_FIFO,
	INIT_FD_BUILD,
	INIT_FD_LISTEN, /* the command's LISTEN_FD */
	INIT_FD_STATUS,
	INIT_FD_EXEC,
	INIT_FD_FIRST_FREE
};
#define LISTEN_FD 3 /* where sd_listen_fds(3) has the first one */

/* Everything the child needs; made by the parent, read after the fork. All descriptors
 * are open in the parent. */
struct child {
	struct runtime *rt;
	const struct msg_start *start; /* NULL when entering */
	const struct sandbox_io *io;
	uint32_t profile, flags;
	uint32_t uid_base; /* of the app's range */
	uint32_t uid, gid; /* of the command, inside */
	uint64_t id;
	int scratch; /* a mount of its own for the upper layer; -1: a folder */
	int userns, idmap, netns; /* netns -1: a new one, loopback only */
	int volume_idmap;	  /* START_USER: volumes belong to uid; -1: idmap does */
	int volumes
		[PROTO_MOUNTS_MAX]; /* mounts of images, by place in the message; -1: a folder */
	int listener;		    /* -1: none */
	int target_pidfd;	    /* entering */
	int cgroup_fds[CGROUP_FDS]; /* entering; see cgroup_join_fds */
	int io_group;		    /* "tasks" file, v1; -1: none */
	int fifo_write;		    /* -1: none */
	int status;		    /* child's end of the report socket; -1: nobody
				       listens */
	int go[2];   /* entering: the born process waits at 0 for a byte of the parent, or
		      its end */
	int exit_fd; /* where io's is now */
	uint64_t nofile;
};

/* The uid or gid inside of a sandbox's command; named is the message's. */
static inline uint32_t user_inside(uint32_t profile, uint32_t flags, uint32_t named)
{
	if (profile == PROFILE_BUILD_ROOT)
		return 0;
	return flags & START_USER ? named : RUNTIME_APP_UID;
}

/*
 * sandbox/child.c: runs in the new process, never returns: exec of berth-init, or a report on the
 * status socket and exit. child_wait joins the sandbox's control groups, does what is the
 * same for all sandboxes and waits for its orders on the line; child_enter joins a sandbox.
 */
void child_wait(struct runtime *rt, uint64_t id, int line) __attribute__((noreturn));
void child_enter(const struct child *c) __attribute__((noreturn));
/* Before a copy of berthd shows itself in a sandbox: what a process shows even to those
 * who may not look into it, its command line and its name, goes. Allocates no memory. 0 or
 * -errno and the step. */
int child_hide(char step[124]);
/*
 * What the child tells: datagrams before the end of the stream. A start that went well
 * ends without an error. Entering ends with the pid of the process inside (as its parent
 * numbers it, its pidfd attached): what happens to that one is in its exit record.
 */
struct child_report {
	int32_t error;	/* positive errno */
	int32_t pid;	/* of the process that goes on; its pidfd is attached */
	int32_t mounts; /* 1: mounts that are not needed any more are attached */
	int32_t ready;	/* 1: it waits for its orders. None of the four: the pty master is
			   attached */
	char step[124];
};

/* What it is told, in two parts: these with their descriptors, and later its network. */
enum order_fd {
	ORDER_SPEC,
	ORDER_EXIT,
	ORDER_FIFO,
	ORDER_FIFO_WRITE,
	ORDER_STDIO,
	ORDER_USERNS = ORDER_STDIO + 3,
	ORDER_IDMAP,
	ORDER_VOLUME_IDMAP,
	ORDER_SCRATCH,
	ORDER_IO_GROUP,
	ORDER_VOLUMES,
	ORDER_FDS = ORDER_VOLUMES + PROTO_MOUNTS_MAX
};
struct orders {
	struct msg_start start;
	uint64_t nofile;
	uint32_t uid_base, tty;
	uint32_t has; /* bit i: descriptor i is attached, in their order */
	uint32_t pad;
};

/* sandbox/spawn.c: a process for the sandbox with this id, in no network yet; -errno. Any thread.
 */
int spawn_process(struct runtime *rt, uint64_t id, struct spawned *ret, struct err *e);
bool spawn_lives(const struct spawned *p);
/* Kills, reaps, closes; none is allowed. */
void spawn_end(struct spawned *p);
/* The two ends of a line; at [0] nobody waits longer than START_SECONDS_MAX. */
int spawn_line(int ret[2], struct err *e);
/* clone3(2) with all signals blocked in the new process. -1 and errno. */
pid_t spawn_clone(struct clone_args *args);

/*
 * sandbox/orders.c, both ends of the line. All: 0 or -errno; those that read: 1, 0 at the end of
 * the stream, -errno (-EMFILE: there was no room for a descriptor).
 */
int report_send(int line, struct child_report rep, const char *step, const int *fds,
	unsigned int n);
int report_read(int line, struct child_report *rep, struct mount_fds *ret);
int orders_send(int line, const struct child *c);
int orders_send_network(int line, int netns, int listener);
/* o and io are what c points to afterwards. */
int orders_take(struct child *c, struct orders *o, struct sandbox_io *io);
int orders_take_network(struct child *c);

/*
 * sandbox/mounts.c: in the child, with full rights, in a copy of the template. 0 or -errno and
 * the step that failed. mounts_stage makes what every root has, mounts_build_root the
 * rest. *ret_spent: mounts that became part of the root and are open still.
 */
int mounts_stage(const struct child *c, char step[124]);
int mounts_build_root(const struct child *c, struct mount_fds *ret_spent, char step[124]);
/* Opens path below root without leaving it. fd or -errno. */
int mounts_open_in(int root, const char *path, uint64_t flags);

#endif
