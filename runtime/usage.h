/*
 * What all that lies below the state folder takes of the disk, counted by a child process
 * for whoever asks. Nothing is counted twice, and nothing left out: the rows' sum is what
 * du says of the state folder, USAGE_UNNAMED aside.
 */
#ifndef RUNTIME_USAGE_H
#define RUNTIME_USAGE_H

#include "lib/loop.h"
#include "runtime/folders.h"
#include "runtime/instances/instances.h"

#define USAGE_MAX_S 120 /* a child that takes longer ends, and the rows with it */

struct usage;

/* NULL when out of memory. */
struct usage *usage_new(struct loop *l, const struct folders *f, struct instances *in);
/* A child at work goes on. NULL is allowed. */
void usage_free(struct usage *u);
/* As MSG_USAGE (kinds: of struct msg_usage); out stays the caller's. 0, -EBUSY while a child is at work, -errno. */
int usage_start(struct usage *u, uint32_t kinds, int out);

#endif
