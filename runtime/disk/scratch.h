/*
 * Scratch space with a size: a file system of its own in a sparse file without a name,
 * held by its mount alone. When the sandbox ends, the kernel unmounts it, frees the loop
 * device and with it the file: nothing to find or remove afterwards. (Quotas would be
 * simpler, but not every kernel and file system has them; a tmpfs would be the app's
 * memory.)
 */
#ifndef RUNTIME_SCRATCH_H
#define RUNTIME_SCRATCH_H

#include "lib/base.h"
#include "lib/err.h"
#include "runtime/network/netns.h"

#define SCRATCH_MIN_BYTES ((uint64_t)16 << 20)
#define SCRATCH_READY                                                                    \
	2 /* of the size asked for last: a deploy starts its instances at once */

struct scratchpool;

/* dir: where the files lie, stays the caller's. helper makes the spare ones. NULL when
 * out of memory. */
struct scratchpool *scratchpool_new(int dir, struct netpool *helper);
/* After the helper's end. NULL is allowed. */
void scratchpool_free(struct scratchpool *p);
/*
 * A detached mount with the folders fs and work (owned by owner), the caller's; a spare
 * one, or made now (20 ms). Or -errno, which scratch_impossible tells apart.
 */
int scratchpool_take(
	struct scratchpool *p, uint64_t size_bytes, uid_t owner, struct err *e);
/* Whether such an error says that this host cannot make any: it has no loop devices, no ext4
 * or no mke2fs. Any other one may be gone the next time. */
bool scratch_impossible(int r);

#endif
