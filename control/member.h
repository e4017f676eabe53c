/* One instance of an app, as control knows it: the same through all its restarts. */
#ifndef CONTROL_MEMBER_H
#define CONTROL_MEMBER_H

#include "lib/base.h"

#define FORMATION_MAX 100		 /* instances of one process type */
#define CANARY_FIRST (FORMATION_MAX + 1) /* its instances are web.101, web.102, .. */

/* Which event leads from one to the next is the table in run/restart.c. */
enum member_state {
	MEMBER_STARTING,   /* started by a deploy or a command, which waits for it */
	MEMBER_QUEUED,	   /* is started when it is its turn */
	MEMBER_RESTARTING, /* the supervisor starts it and waits for it */
	MEMBER_READY,	   /* serves (web) or runs (others) */
	MEMBER_BACKOFF,	   /* ended; is tried again soon */
	MEMBER_CRASHED,	   /* ended again and again; is tried again rarely */
	MEMBER_ENDED,	   /* ended, and its policy wants no restart */
	MEMBER_RETIRING,   /* out of the table: drains, then stops; its end is wanted */
	MEMBER_GONE,	   /* no member any more */
	MEMBER_STATES
};

struct member {
	uint64_t id;  /* of its sandbox; 0 while it has none */
	uint32_t key; /* names the member while berth-control lives */
	uint32_t app, version, number;
	uint32_t restarts; /* starts after the first one, of this release */
	uint32_t failures; /* ends in a row that came too soon */
	char type[32];
	enum member_state state;
	uint16_t port; /* web only */
	bool listens; /* accepts on a listener of berthd's (START_LISTEN), not on the port */
	uint64_t started_us;
	uint64_t since_us; /* in this state */
	uint64_t due_ns;   /* CLOCK_MONOTONIC: BACKOFF, CRASHED: the next try; RESTARTING:
			      others wait for their turn until then */
	char reason[160];  /* of its last end; "" before */
};

static inline bool member_is_canary(const struct member *m)
{
	return m->number >= CANARY_FIRST;
}

#endif
