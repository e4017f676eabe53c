/* Drains: the rows, and the one berth-drain that serves them while there are any. */
#ifndef CONTROL_DRAINS_H
#define CONTROL_DRAINS_H

#include "control/control.h"

struct drains;

/* Makes the folder control/drains and the handle. 0 or -errno with e. */
int drains_open(struct control *c, struct drains **ret, struct err *e);
/* The thread that starts, restarts and ends berth-drain. 0 or -errno. */
int drains_run(struct control *c);
/* Rows have changed, or an app is gone. Any thread; without drains (tests) nothing. */
void drains_changed(struct control *c);
/* An app has another name, too. */
void drains_renamed(struct control *c);
/* Does berth-drain run? */
bool drains_alive(struct control *c);

/*
 * How a drain fares, as people see it: state (ok, retrying, waiting, stopped), since, error, lag_bytes, lag_seconds, sent_lines, ...
 * The lag is what its logs hold beyond what was delivered, lines about drains included. A new object; NULL: out of memory.
 */
json_t *drain_report(struct control *c, const struct db_drain *d);

#endif
