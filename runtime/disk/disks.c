/* The disks below folders, as the kernel's io limits name them. */
#include "runtime/disk/disks.h"
#include "lib/buf.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int disk_of(const char *sys, unsigned int major, unsigned int minor, struct disk *ret)
{
	autobuf b = {.max = 64};
	char path[PATH_MAX];

	if (major == 0) /* a number without a device behind it */
		return -ENODEV;
	*ret = (struct disk){major, minor};
	snprintf(path, sizeof(path), "%s/dev/block/%u:%u/partition", sys, major, minor);
	if (access(path, F_OK) < 0)
		return 0;
	/* the link leads to .../DISK/PARTITION */
	snprintf(path, sizeof(path), "%s/dev/block/%u:%u/../dev", sys, major, minor);
	if (io_read_file(AT_FDCWD, path, &b) < 0 || !b.data ||
		sscanf(b.data, "%u:%u", &ret->major, &ret->minor) != 2)
		return -ENODEV;
	return 0;
}

static void add_once(struct disks *all, const struct disk *d)
{
	for (unsigned int i = 0; i < all->n; i++)
		if (all->list[i].major == d->major && all->list[i].minor == d->minor)
			return;
	if (all->n < DISKS_MAX)
		all->list[all->n++] = *d;
}

int disks_of(const int *folders, unsigned int n, struct disks *ret, struct err *e)
{
	struct disk d;
	struct stat st;

	ret->n = 0;
	for (unsigned int i = 0; i < n; i++) {
		if (fstat(folders[i], &st) < 0)
			return err_sys(e, errno, "cannot look at the state folder");
		if (disk_of("/sys", major(st.st_dev), minor(st.st_dev), &d) < 0)
			return err_set(e, ENODEV,
				"the state folder is on no block device of its own "
				"(btrfs, ZFS, overlay, a network file system or memory)");
		add_once(ret, &d);
	}
	return 0;
}
