/*
 * What happens to an instance that ended: the table of states and events, the restart policy and the pauses. Pure: no
 * clock, no database, no lock; supervise.c does what is decided here.
 */
#ifndef CONTROL_RESTART_H
#define CONTROL_RESTART_H

#include "control/member.h"

#define RESTART_FIRST_MS 100 /* the pause after the first failure; each doubles it */
#define RESTART_MAX_MS 60000 /* no pause before CRASHED is longer */
#define RESTART_JITTER                                                                   \
	20 /* per cent that a pause may be longer: many apps don't start as one */
#define RESTART_LOOP                                                                     \
	8 /* failures in a row: after half a minute of pauses it crashes, it does not stumble */
#define RESTART_LOOP_MS                                                                  \
	300000 /* between two tries of one that crashes: its cause may be elsewhere and pass */
#define RESTART_STABLE_US                                                                \
	60000000u /* an instance that lived this long did not fail to start: its failures are forgotten */

enum member_event {
	EVENT_TURN,  /* a starter is free */
	EVENT_READY, /* it accepts connections, or runs where nothing is to be accepted */
	EVENT_FELL,  /* ended, or did not start: another try */
	EVENT_LOOPED,	/* the same once too often */
	EVENT_FINISHED, /* ended, and its policy wants no other try */
	EVENT_DUE,	/* its pause is over */
	EVENT_UNWANTED, /* another takes its place, or nobody shall */
	MEMBER_EVENTS
};

enum member_action {
	MEMBER_FAULT, /* cannot happen; nothing changes */
	MEMBER_KEEP,  /* nothing to do */
	MEMBER_QUEUE, /* for its turn */
	MEMBER_START,
	MEMBER_ROUTE, /* requests go to it from now on */
	MEMBER_PAUSE,
	MEMBER_LONG_PAUSE,
	MEMBER_SETTLE, /* nothing more is planned for it */
	MEMBER_FORGET, /* remove it from the list */
};

struct member_step {
	enum member_state next;
	enum member_action action;
};
/* Never NULL. state below MEMBER_GONE. */
const struct member_step *member_step(enum member_state state, enum member_event event);
/* "ready", "backoff": what a person reads. */
const char *member_state_name(enum member_state state);

enum restart_when { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };
struct restart_policy {
	enum restart_when when;
	uint32_t
		tries; /* on-failure: failures in a row until it is left alone; 0: no end */
};
/*
 * "always", "unless-stopped" (the same here: what ps:stop stopped stays stopped), "on-failure", "on-failure:N" with N
 * from 1 to 1000, "never", "no". 0, or -EINVAL and *ret untouched.
 */
int restart_policy_parse(const char *text, struct restart_policy *ret);
/* As it is spelled above. */
void restart_policy_text(const struct restart_policy *p, char out[32]);
/* well: it ended with status 0. failures: in a row, this one included. EVENT_FELL, EVENT_LOOPED or EVENT_FINISHED. */
enum member_event restart_verdict(
	const struct restart_policy *p, bool well, uint32_t failures);
/* The pause after that many failures in a row, ms; random decides how much longer than its least it is. */
uint64_t restart_pause_ms(uint32_t failures, uint32_t random);

#endif
