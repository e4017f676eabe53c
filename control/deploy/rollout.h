/*
 * From one set of instances to the next: start, probe, switch, drain. Deploys, config changes, rollbacks, restarts and
 * scaling are all rollouts; the switch in the database is the commit point.
 */
#ifndef CONTROL_ROLLOUT_H
#define CONTROL_ROLLOUT_H

#include "control/control.h"

struct rollout {
	/* Its `stopped` says what is to be: the switch ends what the database says. */
	const struct db_app *app;
	const struct db_release *release;
	const struct db_image *image;
	const char *type; /* only this process type; NULL: all */
	bool commit; /* a new release: becomes the live one (or the canary) at the switch */
	bool release_task; /* run the release process before the switch */
	bool skip_checks;
	uint32_t
		data_version; /* not 0: with the data of when that release was replaced (release_data.h) */
	const json_t *
		config_before; /* not NULL: keys of its config that the switch stores, with the value from before or null */
	uint32_t canary_percent; /* not 0: of a canary with that share; type is "web" */
	struct sink *s;
};
/*
 * Blocks until the new instances serve and old ones are told to go (they drain in the background). The app's lock is
 * held by the caller. On failure everything is as before, the reason is in e, and the last log lines of what failed
 * were printed.
 */
int rollout_run(struct control *c, const struct rollout *r, struct err *e);
/*
 * Brings the number of instances of the live release to the formation, or of the canary to its share of it, touching no
 * others; with commit the release becomes the canary when they are ready, and those of another one drain.
 */
int rollout_scale(struct control *c, const struct rollout *r, struct err *e);
/*
 * Runs a command once beside the app, in the release's image with its config, as TYPE.1, and prints its last lines. -ECHILD when it fails,
 * -ECANCELED.
 */
int rollout_task(struct control *c, const struct rollout *r, const char *type,
	const char *command, struct err *e);
/* From now on there is no canary: its instances drain in the background. 0 or -errno with e. */
int rollout_end_canary(
	struct control *c, const struct db_app *a, struct sink *s, struct err *e);
/* The process type has a writable volume, and is not set to overlap: two instances must not run at once. */
bool rollout_stop_first(struct control *c, uint32_t app, const char *type);

#endif
