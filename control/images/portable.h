/*
 * Images as archives that other tools read, and what differs between two. Layers are read by berth-build in sandboxes
 * whose root is the lowest of them; what control adds is its own JSON.
 */
#ifndef CONTROL_PORTABLE_H
#define CONTROL_PORTABLE_H

#include "control/images/images.h"

/*
 * Writes the image to fd as
 *   oci     an OCI image layout in a tar: https://github.com/opencontainers/image-spec, image-layout.md; layers gzip
 *   oci-zstd  the same with layers zstd
 *   docker  what `docker save` writes: manifest.json, the configuration, layers as plain tar
 *   rootfs  one tar of the merged files, what `docker export` writes
 * An image of the same layers and configuration gives the same bytes. Blocks. 0 or -errno with e (-EINVAL: another
 * format).
 */
int image_export(struct control *c, const struct image_found *f, const char *format,
	int fd, struct sink *s, struct err *e);
/*
 * The same image as `oci`, blob by blob, to somebody who may have some of them already. Each of blob and manifest gets what lies
 * in fd (spool_file), which is the caller's and used again for the next one.
 */
struct image_blob {
	const char *title;  /* for people */
	const char *digest; /* sha256:HEX */
	uint64_t size, offset;
};
struct image_receiver {
	int (*has)(void *arg, const char *digest, struct err *e); /* 1, 0 or -errno */
	int (*blob)(void *arg, const struct image_blob *b,
		struct err *e); /* 1: it was there, 0 or -errno */
	int (*manifest)(void *arg, const struct image_blob *b, struct err *e); /* last */
	void *arg;
};
int image_send(struct control *c, const struct image_found *f, int fd,
	const struct image_receiver *to, struct sink *s, struct err *e);
/* Layer i of them as a plain tar, what it changes of those below; *ret {diff_id: sha256:HEX}. */
int image_layer_tar(struct control *c, const json_t *layers, size_t i, int fd,
	struct sink *s, json_t **ret, struct err *e);
/* Finds the digests of layers that have none yet (half a second for a base image), for all further questions. */
int image_digests(struct control *c, const json_t *layers, struct sink *s, struct err *e);
/* Files and packages, as buildpacks/image/image_diff.h says. */
int image_compare(struct control *c, const struct image_found *from,
	const struct image_found *to, struct sink *s, json_t **ret, struct err *e);

#endif
