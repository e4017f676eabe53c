/*
 * Where programs meet: every message between berthd, berth-control, berth-router and berth-logger.
 *
 * Transport: SOCK_SEQPACKET pairs (lib/msg.h) made by the berthd monitor before anything else, so a pair outlives
 * either end: messages queue while the peer restarts. A program that starts (or restarts) first sends HELLO on each
 * pair; whoever receives HELLO knows that requests still open there were lost and sends again what it wants.
 * Messages carry ids and enums, never host paths. Bodies are these structs, exactly; unused bytes are zero.
 *
 * Well-known descriptors, inherited at exec:
 *   control  3 = berthd pair, 4 = log record pipe (write), 5 = listening API unix socket, 6 .. = one pair a router worker,
 *            BERTH_SECRET_FD (the one after these, not counted in BERTH_NFDS) = the file with the key of its secrets, for
 *            reading: PROTO_SECRET_SIZE random bytes
 *   router   3 = berthd pair, 4 = log record pipe (write), 5 = control pair, 6 .. = listening TCP sockets, of which the last
 *            BERTH_NTLS speak TLS
 *   logger   3 = berthd pair, 4 = log record pipe (read), 5 = folder of the logs (O_DIRECTORY)
 * Environment of each: BERTH_STATE, BERTH_RUN, BERTH_NFDS (number of inherited descriptors, counted from 3), BERTH_HTTP and
 * BERTH_HTTPS (the addresses really listened on, "HOST:PORT,..."; BERTH_HTTPS may be empty), BERTH_NTLS.
 */
#ifndef LIB_PROTO_H
#define LIB_PROTO_H

#include "lib/base.h"

/* Tables are read down their columns: */
/* clang-format off */
#define PROTO_LAYERS_MAX 64  /* an image has fewer than ten; overlayfs takes 500 */
#define PROTO_MOUNTS_MAX 16
#define PROTO_PATH_MAX 256   /* a mount point inside the sandbox */
#define PROTO_NAME_MAX 64
#define PROTO_WORKERS_MAX 8  /* router workers */
#define PROTO_SOCKETS_MAX 32 /* sockets in one batch */
#define PROTO_SECRET_SIZE 32

/* Any direction. */
enum { MSG_HELLO = 1 };
struct msg_hello {
	uint64_t epoch; /* start time of the sender, ns; differs after each restart */
	uint32_t pid;
	uint32_t pad;
};

/* ---- berth-control -> berthd. Each has a reply of the same type and seq. ---- */
enum {
	MSG_START = 10,      /* struct msg_start; fds: spec memfd [, stdin, stdout, stderr]; reply: struct msg_started [pty master] */
	MSG_STOP,            /* struct msg_stop: SIGTERM (or what the start named), then SIGKILL; reply at once, MSG_EXITED follows */
	MSG_SIGNAL,          /* struct msg_signal: to the command, not to berth-init */
	MSG_LIMITS,          /* struct msg_limits: live change; reply: struct msg_limited */
	MSG_ENTER,           /* struct msg_enter; fds as MSG_START; reply: struct msg_started [pty master] */
	MSG_SOCKETS,         /* struct msg_sockets; reply: same struct, n sockets made inside the instance's network namespace */
	MSG_PORTS,           /* struct msg_instance; reply: fds /proc/PID/net/tcp, tcp6 and unix of the instance, opened for reading */
	MSG_LIST,            /* no body; reply: struct msg_list, all sandboxes that berthd knows */
	MSG_LAYER_COMMIT,    /* struct msg_layer: the upper layer of a finished build becomes final; reply: struct msg_layer.
	                        Of a final one, size_bytes is 0 until it is safely on disk; asking makes that happen soon; -EIO: the disk
	                        failed, it never will be */
	MSG_LAYER_REMOVE,    /* struct msg_layer: final or half-made; -EBUSY while a sandbox uses it; absent is 0 */
	MSG_LAYER_LIST,      /* struct msg_layer_page; reply the same: final layers on disk, from after ids greater than `after` */
	MSG_VOLUME_CREATE,   /* struct msg_volume; existing is 0 */
	MSG_VOLUME_REMOVE,   /* struct msg_volume: with its snapshots; -EBUSY while mounted; absent is 0 */
	MSG_APP_REMOVE,      /* struct msg_app: repository, logs, build cache, user namespace; -EBUSY while a sandbox runs */
	MSG_KEYS_WRITE,      /* fds: memfd of struct msg_key records; berthd composes authorized_keys from them */
	MSG_STACK_BUILD,     /* struct msg_stack; fds: stdout (tar), stderr; runs mmdebstrap as user _berth-build; reply at
	                        once with its id, MSG_EXITED follows */
	MSG_DISK,            /* reply: struct msg_disk: free space of the state folder */
	MSG_FREEZE,          /* struct msg_freeze: none of its processes runs any more; -EBUSY while somebody is inside (MSG_ENTER) or
	                        it stops, -EOPNOTSUPP where the host has no freezer */
	MSG_THAW,            /* struct msg_instance: they go on; also 0 when it was not frozen */
	MSG_NETWORK,         /* struct msg_network: what an app's instances, or its builds, may reach, at once and from now on; kept
	                        by berthd */
	MSG_NAME,            /* struct msg_name: which instances the address of a name leads to */
	MSG_HOST,            /* reply: struct msg_host: what limits can mean on this host */
	MSG_USAGE,           /* struct msg_usage; fds: write end of a pipe, for a struct usage_row for each thing below the state folder, the last of
	                        kind USAGE_END; reply at once; -EBUSY while another is counted */
	MSG_CACHE_REMOVE,    /* struct msg_cache; -EBUSY while a build has it; absent is 0 */
	MSG_LOG_LIMITS,      /* struct msg_log_limits: passed on to berth-logger, which keeps them; at once and from now on */
	MSG_VOLUME_SIZE,     /* struct msg_volume_size: a new volume with a size, or one that has one grows, mounted or not; reply:
	                        struct msg_volume_info. -ENOSPC, -ERANGE outside of VOLUME_SIZE_*, -EINVAL smaller than it is,
	                        -EOPNOTSUPP it has no size, -EEXIST, -ENOENT */
	MSG_VOLUME_INFO,     /* struct msg_volume; reply: struct msg_volume_info; -ENOENT: there is none */
	MSG_GIT,             /* struct msg_git; fds: a connection to the API, standard input, output and error output of a berth-shell
	                        that serves one request of git's over HTTP, as the ssh user; reply at once, no other follows: its
	                        end is that of its output. -EBUSY: GIT_MAX of them run */
	MSG_REPO_RENAME,     /* struct msg_rename: the repository of an app gets its new name; -EBUSY while something is pushed to it,
	                        -EEXIST; absent is 0 */
};

