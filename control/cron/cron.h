/*
 * Scheduled tasks: who starts them, when, and what becomes of each run. The tasks are those of the live releases' app.json, a run is
 * a one-off (kind "cron"), and the rows of cron_run are the truth about runs: a berth-control that starts takes them over.
 *
 * One thread sleeps until the next time that any task is due, or a run is to be ended, or something changed.
 */
#ifndef CONTROL_CRON_H
#define CONTROL_CRON_H

#include "control/control.h"
#include "control/cron/cron_task.h"

struct cron;
struct msg_exited;

#define CRON_TOPIC "cron" /* of its settings */
#define CRON_PARALLEL 32u /* runs at once on this host, where nothing is set */
#define CRON_PARALLEL_MAX 1000u
#define CRON_TIMEOUT_S 86400u
#define CRON_CATCH_UP_S 3600u

int cron_open(struct cron **ret);
/* Its thread. 0 or -errno. */
int cron_run(struct control *c);
void cron_close(struct cron *r); /* tests: without a thread */
/* A release went live, a setting or a suspension changed. Any thread; without cron (tests) nothing. */
void cron_changed(struct control *c);
/* An instance ended. False: it was no run of a task. */
bool cron_ended(struct control *c, const struct msg_exited *x);
/* At the start: is that instance, which runs, a run that goes on? */
bool cron_keeps(struct control *c, const struct db_instance *i);
/* At the start, after the instances: runs whose sandbox is gone have an end. */
void cron_recover(struct control *c);
/* One look: starts and ends what is due at now_us. The time of the next look, 0: none is planned. */
uint64_t cron_look(struct control *c, uint64_t now_us);

/* A task of an app's live release. */
struct cron_found {
	json_t *cron; /* the app's, which holds the task's texts: a reference */
	struct cron_task task;
	uint32_t version;
};
/* By id, or by a beginning of it that only one has. -ENOENT with e. */
int cron_find(struct control *c, const struct db_app *a, const char *id,
	struct cron_found *ret, struct err *e);
/*
 * Starts it now, whatever its schedule and suspension say; a run that it replaces is waited for, as long as sink is not cancelled.
 * -EBUSY: its policy forbids another run, or the one before does not end, -ECANCELED, with e.
 */
int cron_start(struct control *c, const struct db_app *a, const struct cron_found *f,
	const char *actor, struct sink *sink, struct db_cron_run *ret, struct err *e);
/* Ends a run: SIGTERM, SIGKILL after the app's stop timeout. why: stopped. Does not wait. */
int cron_stop(struct control *c, const struct db_cron_run *r, const char *why);
/* Waits until it has an end, ms at most. 0 with *ret, -EAGAIN, or -errno. */
int cron_wait(struct control *c, uint64_t id, int ms, struct db_cron_run *ret);
/* From now on nothing is started: this berth-control is about to end. false, and nothing is changed: somebody waits for a run to make way. */
bool cron_quiesce(struct control *c);
/* The zone whose clock the app's schedules follow; "": the host's. The caller's. */
char *cron_zone_name(struct control *c, uint32_t app);
/* Does anything keep the task from being started by its schedule? NULL, or why: suspended, stopped, off. */
const char *cron_held(
	struct control *c, const struct db_app *a, const struct cron_task *t);

#endif
