/* User namespaces kept by descriptor alone: no process stays in them. */
#ifndef RUNTIME_USERNS_H
#define RUNTIME_USERNS_H

#include "lib/base.h"
#include "lib/err.h"

struct userns_extent {
	uint32_t inside, outside, count;
};

/* A namespace with that map for uids and gids (setgroups allowed). Its fd (CLOEXEC), or
 * -errno: -EPERM in a chroot. Blocks about 1 ms. */
int userns_make(const struct userns_extent *map, size_t n, struct err *e);

#endif
