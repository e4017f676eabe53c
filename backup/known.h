/*
 * Rows of a tree that need not be read again: those of the last backup, or of the first of two readings. A tree may have a million of
 * them with what is in small files: they lie in an unnamed file below $TMPDIR (/var/tmp), sealed with a key that ends with the process,
 * and only some MB are in memory.
 */
#ifndef BACKUP_KNOWN_H
#define BACKUP_KNOWN_H

#include "backup/row.h"
#include "backup/seal.h"

struct known {		 /* zeros: none */
	size_t n;	 /* rows */
	struct buf rows; /* where each begins: u64, its block << 32 and the byte in it */
	struct buf tail; /* of rows: the block after those in the file */
	int fd;		 /* of the file; open if there is a sealer */
	struct sealer *sealer;
	bool no_file; /* none can be made, or it is full: all that comes stays in the tail */
	struct buf blocks;	  /* where each ends in the file: u64 */
	struct buf sealed, block; /* the one that was read last, number which - 1 */
	size_t which;
};

/* 0 or -errno with e. */
int known_add(struct known *k, const struct row *row, struct err *e);
/* Of the list in chunks (NULL: none), without those whose own chunks are gone. 0 or -errno with e: then there are none. */
int known_read(struct known *k, struct store *s, const json_t *chunks, struct err *e);
/* Row i < n, valid until the next one is asked for or added. They are at hand in order. 0 or -errno with e. */
int known_row(struct known *k, size_t i, struct row *ret, struct err *e);
/* All entries that tell whether a file changed, and the end, to fd. 0 or -errno with e. */
int known_send(struct known *k, int fd, struct err *e);
void known_free(struct known *k);

#endif
