/* The built-in buildpacks: folders below PACKS_DIR, tried in the order that its file
 * `order` names. */
#ifndef BUILDPACKS_PACK_H
#define BUILDPACKS_PACK_H

#include "buildpacks/plan/plan.h"

#define PACKS_DIR "/berth/packs"
#define PACKS_MAX 64
#define PACK_OUTPUT_MAX (256u << 10) /* of bin/plan and bin/release */
#define APP_DIR "/app"

/* ^[a-z0-9][a-z0-9-]*$, shorter than 32: the folder's name. */
bool pack_name_valid(const char *s);
/* The path of a file of a pack; out holds it. Whether it exists and may be run. */
bool pack_has(const char *pack, const char *file, char out[256]);
/*
 * Sets p->pack and p->name to the first pack whose bin/detect accepts the tree in
 * APP_DIR, or to the one forced (NULL: none); to "classic", which runs them, when forced
 * is several lines or no built-in one. A pack with a file `detect-files` (one path
 * a line) is only asked when one of those exists, and not even asked when that file has a
 * line "name: X". Leaves p->pack empty and fills p->looked_for when none accepts. 0,
 * -errno with e.
 */
int pack_detect(struct plan *p, const char *forced, struct err *e);
/*
 * Runs bin/plan of p->pack, adds the packages that the app's apt.txt names to the
 * toolchain's key, and drops dependency files that do not exist. Without a bin/plan (a
 * classic buildpack) only compile is planned. 0, -errno.
 */
int pack_plan(struct plan *p, struct err *e);

#endif
