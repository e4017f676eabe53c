/*
 * RUN --mount=type=secret: values of the app's config that one command sees, as files or variables, and its layer does
 * not. The files lie on the sandbox's own tmpfs, and a link leads there from where the command looks; the link and the
 * folders made for it are taken away when the command has ended.
 */
#ifndef BUILDPACKS_DOCKER_SECRETS_H
#define BUILDPACKS_DOCKER_SECRETS_H

#include "lib/err.h"
#include <jansson.h>

/*
 * todo: {"secrets": [{"id": KEY, "target"?: PATH, "env"?: NAME, "mode": N, "uid": N, "gid": N}, ...],
 *        "values": {KEY: VALUE}}; one without a value is not there. As root. What was made is kept in *ret_made, for
 * docker_secrets_remove; the caller's, also on failure. 0 or -errno with e.
 */
int docker_secrets_put(const json_t *todo, json_t **ret_made, struct err *e);
/* Takes made over; NULL is allowed. */
void docker_secrets_remove(json_t *made);

#endif
