/*
 * Bytes to or from a client, as many as there are: the connection is upgraded as for a one-off (docs/API.md, Upgrade), and
 * the client gets the ends of three pipes. What people read goes to the third.
 */
#ifndef CONTROL_TRANSFER_H
#define CONTROL_TRANSFER_H

#include "control/api/request.h"

struct transfer {
	struct control *c;
	int in, out; /* what the client sends and gets; transfer_run may not close them */
	/* In the connection's thread: 0, or -errno with e. */
	int (*run)(struct transfer *t, struct sink *s, struct err *e);
	void (*clear)(struct transfer *t); /* of data; once */
	void *data;
};

/*
 * Answers r with the upgrade; run follows. t is copied; its clear is called in any case, here when it returns -1 after
 * request_fail (a client that asked for no upgrade).
 */
int transfer_start(struct request *r, const struct transfer *t);
/* A message of the upgraded connection with at most three descriptors, which stay the caller's; waits for room. 0 or
 * -errno. */
int transfer_send(int sock, const void *data, size_t len, const int *fds, unsigned int n);

#endif
