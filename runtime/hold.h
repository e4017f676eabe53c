/*
 * berthd --hold: what keeps the unit that the apps' control groups are in (berth-apps.service, version 2 under systemd), so that
 * neither a restart of berthd nor the end of the last app takes the unit away; and what gives the apps their time when the host
 * shuts down, when berthd has ended before.
 */
#ifndef RUNTIME_HOLD_H
#define RUNTIME_HOLD_H

#include "lib/base.h"

#define HOLD_END_MS 30000 /* the unit's TimeoutStopSec is longer */

/* Waits for SIGTERM, then ends every sandbox below its own control group as MSG_STOP does: SIGTERM to its process 1; returns when
 * none is left or the time is over. The exit status. */
int hold_run(void);
/* Sends the signal (0: none) to the first process of each sandbox in the group, version 2, that folder is; thaws them. How many. For
 * tests. */
int hold_tell(const char *folder, int signal);

#endif
