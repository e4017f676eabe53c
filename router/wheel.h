/* Deadlines: a wheel of coarse slots. Setting one later than it stands costs a store. */
#ifndef ROUTER_WHEEL_H
#define ROUTER_WHEEL_H

#include "lib/base.h"

/* a slot is 64 ms: deadlines here are seconds, and fire up to one slot late */
#define WHEEL_SHIFT 6
#define WHEEL_SLOTS 1024u /* 65 s; what is later goes round again */
#define TIMER_NEVER UINT64_MAX

struct wheel_timer {
	struct wheel_timer *next, **prev; /* prev NULL: not in the wheel */
	uint64_t tick;			  /* of the slot that it stands in */
	uint64_t want_ms;		  /* when to fire; the slot may be earlier */
	void (*fn)(void *arg);
	void *arg;
};

struct wheel {
	struct wheel_timer *slots[WHEEL_SLOTS];
	uint64_t bits[WHEEL_SLOTS / 64];
	uint64_t tick; /* everything before is done */
	uint64_t now_ms;
};

void wheel_init(struct wheel *w, uint64_t now_ms);
/*
 * (Re)sets t to fire at want_ms (TIMER_NEVER: not). fn and arg are set by the owner
 * before.
 */
void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t want_ms);
/* Takes t out; it may then be freed. */
void wheel_del(struct wheel *w, struct wheel_timer *t);
/* Fires what is due. */
void wheel_run(struct wheel *w, uint64_t now_ms);
/* Milliseconds until the next slot with timers, -1 when there is none. */
int wheel_wait_ms(const struct wheel *w, uint64_t now_ms);

#endif
