/* The API's connections as its parts see them: rows that are known before libmicrohttpd asks for them (connections.c). */
#ifndef CONTROL_API_INSIDE_H
#define CONTROL_API_INSIDE_H

#include "control/access/access.h"
#include "control/access/auth.h"
#include "control/api/api.h"
#include <microhttpd.h>
#include <pthread.h>

struct request;

/* What the request that is under way was allowed by. */
struct standing {
	uint32_t member, key; /* 0: root; by no key */
	uint64_t token;	      /* 0: by none */
	uint32_t app, only;   /* of the request; of the token */
	enum role need, most;
};

struct connection {
	int fd;
	struct identity id;
	bool begun;	 /* libmicrohttpd has taken it over */
	uint32_t member; /* whose request is under way, of a remote one */
	struct standing by;
};

struct api {
	struct control *c;
	struct MHD_Daemon *daemon;
	struct auth *auth;
	pthread_mutex_t lock;
	bool quiet; /* no more connections for the router */
	struct connection *connections[API_CONNECTIONS_MAX];
};

/* From the thread that accepts, or that makes pairs: fd and who it is become a row, and libmicrohttpd's. */
void connections_take(void *arg, int fd, const struct identity *id);
/* libmicrohttpd begins and ends one. */
void connections_notify(void *cls, struct MHD_Connection *connection,
	void **socket_context, enum MHD_ConnectionNotificationCode code);
int connections_fd(struct MHD_Connection *connection);
/* NULL: it has no row. */
struct connection *connections_of(struct MHD_Connection *connection);
/* A request of a member is under way on it; 0: none. */
void connections_note_member(struct api *a, struct connection *conn, uint32_t member);
/* Allowed now: need of r->app, or of the host. Its end forgets it. */
void connections_note(struct api *a, struct request *r, enum role need);
/* The same, failing r when its member has too many. */
void connections_check_crowd(struct api *a, struct connection *conn, struct request *r);

#endif
