/*
 * A strict reader for the tar streams that berth-control writes (ustar with pax records;
 * receiver/source.h).
 *
 * Folders, files and symlinks, and what is to go (TAR_GONE of lib/tar.h) only: anything else (hard links, devices, sparse files,
 * unknown types) is an error, as are names that could leave the folder they are unpacked
 * in.
 */
#ifndef BUILDPACKS_UNTAR_H
#define BUILDPACKS_UNTAR_H

#include "lib/base.h"
#include "lib/err.h"

#define UNTAR_PATH_MAX 4096	  /* PATH_MAX; with the NUL */
#define UNTAR_PAX_MAX (64u << 10) /* records of one entry: two paths and some numbers */
#define UNTAR_FILE_MAX                                                                   \
	((uint64_t)8 << 30) /* above any source file; the disk limit is the sandbox's */

enum untar_type { UNTAR_FILE, UNTAR_DIR, UNTAR_SYMLINK, UNTAR_GONE };

struct untar_entry {
	enum untar_type type;
	bool executable;
	uint64_t size;		   /* UNTAR_FILE: bytes that untar_read gives */
	char path[UNTAR_PATH_MAX]; /* relative; no ".", "..", empty part or trailing
				      slash; "" is the root itself */
	char link[UNTAR_PATH_MAX]; /* UNTAR_SYMLINK: as written, not checked */
};

struct untar;

/* Reads from fd, which stays the caller's. NULL when out of memory. */
struct untar *untar_open(int fd);
void untar_close(struct untar *t);
/* The next entry; what is left of the one before is skipped. 1, 0 at the end (all of fd
 * was read then), -EBADMSG, -EPERM (a name that is refused), -errno of reading; e says
 * what and which entry. Blocks. */
int untar_next(struct untar *t, struct untar_entry *ret, struct err *e);
/* A piece of the current file, valid until the next call. 1, 0 at its end, -errno.
 * Blocks. */
int untar_read(struct untar *t, const char **ret_data, size_t *ret_len, struct err *e);

/*
 * Normalises the path of an entry in place (leading "./", trailing "/"). 0, or -EPERM
 * with the reason when it is absolute, holds "..", a part named .git in any case (or
 * git~1), or a part over 255 bytes.
 */
int untar_check_path(char *path, struct err *e);
/* Whether a symlink at path (normalised) with this target leads out of the folder `root`
 * ("/app"). */
bool untar_link_leaves(const char *path, const char *target, const char *root);

#endif
