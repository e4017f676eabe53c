/* User namespaces kept by descriptor alone: no process stays in them. */
#ifndef RUNTIME_USERNS_H
#define RUNTIME_USERNS_H

#include "lib/base.h"
#include "lib/err.h"
#include <sys/types.h>

struct userns_extent {
	uint32_t inside, outside, count;
};

/*
 * A namespace with that map for uids and gids (setgroups allowed), which belongs to the
 * host's user `owner`. The kernel counts on the owner whatever its processes take that
 * is limited per user (inotify instances, pending signals and timers, message queues;
 * user_namespaces(7), namespaces(7)): with the same owner, one app could take it from all.
 * Its fd (CLOEXEC), or -errno: -EPERM in a chroot. Blocks about 1 ms.
 */
int userns_make(const struct userns_extent *map, size_t n, uid_t owner, struct err *e);

/*
 * The same in three steps, for several at once, or to do something else meanwhile. The
 * process in which it is made lives from the first step to the last: whoever has begun
 * one ends it, whether it was finished or not.
 */
struct userns_maker {
	pid_t pid; /* 0: none */
	int from;
};
int userns_begin(uid_t owner, struct userns_maker *m, struct err *e);
int userns_finish(const struct userns_maker *m, const struct userns_extent *map, size_t n,
	struct err *e); /* its fd, or -errno */
void userns_end(struct userns_maker *m);

#endif