/* ---- berthd -> berth-control, events (seq 0) ---- */
enum {
	MSG_EXITED = 60, /* struct msg_exited: a sandbox ended; repeated after a HELLO until acknowledged */
	MSG_EXITED_ACK,  /* control -> berthd: struct msg_instance: recorded; berthd forgets it */
	MSG_OOM,         /* struct msg_oom: the kernel killed processes of a sandbox at its memory limit; the rest lives on,
	                    or its MSG_EXITED follows. Perhaps told again after a restart */
};

enum start_profile {
	PROFILE_APP = 1,    /* uid 1000, no capability, seccomp: instances, one-offs, and build steps that need no root */
	PROFILE_BUILD_ROOT, /* container root with CHOWN DAC_OVERRIDE FOWNER FSETID SETUID SETGID KILL SYS_CHROOT: apt, unpack */
};

enum start_flags {
	START_STDIO = 1 << 0,  /* fds 1-3 are stdin, stdout, stderr; without it /dev/null and the log FIFO */
	START_TTY = 1 << 1,    /* a new pty inside; its master is in the reply; excludes START_STDIO */
	START_BUILDER = 1 << 2, /* the program is berth-build (given by berthd), argv[0] of the spec is only its name; the
	                          built-in buildpacks are mounted read-only at /berth/packs */
	START_NO_NET = 1 << 3, /* loopback only */
	START_HOST_APT = 1 << 4, /* as it can reach package indexes: the host's apt and npm settings and CA store are mounted */
	START_LISTEN = 1 << 5, /* PROFILE_APP with a network: descriptor 3 of the command is a listening unix socket of berthd's,
	                          with LISTEN_FDS=1 and LISTEN_PID (sd_listen_fds(3)); -EOPNOTSUPP where msg_host has no_unix */
	START_USER = 1 << 6,   /* PROFILE_APP: the command is uid and gid of the message, not the app's 1000 */
	START_IMAGE_FILES = 1 << 7, /* START_BUILDER: /tmp is the image's own; with START_NO_NET its certificates too. What is
	                          written there is part of the layer */
	START_BARE = 1 << 8, /* START_BUILDER as root, without mounts: only /proc and /dev lie over the image, as over a stack that
	                        is made; all else that is written is part of the layer */
};

#define LISTENER_NAME "berth" /* how the path of its listener ends, in /proc/net/unix inside */

enum mount_kind {
	MOUNT_VOLUME = 1,
	MOUNT_CACHE,      /* id is the app's: its build cache folder */
	MOUNT_CACHE_PART, /* a further cache of the app, found by its id; belongs to root inside */
	MOUNT_LAYER,      /* id is one of `layers`: as it lies on disk, read-only. As the next, only for berth-build as root */
	MOUNT_MERGED,     /* some of `layers` over each other, read-only; id: MERGED_ID */
	MOUNT_SNAPSHOTS,  /* id is a volume's: the folder of its snapshots, made when missing; only for berth-build as root with
	                     START_NO_NET. With n_layers 0 nothing else lies in the sandbox but its mounts */
};
#define MERGED_ID(first, n) ((uint64_t)(first) << 32 | (n)) /* n of `layers`, from there on */
enum mount_flags { MOUNT_READ_ONLY_FLAG = 1 << 0 };

struct msg_mount {
	uint64_t id;
	uint32_t kind;  /* enum mount_kind */
	uint32_t flags; /* enum mount_flags */
	char path[PROTO_PATH_MAX]; /* absolute, name_mount_path_valid; made in the upper layer when missing */
};

