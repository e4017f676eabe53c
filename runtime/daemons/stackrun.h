/* Starting stackmake.h's work as a process of user _berth-build, in a pid namespace: its
 * end ends all of it. */
#ifndef RUNTIME_STACKRUN_H
#define RUNTIME_STACKRUN_H

#include "runtime/daemons/daemons.h"
#include "runtime/folders.h"

#define STACK_EXIT_FD 3 /* where the process writes its exit status, int32_t */

/*
 * The tar goes to out, what it says to err_out; exit_fd gets the status. All stay the
 * caller's. The pid and *ret_pidfd, or -errno. It begins with process_go(*ret_go).
 */
pid_t stackrun_start(const struct settings *s, const struct daemon_ids *ids,
	const struct folders *f, uint64_t id, uint32_t suite, int exit_fd, int out,
	int err_out, int *ret_pidfd, int *ret_go, struct err *e);
/* What to call after its end: the folder it worked in goes. */
struct chores;
void stackrun_cleanup(struct chores *c, const struct folders *f, uint64_t id);

#endif
