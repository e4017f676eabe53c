/*
 * Writes a foreign layer over what lies below it, trusting nothing in it. The root is that of a sandbox whose upper layer
 * takes what is written; whiteouts become removals, of which overlayfs makes its own.
 *
 * Refused: absolute paths and "..", entries below a symlink or a file, hard links to what is not there or lies below a
 * symlink, a bare ".wh.", more entries or bytes than allowed, another digest than promised. Left out and counted: devices,
 * FIFOs and sockets, what lies below dev and proc, extended attributes other than user.* (security.capability is told).
 * Of a name that comes twice the later entry stays.
 */
#ifndef BUILDPACKS_LAYER_APPLY_H
#define BUILDPACKS_LAYER_APPLY_H

#include "lib/base.h"
#include "lib/err.h"
#include <jansson.h>

struct layer_apply {
	int fd;		     /* the archive; can seek */
	const char *path;    /* of the layer in it; "": the archive is the layer */
	const char *diff_id; /* hex: what its uncompressed bytes must hash to */
	const char *root;    /* "/" in a sandbox */
	uint64_t max_bytes, max_entries;
};
/* *ret {"skipped": N, "capabilities": {PATH: base64}}. Blocks; reads the layer twice. 0 or -errno with e. */
int layer_apply(const struct layer_apply *a, json_t **ret, struct err *e);

#endif
