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

/*
 * Runs until told to stop (SIGTERM, SIGINT) or to make way (SIGUSR2); monitor_pidfd tells the monitor's end. clean: the
 * one before left nothing half done, nobody needs to ask again. upgraded: the process_ticks of the last upgrade: daemons from
 * before are of an older berth, and others take their places; 0: none. The exit status.
 */
int worker_run(const struct settings *s, const struct handoff *h, int monitor_pidfd,
	bool clean, uint64_t upgraded);

#endif