/* Ranges of struct msg_limits_body; control refuses what lies outside with the same numbers. */
#define LIMIT_MEMORY_MIN ((uint64_t)16 << 20)
#define LIMIT_MEMORY_MAX ((uint64_t)1 << 44)
#define LIMIT_SCRATCH_MIN ((uint64_t)1 << 20)
#define LIMIT_SCRATCH_MAX ((uint64_t)1 << 40) /* made in 0.2 s, sparse; ext4 keeps no file of 16T */
#define LIMIT_CPU_MIN 10u
#define LIMIT_CPU_MAX 1024000u
#define LIMIT_PIDS_MIN 8u
#define LIMIT_PIDS_MAX 4194304u /* the kernel's PID_MAX_LIMIT */
#define LIMIT_NOFILE_MIN 128u
#define LIMIT_NOFILE_MAX 1073741816u /* the highest fs.nr_open */
#define LIMIT_IO_MIN ((uint64_t)64 << 10) /* slower than that, nothing starts */
#define LIMIT_IO_MAX ((uint64_t)1 << 40)

struct msg_limits_body {
	uint64_t memory_bytes;
	uint64_t scratch_bytes;  /* 0: no limit */
	uint64_t io_read_bytes;  /* a second, from the disks of the state folder; 0: no limit */
	uint64_t io_write_bytes;
	uint32_t cpu_millis;     /* 1000 is one processor */
	uint32_t pids;
	uint32_t nofile;         /* clamped to what the host allows; 0: what the host allows */
	uint32_t pad;
};
enum limit_bits {
	LIMIT_MEMORY = 1 << 0,
	LIMIT_CPU = 1 << 1,
	LIMIT_PIDS = 1 << 2,
	LIMIT_NOFILE = 1 << 3,
	LIMIT_SCRATCH = 1 << 4,
	LIMIT_IO = 1 << 5,
	LIMIT_ALL = (1 << 6) - 1,
};

struct msg_start {
	uint64_t id;    /* chosen by control, never used twice in a state folder */
	uint32_t app;   /* app id, 1 .. ; decides the uid range; builds of an app use it too */
	uint32_t profile; /* enum start_profile */
	uint32_t flags; /* enum start_flags */
	uint32_t n_layers; /* 1 .. PROTO_LAYERS_MAX; 0 only for the stack itself with upper set */
	struct msg_limits_body limits;
	uint64_t layers[PROTO_LAYERS_MAX]; /* final layers, bottom first */
	uint64_t upper; /* 0: private scratch; else the id of a new layer that this sandbox makes */
	uint32_t n_mounts;
	uint32_t stop_timeout_ms; /* default for MSG_STOP */
	struct msg_mount mounts[PROTO_MOUNTS_MAX];
	char name[PROTO_NAME_MAX]; /* "web.1": source of its log lines, and the host name inside */
	uint32_t uid, gid; /* START_USER: 0 .. 65535, inside; else 0 */
	uint32_t n_others; /* after the n_layers: no part of the root, only for MOUNT_LAYER and MOUNT_MERGED; with them at most
	                      PROTO_LAYERS_MAX */
	uint32_t stop_signal; /* of MSG_STOP, 1 .. STOP_SIGNAL_MAX; 0: SIGTERM */
	uint32_t release;     /* whose lines its output is, for the log; 0: of none */
	uint32_t pad;
};
#define STOP_SIGNAL_MAX 64u
struct msg_started {
	uint64_t id;
	uint32_t pid; /* of berth-init in the host's numbers; for people only */
	uint32_t pad;
	char error[256]; /* when status < 0: which step failed and why */
};
struct msg_stop {
	uint64_t id;
	uint32_t timeout_ms; /* between the first signal and SIGKILL; 0: SIGKILL at once */
	uint32_t pad;
};
struct msg_signal {
	uint64_t id;
	uint32_t signo;
	uint32_t pad;
};
struct msg_limits {
	uint64_t id;
	struct msg_limits_body limits;
	uint32_t which; /* enum limit_bits: only these are changed */
	uint32_t pad;
};
struct msg_limited {
	uint64_t id;
	uint32_t now;    /* enum limit_bits: what holds from now on; the rest from the next start */
	uint32_t nofile; /* the lowest limit among its processes; 0: not asked for */
	uint64_t memory_used_bytes; /* -EBUSY: more than the new limit; nothing was changed */
};
struct msg_enter {
	uint64_t id;     /* of the new process, chosen by control */
	uint64_t target; /* running sandbox whose namespaces and cgroup it joins */
	uint32_t flags;  /* START_STDIO or START_TTY */
	uint32_t pad;
};
struct msg_instance {
	uint64_t id;
};
struct msg_sockets {
	uint64_t id;
	uint32_t n; /* 1 .. PROTO_SOCKETS_MAX; nonblocking; TCP_NODELAY, unconnected; AF_UNIX: connected */
	uint32_t family; /* AF_INET or AF_INET6; AF_UNIX: of one started with START_LISTEN. As many as connect, at least one;
	                    else -EAGAIN: too many wait to be accepted, -ECONNREFUSED: nobody accepts any more, -ENOENT: it
	                    was not started so */
};
enum list_state { LIST_RUNS = 1, LIST_ENDED /* but not acknowledged */, LIST_FROZEN };
struct msg_list {
	uint32_t n, more; /* more: ask again with the last id in `after` (request body struct msg_instance) */
	struct {
		uint64_t id;
		uint32_t app;
		uint16_t state, flags; /* enum list_state; START_LISTEN or 0 */
	} rows[512];
};
struct msg_layer {
	uint64_t id;
	uint64_t size_bytes; /* reply to commit */
};
struct msg_layer_page {
	uint64_t after;
	uint32_t n, pad;
	uint64_t ids[1024];
};
struct msg_volume {
	uint64_t id;
};
enum volume_backing {
	VOLUME_FOLDER = 1, /* no size */
	VOLUME_QUOTA,      /* a folder with a project quota */
	VOLUME_IMAGE,      /* an ext4 in a file, whose space is taken as a whole */
};
enum volume_flags { VOLUME_NEW = 1 << 0, VOLUME_LATER = 1 << 1 };
#define VOLUME_SIZE_MIN ((uint64_t)16 << 20) /* a journal fits */
#define VOLUME_SIZE_MAX ((uint64_t)8 << 40)  /* ext4 keeps no file of 16T */
struct msg_volume_size {
	uint64_t id, size_bytes; /* rounded up to MiB */
	uint32_t flags, pad;     /* enum volume_flags */
};
struct msg_volume_info {
	uint64_t id;
	uint64_t size_bytes, used_bytes; /* VOLUME_FOLDER: 0, what it has is in MSG_USAGE */
	uint64_t files, files_max;
	uint32_t backing, flags; /* enum volume_backing; VOLUME_LATER, in answer to a size: it is grown when it is mounted
	                            the next time, after all that have it mounted now have ended */
	char error[512];       /* when status < 0: why */
};
struct msg_app {
	uint32_t id, pad;
	char name[PROTO_NAME_MAX]; /* name_valid: of its repository */
};
enum git_step { GIT_ADVERTISE = 1, GIT_SERVE };
enum git_flags { GIT_GZIP = 1 << 0 /* the request's body is */ };
#define GIT_MAX 128u
#define GIT_PROTOCOL_MAX 2u
struct msg_git {
	char name[PROTO_NAME_MAX]; /* name_valid: of the app whose repository it is */
	uint32_t push;     /* 1: receive-pack, 0: upload-pack */
	uint32_t step;     /* enum git_step */
	uint32_t protocol; /* 0 .. GIT_PROTOCOL_MAX */
	uint32_t flags;    /* enum git_flags */
};
struct msg_rename {
	char from[PROTO_NAME_MAX], to[PROTO_NAME_MAX]; /* name_valid */
};
struct msg_key {
	uint32_t id; /* the key's id in control's database */
	uint32_t pad;
	char type[40];   /* one of ssh's public key type names; berthd has the closed list */
	char blob[1024]; /* base64, NUL-terminated */
};
struct msg_stack {
	uint64_t id; /* as in msg_start */
	uint32_t suite; /* enum: 1 debian-12 */
	uint32_t pad;
};
enum freeze_flags { FREEZE_RECLAIM = 1 << 0 /* its memory goes to swap, its part of the page cache is dropped */ };
struct msg_freeze {
	uint64_t id;
	uint32_t flags; /* enum freeze_flags */
	uint32_t pad;
};
struct msg_disk {
	uint64_t free_bytes, total_bytes;
	uint32_t removing; /* 1: what was removed still takes space */
	uint32_t pad;
};
struct msg_cache {
	uint64_t part; /* as in msg_mount, of MOUNT_CACHE_PART; 0: the app's build cache folder */
	uint32_t app;
	uint32_t pad;
};
/* How large an app's log may be, and how much of what it and the router write a second is kept, bursts of LOG_BURST_S
   aside; the rest is dropped and counted. What is 0 is as for app 0, all apps; 0 there too: LOG_BUDGET_DEFAULT, no rate. */
