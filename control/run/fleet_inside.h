/* The list of members, for the two files that change it: fleet.c and supervise.c. */
#ifndef CONTROL_FLEET_INSIDE_H
#define CONTROL_FLEET_INSIDE_H

#include "control/run/fleet.h"
#include "control/run/restart.h"
#include <pthread.h>

struct node {
	struct member m;
	bool half; /* RESTARTING: its sandbox is about to be made or removed */
	bool fell; /* RESTARTING: it ended; the supervisor judges it */
	bool boot; /* it has not come back yet since berth-control started */
	struct node *next;
};

struct held {
	uint32_t app;
	struct held *next;
};

/* What is told of a start of berth-control that finds instances missing: after a reboot, all of them. */
struct boot {
	bool filling; /* the list grows: nobody gets a turn, so that the order holds for all */
	unsigned int n; /* instances to bring back; 0: told */
	unsigned int up, down;
	uint64_t began_ns, tell_ns;
};

struct fleet {
	pthread_mutex_t lock;	/* everything below; never held over a call that blocks */
	pthread_cond_t changed; /* CLOCK_MONOTONIC */
	struct node *members;
	struct held *held;
	struct stale *stale; /* every change of a member or a hold is marked */
	uint32_t last_key;
	bool route; /* the routing table no longer fits */
	struct boot boot;
};

/* With the lock held. NULL when there is none; id 0 finds none. */
struct node *fleet_node(struct fleet *f, uint64_t id);
struct node *fleet_node_by_key(struct fleet *f, uint32_t key);
/* Adds a copy and gives it its key. NULL: out of memory. */
struct node *fleet_add(struct fleet *f, const struct member *m);
/* Applies the table; after MEMBER_FORGET the node is gone. MEMBER_FAULT is logged. */
enum member_action fleet_step(struct fleet *f, struct node *n, enum member_event event);
/* Another of the same place and release has a sandbox, or is about to get one. */
bool fleet_taken(struct fleet *f, const struct member *m);
bool fleet_held_locked(struct fleet *f, uint32_t app);

#endif
