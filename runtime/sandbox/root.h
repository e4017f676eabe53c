/* Building a sandbox's root in the child: what overlay.c and mounts.c share. */
#ifndef RUNTIME_ROOT_H
#define RUNTIME_ROOT_H

#include "runtime/inside.h"

#define ROOT_STEP_MAX 124

struct root {
	const struct child *c;
	int fd;	    /* of the root mount, -1 until made */
	char *step; /* ROOT_STEP_MAX bytes: what failed */
	struct mount_fds *spent;
};

/* Notes what failed. Returns -errno. */
int root_step(struct root *r, const char *fmt, ...) PRINTF(2, 3);
/* A detached copy of a folder or file of the template, with MOUNT_ATTR_* attrs. idmap -1:
 * ids as they are. fd or -errno. */
int root_clone(const char *path, int idmap, uint64_t attrs);
/* The same of a folder of the state, nosuid and nodev; says what failed. */
int mounts_open_tree(struct root *r, const char *path, int idmap, uint64_t attrs);
/* A new file system as a detached mount; options are name, value pairs and a NULL. fd or
 * -errno. */
int root_new_fs(
	struct root *r, const char *type, const char *const *options, uint64_t attrs);
/* overlay.c: makes r->fd, detached. */
int root_make(struct root *r);
/* The build cache of an app, or a part of it, as a detached mount. fd or -errno. */
int root_make_cache(struct root *r, const struct msg_mount *m);
/* Layers over each other as a detached, read-only mount; id: of MOUNT_MERGED. fd or -errno. */
int root_make_merged(struct root *r, uint64_t id);

#endif