#define LOG_BUDGET_DEFAULT ((uint64_t)100 << 20)
#define LOG_BUDGET_MIN ((uint64_t)1 << 20)
#define LOG_BUDGET_MAX ((uint64_t)1 << 42)
#define LOG_RATE_OFF UINT64_MAX /* in rate_lines: no rate, whatever all apps have */
#define LOG_RATE_MAX ((uint64_t)1 << 36)
#define LOG_BURST_S 5u
struct msg_log_limits {
	uint64_t budget_bytes; /* LOG_BUDGET_MIN .. LOG_BUDGET_MAX */
	uint64_t rate_lines;   /* .. LOG_RATE_MAX, or LOG_RATE_OFF */
	uint64_t rate_bytes;   /* .. LOG_RATE_MAX; only one of the two */
	uint32_t app, pad;
};
struct msg_usage {
	uint32_t kinds; /* 1 << enum usage_kind of those that are wanted; 0: all */
	uint32_t pad;
};
enum usage_kind {
	USAGE_END = 1,
	USAGE_LAYER,    /* id */
	USAGE_UPPER,    /* id: of a layer that is being made, or was given up */
	USAGE_REPO,     /* name: of the app */
	USAGE_CACHE,    /* app; id: the part, as in msg_cache */
	USAGE_LOGS,     /* app */
	USAGE_VOLUME,   /* id */
	USAGE_SCRATCH,  /* id of a sandbox, app (0: it is gone): what it has in folders */
	USAGE_UNNAMED,  /* the same, in a file without a name: part of no folder, and what is in it rather than what it takes */
	USAGE_CONTROL,  /* database and keys */
	USAGE_TRASH,    /* being removed */
	USAGE_OTHER,    /* the folders themselves, and all that is none of the above */
	USAGE_SNAPSHOTS, /* id: of the volume */
};
enum usage_flags { USAGE_PARTIAL = 1 << 0 /* not all could be counted: it is more */ };
struct usage_row {
	uint32_t kind, flags;
	uint64_t id, bytes;
	uint64_t used_us; /* USAGE_CACHE: when a build last had it; else 0 */
	uint32_t app, pad;
	char name[PROTO_NAME_MAX];
};
/* A limit above these is accepted and kept (open files: clamped); it only means nothing more. */
struct msg_host {
	uint64_t memory_bytes;
	uint32_t cpu_millis, pids, nofile, pad;
	char no_io[128];      /* why reading and writing cannot be limited here; "": they can */
	char no_scratch[256]; /* why scratch space has no size here, once that was tried; "": it has */
	char no_unix[128];    /* why nothing is started with START_LISTEN here; "": it can be */
};

