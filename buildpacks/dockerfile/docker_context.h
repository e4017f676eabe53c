/*
 * The files that COPY and ADD may take: a source tree without what .dockerignore leaves out. Read
 * once; nothing is opened but folders, links and .dockerignore, and no link is followed by the
 * kernel.
 */
#ifndef BUILDPACKS_DOCKER_CONTEXT_H
#define BUILDPACKS_DOCKER_CONTEXT_H

#include "buildpacks/dockerfile/dockerignore.h"
#include "lib/err.h"
#include <jansson.h>

#define DOCKER_CONTEXT_MAX 400000u /* entries; a commit has fewer (receiver/source.h) */

struct docker_context;

/* Reads the tree at path. -errno with e (also: .dockerignore is malformed). */
int docker_context_open(const char *path, struct docker_context **ret, struct err *e);
void docker_context_close(struct docker_context *c);

/* What one COPY takes: see docker_context_take. */
struct docker_taken {
	json_t *items; /* array of {"from": path, "to": "d" or "f/NAME"} */
	json_t *files; /* array of paths that hold all of it and nothing that is ignored; "." all */
	size_t n_files; /* of the items, those that are files */
};

/*
 * Adds what source (a path or a glob, relative to the tree or with a leading slash) names. Of a
 * folder its content is taken. -ENOENT with *ret_why (static) when it names nothing, -EPERM when it
 * leads out of the tree, -ENOMEM.
 */
int docker_context_take(struct docker_context *c, const char *source,
	struct docker_taken *taken, const char **ret_why);

#endif
