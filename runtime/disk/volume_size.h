/*
 * Volumes with a size: a folder with a project quota where the file system of the state folder keeps such limits, else an
 * image. Which one a volume is shows on disk; it stays what it was made.
 */
#ifndef RUNTIME_VOLUME_SIZE_H
#define RUNTIME_VOLUME_SIZE_H

#include "lib/err.h"
#include "lib/proto.h"

/* dirfd is that of volumes/ everywhere. */
/* A new one (VOLUME_NEW; existing is -EEXIST), or one that has a size grows. 0, 1 (VOLUME_LATER), or -errno with the sentence: -ENOSPC,
 * -ERANGE outside of VOLUME_SIZE_*, -EINVAL: it would shrink, -EOPNOTSUPP: it has no size, -ENOENT. */
int volume_set_size(int dirfd, const struct msg_volume_size *m, struct err *e);
/* What it is, and how full. A plain folder says nothing about that. -ENOENT: there is none. */
int volume_info(int dirfd, uint64_t id, struct msg_volume_info *ret);
/* The limits of its project, before it is removed. */
void volume_drop_quota(int dirfd, uint64_t id);
/* What a killed berthd has left of volumes that it was making. */
void volume_sweep(int dirfd);

#endif
