/* The system calls a sandbox may make: compiled once, loaded by every child. */
#ifndef RUNTIME_SECCOMP_H
#define RUNTIME_SECCOMP_H

#include "lib/base.h"
#include "lib/err.h"
#include <linux/filter.h>

/* Two programs that the kernel runs one after the other, the stricter answer counting:
 * names, then arguments. */
struct filter {
	struct sock_fprog names, arguments;
};

/*
 * Allowed: the calls in seccomp.c's list. EPERM: those that exist to change the system or
 * look into other processes. ENOSYS: everything else, so that programs take their
 * fallback. Calls of another architecture end the process.
 */
int filter_make(struct filter *ret, struct err *e);
void filter_free(struct filter *f);
/* Loads both into the calling thread; needs no_new_privs. Safe after a fork. 0 or -errno.
 */
int filter_load(const struct filter *f);

#endif
