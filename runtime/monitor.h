/*
 * The monitor: the process that never does anything but keep a worker running. It takes
 * no input, holds the inherited descriptors, is the subreaper of everything below, and
 * restarts the worker when it dies. On SIGUSR2 it execs the installed berthd, which goes on
 * as the same process (runtime/upgrade.h). When the monitor itself dies, the worker execs itself
 * as the next monitor (monitor_take_over).
 */
#ifndef RUNTIME_MONITOR_H
#define RUNTIME_MONITOR_H

#include "lib/err.h"
#include "runtime/handoff.h"
#include "runtime/settings.h"

/* Exit status by which a worker says that it ended as told; every other end is a crash.
 */
#define WORKER_EXIT_DONE 0
/* It ended between two messages, for the next one to go on. */
#define WORKER_EXIT_WAY 4
/* It could not set itself up. At the first start that ends the monitor too: the operator
 * reads why. */
#define WORKER_EXIT_SETUP 3

/*
 * Runs until a stop was asked (SIGTERM, SIGINT) and the worker has done it; first: not
 * after a take-over. Returns the exit status.
 */
int monitor_run(const struct settings *s, const struct handoff *h, bool first);
/*
 * Called by a worker whose monitor is gone: the same process becomes the monitor,
 * children and descriptors kept. Returns only on failure, -errno.
 */
int monitor_take_over(const struct handoff *h);

/* run/berthd.pid: written by the monitor; read for --stop. pid, 0 when there is none, or
 * -errno. */
int monitor_pid_read(const struct settings *s);

#endif
