/* `logs:set`: an app's log budget and rate, and berth-logger told of them (MSG_LOG_LIMITS). */
#ifndef CONTROL_LOGLIMITS_H
#define CONTROL_LOGLIMITS_H

#include "control/control.h"

#define LOGLIMITS_TOPIC "logs"
#define LOGLIMITS_BUDGET "budget"
#define LOGLIMITS_RATE "rate"

/*
 * A rate as people write it: "10000" or "10000/s" lines a second, "512K" or "1M/s" bytes a second, "off". Fills in the
 * rate of *ret; 0 or -EINVAL.
 */
int loglimits_parse_rate(const char *text, struct msg_log_limits *ret);
/* What is set for that app, or (0) for all apps. 0 or -errno with e. */
int loglimits_apply(struct control *c, uint32_t app, struct err *e);
/* All that is set: berthd or the logger may have forgotten it. Failures are logged. */
void loglimits_apply_all(struct control *c);

#endif
