/*
 * Layers on disk: layers/ID/fs is a final one, layers/ID.tmp/{fs,work} one being made. A
 * final layer is never written again; the link `synced`, whose target is its size in bytes, comes some seconds
 * later, when it is safely on disk. Linux tells a failed write once, and what it could not write passes for written from
 * then on: every layer that was not marked at that moment, half-made ones too, gets the link `lost` instead, is never
 * marked, and goes with the next boot.
 */
#ifndef RUNTIME_LAYERS_H
#define RUNTIME_LAYERS_H

#include "runtime/disk/chores.h"

/* dirfd is that of layers/ everywhere. */
bool layer_is_final(int dirfd, uint64_t id);
/*
 * Makes layer ID.tmp final; already final is 0. *ret_size is its size, 0 as long as it
 * is not safely on disk, which asking again makes happen soon. -ENOENT when there is neither, -EIO when it is lost, or -errno.
 */
int layer_commit(struct chores *c, int dirfd, uint64_t id, uint64_t *ret_size);
/* What its files take of the disk; 0 as long as that was not counted. */
uint64_t layer_size(int dirfd, uint64_t id);
/* Removes it, final or not; absent is 0. The caller knows that no sandbox uses it. */
int layer_remove(struct chores *c, int dirfd, uint64_t id);
/* The ids greater than after, rising. How many (at most max), or -errno. */
int layer_list(int dirfd, uint64_t after, uint64_t *ids, unsigned int max);
/*
 * Writes every final layer that is not marked yet to disk, counts and marks it, as synced or lost. Blocks for as
 * long as the disk takes. 0, or -errno: some are not marked. *lost, false at first, is for the next call: it is true when
 * some that are lost are not marked so, which then comes before anything else.
 */
int layers_settle(int dirfd, bool *lost);
/*
 * At a start: after another boot, layers that were not yet on disk are dropped (their
 * bytes may be missing); in the same boot they are settled again. boot is records_boot().
 */
int layers_check(struct chores *c, int dirfd, uint64_t boot);

#endif
