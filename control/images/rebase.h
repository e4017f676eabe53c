/* Images on another base. */
#ifndef CONTROL_REBASE_H
#define CONTROL_REBASE_H

#include "control/control.h"

/* The base image that an image is on: its lowest layer, when that is one. 0 with its meta, or -ENOENT. */
int rebase_base(
	struct control *c, const struct db_image *i, uint64_t *ret_id, json_t **ret_meta);
/*
 * *ret is `old` on base `next`: the same layers above, and one that brings dpkg's list of packages up to date. Not recorded.
 * 0, -EEXIST with the reason in e when what lies above does not fit another base, or -errno; db_image_clear(ret) in any case.
 */
int rebase_image(struct control *c, const struct db_image *old, uint64_t base,
	uint64_t next, struct sink *s, struct db_image *ret, struct err *e);

#endif
