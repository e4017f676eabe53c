/* Processes that are not lost: found again by a pid and its start time, so that a reused
 * pid is never taken for ours; and held until they are written down. */
#ifndef RUNTIME_PROCESS_H
#define RUNTIME_PROCESS_H

#include "lib/base.h"
#include <sys/types.h>

/* Field 22 of /proc/PID/stat, clock ticks since boot. 0, -ESRCH, -errno. */
int process_start_time(pid_t pid, uint64_t *ret);
/* The start time of a process that started now. */
uint64_t process_ticks(void);
/* A pidfd of the live process with this pid and start time, CLOEXEC; -ESRCH when it is
 * gone. */
int process_open(pid_t pid, uint64_t start_time);
/* Its hard limit of open files, 0: unknown. prlimit(2) would take a capability. */
uint64_t process_nofile(pid_t pid);

/*
 * A child that must not go on before it is written down: its first deed is process_wait
 * on end 0 (which closes both), the parent's last one process_go on end 1 (which closes
 * it). Should the parent die before, or close the end, the child exits.
 */
int process_hold(int ends[2]); /* 0 or -errno */
void process_wait(const int ends[2]);
void process_go(int end);

/*
 * For a child that may outlive berthd and must not hold its locks, sockets and FIFOs: of all descriptors from 3 on these
 * two alone stay open, as other numbers. 0 or -errno.
 */
int process_keep(int *a, int *b);

/* berthd may be protected from the out-of-memory killer; what others make it do is not. */
void process_unprotect(void);

#endif
