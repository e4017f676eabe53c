/*
 * Builds under way: at most so many steps at one time, an end when somebody asks for it, and their output while it grows.
 * Safe from any thread.
 */
#ifndef CONTROL_WORK_H
#define CONTROL_WORK_H

#include "control/control.h"

#define WORK_OUTPUT_MAX                                                                  \
	(1u << 20) /* of a build, kept in the database; what comes later is in the app's log */
#define WORK_TIMEOUT_S 3600u /* of one step, where nothing is set */
#define WORK_TIMEOUT_MAX_S 86400u
#define WORK_PARALLEL_MAX 64u

/* One build, and the sink through which its operation writes. Owned by the operation. */
struct work {
	struct sink sink; /* first: give &w->sink to what the build calls */
	struct sink *to;
	uint32_t app;
	uint64_t build; /* its row */
	_Atomic bool cancelled;
	struct buf output;
	struct work *next;
};
/* What goes through w->sink goes to `to`, to the app's log and to w->output. work_close takes it off the list; the output stays the owner's. */
void work_open(struct work *w, struct sink *to, uint32_t app, uint64_t build);
void work_close(struct work *w);
/* What a build that runs has printed so far, the caller's; NULL: it does not run here. */
char *work_output(uint64_t build);
/*
 * Ends the app's build under way (its number in *ret_build) and waits until it is gone. 0, -ESRCH: there is none, or
 * -ETIMEDOUT: it has switched, or does not end.
 */
int work_cancel(uint32_t app, uint64_t *ret_build);

/*
 * One step's turn, first come, first served. `max` may change while others wait. 0, or -ECANCELED when s says so. Not
 * recursive: a step does not wait for another one.
 */
int work_turn_take(unsigned int max, struct sink *s, struct err *e);
void work_turn_drop(void);
/* As many as there are processors, or as have the memory that a build may take. */
unsigned int work_parallel_default(void);

#endif
