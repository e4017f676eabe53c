/* Liveness checks of app.json: an instance that fails too many in a row is stopped, and started again as after a crash. */
#ifndef CONTROL_LIVENESS_H
#define CONTROL_LIVENESS_H

#include "control/control.h"

struct liveness;

int liveness_open(struct liveness **ret);
/* Its thread, which sleeps while no live release has such a check. 0 or -errno. */
int liveness_run(struct control *c);
/* A release went live. Any thread; without liveness (tests) nothing. */
void liveness_changed(struct control *c);
/*
 * The app is recorded as asleep, and is about to be frozen or stopped: a try of its web processes that is under way counts
 * only when it finds them healthy. Any thread; as liveness_changed.
 */
void liveness_slept(struct control *c, uint32_t app);

#endif
