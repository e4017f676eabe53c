/*
 * What a sandbox is held by, one bit each, for tests/attack: it builds this folder a second time with
 * BERTH_TEST_GUARDS and starts sandboxes that leave guards out, to see that an attack is refused by each of its
 * guards alone and succeeds without them. In berth itself every guard is on: GUARD is the constant true, and
 * nothing of this is left in the code.
 */
#ifndef RUNTIME_GUARDS_H
#define RUNTIME_GUARDS_H

#include "lib/base.h"

/* Tables are read down their columns: */
/* clang-format off */
enum guard {
	GUARD_FILTER  = 1 << 0,  /* the system call filter */
	GUARD_CAPS    = 1 << 1,  /* no capabilities (a build's root: eight), bounding set too */
	GUARD_USERNS  = 1 << 2,  /* the app's user namespace */
	GUARD_USER    = 1 << 3,  /* the app is uid 1000 of its range, not 0 */
	GUARD_NNP     = 1 << 4,  /* no_new_privs */
	GUARD_MASKS   = 1 << 5,  /* parts of /proc covered or read-only */
	GUARD_FLAGS   = 1 << 6,  /* mounts nosuid, nodev, read-only */
	GUARD_ROOT    = 1 << 7,  /* pivot_root, the old root unmounted */
	GUARD_PIDNS   = 1 << 8,
	GUARD_NETNS   = 1 << 9,
	GUARD_IPCNS   = 1 << 10,
	GUARD_CGNS    = 1 << 11,
	GUARD_DUMP    = 1 << 12, /* berth-init is not dumpable */
	GUARD_FDS     = 1 << 13, /* descriptors above the fixed ones are closed */
	GUARD_SIZES   = 1 << 14, /* memory file systems have a size */
	GUARD_KILL    = 1 << 15, /* whatever is in the control group is killed */
	GUARD_START   = 1 << 16, /* a pid counts only together with its start time */
	/* these the test leaves out without help from here */
	GUARD_NET     = 1 << 17, /* the packet filter */
	GUARD_LIMITS  = 1 << 18, /* control group, rlimits, scratch size, log budget: far higher when off */
	GUARD_UNREAD  = 1 << 19, /* berth-init's file cannot be read */
	GUARD_OWNER   = 1 << 20, /* the app's user namespace belongs to a user of its own */
	GUARD_KEYRING = 1 << 21, /* a session keyring of the sandbox's own */
	GUARD_RIGHTS  = 1 << 22, /* who connects to its listener takes no descriptors from it */
	GUARD_BITS    = 23
};
/* clang-format on */

#ifdef BERTH_TEST_GUARDS
extern uint32_t guards_off; /* the test's own */
/* Every capability for the program that is run, whatever its uid. 0 or -errno. */
int guards_keep_capabilities(void);
/* False when one of them is left out. */
#define GUARD(g) (!(guards_off & (g)))
#define GUARDS_CHANGE true /* what was made ahead has those of that time */
#define GUARD_ATTRS(attrs) (GUARD(GUARD_FLAGS) ? (attrs) : 0)
#else
#define GUARD(g) true
#define GUARDS_CHANGE false
#define GUARD_ATTRS(attrs) (attrs)
#define guards_keep_capabilities() 0
#endif

#endif
