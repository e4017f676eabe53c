/*
 * Slow work on disk, done in short-lived child processes: removing trees, writing finished
 * layers to disk and counting their size. The latter is tried again until it succeeds; what
 * cannot be removed stays in the trash until something else is, or the next start: it may stay
 * so for good. A chore lost with a dying berthd is found again at the next start (state/trash,
 * layers without their mark).
 */
#ifndef RUNTIME_CHORES_H
#define RUNTIME_CHORES_H

#include "lib/loop.h"
#include "runtime/folders.h"

struct chores;

struct chores *chores_new(struct loop *l, const struct folders *f);
/* What still waits is begun at once, in a process that outlives this one. NULL is
 * allowed. */
void chores_free(struct chores *c);
/*
 * The tree name below dirfd is gone from there when this returns (moved to the trash, or
 * removed on the spot when that is another file system). Absent is 0. 0 or -errno.
 */
int chores_remove_tree(struct chores *c, int dirfd, const char *name);
/* Empties what an earlier run left in the trash. */
void chores_empty_trash(struct chores *c);
/* Does what was removed still take space? */
bool chores_removing(const struct chores *c);
/* layers_settle, a little later. */
void chores_settle_layers(struct chores *c);
/* Somebody waits for the layers that are not settled yet: at once; after a failure as soon
 * as it is tried again anyway. */
void chores_hurry(struct chores *c);

#endif
