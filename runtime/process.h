/* Processes found again: a pid together with its start time, so that a reused pid is
 * never taken for ours. */
#ifndef RUNTIME_PROCESS_H
#define RUNTIME_PROCESS_H

#include "lib/base.h"
#include <sys/types.h>

/* Field 22 of /proc/PID/stat, clock ticks since boot. 0, -ESRCH, -errno. */
int process_start_time(pid_t pid, uint64_t *ret);
/* A pidfd of the live process with this pid and start time, CLOEXEC; -ESRCH when it is
 * gone. */
int process_open(pid_t pid, uint64_t start_time);
/* Its hard limit of open files, 0: unknown. prlimit(2) would take a capability. */
uint64_t process_nofile(pid_t pid);

#endif