/* The first rule that fits decides; where none fits, the defaults. */
enum net_kind {
	NET_ADDRESS4 = 1, NET_ADDRESS6, /* addr and prefix */
	NET_NAME,     /* number: the instances behind it, by its address only */
	NET_INTERNET, /* allowed: what is not private; denied: everything, name servers too */
	NET_SERVERS,  /* the host's resolvers, proxies and package indexes, at all their ports; only allowed */
};
/* No rule allows what addr_is_never (lib/addr.h) says, and no range the host itself. */
enum net_verdict { NET_DENY, NET_ALLOW, NET_ALLOW_HOST /* a single address: also when it is the host's own */ };
struct net_rule {
	uint8_t kind;     /* enum net_kind */
	uint8_t verdict;  /* enum net_verdict */
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP; 0: all, with ports these two */
	uint8_t prefix;   /* NET_ADDRESS*: 0 .. 32 or 128; else 0 */
	uint16_t first, last; /* ports 1 .. 65535; both 0: all */
	uint32_t number;  /* NET_NAME: 1 .. ADDR_NAMES - 1 (lib/addr.h); else 0 */
	uint8_t addr[16]; /* network order; bits beyond the prefix are 0 */
};
#define NET_RULES_MAX 192
#define NET_HOSTS_MAX 8192
enum net_whose { NET_INSTANCES = 0, NET_BUILDS /* sandboxes with START_BUILDER */ };
struct msg_network {
	uint32_t app, n_rules; /* no rules and no hosts: the defaults, berthd forgets them */
	uint32_t hosts_size, whose; /* enum net_whose: those of the app that the rules are for */
	struct net_rule rules[NET_RULES_MAX];
	char hosts[NET_HOSTS_MAX]; /* the end of /etc/hosts inside; berthd does not look at it */
};
#define NET_NAME_INSTANCES 16 /* more than these take no calls from other apps */
struct msg_name {
	uint32_t number; /* as in net_rule */
	uint32_t n;      /* 0: none, calls are refused */
	uint64_t ids[NET_NAME_INSTANCES]; /* of sandboxes; those that do not run are left out */
};

enum exit_reason {
	EXIT_REASON_EXITED = 1, /* value: exit status */
	EXIT_REASON_SIGNALED,   /* value: signal */
	EXIT_REASON_OOM,        /* value: signal; the kernel killed it at its memory limit */
	EXIT_REASON_LOST,       /* berth-init vanished without a record: value 0 */
	EXIT_REASON_EXEC,       /* the command could not be started: value errno */
};
struct msg_exited {
	uint64_t id;
	uint32_t reason; /* enum exit_reason */
	int32_t value;
	uint64_t memory_limit_bytes;
	uint64_t memory_peak_bytes; /* 0 where the kernel does not tell */
	uint64_t time_us; /* when, since 1970 */
	uint64_t cpu_us;  /* processor time used, 0 where unknown */
};

struct msg_oom {
	uint64_t id;
	uint64_t memory_limit_bytes;
	uint32_t kills; /* since its start */
	uint32_t pad;
};

/* ---- berth-router -> berthd: a table of its own, nothing else ---- */
enum {
	MSG_ROUTER_SOCKETS = 80, /* struct msg_sockets; reply as for MSG_SOCKETS; -ESRCH when the instance is gone */
	MSG_ROUTER_WAKE,         /* struct msg_instance: as MSG_THAW; reply the same; -ESRCH when the instance is gone */
	MSG_ROUTER_LEAVES,       /* no body, no reply: told to make way (SIGUSR2), it reads from its pairs no more; its
	                            successor may start while its last requests end, however long they take. Said again
	                            whenever it is told again */
};

