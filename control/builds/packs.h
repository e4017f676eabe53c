/* The buildpacks that an app names itself, in order: set by command, by BUILDPACK_URL of its config, or in app.json. */
#ifndef CONTROL_PACKS_H
#define CONTROL_PACKS_H

#include "control/control.h"
#include "lib/buf.h"

#define PACKS_LIST_MAX 16
#define PACKS_ENTRY_MAX 255

/*
 * Whether s may be one: the name of a built-in buildpack (node, heroku/nodejs), a folder of the repository (./packs/mine) or of the host (host:mine), or
 * an address (https://, http://, git://; "#REF" behind it). What is there is the build's to find out. 0, or -EINVAL with a
 * sentence.
 */
int packs_check(const char *s, struct err *e);
/* Those set for the app, an array of strings (empty: none). 0 or -errno. */
int packs_read(struct control *c, uint32_t app, json_t **ret);
/* 0 or -errno; an empty array unsets. */
int packs_write(struct control *c, uint32_t app, const json_t *list);
/*
 * For berth-build: "BERTH_BUILDPACKS=" with what was set for the app, else BUILDPACK_URL, one a line; and
 * "BERTH_APP_BUILDPACKS=" with app.json's. Each stays empty when there is none. 0 or -errno with e.
 */
int packs_env(struct control *c, uint32_t app, const json_t *config,
	const json_t *app_json, struct buf *ret_set, struct buf *ret_app, struct err *e);

#endif
