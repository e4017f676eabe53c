/*
 * The list of a tree of files, row by row: what backup/tree.h says lies in it.
 */
#ifndef BACKUP_ROW_H
#define BACKUP_ROW_H

#include "backup/blob.h"

#define ROW_END                                                                          \
	0xffffffffu /* in place of an entry's size: the last row, with a struct frame_end */

/* Views of the bytes it was read from. */
struct row {
	const unsigned char *start, *entry, *segments, *end;
	uint32_t entry_size; /* or ROW_END */
	uint32_t n_segments;
};

struct segment {
	char kind;
	uint64_t size;		   /* in the file; L: without holes */
	const unsigned char *data; /* C, L: the name, I: the bytes */
};

/* The row at data. 1, 2: it is the end, 0: it is not whole, -EBADMSG. */
int row_read(const char *data, size_t size, struct row *ret);
/* The next segment at *at. 1, 0: it is not whole, -EBADMSG. */
int segment_read(const unsigned char **at, const unsigned char *end, struct segment *ret);
/* Of the file, holes not counted. */
uint64_t segments_bytes(const unsigned char *at, const unsigned char *end);

/* Who takes each segment of a row, in order, those of its lists too. */
struct reading {
	struct store *s;
	int (*take)(void *arg, const struct segment *one, struct err *e);
	void *arg;
};

int read_segments(const struct reading *y, const struct row *row, struct err *e);

/* All rows of a list with its end. 0, or what row returned, or -errno with e. */
int read_rows(struct store *s, const json_t *chunks,
	int (*row)(void *arg, const struct row *row, struct err *e), void *arg,
	struct err *e);

#endif
