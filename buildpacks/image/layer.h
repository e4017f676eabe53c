/* A layer as a tar stream: what OCI's image-spec, layer.md, calls a changeset. */
#ifndef BUILDPACKS_LAYER_H
#define BUILDPACKS_LAYER_H

#include "buildpacks/image/blob.h"
#include "lib/err.h"
#include <jansson.h>

struct layer_places {
	const char *layer; /* as it lies on disk: whiteouts are devices 0:0 */
	/* The layers below it over each other, and all of them with it; NULL: there are none below. What tells that a
	 * folder is opaque: its mark can only be read by root. */
	const char *below, *merged;
	/* {PATH: base64}: security.capability of files, which a sandbox could not set; NULL: none */
	const json_t *capabilities;
};
/*
 * Writes all entries sorted, whiteouts of a folder before the rest of it, and the end mark. Left out: sockets, devices,
 * extended attributes other than user.* and security.capability. Blocks. 0 or -errno with e.
 */
int layer_write(const struct layer_places *p, struct blob *b, struct err *e);

#endif
