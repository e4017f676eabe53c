/*
 * Who is at the other end of a connection to the API. One thread accepts, asks the kernel
 * for the peer's uid, and for the ssh user reads the one line that names the key. An
 * identity belongs to its connection for good; a request with a token has the token's
 * (access.h).
 */
#ifndef CONTROL_AUTH_H
#define CONTROL_AUTH_H

#include "control/access/token.h"
#include "control/control.h"
#include <sys/types.h>

#define AUTH_LINE_MAX 32      /* "KEY 4294967295\n" is half of that */
#define AUTH_DEADLINE_MS 5000 /* for the KEY line */
#define AUTH_FROM_MAX 64
#define AUTH_WAITING_MAX 64 /* connections whose KEY line is still to come */
#define AUTH_ROOT_ROOM 16u  /* the last ones are root's alone */

struct identity {
	uid_t uid;
	bool remote;	 /* through the router: nobody without a token */
	uint32_t key;	 /* id of the ssh key; 0: none */
	char actor[144]; /* "root", "ann", "ann (token ci)": for releases and events */
	char bearer
		[TOKEN_SIZE]; /* a token that stands for the connection, or its request; "": none */
	char from
		[AUTH_FROM_MAX]; /* remote: the client's address, as the router says it */
	char refused
		[160]; /* not empty: a request without a token is answered 403 with this */
};

struct auth;

/* Takes over fd. Called from the accepting thread. */
typedef void (*auth_deliver)(void *arg, int fd, const struct identity *id);

/* Accepts on listen_fd (the caller's) while at most `most` delivered connections are
 * open. 0 or -errno. */
int auth_start(struct control *c, int listen_fd, unsigned int most, auth_deliver deliver,
	void *arg, struct auth **ret);
/* For one that is not root's, which ends at once where there is none; any thread. */
bool auth_has_room(struct auth *a);
/* Delivers, and counts, a connection that was not accepted here; any thread. */
void auth_add(struct auth *a, int fd, const struct identity *id);
/* A delivered connection has ended; any thread. */
void auth_released(struct auth *a);
/* Stops accepting; auth_released may still be called, until auth_free. NULL is fine for
 * both. */
void auth_stop(struct auth *a);
void auth_free(struct auth *a);

#endif
