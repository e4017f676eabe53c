/*
 * The frame of every deploy: the app's lock, what is read under it, the build that others see, the release. What becomes
 * the image is said by push.c, change.c, rebuild.c and from_image.c.
 */
#ifndef CONTROL_DEPLOY_H
#define CONTROL_DEPLOY_H

#include "control/control.h"

/* The caller sets c, s, app.id and actor. */
struct deploy {
	struct control *c;
	struct db_app app;
	struct db_image image;
	struct db_release release; /* its config: before deploy_release */
	struct sink *s;
	const char *actor;
	/* Keys of the release's config that the switch stores, with the value from before or null (deploy_config_set). */
	json_t *config_before;
	bool skip_checks, release_task;
	uint32_t data_version; /* as in struct rollout */
	uint64_t began_ns, built_ns;
};

/*
 * Waits for the app's lock, reads the app, looks for space on the disk, does the act and lets go. Image and release are
 * cleared afterwards. 0 or -errno with e, as the act returns it.
 */
int deploy_run(struct deploy *d, int (*act)(struct deploy *d, void *arg, struct err *e),
	void *arg, struct err *e);
/*
 * Within deploy_run: the act as a build, with a row (what: "push"), output that is kept, and an end when somebody asks for
 * it; says how it went. commit: 40 hex digits or "".
 */
int deploy_work(struct deploy *d, const char *what, const char *commit,
	int (*act)(struct deploy *d, void *arg, struct err *e), void *arg, struct err *e);
/* The app's config becomes the release's. */
int deploy_config_load(struct deploy *d, struct err *e);
/* After it, as often as needed: a change that holds for the release, and for the app as soon as that serves. */
struct config_change;
int deploy_config_set(struct deploy *d, const struct config_change *ch, struct err *e);
/* The image of that commit, built as far as it must be. */
int deploy_build(struct deploy *d, const char *commit, bool no_cache, struct err *e);
/* Image and config are filled in: gives the number, rolls out, records how it went. */
int deploy_release(struct deploy *d, const char *description, struct err *e);
/* Says how it went: where it serves, or why not (e->told) and what serves instead. Returns r. */
int deploy_finish(struct deploy *d, int r, struct err *e);
/* Whether the release is one that runs. In the database the app is stopped until the switch, and stays so without it. */
void deploy_set_stopped(struct deploy *d, bool stopped);

#endif
