/* The HTTP API (docs/API.md) on a unix socket that is already listening. */
#ifndef CONTROL_API_H
#define CONTROL_API_H

#include "control/control.h"

#define API_VERSION "0.1.0"
#define API_CONNECTIONS_MAX 256 /* each costs a thread with a small stack */
#define API_REMOTE_MAX 96	/* of them through the router */
#define API_MEMBER_MAX 32	/* requests of one member among these */
#define API_KEYED_MAX 96	/* connections of one member's ssh keys */
#define API_BODY_MAX                                                                     \
	((size_t)1                                                                       \
		<< 20) /* config is at most 256 KiB; escaped as JSON it may be        \
			     several times that */

struct api;

/* Accepts and answers in threads of its own. listen_fd stays the caller's. 0 or -errno
 * with e. */
int api_start(struct control *c, int listen_fd, struct api **ret, struct err *e);
/*
 * Up to n new connections for the router, which it gets the ends of: nobody's, until a request brings a token. How many;
 * 0: as many as there may be are open. NULL is fine. The ends are the caller's.
 */
unsigned int api_connect(struct api *a, unsigned int n, int *ret_fds);
/* One more, which is id's; it does not count among these. The end, blocking, or -errno. */
struct identity;
int api_connect_as(struct api *a, const struct identity *id);
/* A token, key, member or role is gone: whose request was allowed by it, but for this one, is hung up on. */
struct request;
void api_recheck(struct request *by);
/* Accepts nobody more: who connects waits for the next program on the same socket. */
void api_quiesce(struct api *a);
/* Open connections. */
unsigned int api_connections(struct api *a);
/* Hangs up on everybody, waits until no request is left. NULL is fine. */
void api_stop(struct api *a);

#endif
