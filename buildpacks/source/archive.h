/*
 * A source archive (tar, or zip; tar in gzip, xz, zstd or bzip2) becomes a commit: a pack with its files, its folders and
 * the commit itself. The archive is a stranger's, and nothing of it is written to disk as files: names are words, contents
 * are hashed and packed while they are read, once.
 */
#ifndef BUILDPACKS_ARCHIVE_H
#define BUILDPACKS_ARCHIVE_H

#include "lib/base.h"
#include "lib/err.h"
#include <jansson.h>

#define ARCHIVE_RATIO_MAX                                                                \
	100u /* bytes unpacked for each of the archive's; source has 3 to 10 */
#define ARCHIVE_RATIO_FROM ((uint64_t)64 << 20) /* below this the ratio does not matter */

struct archive_commit {
	int fd, pack; /* the archive and an empty file for the pack; both can seek */
	uint64_t max_files, max_bytes, max_file; /* entries; bytes of all, and of one */
	const char *parent, *tree;    /* the commit before and its tree, hex; "": none */
	bool force;		      /* also when nothing changed */
	const char *author, *message; /* "NAME <MAIL>"; any text */
	uint64_t time_s;
};
/*
 * *ret: {commit, tree, files, bytes, top (the folder taken off, or null), left_out, same}; with `same` there is no commit
 * and no pack. 0; -EPERM, -EFBIG, -E2BIG (refused), -EBADMSG (no archive, damaged) or -errno, with e.
 */
int archive_to_pack(const struct archive_commit *a, json_t **ret, struct err *e);

#endif
