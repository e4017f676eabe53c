/*
 * Starts instances again: after an end (by the policy and the pauses of restart.h), and all of them after a boot, a few
 * at a time. One thread waits for all pauses with one deadline; it sleeps without one while nothing waits. Each start
 * runs in a short-lived thread of its own, since a probe can take long.
 *
 * Order: of those whose time has come, first every app's web.1, then the other web processes, then workers; those that
 * failed before come after those that did not.
 */
#ifndef CONTROL_SUPERVISE_H
#define CONTROL_SUPERVISE_H

#include "control/control.h"
#include "control/member.h"

#define SUPERVISE_PER_CPU                                                                \
	2 /* starts at once; at least SUPERVISE_MIN, at most SUPERVISE_MAX */
#define SUPERVISE_MIN 4
#define SUPERVISE_MAX 32
#define SUPERVISE_SLOT_MS 5000 /* a start that takes longer lets others begin meanwhile */
#define SUPERVISE_STARTS_MAX 128 /* threads; beyond it others wait after all */

/* Starts the thread. 0 or -errno. */
int supervise_run(struct control *c);
/*
 * Once after the start: what apps should run and does not, is started. Its progress is in berth-control's own log, and in
 * fleet_list_all.
 */
void supervise_boot(struct control *c);
/* From the engine's reader thread: a sandbox ended. */
void supervise_exited(struct control *c, const struct msg_exited *e);
/* It was taken into the fleet at a start: where its end was told before that, when nobody knew it, it is seen to now. */
void supervise_adopted(struct control *c, uint64_t id);
/*
 * One that fleet_ready refused: it ended after whoever started it had found it ready. Its exit is still expected
 * (engine_expect). Tried again as the policy says.
 */
void supervise_lost(struct control *c, const struct member *m);
/* Starts in the background, after delay_ms, whatever the live release, the canary and the formation want and is not there. */
void supervise_fill(struct control *c, uint32_t app, uint32_t delay_ms);
/* The same for the web processes of an app that slept, whose start is no restart. */
void supervise_woken(struct control *c, uint32_t app);
/*
 * Waits until a web instance of the live release serves: 0; or until none is on its way any more: -ECHILD and why the last one
 * did not come up ("" when none was wanted).
 */
int supervise_await_web(struct control *c, uint32_t app, char reason[160]);
/*
 * Waits until nothing of the app is half started, so that fleet_list tells all that runs. With fleet_hold before it
 * nothing starts afterwards. At most a few milliseconds; ENGINE_TIMEOUT_MS when berthd is stuck.
 */
void supervise_settle(struct control *c, uint32_t app);
#endif
