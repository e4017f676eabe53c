/*
 * Which apps are not any more as the last routing table shows them, or as berthd was told of their names. Whoever changes
 * what these are made of marks the app, within the change's own lock or transaction; who makes the next one takes the marks
 * first and reads then, so that a change is in it, or its mark is left for the one after. Safe from any thread, never blocks;
 * its lock is the innermost.
 */
#ifndef CONTROL_STALE_H
#define CONTROL_STALE_H

#include "lib/base.h"

#define STALE_MAX 64u /* reading all at once is cheaper than so many, one by one */

struct stale;
enum stale_reader {
	STALE_TABLE,
	STALE_NAMES,
	STALE_READERS
}; /* each has marks of its own */

/* Everything is stale at first. */
int stale_open(struct stale **ret);
void stale_close(struct stale *s);
/* For all readers. app 0: everything. s NULL: nobody reads. */
void stale_mark(struct stale *s, uint32_t app);
/* Everything, for one reader: what it took was in vain. */
void stale_again(struct stale *s, enum stale_reader reader);
/* How many apps, each once and in apps, or -1: everything. None is marked afterwards. */
int stale_take(struct stale *s, enum stale_reader reader, uint32_t apps[STALE_MAX]);

#endif
