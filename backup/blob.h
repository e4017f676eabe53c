/*
 * Bytes of any length as chunks. They are cut where a rolling hash of the last 64 bytes says so, so that bytes put in or taken out move no
 * cut but those beside them; the hash is keyed, so that sizes of chunks tell nothing of known files. 256 kB to 4 MB, 1 MB on average.
 */
#ifndef BACKUP_BLOB_H
#define BACKUP_BLOB_H

#include "backup/store.h"

struct cutter {
	uint64_t gear[256];
	struct buf part; /* not cut yet */
	uint64_t hash;
	size_t seen; /* of part, by the hash */
};
void cutter_init(struct cutter *c, const struct keys *k);
void cutter_free(struct cutter *c);
/* Hands each whole piece to take. At the end (last) what is left, if anything. 0 or take's error. */
int cutter_feed(struct cutter *c, const void *data, size_t size, bool last,
	int (*take)(void *arg, const void *piece, size_t size, struct err *e), void *arg,
	struct err *e);

/* A list of chunks that grows. */
struct ids {
	struct buf b;
};
void ids_add(struct ids *i, const unsigned char id[ID_SIZE]);
json_t *ids_json(const struct ids *i);

/* Writing: blob_open, blob_write, blob_end. */
struct blob {
	struct store *s;
	struct cutter cut;
	struct ids ids;
	uint64_t bytes;
};
void blob_open(struct blob *b, struct store *s);
int blob_write(struct blob *b, const void *data, size_t size, struct err *e);
int blob_end(struct blob *b, struct err *e);
void blob_free(struct blob *b);

/* Reading: the chunks of a JSON array one after the other. take gets each. */
int blob_read(struct store *s, const json_t *chunks,
	int (*take)(void *arg, const void *data, size_t size, struct err *e), void *arg,
	struct err *e);

#endif
