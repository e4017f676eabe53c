/*
 * Images as things with names. A reference is one of
 *   APP            the image of the app's live release
 *   APP:vN         that of its release N
 *   NAME[:TAG]     one that was tagged, imported or pulled (without a TAG: latest)
 *   HOST/PATH[:TAG]@sha256:HEX   one that was pulled by its digest
 * in this order. All that is found lives as ids of layers and JSON in the database: nothing here reads a layer.
 */
#ifndef CONTROL_IMAGES_H
#define CONTROL_IMAGES_H

#include "control/images/reference.h"

/* "name[:tag]" as registries write it, made whole ("a" is "a:latest"). -EINVAL with the rule in e. */
int image_name(const char *reference, char out[TAG_NAME_MAX], struct err *e);
/*
 * What an image of a registry is called here when nothing is said: its full name; one that is named by its digest, whatever its tag,
 * HOST/PATH:sha256- and 12 digits of it. -EINVAL with e: too long.
 */
int image_pulled_name(
	const struct reference *from, char out[TAG_NAME_MAX], struct err *e);
/*
 * What a FROM in a Dockerfile names: an image that was imported or tagged; apps are not looked at. *ret_layers: ids,
 * bottom first, to be used as layers below a step. *ret_config: the `config` object of its OCI image configuration
 * (Env: array of "K=V"; Entrypoint, Cmd: arrays; User, WorkingDir: strings; ExposedPorts, Volumes, Labels: objects; OnBuild:
 * array), each of them perhaps absent or null. Both are the caller's references. -ENOENT with what to do in e. A build that
 * is recorded (db_build_create) keeps the layers from images:prune until it ends.
 */
int image_base(struct control *c, const char *reference, json_t **ret_layers,
	json_t **ret_config, struct err *e);

struct image_found {
	char name[TAG_NAME_MAX]; /* as it is best written: "blog:v3", "site:latest" */
	uint32_t app, version;	 /* 0: a tag */
	json_t *layers;
	json_t *document; /* an OCI image configuration, without rootfs unless it was imported */
	json_t *processes; /* of an app's image, else NULL */
	uint64_t created_us;
};
/* Any image. -ENOENT, -EINVAL with e. Clear it in any case. */
int image_find(
	struct control *c, const char *reference, struct image_found *ret, struct err *e);
void image_found_clear(struct image_found *f);
/* The OCI image configuration of an app's image: how it is started elsewhere. NULL: out of memory. */
json_t *image_document(const struct db_image *image);

#endif
