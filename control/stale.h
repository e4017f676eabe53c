/*
 * Which apps are not any more as the last routing table shows them. Whoever changes what a table is made of marks the app,
 * within the change's own lock or transaction; who builds the next one takes the marks first and reads then, so that a
 * change is in this table, or its mark is left for the next. Safe from any thread, never blocks; its lock is the innermost.
 */
#ifndef CONTROL_STALE_H
#define CONTROL_STALE_H

#include "lib/base.h"

#define STALE_MAX 64u /* reading all at once is cheaper than so many, one by one */

struct stale;

/* Everything is stale at first. */
int stale_open(struct stale **ret);
void stale_close(struct stale *s);
/* app 0: everything. s NULL: nobody builds tables. */
void stale_mark(struct stale *s, uint32_t app);
/* How many apps, each once and in apps, or -1: everything. None is marked afterwards. */
int stale_take(struct stale *s, uint32_t apps[STALE_MAX]);

#endif
