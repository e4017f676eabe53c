/*
 * The confinement of git while it serves a push or a fetch: it parses a pack that a stranger may have made, as the user
 * who owns every repository. Libc only.
 */
#ifndef RECEIVER_JAIL_H
#define RECEIVER_JAIL_H

#include "lib/base.h"
#include "lib/err.h"

/*
 * From here on this process and what it starts
 *   write only below repo (with writable false: nowhere) and to /dev/null;
 *   read only repo, the programs (/usr, bin) and what the C library needs of /etc;
 *   open no socket (those they have stay usable: the hook's connection to control), and signal and trace no process
 *   outside of the confinement.
 * Landlock (landlock(7), since Linux 5.13; moving files between folders of one repository needs 5.19) and a seccomp
 * filter. repo and bin are absolute; bin is the folder of berth's own programs and hooks.
 * 0; -EOPNOTSUPP where the kernel has no Landlock (the filter is on then); -errno with e when the process must not go
 * on. Gaining rights by exec is over afterwards (no_new_privs).
 */
int jail_enter(const char *repo, bool writable, const char *bin, struct err *e);

#endif
