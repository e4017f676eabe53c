/* The disks below folders, as the kernel's io limits name them. */
#ifndef RUNTIME_DISKS_H
#define RUNTIME_DISKS_H

#include "lib/err.h"
#include "runtime/cgroup/cgroup.h"

/*
 * The whole disk of a file system's device (stat(2)'s st_dev): a partition's disk, the
 * device itself otherwise (also a device-mapper one). sys: "/sys", another folder in
 * tests. 0, or -ENODEV where it names no block device (btrfs, ZFS, overlay, NFS, tmpfs).
 */
int disk_of(const char *sys, unsigned int major, unsigned int minor, struct disk *ret);
/* The disks of n open folders, each once. 0, or -ENODEV with the reason in e. */
int disks_of(const int *folders, unsigned int n, struct disks *ret, struct err *e);

#endif
