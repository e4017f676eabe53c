/*
 * The confinement of a foreign program that parses what strangers made, as a user who owns more than it needs: git, uacme.
 * Libc only.
 */
#ifndef LIB_CONFINE_H
#define LIB_CONFINE_H

#include "lib/base.h"
#include "lib/err.h"

enum confine_right { CONFINE_READ /* and run */, CONFINE_WRITE };
struct confine_place {
	const char *path; /* absolute; one that is absent is left out */
	enum confine_right right;
};
enum confine_flags { CONFINE_CALLS_OUT = 1 << 0 /* may open sockets and connect them */ };

/*
 * From here on this process and what it starts
 *   write only below the places that say so and to /dev/null, and make no device;
 *   read only these places, the programs (/usr) and what the C library needs of /etc;
 *   open no socket (those they have stay usable), with CONFINE_CALLS_OUT none that others can call;
 *   trace no process outside of the confinement, and signal none (from Linux 6.12 on).
 * Landlock (landlock(7), since Linux 5.13; moving files between folders of one place needs 5.19) and a seccomp filter.
 * who: the program's name for errors.
 * 0; -EOPNOTSUPP where the kernel has no Landlock (the filter is on then); -errno with e when the process must not go
 * on. Gaining rights by exec is over afterwards (no_new_privs).
 */
int confine(const char *who, const struct confine_place *places, size_t n,
	unsigned int flags, struct err *e);

#endif
