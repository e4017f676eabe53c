/*
 * The routing table and the router workers. A table is built from the database and the fleet, sent to every worker, and
 * in use once each has answered. One reader thread; the functions are safe from any thread.
 */
#ifndef CONTROL_ROUTES_H
#define CONTROL_ROUTES_H

#include "control/control.h"

#define ROUTES_ACK_MS                                                                    \
	5000 /* a worker answers in well under a millisecond; a dead one is restarted meanwhile */

/* fds: one pair a router worker, the caller's, n at most PROTO_WORKERS_MAX. */
int routes_open(struct control *c, const int *fds, unsigned int n, struct routes **ret);
/* Says HELLO and starts receiving. */
int routes_run(struct routes *r);
/* The certificates (lib/proto.h), a sealed memfd that is taken over; as routes_refresh. */
int routes_send_certs(struct routes *r, int fd, struct err *e);
/* From the next table on only what workers say under it counts for these, which it removes. */
void routes_watch(struct routes *r, const uint64_t *ids, unsigned int n);
/* Waits until no worker, nor one that made way, has a request in flight at any of these removed instances. 0, or -ETIMEDOUT. */
int routes_wait_drained(
	struct routes *r, const uint64_t *ids, unsigned int n, int timeout_ms);
/* A worker that made way has requests at one of them, or had a moment ago. */
bool routes_stay(struct routes *r, const uint64_t *ids, unsigned int n);
/* A removed instance whose end was waited for (or not) is forgotten. */
void routes_forget(struct routes *r, const uint64_t *ids, unsigned int n);

struct metrics_row;
/* What all workers have counted, one row for each app and instance (metrics.h). How many; *ret is the caller's. */
int routes_metrics(struct routes *r, struct metrics_row **ret);

/* No table is built between the two: what a table is made of changes at once. */
void routes_lock(struct routes *r);
void routes_unlock(struct routes *r);

#endif
