/* Is an instance ready: the app's own health check, else the first accepted TCP connection on its port. */
#ifndef CONTROL_PROBE_H
#define CONTROL_PROBE_H

#include "control/control.h"
#include "control/member.h"

/*
 * Blocks until ready (0), or fails with the reason: ended (-ECHILD), nothing listens within the time (-ETIMEDOUT, names
 * the ports it does listen on), the check's answer (-EPROTO), cancelled by the sink's asker (-ECANCELED). s may be NULL.
 * The instance must be expected (engine_expect). The time is checks:set timeout, 30 s.
 */
int probe_wait(struct control *c, const struct member *m, struct sink *s, struct err *e);

#endif
