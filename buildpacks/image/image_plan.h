/* What an archive of an image is, by its content, and what is in it. */
#ifndef BUILDPACKS_IMAGE_PLAN_H
#define BUILDPACKS_IMAGE_PLAN_H

#include "lib/base.h"
#include "lib/err.h"
#include <jansson.h>

#define IMAGE_LAYERS_MAX 64 /* as lib/proto.h, PROTO_LAYERS_MAX */

/*
 * The tar at fd (can seek, perhaps compressed) is
 *   an OCI image layout   oci-layout and index.json are in it; indexes may nest, the entry for this machine is taken
 *   a docker archive      manifest.json is in it
 *   a root file system    neither is
 * *ret {kind: "oci"|"docker"|"rootfs", name: its tag or "", config: its whole configuration ({} for a root file system),
 * layers: [{path, diff_id}]}, bottom first. Each blob's digest and size, and the configuration's, were compared with what
 * names them; diff_id (hex) is compared when the layer is unpacked. max_bytes: of the archive, uncompressed. partial: an OCI layout may
 * lack layers; their path is "". Blocks. 0 or
 * -errno with e.
 */
int image_plan(int fd, uint64_t max_bytes, bool partial, json_t **ret, struct err *e);

#endif
