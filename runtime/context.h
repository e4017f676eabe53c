/* What the worker has, for the handlers of the message tables. */
#ifndef RUNTIME_CONTEXT_H
#define RUNTIME_CONTEXT_H

#include "lib/err.h"
#include "lib/log.h"
#include "lib/msg.h"
#include "runtime/daemons/daemons.h"
#include "runtime/daemons/gitrun.h"
#include "runtime/disk/chores.h"
#include "runtime/folders.h"
#include "runtime/instances/instances.h"

#define CLOSING_MAX 32 /* apps whose logs are being let go at one time */

/* An app being removed: its log folder goes when the logger has closed it. */
struct closing {
	struct context *ctx;
	uint32_t seq; /* of control's request; 0: free */
	struct msg_app app;
	struct loop_timer *timer;
};

/* Who sends messages. */
enum peer_kind { PEER_CONTROL, PEER_LOGGER, PEER_ROUTER, PEER_KINDS };

struct context {
	const struct settings *settings;
	const struct handoff *handoff;
	struct loop *loop;
	struct daemon_ids ids;
	struct folders folders;
	struct runtime *rt;
	struct chores *chores;
	struct instances *instances;
	struct usage *usage;
	struct gitrun *gitrun;
	struct daemons *daemons;
	struct closing closing[CLOSING_MAX];
	struct log_rate refused[PEER_KINDS];
	unsigned int
		router; /* which worker sent the message being handled, if a router did */
};

/* What a handler gives back; bodies are the structs of lib/proto.h. */
struct reply {
	char body[MSG_BODY_MAX];
	size_t size;
	int fds[MSG_FDS_MAX]; /* sent, then closed */
	unsigned int n_fds;
	bool later;   /* the handler answers by itself */
	struct err e; /* why it is refused; empty where the status says all */
};

/* One row of a closed table. */
struct dispatch_row {
	uint32_t type;
	/* 0 or -errno, which is the reply's status. */
	int (*handle)(struct context *ctx, struct msg *m, struct reply *r);
	size_t size;	   /* of the body, exactly */
	bool size_or_zero; /* an empty body is fine too */
	unsigned int fds_min, fds_max;
	bool no_reply;
	bool gives_fds; /* refused while the peer leaves its answers unread */
};

struct dispatch_table {
	enum peer_kind from;
	const struct dispatch_row *rows;
	size_t n;
};

/*
 * Checks m against the row of its type, calls it, sends the reply over fd. A refusal is
 * logged with type and reason, a flood of them only in part. 0, or -EPROTO when no row
 * fits.
 */
int dispatch(
	struct context *ctx, const struct dispatch_table *table, int fd, struct msg *m);
/* Logs a message that cannot be read at all. */
void dispatch_malformed(struct context *ctx, enum peer_kind from);

/* The two tables: what control may ask, and what a router worker may ask. */
int dispatch_control(struct context *ctx, struct msg *m);
int dispatch_router(struct context *ctx, int fd, struct msg *m);
/* From the logger: MSG_HELLO, MSG_LOG_DONE, MSG_LOG_CLOSE. */
int dispatch_logger(struct context *ctx, struct msg *m);

/* Copies the checked body into a struct. */
#define BODY(m, var) memcpy(&(var), (m)->body, sizeof(var))

#endif
