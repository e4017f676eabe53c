/*
 * What makes, joins and ends sandboxes: the mechanics below berthd's message tables. One
 * struct runtime belongs to one state folder; an id made from its path names every
 * cgroup, interface, nft table and uid range, so several berths run side by side. All
 * functions are for the one thread that opened it.
 *
 * A helper thread inside (runtime/network/netns.c) keeps a few network namespaces ready and does
 * what is slow after an exit (removing cgroups and scratch folders): making a namespace
 * with its veth takes 2 ms and removing a cgroup up to a second when the kernel is busy,
 * and neither may stand in the way of a start.
 *
 * On disk, layers, volumes, caches and scratch belong to one reserved range of 65,536
 * uids (RUNTIME_DISK_UID_BASE
 * .. +65535) that no app runs as; every app sees them through idmapped mounts as its own
 * range. Inside, uid 0 is on disk RUNTIME_DISK_UID_BASE + 0, the app's user is
 * RUNTIME_APP_UID on top of it.
 */
#ifndef RUNTIME_RUNTIME_H
#define RUNTIME_RUNTIME_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/proto.h"

#define RUNTIME_DISK_UID_BASE                                                            \
	0x70000000u /* above what systemd and subuid tools give away */
#define RUNTIME_UID_RANGE 65536u
#define RUNTIME_APP_UID 1000u /* "app" inside; PROFILE_BUILD_ROOT runs as 0 */
#define RUNTIME_REGISTRY                                                                 \
	"/var/lib/berth-ranges" /* who has which block of uids and addresses, all berths \
				   of the host */

struct runtime;

struct runtime_config {
	const char *state;    /* absolute, exists, root's */
	const char *run;      /* absolute, exists, root's */
	const char *lib;      /* folder with berth-init, berth-build and packs/ */
	const char *registry; /* NULL: RUNTIME_REGISTRY; tests use their own */
};

/*
 * Makes what is missing: registry entry, folders layers/ volumes/ cache/ scratch/ skel/
 * in the state folder (0700), cgroup parents, IP forwarding; probes the
 * kernel; starts the helper thread. Blocks, about 50 ms. 0 and *ret (runtime_close), or
 * -errno with the sentence for the operator in e. Sandboxes from an earlier run are
 * untouched: adopt each, then call runtime_network and runtime_sweep.
 */
int runtime_open(const struct runtime_config *c, struct runtime **ret, struct err *e);
/* Ends the helper thread, frees; sandboxes, nft table, cgroups stay. NULL is allowed. */
void runtime_close(struct runtime *rt);
/*
 * Makes the packet filter, with the rules and names that an earlier run kept: after every
 * running sandbox was adopted, before the first start. One that was there stays in force
 * until then. The kernel forgets the connections of addresses that no sandbox has. Blocks,
 * about 30 ms. 0, or -errno with the sentence.
 */
int runtime_network(struct runtime *rt, struct err *e);
/* Removes cgroups and scratch folders that belong to no sandbox started or adopted since
 * the open. */
void runtime_sweep(struct runtime *rt);
/*
 * Removes all that berth made outside the state and run folders: nft table, cgroups,
 * namespaces, registry entry; puts IP forwarding back with the last berth of the host.
 * -EBUSY while a sandbox runs. Call runtime_close after.
 */
int runtime_remove(struct runtime *rt, struct err *e);
/* 8 hex digits and a NUL, made from the state path. */
const char *runtime_id(const struct runtime *rt);

/*
 * Becomes readable when the host's packet filter is changed, by whomever, and when what
 * failed there is due again; then call runtime_network_check, which makes berth's part anew
 * if it was removed or replaced (reloading the host's rules often begins with removing all).
 */
int runtime_network_fd(struct runtime *rt);
void runtime_network_check(struct runtime *rt);

enum sandbox_record_flags {
	SANDBOX_ENTERED =
		1 << 16, /* made by sandbox_enter: has no cgroup and network of its own */
	SANDBOX_IPV6 = 1 << 17, /* has an IPv6 address too */
};

#define SANDBOX_RECORD_MAGIC 0x62727364u /* "brsd" */
/* What is needed to find a sandbox again; plain bytes, kept on disk by the caller. Treat
 * as read-only. */
struct sandbox_record {
	uint32_t magic;
	uint32_t app;
	uint64_t id;
	uint64_t
		boot; /* hash of the kernel's boot id: another boot's pids mean nothing */
	uint64_t start_time;	  /* field 22 of /proc/PID/stat */
	uint32_t pid;		  /* of berth-init, host's numbers */
	uint16_t slot;		  /* which uid range of the block */
	uint16_t gid;		  /* START_USER: of the command, inside */
	uint32_t net_index;	  /* which address of the block; 0: none */
	uint8_t profile;	  /* enum start_profile */
	uint8_t stop_signal;	  /* as in msg_start */
	uint16_t uid;		  /* START_USER: of the command, inside */
	uint32_t flags;		  /* enum start_flags, enum sandbox_record_flags */
	uint32_t stop_timeout_ms; /* as in msg_start */
	uint64_t memory_limit_bytes;
	uint64_t upper;	 /* as in msg_start */
	uint64_t target; /* SANDBOX_ENTERED: id of the sandbox joined; else 0 */
	char name[PROTO_NAME_MAX];
};

