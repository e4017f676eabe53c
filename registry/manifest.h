/* The JSON that an image consists of: image-spec (manifest.md, image-index.md) and docker's schema 2, which differ in names. */
#ifndef REGISTRY_MANIFEST_H
#define REGISTRY_MANIFEST_H

#include "lib/base.h"
#include "lib/err.h"

#define MANIFEST_BYTES_MAX                                                               \
	((size_t)4 << 20) /* distribution specification: at least 4 MB are taken */
#define CONFIG_BYTES_MAX ((size_t)1 << 20) /* as buildpacks/image/image_plan.c */
#define MANIFEST_LAYERS_MAX 64		   /* as lib/proto.h, PROTO_LAYERS_MAX */
#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define MANIFEST_ACCEPT                                                                  \
	MANIFEST_TYPE ", application/vnd.oci.image.index.v1+json, "                      \
		      "application/vnd.docker.distribution.manifest.v2+json, "           \
		      "application/vnd.docker.distribution.manifest.list.v2+json"

struct descriptor {
	char digest[72]; /* sha256:HEX */
	uint64_t size;
};
struct manifest {
	bool index; /* then chosen is the image of the machine, else all the rest */
	struct descriptor chosen;
	struct descriptor config, layers[MANIFEST_LAYERS_MAX];
	size_t n_layers;
};
/* machine: as Go calls it (amd64, arm64). 0; -ENOENT: an index without it; -EBADMSG, -EINVAL: no image; with e. */
int manifest_parse(const char *text, size_t len, const char *machine,
	struct manifest *ret, struct err *e);
/* The diff_ids of a configuration, which must be n. 0 or -EBADMSG with e. */
int manifest_diff_ids(
	const char *text, size_t len, char (*ret)[72], size_t n, struct err *e);
bool digest_valid(const char *s);

#endif
