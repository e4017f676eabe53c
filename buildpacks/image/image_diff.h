/* What differs between two images: files and Debian packages. */
#ifndef BUILDPACKS_IMAGE_DIFF_H
#define BUILDPACKS_IMAGE_DIFF_H

#include "lib/base.h"
#include "lib/err.h"
#include <jansson.h>

#define IMAGE_DIFF_NAMED 1000 /* files of each kind that are named; the rest is counted */

/*
 * from and to: the images' roots. *ret: {files: {added: [{path, size}], removed: the same, changed: [{path, from, to}],
 * counts: {added, removed, changed}, bytes: {added, removed}}, packages: {added: [{name, version}], removed, changed: [{name,
 * from, to}]}}. Files that share an inode are equal; others are when type, mode, owner and bytes are. Blocks. 0 or -errno.
 */
int image_diff(const char *from, const char *to, json_t **ret, struct err *e);

#endif
