/*
 * Loop devices with an ext4 in them, and their detached mounts. A device is held by who has it open or mounted: with the
 * last of them the kernel takes it apart (LO_FLAGS_AUTOCLEAR), so nothing is found or removed afterwards, whoever was
 * killed. One file has one device, ever: two would be two file systems that know nothing of each other.
 */
#ifndef RUNTIME_LOOPDEV_H
#define RUNTIME_LOOPDEV_H

#include "lib/err.h"
#include <stdint.h>

#define LOOPDEV_PATH 32

enum loopdev_flags {
	LOOPDEV_DIRECT =
		1
		<< 0, /* past the host's page cache, where its file system can; blocks of 4096 bytes */
};
/* A device for image, which has none. Its fd and path; -errno. */
int loopdev_attach(int image, unsigned int flags, char ret_path[LOOPDEV_PATH]);
/* The device that has the image, whoever attached it. Its fd and path; -ENOENT: none has; another -errno:
 * nobody knows, as one could not be looked at. */
int loopdev_find(int image, char ret_path[LOOPDEV_PATH]);
/* Its ext4 as a detached mount, nosuid and nodev; options: of ext4, without values, NULL at the end. The same file
 * system for all who mount the device. fd or -errno, with the kernel's own words. */
int loopdev_mount(const char *path, const char *const *options, struct err *e);

#endif
