/*
 * git over HTTP: a berth-shell as the ssh user for each request (MSG_GIT), as sshd starts one for each session. It outlives
 * berthd, and ends with the pipes that control holds.
 */
#ifndef RUNTIME_GITRUN_H
#define RUNTIME_GITRUN_H

#include "runtime/daemons/daemons.h"

struct gitrun;

/* Everything passed is kept by reference. NULL when out of memory. */
struct gitrun *gitrun_new(
	struct loop *l, const struct settings *s, const struct daemon_ids *ids);
/* Those at work go on. NULL is allowed. */
void gitrun_free(struct gitrun *g);
/* Is every field within its range? */
bool gitrun_sound(const struct msg_git *m);
/* Of a sound message; fds as MSG_GIT says, the caller's. 0, -EBUSY, -errno. */
int gitrun_start(struct gitrun *g, const struct msg_git *m, const int fds[4]);

#endif