/*
 * What a sandbox finds inside, besides its layers, volumes and caches:
 *   /proc, parts covered or read-only; no /sys
 *   /dev: null zero full random urandom tty ptmx pts shm (64 MiB) fd std*
 *   /tmp: half of the memory limit, which it counts against; with START_IMAGE_FILES the
 *   image's own, and with START_NO_NET too its certificates
 *   /etc/hosts, /etc/hostname, /etc/resolv.conf (the host's, without servers on its
 *   loopback)
 *   /etc/ssl/certs: the host's store, read-only; a private copy for PROFILE_BUILD_ROOT,
 *   whose packages write there
 *   START_BUILDER: /berth/packs, read-only, a copy made at runtime_open, with those of STATE/buildpacks in host/
 *   START_HOST_APT: /berth/host/{apt.conf,npmrc}, read-only, named by APT_CONFIG and
 *   NPM_CONFIG_GLOBALCONFIG; and the proxy, certificate and index variables of berthd's
 *   own environment, unless the spec names them
 * A start without layers (a stack is unpacked) has only /proc and /dev. The mount points
 * come from the state folder's skel/, a layer below all others, so builds do not contain
 * them; what an image has in their place, other than a folder, is replaced. A cache is
 * the upper folder of an overlay over nothing. No mount names a path of the host, except
 * a volume's, which is a folder of the state folder as it is.
 *
 * Network: one address out of 198.18.0.0/15, translated to the host's, and one of IPv6
 * (lib/addr.h) where the host has a route to the IPv6 internet. Refused: the host's own
 * ports, other sandboxes, everything private; except the host's name servers, proxies and
 * package indexes, as they were at runtime_network. network_set changes that for an app.
 * Any port may be listened on.
 */

/* Descriptors for a start; all stay the caller's (close them after). */
struct sandbox_io {
	int spec_fd;  /* sealed memfd, lib/spec.h */
	int stdio[3]; /* START_STDIO; -1: /dev/null, or the FIFO for 1 and 2 where there
			 is one */
	int fifo_fd;  /* the log FIFO opened O_RDWR, -1: none. Its inode is given to the
			 app's uid (chown, mode 0600) */
	int exit_fd;  /* the exit record: an empty regular file opened for writing */
	bool tty; /* a new pty inside is stdin, stdout, stderr; its master is returned */
};

/*
 * Starts one sandbox; blocks until berth-init runs in it (3 to 5 ms; longer when the pool
 * of namespaces is empty). With upper set, layers/<16 hex of upper>.tmp/{fs,work} is made
 * (when missing) and becomes the upper layer; the caller renames it when the build is
 * done. *ret_pidfd polls readable at the end (the caller also reaps: waitid P_PIDFD);
 * *ret_pty_master is -1 without tty. A command that cannot be executed is no error here:
 * its exit record says so. 0, or -errno with the step in e and everything undone: -ENOENT
 * a layer or volume is missing, -EINVAL a field is out of range, -EEXIST the id runs,
 * -EAGAIN no uid range or address is free.
 */
int sandbox_start(struct runtime *rt, const struct msg_start *m,
	const struct sandbox_io *io, struct sandbox_record *ret, int *ret_pidfd,
	int *ret_pty_master, struct err *e);
/*
 * Starts a command inside a running sandbox: same namespaces, cgroup, user and filter, no
 * capability. flags: START_STDIO or START_TTY. Blocks until its process is born inside;
 * what the app does to it from then on (it may stop or kill it) is not waited for.
 * It goes on with process_go(*ret_go) (process.h): no command runs that no record on disk
 * tells of. Otherwise as
 * sandbox_start; -ESRCH when the target is gone.
 */
int sandbox_enter(struct runtime *rt, const struct sandbox_record *target, uint64_t id,
	uint32_t flags, const struct sandbox_io *io, struct sandbox_record *ret,
	int *ret_pidfd, int *ret_pty_master, int *ret_go, struct err *e);
/*
 * Takes over a sandbox from its record; call for every record after runtime_open. 0 and
 * *ret_pidfd; -ESRCH when it is gone (then sandbox_exit_info and sandbox_cleanup still
 * work); -EINVAL not a record.
 */
int sandbox_adopt(struct runtime *rt, const struct sandbox_record *rec, int *ret_pidfd);

