/*
 * Where a backup lies.
 *
 * A folder, for many backups that share what is the same:
 *   berth-backup       the header (backup/key.h)
 *   chunks/XX/NAME     a sealed chunk of at most CHUNK_MAX bytes
 *   backups/ID         a sealed list of what a backup has, written last: without it there is no such backup
 *   running            while one is made; left behind by one that was cut off
 * A stream, for one: the header, then records: u8 kind, 3 zeros, u32 size, u64 number (from 0, one more each), name, sealed bytes.
 * Kinds: C a chunk, L the list, E the end with the count of records. What is in another order, or missing at the end, is found out.
 */
#ifndef BACKUP_STORE_H
#define BACKUP_STORE_H

#include "backup/seal.h"
#include <jansson.h>

struct store;
#define STORE_ID_MAX 64u /* of a backup: 20261128T190203Z-1a2b3c4d */

/* path: a folder (made when it is missing), a file that is made, or "-". -EBUSY: another backup into it is under way. */
int store_make(
	const char *path, const struct secret *s, struct store **ret, struct err *e);
/* path: a folder, a file, or "-", which is copied to a file without a name first. */
int store_open(
	const char *path, const struct secret *s, struct store **ret, struct err *e);
/* From now on what is put is only named: for digests. */
void store_only_names(struct store *s);
void store_close(struct store *s);
bool store_is_folder(const struct store *s);
struct sealer *store_sealer(struct store *s);
const struct keys *store_keys(const struct store *s);

/* Keeps bytes under their name, once. 0, -ENOSPC or -errno with e. */
int store_put(struct store *s, const void *data, size_t size, unsigned char id[ID_SIZE],
	struct err *e);
/* -ENOENT: it is missing, -EBADMSG: it is damaged; with e. */
int store_get(
	struct store *s, const unsigned char id[ID_SIZE], struct buf *out, struct err *e);
/* Is it there, by its name alone? */
bool store_has(struct store *s, const unsigned char id[ID_SIZE]);

/* Writes the list of backup id; then all of it is on disk. */
int store_finish(struct store *s, const char *id, const json_t *list, struct err *e);
/* The ids of backups, oldest first; of a stream, one. Count or -errno. *ret freed. */
int store_list(struct store *s, char (**ret)[STORE_ID_MAX], struct err *e);
/* id NULL: the newest. */
int store_read(struct store *s, const char *id, json_t **ret, struct err *e);

struct store_sums {
	uint64_t chunks, bytes; /* put */
	uint64_t new_chunks, new_bytes,
		written; /* of them not there before; written: sealed */
};
struct store_sums store_sums(const struct store *s);

/* What is wrong with a stream as a whole, "" when nothing is. */
const char *store_fault(const struct store *s);

void id_hex(const unsigned char id[ID_SIZE], char out[2 * ID_SIZE + 1]);
int id_parse(const char *hex, unsigned char out[ID_SIZE]);

#endif
