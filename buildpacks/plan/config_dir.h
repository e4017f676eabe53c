/* A classic buildpack's ENV_DIR: one file per config variable. */
#ifndef BUILDPACKS_CONFIG_DIR_H
#define BUILDPACKS_CONFIG_DIR_H

#include "lib/err.h"

/*
 * Makes the folder at path with a file for each name in keys (one a line; NULL: none)
 * holding the bytes of that environment variable, and removes those variables from the
 * environment: compile must not see them. 0, -EINVAL for a name that no variable may
 * have, -errno.
 */
int config_dir_write(const char *path, const char *keys, struct err *e);

#endif
