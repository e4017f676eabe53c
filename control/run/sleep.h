/*
 * Apps that sleep: their web processes are stopped, or frozen, when nobody asked for them for a while or when told to;
 * the router holds the request that comes then, and they are woken. Other process types go on.
 *
 * Falling asleep is done in two steps, under the app's lock. First the router gets a table that holds the app's requests,
 * and each worker says that nothing is in flight: then nothing can be cut off. Only then the state is written to the
 * database and the instances are stopped or frozen. A request that came meanwhile (the worker says so, as it does for one
 * that comes later) turns it back. Frozen instances stand in the table again afterwards: a router worker has berthd thaw
 * them and goes on, without waiting for control.
 *
 * Waking needs no lock of the app: it does what the supervisor does after a crash, so it may happen in the middle of a
 * build. Whatever puts new instances in the place of the old ones (a deploy, ps:restart, …) ends the sleep too.
 *
 * After a restart of control the database decides; an app that is not wholly frozen although it should be is woken.
 */
#ifndef CONTROL_SLEEP_H
#define CONTROL_SLEEP_H

#include "control/control.h"

int sleep_open(struct control *c, struct sleepers **ret);

/* What router worker i says; called by their one reader thread, none of them blocks. up: bit i: worker i is there. */
void sleep_idle(struct control *c, uint32_t app, unsigned int worker, uint32_t up);
void sleep_busy(struct control *c, uint32_t app, unsigned int worker);
void sleep_asked(struct control *c, uint32_t app);
void sleep_new_worker(struct control *c, unsigned int worker);

/*
 * What the table says of it, but its instances; false: it has none there. Called while the table is built. idle_after_ms: when
 * it is to fall asleep, 0: never.
 */
bool sleep_row(struct control *c, const struct db_app *a, uint32_t idle_after_ms,
	struct table_app *t);

/* Wakes it and waits until it serves; why: for the log. 0 (also when it does not sleep), or -errno with the reason. */
int sleep_wake(struct control *c, uint32_t app, const char *why, struct err *e);
/*
 * For who enters one of its web instances, once that is recorded: wakes it where it sleeps, and turns it back where it is
 * falling asleep; from then on the record keeps it awake. As sleep_wake.
 */
int sleep_keep_awake(struct control *c, uint32_t app, const char *why, struct err *e);
/* Under the app's lock, with its new instances ready and the old ones retired: it is awake. */
void sleep_over(struct control *c, uint32_t app, const char *why);

/* At start-up, before any table: what berthd says. Those in frozen are in running too. */
struct sleep_found {
	const uint64_t *running, *frozen;
	size_t n_running, n_frozen;
};
void sleep_recover(struct control *c, const struct sleep_found *f);

#endif
