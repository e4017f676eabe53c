/*
 * What trees take of the disk: blocks, not lengths, folders included. A file with several
 * names counts once in all trees of one tally. Links are not followed and other file
 * systems not entered, whoever changes the tree meanwhile.
 */
#ifndef RUNTIME_TALLY_H
#define RUNTIME_TALLY_H

#include "lib/base.h"
#include <sys/stat.h>

#define TALLY_DEPTH 256 /* folders open at a time: what lies deeper is left out */
#define TALLY_LINKS_MAX (1u << 22) /* files with several names: 64 MB of memory */
#define TALLY_ENTRIES_MAX 20000000u

struct tally {
	struct tally_file {
		dev_t dev;
		ino_t ino;
	} * seen; /* those that have several names; room is a power of two */
	size_t n_seen, room;
	unsigned int entries;
	bool partial; /* something was left out: it takes more than was told */
};

#define TALLY_INIT                                                                       \
	{                                                                                \
		.seen = NULL                                                             \
	}
void tally_clear(struct tally *t);
/* The bytes below dirfd's entry name, itself included; absent: 0. */
uint64_t tally_tree(struct tally *t, int dirfd, const char *name);
/* Of that entry alone, whatever it holds; absent: 0. */
uint64_t tally_entry(struct tally *t, int dirfd, const char *name);

#endif
