/*
 * berth's own programs: berth-control, berth-logger and the router workers. Each is
 * started as its user, with exactly the descriptors and the environment that lib/proto.h
 * names, and started again when it ends. run/daemons lists them, one a line: NAME PID
 * START-TIME GENERATION; none runs before it stands there.
 */
#ifndef RUNTIME_DAEMONS_H
#define RUNTIME_DAEMONS_H

#include "lib/err.h"
#include "lib/loop.h"
#include "runtime/handoff.h"
#include "runtime/settings.h"

#define DAEMON_NAME_MAX 20
#define DAEMON_RESTART_MAX_MS 1000 /* longest pause before a restart: back within 2 s */
#define DAEMON_STOP_MS 3000	   /* between SIGTERM and SIGKILL */
#define DAEMON_WAY_MS 90000	   /* control's operations under way have a minute */
#define DAEMON_LEAVERS_MAX                                                               \
	16 /* routers that have made way: the eldest is ended before there are more */
#define DAEMONS_MAX (2 + PROTO_WORKERS_MAX + DAEMON_LEAVERS_MAX)

struct daemons;

/* Which users the programs run as; names are in packaging/berth-users. */
struct daemon_ids {
	uid_t control_uid, logger_uid, router_uid, build_uid, ssh_uid;
	gid_t control_gid, logger_gid, router_gid, build_gid, ssh_gid;
};
/* 0, or -ENOENT with the sentence that names the missing user. */
int daemon_ids_load(struct daemon_ids *ids, const char *ssh_user, struct err *e);

/* Everything passed is kept by reference. NULL when out of memory. */
struct daemons *daemons_new(struct loop *l, const struct settings *s,
	const struct handoff *h, const struct daemon_ids *ids);
/*
 * Takes over those that still run with this handoff's descriptors, ends those of an
 * earlier one, and starts what is missing. A program that cannot start is tried again and
 * again.
 */
void daemons_start(struct daemons *d);
/*
 * Ends all, or all but the logger (which still has to read the apps' last lines; call
 * again later); done(arg) when they are gone. None of them is restarted.
 */
void daemons_stop(struct daemons *d, bool logger_too, void (*done)(void *arg), void *arg);
/*
 * All that were found running and were started before (process_ticks) make way, one after the other, for the installed
 * programs: the logger, the routers, control. One makes way when the one before has a successor that runs, and run/daemons
 * can be written. In the background.
 */
void daemons_replace(struct daemons *d, uint64_t before);
/*
 * A router worker reads from its pairs no more (MSG_ROUTER_LEAVES): another takes its place at once; it ends with its last
 * request. In run/daemons it is called DAEMON_LEFT.
 */
void daemons_left(struct daemons *d, unsigned int worker);
#define DAEMON_LEFT "left"
/* One line of run/daemons. */
struct daemon_line {
	char name[DAEMON_NAME_MAX];
	pid_t pid;
	uint64_t start_time, generation;
};
/* At most DAEMONS_MAX; how many, or -errno. */
int daemons_read(const struct settings *s, struct daemon_line *ret);
/* Frees the memory; the programs stay. NULL is allowed. */
void daemons_free(struct daemons *d);
/* With the lock held, or for --remove: ends what an earlier berthd left running here. Blocks
 * up to DAEMON_STOP_MS for each. */
void daemons_end_leftovers(const struct settings *s);

#endif
