/*
 * A layer inside an archive of an image, entry by entry: the archive (perhaps compressed), in it an entry that is the
 * layer (perhaps compressed), in it the layer's own entries. Nothing is kept but the part being read. Formats: tar, with
 * gzip, zstd, xz or bzip2 around.
 */
#ifndef BUILDPACKS_LAYER_IN_H
#define BUILDPACKS_LAYER_IN_H

#include "lib/base.h"
#include "lib/err.h"
#include <archive.h>
#include <archive_entry.h>

/* gzip, zstd, xz and bzip2 around an archive that is about to be opened. */
void tar_in_filters(struct archive *a);
/* A tar at fd, read from its beginning. NULL with e. Free with archive_read_free. */
struct archive *tar_in_open(int fd, struct err *e);
/* libarchive's words; what failed. Returns -errno. */
int tar_in_error(struct archive *a, const char *what, struct err *e);
/*
 * The path of an entry without leading "./" and trailing slashes ("" for the root), into out. 0; -EPERM with e when it
 * is absolute, has a ".." or no end; -ENAMETOOLONG.
 */
#define TAR_PATH_MAX 4096u
int tar_in_path(const char *path, char out[TAR_PATH_MAX], struct err *e);

struct layer_in;
/*
 * fd: a file that can seek. path: of the layer in the archive, as tar_in_path gives it; "": the file itself is the layer.
 * max_bytes: of the layer, uncompressed; reading beyond fails with -EFBIG. NULL with e.
 */
struct layer_in *layer_in_open(
	int fd, const char *path, uint64_t max_bytes, struct err *e);
/* 1 and the next entry, 0 at the end, -errno with e. */
int layer_in_next(struct layer_in *l, struct archive_entry **ret, struct err *e);
/* For archive_read_data_block of the entry. */
struct archive *layer_in_tar(struct layer_in *l);
/* Reads what is left and gives the SHA-256 of all (diff_id), in hex. */
int layer_in_end(struct layer_in *l, char digest[65], struct err *e);
void layer_in_close(struct layer_in *l);

#endif
