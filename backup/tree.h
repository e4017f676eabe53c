/*
 * A tree of files in a backup: what lib/stow.h sends, kept as a list of rows that is itself a blob:
 *   u32 size of the entry, the entry, u32 number of segments, each u8 kind and
 *     H u64 bytes of a hole;  C u32 size, name of a chunk;  I u32 size, that many bytes;
 *     L u64 bytes of the file without holes, name of a chunk that has the segments (no L): where a file has many
 * and at the end u32 0xffffffff and struct frame_end. Small files (TREE_INLINE) are in the list.
 */
#ifndef BACKUP_TREE_H
#define BACKUP_TREE_H

#include "backup/known.h"

#define TREE_INLINE 4096u

/*
 * The first of two readings: keeps the bytes of files whose frames come from fd, and in next what the second one need not read again. Nothing
 * else of it is kept.
 */
int tree_put_first(
	struct store *s, struct known *k, int fd, struct known *next, struct err *e);
/*
 * Keeps the tree whose frames come from fd. *ret {entries, size: bytes of all files, bytes: of those that came, left_out, digest, chunks, same: rows that were known,
 * lost: FRAME_LOST that came, first_lost: the first of them, plain}. digest: SHA-256 of all
 * entries without identities and their bytes. 0 or -errno with e.
 */
int tree_put(struct store *s, struct known *k, int fd, json_t **ret, struct err *e);
/* Sends a tree of a backup to fd. What it reads is the digest of item again, or -EBADMSG. */
int tree_get(struct store *s, const json_t *item, int fd, struct err *e);
/* Looks at every chunk of it. missing is told each file (or "" for the list itself) that cannot be restored, and why. 0, or the count of those. */
int tree_verify(struct store *s, const json_t *item,
	void (*missing)(void *arg, const char *path, const char *why), void *arg);

#endif