/* ---- berth-control <-> berth-router worker ---- */
enum {
	MSG_TABLE = 90,  /* control -> router: struct msg_table; fds: sealed memfd with the table below */
	MSG_TABLE_ACK,   /* router -> control: struct msg_table; status 0 in use, else refused and the old one stays */
	MSG_DRAINED,     /* router -> control: struct msg_instance: removed by a table, and no request in flight there */
	MSG_IDLE,        /* router -> control: struct msg_sleeper: nobody asked for it here for idle_after_ms, nothing is in flight;
	                    said again every idle_after_ms as long as that is so */
	MSG_BUSY,        /* router -> control: struct msg_sleeper: no longer idle, after a MSG_IDLE */
	MSG_WAKE,        /* router -> control: struct msg_sleeper: a request waits for it; once a table, from each worker */
	MSG_CERTS,       /* control -> router: struct msg_certs; fds: sealed memfd with the certificates below. A worker that said
	                    HELLO has none: it gets them before or after the table, at will */
	MSG_CERTS_ACK,   /* router -> control: struct msg_certs; status 0 in use, else refused and the old ones stay */
	MSG_METRICS, /* router -> control, after each HELLO of either: no body; fds: memfd of a struct metrics, sealed in its size */
	MSG_STAYS,   /* router -> control: struct msg_instance: the sender has made way, and has a request in flight there; said
	                again every PROTO_STAYS_MS as long as that is so */
	MSG_API_SOCKETS, /* router -> control: struct msg_sockets of API_INSTANCE; reply the same with as many sockets as there are,
	                    connected to the API, at least one; else -EAGAIN: ask again. Lost when control starts anew: asked
	                    again at its HELLO */
};
#define PROTO_STAYS_MS 500u
struct msg_sleeper {
	uint32_t app; /* id */
	uint32_t pad;
};
struct msg_table {
	uint64_t version; /* rises; the router refuses a lower one from the same control epoch */
};

/* What a worker counts, while it counts: control reads it, whenever it wants. Values wrap around only in theory. */
#define METRICS_MAGIC 0x62726d74u
#define METRICS_SLOTS 8192u  /* instances and apps that have had a request; those above are not counted */
#define METRICS_BUCKETS 88u  /* 0: below METRICS_FIRST_US; then four to an octave; the last takes what is above, 134 s */
#define METRICS_FIRST_US 64u
#define METRICS_WINDOW_US 10000000u
struct metrics_slot {
	uint64_t instance; /* 0: of the app, for what instances that are gone have counted, and answers without one */
	uint32_t app;      /* 0: free */
	uint32_t window;   /* CLOCK_MONOTONIC in METRICS_WINDOW_US when the last one ended; `recent` counts these, `before` the window before */
	uint32_t recent, before;
	uint64_t requests;
	uint64_t errors;    /* of them, those that have an H code */
	uint64_t bytes_out; /* of bodies */
	uint64_t sum_us;    /* from the head of the request to the end of the response; without upgraded streams, as latency */
	uint64_t status[5]; /* 1xx .. 5xx */
	uint64_t latency[METRICS_BUCKETS];
};
struct metrics {
	uint32_t magic, used; /* slots from 0 on */
	uint64_t seq; /* odd while slots change hands; when it differs after reading, read again */
	struct metrics_slot slots[METRICS_SLOTS];
};

/*
 * The routing table: one sealed memfd, validated as a whole before use. Offsets are from the start of the strings.
 * hosts are sorted by name (bytes), names lower case; "*.x" entries are stored as ".x" with HOST_WILDCARD.
 */
#define TABLE_MAGIC 0x62727462u /* "brtb" */
#define TABLE_SIZE_MAX (64u << 20)
enum table_host_flags {
	HOST_WILDCARD = 1 << 0,
	HOST_TLS = 1 << 1, /* has a certificate: http is answered with 301 to https (308 unless GET or HEAD), once the router
	                      has a TLS listener; its port is written unless it is 443 */
};
enum table_app_flags {
	APP_HOLD = 1 << 0, /* hold requests (at most hold_ms) until a later table gives an instance */
	APP_MAINTENANCE = 1 << 1,
	APP_ASLEEP = 1 << 2, /* with APP_HOLD: whoever asks wakes it. The instances, if any, are frozen: none is used before
	                        berthd has answered MSG_ROUTER_WAKE for it. Control is told in any case */
};
/* The API at a hostname is a row like an app's, with one instance, for which control itself gives the sockets. */
#define TABLE_API UINT32_MAX    /* its table_app's id; of it no line is logged */
#define API_INSTANCE UINT64_MAX /* port 0 */
struct table_head {
	uint32_t magic, size; /* size of everything */
	uint32_t n_hosts, n_apps, n_instances, strings_size, n_options, n_nets;
	/* then table_host[n_hosts], table_app[n_apps], table_instance[n_instances], table_options[n_options],
	   table_net[n_nets], strings */
};
struct table_host {
	uint32_t name_off, name_len;
	uint32_t app; /* index */
	uint32_t flags;
};
struct table_app {
	uint32_t id; /* for log records */
	uint32_t flags;
	uint32_t first_instance, n_instances; /* 0 instances: H10 (crashed or not running) unless held */
	uint32_t hold_ms;        /* longest hold; then 503 H20 */
	uint32_t timeout_ms;     /* to the first byte of the response; then H12; 0: the default, 30 s */
	uint32_t idle_timeout_ms; /* no byte either way in a body or an upgraded stream: H28/H15; 0: the default, 55 s */
	uint32_t idle_after_ms; /* MSG_IDLE after so long without a request, not while APP_ASLEEP; 0: never */
	uint32_t options; /* index + 1 of its table_options; 0: none */
	uint32_t pad;
};
/* What an app's owner has set; several apps may share a record. */
#define TABLE_BODY_MAX ((uint64_t)1 << 40)
#define TABLE_QUEUE_MAX 65536u
#define TABLE_PAGE_MAX 65536u
#define TABLE_RATE_MAX 1000000u
#define TABLE_CANARY_MAX 99u
struct table_text {
	uint32_t off, len; /* len 0: not set */
};
enum table_option_flags {
	OPTION_GZIP = 1 << 0, /* responses are compressed for clients that take it */
	OPTION_H2C = 1 << 1,  /* the app is spoken to in HTTP/2 with prior knowledge, else in HTTP/1.1 */
};
struct table_options {
	uint64_t body_max_bytes; /* of a request; 413 above; 0: the default, 1 GB */
	uint32_t queue_max; /* requests of one app in one worker that have no answer yet; 503 H11 above; 0: no limit */
	uint32_t flags; /* enum table_option_flags */
	struct table_text maintenance_page; /* HTML, at most TABLE_PAGE_MAX, instead of the router's own words for APP_MAINTENANCE */
	struct table_text error_page; /* the same for its answers of 500 and above */
	struct table_text canonical;  /* the app's other names redirect to this one, lower case */
	uint32_t rate_n, rate_period_ms; /* requests of a client in that time, then 429; both 0: no limit */
	uint32_t auth_rounds; /* basic auth: credentials_key (lib/credentials.h) of "NAME:PASSWORD"; 0: anybody */
	uint32_t pad;
	uint8_t auth_salt[16], auth_key[32];
	uint64_t sticky_key; /* a cookie keeps a client at its instance, which it names by a hash with this; 0: none does */
	/* Instances of this release are the canary: that part of the new clients goes there, the others to the rest, and a
	   cookie made with the key keeps each where it is. All three 0: there is none. */
	uint64_t canary_key;
	uint32_t canary_release, canary_percent; /* percent: 1 .. TABLE_CANARY_MAX */
};
/* Whose X-Forwarded-* fields are believed. */
#define TABLE_NETS_MAX 64u
struct table_net {
	uint8_t addr[16]; /* network order; bits beyond the prefix are 0 */
	uint32_t family;  /* AF_INET: 4 bytes of addr, or AF_INET6 */
	uint32_t prefix;
};
struct table_instance {
	uint64_t id; /* as in msg_start */
	uint32_t port; /* 0: started with START_LISTEN, and reached that way */
	uint32_t name_off, name_len; /* "web.1" */
	uint32_t release;
};

