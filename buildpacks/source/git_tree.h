/*
 * The files of a tree by their paths, from which git's tree objects are made. A path given twice is what was said last.
 * Nothing here touches the disk: paths are words.
 */
#ifndef BUILDPACKS_GIT_TREE_H
#define BUILDPACKS_GIT_TREE_H

#include "buildpacks/source/git_pack.h"
#include "lib/err.h"

#define GIT_TREE_DEPTH_MAX 128u /* as receiver/source.h, which reads it later */
#define GIT_TREE_PATH_MAX 3072u
#define GIT_TREE_PART_MAX 255u

enum git_mode { GIT_FILE = 0100644, GIT_PROGRAM = 0100755, GIT_LINK = 0120000 };

struct git_file {
	char *path;
	uint8_t oid[GIT_OID];
	enum git_mode mode;
};

struct git_tree {
	struct git_file *files;
	size_t n, room;
	uint32_t *index; /* by hash of the path: 1 + place in files */
	size_t n_index;	 /* a power of two */
};

/* 0; -EPERM with e: a path that no commit can hold (git's own folder in any spelling that git itself refuses); -E2BIG:
 * too deep, too long. path is relative, without "." and "..", without slashes at its ends. */
int git_tree_check(const char *path, struct err *e);
/* 0 or -ENOMEM. path is copied. Not after git_tree_strip or git_tree_write. */
int git_tree_put(struct git_tree *t, const char *path, enum git_mode mode,
	const uint8_t oid[GIT_OID]);
/* NULL: not there. */
const struct git_file *git_tree_find(const struct git_tree *t, const char *path);
/* When all lies below one folder, takes that off; its name, the caller's, else NULL. */
char *git_tree_strip(struct git_tree *t);
/* The trees, from the innermost to the root, whose name is *ret. 0; -EPERM with e when a file is also a folder; -errno. */
int git_tree_write(
	struct git_tree *t, struct git_pack *p, uint8_t ret[GIT_OID], struct err *e);
void git_tree_free(struct git_tree *t);

#endif
