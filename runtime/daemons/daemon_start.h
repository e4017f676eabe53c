/* Starting one of berth's own programs: its user, limits, environment and descriptors. */
#ifndef RUNTIME_DAEMON_START_H
#define RUNTIME_DAEMON_START_H

#include "runtime/daemons/daemons.h"

#define DAEMON_NO_WORKER UINT32_MAX

enum daemon_kind { DAEMON_CONTROL, DAEMON_LOGGER, DAEMON_ROUTER };

struct daemon_program {
	enum daemon_kind kind;
	unsigned int worker; /* of the router, or DAEMON_NO_WORKER */
	const struct settings *settings;
	const struct handoff *handoff;
	const struct daemon_ids *ids;
};

/*
 * Starts it. The pid, and its pidfd (CLOEXEC) in *ret_pidfd; or -errno. It begins with
 * process_go(*ret_go) (runtime/process.h): none runs that is not written down. A failure after that
 * (no such program) shows as exit status 127 of the process, with a line on stderr.
 */
pid_t daemon_start(
	const struct daemon_program *p, int *ret_pidfd, int *ret_go, struct err *e);
/*
 * In a forked child: becomes the user for good, without groups, capabilities or a way to
 * get them back. 0 or -errno.
 */
int daemon_drop_to(uid_t uid, gid_t gid);

#endif
