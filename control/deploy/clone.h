/* A new app that is what another one is. */
#ifndef CONTROL_CLONE_H
#define CONTROL_CLONE_H

#include "control/control.h"

/* What becomes of the volumes of the first one; those of the new app are called NEW-VOLUME (name_joined). */
enum clone_data {
	CLONE_NONE,   /* it has none */
	CLONE_EMPTY,  /* new ones in their places */
	CLONE_COPIES, /* with what they hold, as a snapshot has it */
};
struct clone {
	const char *name, *actor;
	bool with_data; /* CLONE_COPIES */
};
/*
 * The app's row: config, process types, limits, settings, buildpacks, network rules; no domains, certificates, drains or
 * members. 0, -EEXIST: the name is taken, or -errno with e.
 */
int clone_rows(struct control *c, uint32_t from, const char *name, uint32_t *ret_id,
	struct err *e);
/* It is whole: until this is said, what a berth-control that dies leaves of it goes at the next start. */
int clone_over(struct control *c, uint32_t app, struct err *e);
bool clone_is_half(struct control *c, const struct db_app *a);
/* Its network and its volumes. 0 or -errno with e: the caller destroys it then. */
int clone_fill(struct control *c, uint32_t from, uint32_t app, enum clone_data how,
	struct sink *s, struct err *e);
/* The release that serves there becomes the first one here. 0 or -errno with e. */
int clone_release(struct control *c, uint32_t from, uint32_t app, const char *actor,
	struct sink *s, struct err *e);
/* Both, as apps:clone: what fails leaves nothing. made: told the new app's number before its release. */
int app_clone(struct control *c, uint32_t from, const struct clone *k, bool deploy,
	int (*made)(void *arg, uint32_t app), void *arg, struct sink *s, struct err *e);

#endif
