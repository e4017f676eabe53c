/*
 * Images from archives that other tools wrote. Control keeps the archive as a file that it does not read; what it is, and
 * what is in it, berth-build finds out in sandboxes, one for the whole and one for each layer that is new.
 */
#ifndef CONTROL_IMPORT_H
#define CONTROL_IMPORT_H

#include "control/control.h"

#define IMPORT_FILES_MAX                                                                 \
	500000u /* of a layer; a desktop's root file system has 300,000 */

struct image_import {
	int fd; /* the archive, as it comes; the caller's */
	/* Instead of fd, when set: as spool_fill's; the archive may lack layers that image_import_has. */
	int (*fetch)(
		void *arg, int to, uint64_t max_bytes, struct sink *s, struct err *e);
	void *fetch_arg;
	const char *name; /* NAME[:TAG] or NULL: as the archive says */
	/* For a root file system, which says nothing of it; for others in place of what they say. NULL: not given. */
	json_t *cmd, *env; /* arrays of words and of K=V */
	const char *workdir, *user;
};
/*
 * Blocks until the image has its name (ret) or nothing of it is left. Layers are found by the digests of all below
 * them (image-spec, config.md, ChainID), so that equal ones are there once. 0 or -errno with e; -ECANCELED.
 */
int image_import(struct control *c, const struct image_import *i, struct sink *s,
	char ret_name[TAG_NAME_MAX], struct err *e);
/* From within fetch: which layers are here of an image with these diff_ids (64 hex digits each), bottom first. */
void image_import_has(
	struct control *c, const char (*diff_ids)[65], size_t n, bool *ret_has);

#endif
