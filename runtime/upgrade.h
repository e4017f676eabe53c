/*
 * New programs in the place of running ones, without an end of anything. `berthd --upgrade`, run from the new files,
 * sends the monitor SIGUSR2. Then, one after the other:
 *   monitor  execs the new berthd: the same process, with all descriptors
 *   worker   handles what it has begun, ends, and a new one is forked; messages wait in the pairs meanwhile
 *   logger   is ended and started; output waits in the FIFOs
 *   routers  stop accepting and stop reading from the pairs; the next one starts on the same listener while requests
 *            in flight end in the old process, which run/daemons calls DAEMON_LEFT
 *   control  accepts nobody more and ends when nothing is under way; callers wait in the socket's queue
 * Instances go on with the berth-init they have. A new berthd that cannot run changes nothing: the old worker takes the
 * monitor's place.
 */
#ifndef RUNTIME_UPGRADE_H
#define RUNTIME_UPGRADE_H

#include "runtime/settings.h"

#define UPGRADE_WAIT_MS 180000 /* for a deploy under way */
#define UPGRADE_NONE 3	       /* none runs: what LSB calls "program is not running" */

/* Asks the berthd of this run folder, waits, prints what was replaced. The exit status: 0, 1 failed, UPGRADE_NONE. */
int upgrade_ask(const struct settings *s);

#endif
