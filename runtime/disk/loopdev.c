/* Loop devices with an ext4 in them, and their detached mounts. */
#include "runtime/disk/loopdev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#define TRIES 32      /* others take free devices too, between the question and the use */
#define MOUNT_TRIES 8 /* while the mount before it is being undone */
#define MOUNT_PAUSE_MS 5
#define DIRECT_BLOCK 4096

int loopdev_attach(int image, unsigned int flags, char ret_path[LOOPDEV_PATH])
{
	struct loop_config c = {.fd = (uint32_t)image,
		.block_size = flags & LOOPDEV_DIRECT ? DIRECT_BLOCK : 0,
		.info.lo_flags =
			LO_FLAGS_AUTOCLEAR |
			(flags & LOOPDEV_DIRECT ? (uint32_t)LO_FLAGS_DIRECT_IO : 0)};
	int control autoclose = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (control < 0)
		return -errno;
	for (int i = 0; i < TRIES; i++) {
		int n = ioctl(control, LOOP_CTL_GET_FREE);
		int fd autoclose = -1;

		if (n < 0)
			return -errno;
		snprintf(ret_path, LOOPDEV_PATH, "/dev/loop%d", n);
		fd = open(ret_path, O_RDWR | O_CLOEXEC);
		if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &c) == 0)
			return TAKE_FD(fd);
		if (errno != EBUSY && errno != ENXIO)
			return -errno;
	}
	return -EBUSY;
}

/* lo_device is as the kernel writes device numbers (huge_encode_dev). */
static bool has_image(int fd, const struct stat *image)
{
	const uint64_t major = major(image->st_dev), minor = minor(image->st_dev),
		       dev = (minor & 0xff) | major << 8 | (minor & ~0xffull) << 12;
	struct loop_info64 info;

	return ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && info.lo_device == dev &&
	       info.lo_inode == image->st_ino;
}

/* -ENOENT: it has not the image, is gone, or not there for this root. */
static int look_at(const char *path, const struct stat *image)
{
	int fd autoclose = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENXIO || errno == EPERM || errno == EACCES ? -ENOENT
									   : -errno;
	return has_image(fd, image) ? TAKE_FD(fd) : -ENOENT;
}

int loopdev_find(int image, char ret_path[LOOPDEV_PATH])
{
	DIR *d = opendir("/sys/block");
	const struct dirent *entry;
	struct stat st;
	int found = -ENOENT;

	if (!d || fstat(image, &st) < 0) {
		found = -errno;
		if (d)
			closedir(d);
		return found;
	}
	while (found < 0 && (entry = readdir(d))) {
		if (strncmp(entry->d_name, "loop", 4) != 0)
			continue;
		snprintf(ret_path, LOOPDEV_PATH, "/dev/%.20s", entry->d_name);
		int r = look_at(ret_path, &st);
		if (r != -ENOENT)
			found = r;
	}
	closedir(d);
	return found;
}

/* "e ext4: ...", if it said anything. */
static int explain(int fs, int error, struct err *e)
{
	char text[256];
	ssize_t n = fs < 0 ? -1 : read(fs, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return n > 2 ? err_sys(e, error, "%s", text + 2)
		     : err_sys(e, error, "the kernel cannot mount it");
}

static int try_mount(const char *path, const char *const *options, struct err *e)
{
	int fs autoclose = fsopen("ext4", FSOPEN_CLOEXEC);
	int fd, r;

	r = fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", path, 0) < 0 ? errno
									       : 0;
	for (; r == 0 && *options; options++)
		if (fsconfig(fs, FSCONFIG_SET_FLAG, *options, NULL, 0) < 0)
			r = errno;
	if (r == 0 && fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		r = errno;
	if (r)
		return explain(fs, r, e);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return fd < 0 ? err_sys(e, errno, "the kernel cannot mount it") : fd;
}

int loopdev_mount(const char *path, const char *const *options, struct err *e)
{
	const struct timespec pause = {.tv_nsec = MOUNT_PAUSE_MS * 1000000};
	int fd = try_mount(path, options, e);

	for (int i = 0; fd == -EBUSY && i < MOUNT_TRIES; i++) {
		nanosleep(&pause, NULL);
		fd = try_mount(path, options, e);
	}
	return fd;
}
