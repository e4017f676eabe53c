/*
 * COPY and ADD, inside a sandbox whose root is the image: what one side packs, the other puts in
 * its place. Both need container root; nothing they meet can lead out of the sandbox.
 */
#ifndef BUILDPACKS_DOCKER_COPY_H
#define BUILDPACKS_DOCKER_COPY_H

#include "lib/err.h"
#include <jansson.h>

/* Makes the folder and those above it that are missing, mode 0755, theirs uid:gid. 0 or -errno. */
int docker_make_folders(const char *path, uid_t uid, gid_t gid);
/*
 * Reads a tar at fd and puts it where `todo` says ({"to", "folder", "items", "inline", "unpack",
 * "chown", "chmod"}, buildpacks/dockerfile/docker_plan.h). 0 or -errno with e.
 */
int docker_put(int fd, const json_t *todo, struct err *e);
/*
 * Writes todo's "sources" (paths of this root, or globs) as a tar to fd: a folder's content below
 * "d/", a file as "f/NAME". 0 or -errno with e.
 */
int docker_pack(int fd, const json_t *todo, struct err *e);

#endif
