/* What the files of the vault share. */
#ifndef BUILDPACKS_VAULT_INSIDE_H
#define BUILDPACKS_VAULT_INSIDE_H

#include "buildpacks/volume/vault.h"
#include <sys/stat.h>
#include <zstd.h>

#define VAULT_HEX (2 * VAULT_ID + 1)
#define VAULT_TEMP ".berth-restore" /* a file on its way; no part of any tree */

struct vault {
	int dir, chunks, trees, new; /* folders; new: -1 when read_only */
	bool coded;		     /* pieces are not stored as they are */
	bool grown;		     /* something lies in new/ */
	struct vault_options o;
	void *quick; /* what large files held when they were read last (vault_quick.c) */
	ZSTD_CCtx *zstd;
	struct buf stored, packed; /* of the piece at hand */
	uint8_t part[VAULT_CHUNK];
};

/* libcrypto's plain function: it uses the processor's instructions, 6 times as fast as libmd's, and needs no set-up. */
void vault_hash(
	const struct vault *v, const void *data, size_t len, uint8_t ret[VAULT_ID]);
void vault_hex(const uint8_t id[VAULT_ID], char out[VAULT_HEX]);
bool vault_unhex(const char *hex, uint8_t ret[VAULT_ID]);
bool vault_zero_id(const uint8_t id[VAULT_ID]);
/* Whether these bytes, of any number, are zero. */
bool vault_zeros(const uint8_t *data, size_t len);
/* As vault_chunk_add; and where the file system can, the piece is a reflink of that part of the file. from: -1 none. */
int vault_chunk_take(struct vault *v, const void *data, size_t len, int from,
	uint64_t offset, uint8_t ret_id[VAULT_ID], struct vault_stats *stats,
	struct err *e);
/* The pieces of a tree's manifest, besides those in it: ids in *ret (free), n of them. */
int vault_load_ids(struct vault *v, const char *name, uint8_t **ret, size_t *ret_n,
	struct buf *manifest, struct err *e);
/* What lies in new/ gets its place: when it is on disk, and the places are on disk when it returns. 0 or -errno with e. */
int vault_settle(struct vault *v, struct err *e);
/* Removes all files in the folder. */
int vault_empty(int dir);
bool vault_path_valid(const char *path);

struct vault_tree {
	char *data; /* the manifest, checked */
	size_t len;
	uint64_t entries, files, bytes;
};

/* ---- of large files, to be read again soon: a sum that is quicker than an id ---- */

uint64_t vault_quick_sum(const uint8_t *data, size_t len);
void vault_quick_note(struct vault *v, uint64_t ino, size_t piece, uint64_t sum,
	const uint8_t id[VAULT_ID]);
/* The id that this piece of the file had when it had this sum. */
bool vault_quick_find(const struct vault *v, uint64_t ino, size_t piece, uint64_t sum,
	uint8_t ret_id[VAULT_ID]);
void vault_quick_free(struct vault *v);

/* ---- a folder's files in the order of a manifest ---- */

struct vault_walk;
struct vault_seen {
	const char *path; /* "" for the root */
	const char *name; /* its last part */
	int parent;	  /* folder that it lies in; the root: itself, with name "." */
	struct stat st;
};
/* root stays the caller's. NULL with e. */
struct vault_walk *vault_walk_open(int root, struct err *e);
/* 1 and the next, 0 at the end, -errno with e. What vanishes meanwhile is left out. Valid until the next call. */
int vault_walk_next(struct vault_walk *w, struct vault_seen *ret, struct err *e);
/* What is below the folder just seen is not walked. */
void vault_walk_skip(struct vault_walk *w);
void vault_walk_free(struct vault_walk *w);
/* The kind of what lies there, 0 for those that are left out. Hard links are files here. */
enum vault_kind vault_kind_of(const struct stat *st);
int64_t vault_ns(struct timespec t);
/* Those attributes that are kept, of an open file, as in vault_entry; into out. 0 or -errno. */
int vault_xattrs_read(int fd, struct buf *out);
bool vault_xattr_kept(const char *name);

#endif
