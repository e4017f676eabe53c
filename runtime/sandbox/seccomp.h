/*
 * The system calls a sandbox may make: one program, made once and loaded by every child. It is a binary search over
 * ranges of numbers, a third as long as a list of names: the kernel compiles it anew for each process, while it starts.
 */
#ifndef RUNTIME_SECCOMP_H
#define RUNTIME_SECCOMP_H

#include "lib/base.h"
#include "lib/err.h"
#include <linux/filter.h>

/*
 * Allowed: the calls in seccomp.c's list. EPERM: those that exist to change the system or
 * look into other processes. ENOSYS: everything else, so that programs take their
 * fallback. Calls of another architecture end the process.
 */
int filter_make(struct sock_fprog *ret, struct err *e); /* free ret->filter */
/* Loads it into the calling thread; needs no_new_privs. Safe after a fork. 0 or -errno. */
int filter_load(const struct sock_fprog *f);

#endif
