/*
 * The two files of a sandbox that hold names: /etc/hosts and /etc/hostname. They lie on one
 * small tmpfs of the berth, mounted at run/names, because hosts is rewritten while the
 * sandbox runs and must be found again by a berthd that was restarted. A sandbox sees them
 * as read-only mounts of single files.
 */
#ifndef RUNTIME_NAMES_H
#define RUNTIME_NAMES_H

#include "lib/base.h"
#include "lib/err.h"

/* Mounts the tmpfs at run/names where it is missing. fd of it (CLOEXEC), or -errno. */
int names_open(const char *run, struct err *e);
/* Takes it away. Absent is fine. */
void names_unmount(const char *run);
/* Both files of a new sandbox named host ("web.1"); what is left of an earlier one with
 * that id goes. more: len bytes for the end of hosts. 0 or -errno. */
int names_make(int names, uint64_t id, const char *host, const char *more, size_t len);
/* Rewrites hosts in place, so that the sandbox sees it. -ENOENT: it has none. */
int names_update(int names, uint64_t id, const char *host, const char *more, size_t len);
void names_remove(int names, uint64_t id);
/* Calls cb for the id of each hosts file. */
void names_list(int names, void (*cb)(void *arg, uint64_t id), void *arg);

/* After id_name's 16 hex digits. */
#define NAMES_HOSTS ".hosts"
#define NAMES_HOSTNAME ".hostname"

#endif
