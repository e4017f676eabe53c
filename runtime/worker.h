/*
 * The worker: one event loop that serves the two message tables, starts and restarts the
 * daemons, and owns the sandboxes. A new worker finds what an earlier one left: daemons
 * and sandboxes by their records, requests in the queues of the pairs.
 */
#ifndef RUNTIME_WORKER_H
#define RUNTIME_WORKER_H

#include "lib/loop.h"
#include "runtime/handoff.h"
#include "runtime/settings.h"

enum worker_flags {
	WORKER_CLEAN =
		1
		<< 0, /* the one before left nothing half done: nobody needs to ask again */
	WORKER_REPLACE =
		1 << 1, /* the daemons are of an older berth: others take their places */
};

/*
 * Runs until told to stop (SIGTERM, SIGINT) or to make way (SIGUSR2); monitor_pidfd tells the monitor's end. flags: enum
 * worker_flags. The exit status.
 */
int worker_run(const struct settings *s, const struct handoff *h, int monitor_pidfd,
	unsigned int flags);

#endif
