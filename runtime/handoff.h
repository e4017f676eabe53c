/*
 * The descriptors that outlive every process of berth: made once, at the first start, by
 * the monitor; the worker inherits them, and whoever becomes the next monitor finds their
 * numbers in an environment variable. Both ends of each pair are kept, so messages queue
 * while a daemon is away.
 */
#ifndef RUNTIME_HANDOFF_H
#define RUNTIME_HANDOFF_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/proto.h"
#include "runtime/settings.h"

#define HANDOFF_ADDRS_MAX 8
#define HANDOFF_ENV "BERTH_HANDOFF"
/* Of the environment variable and of what the descriptors are: a berthd takes over only from its equal. */
#define HANDOFF_FORMAT 2

enum handoff_fd {
	HANDOFF_LOCK, /* run/berthd.lock, held: one berthd a run folder */
	HANDOFF_API,  /* listening unix socket */
	HANDOFF_CONTROL_OURS,
	HANDOFF_CONTROL_THEIRS,
	HANDOFF_LOGGER_OURS,
	HANDOFF_LOGGER_THEIRS,
	HANDOFF_LOG_READ,
	HANDOFF_LOG_WRITE,
	HANDOFF_FIXED,
};
enum handoff_router_fd {
	HANDOFF_ROUTER_OURS, /* berthd <-> router worker */
	HANDOFF_ROUTER_THEIRS,
	HANDOFF_TABLE_CONTROL, /* control <-> router worker */
	HANDOFF_TABLE_ROUTER,
	HANDOFF_ROUTER_FIXED,
};
#define HANDOFF_FDS_MAX                                                                  \
	(HANDOFF_FIXED + PROTO_WORKERS_MAX * (HANDOFF_ROUTER_FIXED + HANDOFF_ADDRS_MAX))

struct handoff {
	uint64_t generation; /* ns when they were made: a daemon of another generation
				holds other ones */
	unsigned int n_workers, n_addrs;
	unsigned int n_tls;	  /* the last of the addresses: they speak TLS */
	int fds[HANDOFF_FDS_MAX]; /* HANDOFF_FIXED, then a group for each router worker */
};

/* The lock of this run folder, or -EBUSY with the sentence when another berthd has it. */
int handoff_lock(const struct settings *s, struct err *e);
/*
 * Makes everything else: the listeners, pairs and the pipe; takes the lock over. -EADDRINUSE
 * with the sentence when anybody listens on one of its ports, another berthd too.
 */
int handoff_make(struct handoff *h, const struct settings *s, int lock, struct err *e);
/* 1 and *h filled when the environment names a set, 0 when not, -EBADF when it is not
 * ours. */
int handoff_from_env(struct handoff *h, struct err *e);
/* Writes the environment variable and lets the descriptors survive an exec; undone by
 * handoff_from_env. */
int handoff_to_env(const struct handoff *h);
/* run/handoff holds the format, for a berthd that wants to take over. The format, or -errno. */
int handoff_format_write(const struct settings *s);
int handoff_format_read(const struct settings *s);

unsigned int handoff_count(const struct handoff *h);
int handoff_router_fd(
	const struct handoff *h, unsigned int worker, enum handoff_router_fd which);
int handoff_listener(const struct handoff *h, unsigned int worker, unsigned int addr);
/* The addresses really bound (a port 0 was chosen by the kernel), "HOST:PORT,…": those
 * that speak TLS, which may be none, or the others. 0 or -errno. */
int handoff_addresses(const struct handoff *h, bool tls, char *out, size_t size);
/* 0 when no berthd holds the lock of this run folder, -EBUSY when one does, -errno. */
int handoff_lock_test(const struct settings *s);

#endif