/* To the command (not to berth-init). 0, -ESRCH, -EINVAL. */
int sandbox_signal(struct runtime *rt, const struct sandbox_record *rec, int signo);
/* Ends every process of it at once, frozen ones too. 0 (also when gone) or -errno. */
int sandbox_kill(struct runtime *rt, const struct sandbox_record *rec);
/*
 * Frozen, none of its processes runs, and signals but SIGKILL to all of it (sandbox_kill)
 * wait. Thawing also keeps it out of swap again. 0 (also when it is so already), -ESRCH
 * when the group is gone, -EOPNOTSUPP where the host has no freezer.
 */
int sandbox_freeze(struct runtime *rt, const struct sandbox_record *rec, bool on);
/* Whether it was frozen, by whatever process. */
bool sandbox_frozen(struct runtime *rt, const struct sandbox_record *rec);
/*
 * Begins to move the memory of a frozen one to swap (where there is some) and to drop its
 * page cache, in a process of its own that may be killed at any time. Its pidfd, the
 * caller's, who also reaps it; or -errno.
 */
int sandbox_reclaim(struct runtime *rt, const struct sandbox_record *rec);
/*
 * New limits while it runs, those named by which (enum limit_bits). Blocks, 1 ms (open
 * files and io of many processes: longer, TUNE_MS at most). ret->now says which hold from
 * now on: scratch never does, open files not when they are to rise and the host lets
 * nobody raise them. -EBUSY: it uses more memory, see ret; then nothing was changed.
 */
int sandbox_limits(struct runtime *rt, const struct sandbox_record *rec,
	const struct msg_limits_body *l, uint32_t which, struct msg_limited *ret,
	struct err *e);
/*
 * Out of memory without an end: a descriptor that is ready for *ret_events when the kernel
 * found no memory for the sandbox (the caller's, or -errno); and how many of its processes
 * it has killed for that since the start. sandbox_oom_kills makes fd (-1: none) quiet.
 */
int sandbox_oom_open(
	struct runtime *rt, const struct sandbox_record *rec, uint32_t *ret_events);
uint64_t sandbox_oom_kills(struct runtime *rt, const struct sandbox_record *rec, int fd,
	uint64_t *ret_limit_bytes);
/* What limits can mean on this host. */
void runtime_host(const struct runtime *rt, struct msg_host *ret);
/* Up to n sockets as struct msg_sockets says (CLOEXEC), made inside its network namespace,
 * the caller's. How many, -ESRCH, -errno. */
int sandbox_sockets(struct runtime *rt, const struct sandbox_record *rec, int family,
	unsigned int n, int *fds);
/* /proc/PID/net/tcp, tcp6 and unix of it, opened for reading, the caller's. 0, -ESRCH,
 * -errno. */
#define SANDBOX_PORTS 3
int sandbox_ports(
	struct runtime *rt, const struct sandbox_record *rec, int fds[SANDBOX_PORTS]);
/*
 * Why it ended, from the exit record (exit_fd, read from the start) and the cgroup's
 * counts: call before sandbox_cleanup. Always fills *ret: EXIT_REASON_LOST when nothing
 * is known. 0.
 */
int sandbox_exit_info(struct runtime *rt, const struct sandbox_record *rec, int exit_fd,
	struct msg_exited *ret);
/* Frees what an ended sandbox held (cgroup, scratch, address), in the background. Not the
 * upper layer. */
void sandbox_cleanup(struct runtime *rt, const struct sandbox_record *rec);

/*
 * MSG_NETWORK and MSG_NAME, any content. In force for what runs and what will be started
 * when this returns. 0, -EINVAL, or -errno with the sentence and what was before still in
 * force. The first runs nft: some milliseconds.
 */
int network_set(struct runtime *rt, const struct msg_network *m, struct err *e);
int network_name(struct runtime *rt, const struct msg_name *m, struct err *e);
/* The app is removed. */
void network_forget(struct runtime *rt, uint32_t app);

/* layers/<16 hex>.tmp with fs/ and work/, owned as layers are; existing is 0.
 * sandbox_start calls it. 0 or -errno, and what it made is gone again. */
int layer_make_upper(struct runtime *rt, uint64_t id);
/* A new folder that belongs to the user inside (RUNTIME_APP_UID of the disk range, 0755):
 * volumes/ID, cache/ID. Existing is 0. */
int volume_make_dir(struct runtime *rt, uint32_t kind, uint64_t id);

/* The 16 bytes that berth-init writes to exit_fd. */
#define EXIT_RECORD_STATUS 0x62727831u /* value: wait status */
#define EXIT_RECORD_EXEC 0x62727832u   /* value: errno of the failed exec */
struct exit_record {
	uint32_t magic;
	int32_t value;
	uint64_t time_us;
};

#endif