/*
 * The certificates: one sealed memfd, validated as a whole before use; it replaces the one before, connections that stand
 * are not touched. All of it counts: a name that is not there any more is refused from then on.
 *   head, then certs_ticket[n_tickets], certs_cert[n_certs], certs_name[n_names], certs_acme[n_acme], strings
 * Offsets are from the start of the strings.
 * names are sorted by name (bytes), none twice, lower case; "*.x" is ".x" with HOST_WILDCARD and covers one label. A
 * handshake takes the exact name, then the wildcard; without a name, or with an unknown one, it is refused
 * (unrecognized_name). A cert may have many names or none.
 * Checked at load: sizes, bounds, order, and that chain and key begin like PEM. A chain or a key that OpenSSL does not take
 * is found at the first handshake for it: that is refused and logged, all else goes on. Control has checked both before.
 */
#define CERTS_MAGIC 0x62726374u /* "brct" */
#define CERTS_SIZE_MAX (256u << 20)
#define CERTS_PEM_MAX (64u << 10)
#define CERTS_TICKETS_MAX 4u
#define CERTS_TOKEN_MAX 128u
#define CERTS_TEXT_MAX 512u
struct msg_certs {
	uint64_t version; /* of its own; rises; the router refuses a lower one from the same control epoch */
};
struct certs_head {
	uint32_t magic, size; /* size of everything */
	uint32_t n_tickets, n_certs, n_names, n_acme;
	uint32_t strings_size, pad;
};
/*
 * Keys of session tickets (RFC 5077), random, the same in all workers, so that a session resumes in any of them. New tickets
 * are made with the first, those made with the others are still taken; none: no tickets at all. Control makes a new first
 * one at least once a day and drops the oldest.
 */
struct certs_ticket {
	uint8_t name[16], hmac[32], aes[32]; /* all three random */
};
struct certs_cert {
	uint32_t chain_off, chain_len; /* PEM, the leaf first, without the root */
	uint32_t key_off, key_len;     /* PEM, not encrypted */
};
struct certs_name {
	uint32_t name_off, name_len;
	uint32_t cert; /* index */
	uint32_t flags; /* HOST_WILDCARD */
};
/*
 * Answers to ACME http-01 (RFC 8555 8.3): GET and HEAD of /.well-known/acme-challenge/TOKEN, for any host in the routing
 * table, before redirects and everything else of the app; a token that is not here goes to the app. Sorted by token, none
 * twice.
 */
struct certs_acme {
	uint32_t token_off, token_len; /* 1 .. CERTS_TOKEN_MAX of A-Z a-z 0-9 - _ */
	uint32_t text_off, text_len;   /* 1 .. CERTS_TEXT_MAX visible characters: the key authorization */
};

/* ---- berth-acme -> berth-control, on a pair that control made for one order: each acme_ask is answered by an int32_t ---- */
enum acme_what { ACME_BEGIN = 1, ACME_DONE, ACME_FAILED }; /* of an http-01 challenge, as uacme(1) calls its hook */
#define ACME_FD 3 /* of berth-acme, and of what it starts */
#define ACME_TOKEN_MAX 128 /* of base64url, NUL included; today's have 43 characters */
#define ACME_ANSWER_MAX 256 /* the token, a dot, 43 characters */
struct acme_ask {
	uint32_t what; /* enum acme_what */
	uint32_t pad;
	char name[256], token[ACME_TOKEN_MAX], answer[ACME_ANSWER_MAX]; /* NUL-terminated */
};

