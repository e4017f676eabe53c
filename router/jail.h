/* What the router gives up before it reads a byte from the network. */
#ifndef ROUTER_JAIL_H
#define ROUTER_JAIL_H

#include "lib/err.h"

/*
 * As root: enters `folder` as its root, becomes user `name` without groups. As another
 * user those two are skipped (tests). Both: no new privileges, not dumpable, and a
 * seccomp allow-list under which the process cannot open, execute or create anything but
 * sockets' traffic. 0 or -errno.
 */
int jail_enter(const char *folder, const char *name, struct err *e);

#endif
