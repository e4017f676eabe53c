/*
 * Volumes with a size where the disk has no quotas: volumes/ID.img, an ext4 with a journal. All of its space is taken
 * when it is made or grown (fallocate): a full disk never reaches the app that writes to it. Mounted through a loop device
 * that goes with its last mount (loopdev.h); every sandbox has a mount of its own, all of one file system.
 *
 * Root's kernel parses what root's kernel wrote: an app gets files, never the blocks. After a power cut the kernel replays
 * the journal. One that the kernel has marked as damaged is not mounted: a person runs e2fsck.
 */
#ifndef RUNTIME_VOLUME_IMAGE_H
#define RUNTIME_VOLUME_IMAGE_H

#include "lib/err.h"
#include "runtime/disk/quota.h"
#include <sys/types.h>

/* dirfd is that of volumes/ everywhere; all block for milliseconds. */
bool volume_image_exists(int dirfd, uint64_t id);
/* Whole and on disk, or not there. Its top folder is owner's. -ENOSPC: with the figures. -errno with the sentence. */
int volume_image_make(
	int dirfd, uint64_t id, uint64_t size_bytes, uid_t owner, struct err *e);
/*
 * While mounted or not; one that cannot be mounted stays as it is. Killed in between, it is grown by the next mount that
 * finds it mounted nowhere. The same size is 0, a smaller one -EINVAL. 1: so much is taken of the disk, and the next such
 * mount grows it: this kernel does not let this root (without CAP_SYS_RESOURCE, as in a container) do that while it is
 * mounted, or it did not work now.
 */
int volume_image_grow(int dirfd, uint64_t id, uint64_t size_bytes, struct err *e);
/* A detached mount, the caller's; for one sandbox, as its ids are mapped once. -errno with the sentence. */
int volume_image_mount(int dirfd, uint64_t id, struct err *e);
/* size_bytes is that of the file; used and files as of now when it is mounted, else as of its last unmount. 0 or -errno. */
int volume_image_read(int dirfd, uint64_t id, struct quota *ret);

#endif
