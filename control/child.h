/* One of berth's own programs that speak to strangers, as a child of control. */
#ifndef CONTROL_CHILD_H
#define CONTROL_CHILD_H

#include "lib/base.h"
#include <sys/types.h>

/*
 * Starts path with fds as its descriptors 0 and up (-1: /dev/null) and no others, a plain environment and, with proxies, those
 * of berthd's. 0 and *ret_pid, which must be waited for, or -errno.
 */
int child_start(const char *path, const char *const *argv, const int *fds, size_t n,
	bool proxies, pid_t *ret_pid);

#endif