/*
 * ---- berth-control <-> berth-registry: one JSON object a message, on the pair that is its standard input ----
 * Its standard output is the file that a pull writes its archive to, and a push reads blobs from.
 *   control first   {op: pull|push|login, host, repository, reference (a tag, or sha256:HEX), user?, password?, max_bytes?}
 *   pull            -> {layers: [{diff_id, size}]}   <- {want: [bool]}   -> {done: DIGEST}: the archive is there
 *   push            <- {has: DIGEST}   -> {done: DIGEST} or {done: ""}
 *                   <- {blob: DIGEST, title, size, offset}   -> {done: DIGEST}, or {done: ""}: it was there
 *                   <- {manifest: DIGEST, title, size, offset}   -> {done: DIGEST}
 *   login           -> {done: ""}
 *   at any time     -> {detail: TEXT}, {progress: TEXT} for people; {error: TEXT} is the last
 */
#define REGISTRY_MESSAGE_MAX (64u << 10) /* 64 layers with 200 bytes each are below 16 kB */

/*
 * ---- berth-control <-> berth-drain: one JSON object a message, on the pair that is its standard input ----
 *   control   {drain: ID, app (0: all), url, gzip, insecure, local, created_us, ca?}, one for each drain, then {all: N}: others are
 *             gone. Again whenever they change
 *             {app: ID, name}: what the app is called; "": there is none. Also unasked, of all, when one has another name
 *   drain     -> {name: APPID}: what is it called?
 *             -> {drain: ID, well: bool, text}: it can (not) deliver, for people; once a change
 *   webhooks  {hook: ID, url, local, headers: [TEXT], body}: one POST
 *             -> {hook: ID, status, text}: of HTTP; 0: no answer came, and why. Not said where control does not listen for a moment
 * What it has delivered is in BERTH_STATE/control/drains/ID.json (drain/state.h), which control reads.
 */
#define DRAIN_MESSAGE_MAX (64u << 10)
#define DRAIN_CA_MAX (32u << 10) /* stored as certificates alone, lines of base64: it fits a message, beside its URL */
#define DRAINS_MAX 8   /* of an app, and for all apps */
#define DRAIN_SOURCE "berth[drain]" /* of lines about drains, which are not sent */

/* ---- berthd <-> berth-logger ---- */
enum {
	MSG_LOG_ATTACH = 110, /* berthd -> logger: struct msg_log_attach; fds: read end of the FIFO (nonblocking) */
	MSG_LOG_DONE,         /* logger -> berthd: struct msg_instance: everything up to the end is on disk */
	MSG_LOG_CLOSE,        /* berthd -> logger: struct msg_app: the app's log folder is about to go; close its files. Replied */
	MSG_LOG_SET,          /* berthd -> logger: struct msg_log_limits */
};
struct msg_log_attach {
	uint64_t id;
	uint32_t app;
	uint32_t release; /* as in msg_start */
	char name[PROTO_NAME_MAX]; /* source: "web.1" */
};

/*
 * Records in the log pipe (from control and the router): written whole with one write of at most PIPE_BUF (4096) bytes,
 * so they never mix. A longer text is cut by the writer.
 */
#define LOG_RECORD_MAGIC 0x6c72u
#define LOG_RECORD_MAX 4096u
struct log_record {
	uint16_t magic;
	uint16_t size;     /* of everything, head included */
	uint32_t app;
	uint64_t time_us;  /* 0: the logger stamps it */
	char source[32];   /* "berth[router]" */
	/* then the text, no newline, not NUL-terminated */
};

/*
 * What berth-logger writes: BERTH_STATE/logs/APPID/SEGMENT.log, SEGMENT a 16-digit decimal number (time of its first
 * line, µs), lines "2026-01-02T03:04:05.678901Z app[web.1]: text\n". Folder and files are readable by group _berth.
 * The app's FIFO lines get source app[NAME]. The text has no control byte but tab, and is valid UTF-8.
 *
 * Stamps never fall, within a segment and from one to the next: they are the index by time, searched by halves. Only
 * whole lines count: what follows the last newline is being written, or torn by a crash and cut before the next line
 * is written. A reader does not take it, and reads again from behind the last newline. A line that does not begin with
 * a stamp is not a line (damage).
 *
 * Lines of source LOG_SEGMENT_SOURCE, which nobody else can write, are the log's own bookkeeping, not shown to people:
 *   STAMP berth[segment]: after=SEGMENT release=N   first line of a segment: the number of the segment before it, 16 digits,
 *       0 for the first of all. A reader that has read to the end of another one than this was left behind by the budget
 *   STAMP berth[segment]: release=N   app[...] lines from here on are of release N, until another such line or the
 *       segment's end; 0: nobody knows
 * Segments of before these lines existed have none. Segments grow at their end alone, and are removed whole, the oldest
 * first. BERTH_STATE/logs/limits is berth-logger's own.
 */
#define LOG_SEGMENT_SOURCE "berth[segment]"
#define LOG_SEGMENT_DIGITS 16

/* clang-format on */
#endif
