/* A release and its image as something that runs them needs it. */
#ifndef CONTROL_RELEASE_H
#define CONTROL_RELEASE_H

#include "control/control.h"

/*
 * The release of that version (0: the live one) with its image, which is whole. 0, or -ENOENT (no such release, its layers are
 * no longer kept) or -errno with e; then db_release_clear(rel) and db_image_clear(image) in any case, both zero before.
 */
int release_load(struct control *c, const struct db_app *app, uint32_t version,
	struct db_release *rel, struct db_image *image, struct err *e);

#endif
