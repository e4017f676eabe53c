/*
 * Writes a source tree from its tar stream into a folder, trusting nothing in it.
 *
 * No link is followed on the way: each part of a path is opened by itself with
 * O_NOFOLLOW, and nothing that exists is overwritten. Runs without any privilege, in a
 * sandbox.
 */
#ifndef BUILDPACKS_TREE_H
#define BUILDPACKS_TREE_H

#include "lib/base.h"
#include "lib/err.h"
#include <jansson.h>

#define TREE_WARNINGS_MAX 20 /* of one kind; then "and N more" */
#define TREE_DEPTH_MAX 128   /* as receiver/source.h */

/*
 * Unpacks the stream at fd into the folder at path (which is also what absolute symlinks
 * are measured by). Sentences about links that lead outside and Git LFS pointers are
 * appended to warnings (a JSON array, or NULL). Existing folders are used; with `merge`
 * existing files are replaced and what the stream says is gone is removed, else both are
 * an error (a name twice; nothing can be gone from a whole tree). 0, or -errno with e
 * naming the entry; what was written stays.
 */
int tree_unpack(int fd, const char *path, bool merge, json_t *warnings, struct err *e);

#endif
