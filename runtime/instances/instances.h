/*
 * All sandboxes that berthd knows, from their start to the moment control has recorded
 * their end: started, watched by pidfd, stopped, adopted after a restart; stack builds
 * are kept in the same table. The record on disk (runtime/records.h) is always written
 * before the step that it tells of.
 */
#ifndef RUNTIME_INSTANCES_H
#define RUNTIME_INSTANCES_H

#include "lib/loop.h"
#include "lib/msg.h"
#include "runtime/daemons/daemons.h"
#include "runtime/disk/chores.h"
#include "runtime/folders.h"
#include "runtime/records.h"

struct instances;

struct instances_config {
	struct loop *loop;
	struct runtime *rt;
	const struct settings *settings;
	const struct daemon_ids *ids;
	const struct folders *folders;
	struct chores *chores;
	int control_fd, logger_fd; /* berthd's ends of the pairs */
};

struct instances *instances_new(const struct instances_config *c);
/* The sandboxes stay. NULL is allowed. */
void instances_free(struct instances *in);
/* Finds what earlier processes left, attaches all output to the logger, tells control of
 * each end. */
void instances_adopt(struct instances *in);

/*
 * As MSG_START, MSG_ENTER, MSG_STACK_BUILD; fds stay the caller's. *ret_pty: -1, or the
 * master of the new terminal, the caller's. 0, or -errno with the sentence; -ESHUTDOWN
 * while berthd stops.
 */
int instances_start(struct instances *in, const struct msg_start *m, const int *fds,
	unsigned int n_fds, struct msg_started *out, int *ret_pty, struct err *e);
int instances_enter(struct instances *in, const struct msg_enter *m, const int *fds,
	unsigned int n_fds, struct msg_started *out, int *ret_pty, struct err *e);
int instances_build_stack(struct instances *in, const struct msg_stack *m, const int *fds,
	struct msg_started *out, struct err *e);

/* SIGTERM or what its start named, SIGKILL timeout_ms later; 0: SIGKILL. 0 (also when it ended already), -ESRCH
 * for an unknown id. */
int instances_stop(struct instances *in, uint64_t id, uint32_t timeout_ms);
/*
 * freeze.c. None of its processes runs until it is thawed, or stopped; reclaim: its memory
 * goes to swap meanwhile, in the background. 0 (also when it is frozen already), -ESRCH
 * for one that does not run, -EBUSY while it stops or somebody is inside, -EINVAL for a
 * build or an entered program, -EOPNOTSUPP where the host has no freezer.
 */
int instances_freeze(struct instances *in, uint64_t id, bool reclaim);
/* 0 (also when it was not frozen), -ESRCH, -errno. */
int instances_thaw(struct instances *in, uint64_t id);
/* The record of one that runs, or NULL. Valid until the loop's next turn. */
const struct record *instances_running(struct instances *in, uint64_t id);
/* Rows of those with ids greater than after, rising. */
void instances_list(struct instances *in, uint64_t after, struct msg_list *ret);

/* Does one that runs use it? */
bool instances_use_layer(struct instances *in, uint64_t layer);
bool instances_use_volume(struct instances *in, uint64_t volume);
bool instances_use_app(struct instances *in, uint32_t app);
/* part: as in msg_cache. */
bool instances_use_cache(struct instances *in, uint32_t app, uint64_t part);
/* Each that runs, stack builds left out. */
void instances_walk(
	struct instances *in, void (*cb)(void *arg, const struct record *r), void *arg);

/* control said HELLO / has recorded the end of one; the logger said HELLO / has read one
 * to the end. */
void instances_tell_exits(struct instances *in);
void instances_acked(struct instances *in, uint64_t id);
void instances_attach_all(struct instances *in);
void instances_log_done(struct instances *in, uint64_t id);

#define STOP_ALL_MAX_MS 10000 /* the longest time an app gets when everything stops */
/* Ends all; done(arg) when the last is gone and its output read (or the logger had a
 * second for it). */
void instances_stop_all(struct instances *in, void (*done)(void *arg), void *arg);
bool instances_any_running(struct instances *in);

#endif
