/*
 * The layers of a Dockerfile: each step in a sandbox on those so far, kept by a key that is the hash of all it can see
 * (the step below, the instruction with its variables, the files that it copies). What the file means is decided in
 * sandboxes, by berth-build (buildpacks/dockerfile/docker_plan.h); here it is only carried out.
 */
#ifndef CONTROL_DOCKER_H
#define CONTROL_DOCKER_H

#include "control/builds/build.h"
#include <git2.h>

struct docker_build {
	struct control *c;
	const struct build_request *req;
	const json_t *seen; /* of the app's config: what its steps may see */
	struct sink *s;
	git_repository *repo;
	const git_oid *tree;
	const json_t *source; /* layers: the stack and the source tree */
	const json_t *asked;  /* {"bases": [...]} */
	/* What comes out: */
	json_t *layers;	       /* of the image, bottom first */
	json_t *config;	       /* as control/builds/own_start.h */
	char health_path[256]; /* that HEALTHCHECK asks for; "" */
};
/* Blocks. 0, or -errno with e: "Dockerfile:12: RUN make failed: exit status 2". docker_build_clear in any case. */
int docker_build(struct docker_build *d, struct err *e);
void docker_build_clear(struct docker_build *d);

/*
 * Base images by name (docker_base.c): an imported or tagged one (image_base); the host's stack under the names that
 * Debian's images have; and what languages' images are known by, made of the stack and a toolchain layer. Blocks while one
 * is made. *ret_layers and *ret_config as image_base; -ENOENT with what to do.
 */
int docker_base(struct docker_build *d, const char *reference, json_t **ret_layers,
	json_t **ret_config, struct err *e);
/* Writes orders as a step's berth-build reads them from stdin: 15 digits, a newline, JSON. 0 or -errno with e. */
int docker_send_orders(const json_t *todo, int fd, struct err *e);
/*
 * Fills config's "Berth" (control/builds/own_start.h) with who its User is, looked up in a sandbox on these layers. app: whose
 * sandbox it is.
 */
int docker_find_user(struct control *c, uint32_t app, const json_t *layers,
	json_t *config, struct sink *s, struct err *e);

#endif
