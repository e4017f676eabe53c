/* Volumes as ext4 images: made, grown, mounted. */
#include "runtime/disk/volume_image.h"
#include "lib/log.h"
#include "runtime/command.h"
#include "runtime/disk/loopdev.h"
#include "runtime/records.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#define BLOCK 4096u
#define FILE_BYTES "16384" /* of the size, for each file that it can have */
#define EXT4_IOC_RESIZE_FS _IOW('f', 16, uint64_t) /* fs/ext4/ext4.h */
#define MB ((uint64_t)1 << 20)
#define UNUSED_TRIES 20
#define UNUSED_PAUSE_MS 5

#define SUPER_AT 1024 /* the fields of struct ext4_super_block that are read here */
#define SUPER_MAGIC 0xef53
#define STATE_ERRORS 2u
struct super {
	uint32_t files, blocks_lo, reserved, free_lo, files_free;
	uint8_t a[0x38 - 0x14];
	uint16_t magic, state;
	uint8_t b[0x150 - 0x3c];
	uint32_t blocks_hi, reserved_hi, free_hi;
	uint8_t c[0x248 - 0x15c];
	uint32_t overhead;
};
_Static_assert(offsetof(struct super, magic) == 0x38, "as on disk");
_Static_assert(offsetof(struct super, blocks_hi) == 0x150, "as on disk");
_Static_assert(offsetof(struct super, overhead) == 0x248, "as on disk");

static int open_image(int dirfd, uint64_t id, int flags)
{
	char name[32];
	int fd;

	id_name(name, id, ".img");
	fd = openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

bool volume_image_exists(int dirfd, uint64_t id)
{
	char name[32];
	struct stat st;

	id_name(name, id, ".img");
	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static int read_super(int image, struct super *ret)
{
	return pread(image, ret, sizeof(*ret), SUPER_AT) == sizeof(*ret) &&
			       le16toh(ret->magic) == SUPER_MAGIC
		       ? 0
		       : -EUCLEAN;
}

static uint64_t join(uint32_t high, uint32_t low)
{
	return (uint64_t)le32toh(high) << 32 | le32toh(low);
}

/* ---- space ---- */

static int check_room(int dirfd, uint64_t bytes, struct err *e)
{
	struct statvfs st;

	if (fstatvfs(dirfd, &st) < 0)
		return err_sys(e, errno, "cannot look at the disk");
	uint64_t room = (uint64_t)st.f_bavail * st.f_frsize;
	return bytes <= room ? 0
			     : err_set(e, ENOSPC,
				       "it takes %" PRIu64
				       " MB of the disk, where %" PRIu64 " MB are free",
				       bytes / MB, room / MB);
}

/* From `from` on, all or nothing. Where the disk cannot promise space, it is taken as the app writes. */
static int take_space(int image, uint64_t from, uint64_t size, struct err *e)
{
	int r = fallocate(image, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(size - from)) <
				0
			? errno
			: 0;

	if (r == EOPNOTSUPP)
		log_warn("the disk cannot promise space: volumes take it when they are "
			 "written to");
	else if (r && ftruncate(image, (off_t)from) < 0)
		r = errno;
	if (r && r != EOPNOTSUPP)
		return err_sys(e, r, "cannot take %" PRIu64 " MB of the disk",
			(size - from) / MB);
	return ftruncate(image, (off_t)size) < 0 || fsync(image) < 0
		       ? err_sys(e, errno, "cannot enlarge the image")
		       : 0;
}

/* ---- mounting ---- */

static int say(int dirfd, uint64_t id, int error, const char *why, struct err *e)
{
	char link[40], folder[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = readlink(link, folder, sizeof(folder) - 1);
	folder[n > 0 ? n : 0] = '\0';
	return err_set(e, error,
		"volume %016" PRIx64
		" cannot be mounted: %s. While nothing runs with it: e2fsck -f "
		"%s/%016" PRIx64 ".img; or restore it",
		id, why, folder, id);
}

static int grow_mounted(int image, int mount, uint64_t size)
{
	char device[LOOPDEV_PATH];
	int loop autoclose = loopdev_find(image, device);
	int top autoclose = openat(mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t blocks = size / BLOCK;

	if (loop < 0)
		return loop;
	return top < 0 || ioctl(loop, LOOP_SET_CAPACITY, 0) < 0 ||
			       ioctl(top, EXT4_IOC_RESIZE_FS, &blocks) < 0
		       ? -errno
		       : 0;
}

/* The file system as it lies there; one that is mounted may have written that it is damaged. *ret_size: what it has to
 * grow to, 0: nothing. */
static int check_image(int dirfd, uint64_t id, int image, bool mounted,
	uint64_t *ret_size, struct err *e)
{
	struct super s;
	struct stat st;

	if (fstat(image, &st) < 0)
		return err_sys(e, errno, "volume %016" PRIx64, id);
	if (read_super(image, &s) < 0)
		return say(dirfd, id, EUCLEAN, "there is no file system in its image", e);
	if (!mounted && le16toh(s.state) & STATE_ERRORS)
		return say(dirfd, id, EUCLEAN, "its file system is marked as damaged", e);
	*ret_size = (uint64_t)st.st_size / BLOCK > join(s.blocks_hi, s.blocks_lo)
			    ? (uint64_t)st.st_size
			    : 0;
	return 0;
}

/* loop: of the device, or -1: it is attached. */
static int mount_device(int dirfd, uint64_t id, int image, int loop,
	char path[LOOPDEV_PATH], struct err *e)
{
	/* the tables of a new image are zero, as the file is */
	static const char *const options[] = {"noinit_itable", NULL};
	struct err why = {0};
	int fd autoclose = -1, mount;

	if (loop < 0)
		loop = fd = loopdev_attach(image, LOOPDEV_DIRECT, path);
	if (loop < 0)
		return err_sys(e, -loop,
			"volume %016" PRIx64 " cannot be mounted: no loop device", id);
	mount = loopdev_mount(path, options, &why);
	return mount < 0 ? say(dirfd, id, -mount, why.text, e) : mount;
}

/* Without the kernel: while it is mounted nowhere. */
static int grow_apart(int image)
{
	char path[48];
	const char *const argv[] = {"resize2fs", "-f", path, NULL};
	int r;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), image);
	r = command_run(argv, NULL, 0, NULL);
	return r > 0 ? -EIO : r;
}

/* Whether nobody has it mounted; who has just ended lets go of it in a moment. */
static bool is_unused(int image)
{
	const struct timespec pause = {.tv_nsec = UNUSED_PAUSE_MS * 1000000};
	char device[LOOPDEV_PATH];

	for (int i = 0; i < UNUSED_TRIES; i++) {
		int loop autoclose = loopdev_find(image, device);

		if (loop == -ENOENT)
			return true;
		close(TAKE_FD(loop));
		nanosleep(&pause, NULL);
	}
	return false;
}

/*
 * The file system becomes as large as its file. mount: of it; it may be another one then. 0, 1: not while it is mounted,
 * -errno: it stays as it is. For a root without CAP_SYS_RESOURCE, as in a container, the kernel does not do it.
 */
static int grow_image(int dirfd, uint64_t id, int image, uint64_t size, int *mount)
{
	int loop autoclose = -1, r = grow_mounted(image, *mount, size);
	char device[LOOPDEV_PATH];
	struct err e;

	if (r == -EPERM) {
		close(TAKE_FD(*mount));
		r = is_unused(image) ? grow_apart(image) : 1;
		loop = loopdev_find(image, device);
		*mount = loop < 0 && loop != -ENOENT
				 ? loop
				 : mount_device(dirfd, id, image, loop, device, &e);
	}
	if (r < 0)
		log_warn("volume %016" PRIx64 " cannot grow: %s", id, strerror(-r));
	return r;
}

/* As it lies there. *ret_size as of check_image. */
static int mount_image(
	int dirfd, uint64_t id, int image, uint64_t *ret_size, struct err *e)
{
	char device[LOOPDEV_PATH];
	int loop autoclose = loopdev_find(image, device), r;

	if (loop < 0 && loop != -ENOENT)
		return err_sys(e, -loop, "cannot look for the loop devices");
	r = check_image(dirfd, id, image, loop >= 0, ret_size, e);
	return r < 0 ? r : mount_device(dirfd, id, image, loop, device, e);
}

int volume_image_mount(int dirfd, uint64_t id, struct err *e)
{
	int image autoclose = open_image(dirfd, id, O_RDWR);
	int mount autoclose = -1;
	uint64_t size;

	if (image < 0)
		return err_sys(e, -image, "volume %016" PRIx64, id);
	if ((mount = mount_image(dirfd, id, image, &size, e)) < 0)
		return mount;
	if (size)
		(void)grow_image(dirfd, id, image, size, &mount);
	return mount < 0
		       ? err_sys(e, -mount, "volume %016" PRIx64 " cannot be mounted", id)
		       : TAKE_FD(mount);
}

/* ---- making ---- */

static int format(int image, struct err *e)
{
	char path[48];
	const char *const argv[] = {"mke2fs", "-F", "-q", "-t", "ext4", "-b", "4096",
		"-m", "0", "-i", FILE_BYTES, "-e", "remount-ro", "-E",
		"lazy_itable_init=1,lazy_journal_init=1,nodiscard", path, NULL};
	int r;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), image);
	r = command_run(argv, NULL, 0, NULL);
	return r ? err_sys(e, r < 0 ? -r : EIO, "cannot format its image (mke2fs)") : 0;
}

/* The mount is gone when this returns, and all is in the file. */
static int prepare_top(int dirfd, uint64_t id, int image, uid_t owner, struct err *e)
{
	uint64_t size;
	int mount autoclose = mount_image(dirfd, id, image, &size, e);

	if (mount < 0)
		return mount;
	if (unlinkat(mount, "lost+found", AT_REMOVEDIR) < 0 ||
		fchownat(mount, "", owner, owner, AT_EMPTY_PATH) < 0)
		return err_sys(e, errno, "cannot write to its image");
	return 0;
}

static int give_name(int dirfd, uint64_t id, int image, struct err *e)
{
	char from[40], to[32];

	snprintf(from, sizeof(from), "/proc/self/fd/%d", image);
	id_name(to, id, ".img");
	if (fsync(image) < 0 || linkat(AT_FDCWD, from, dirfd, to, AT_SYMLINK_FOLLOW) < 0)
		return err_sys(e, errno, "cannot keep its image");
	if (fsync(dirfd) == 0)
		return 0;
	err_sys(e, errno, "cannot keep its image");
	(void)unlinkat(dirfd, to, 0);
	return -e->code;
}

int volume_image_make(
	int dirfd, uint64_t id, uint64_t size_bytes, uid_t owner, struct err *e)
{
	int image autoclose = -1, r;
	int nocow =
		FS_NOCOW_FL; /* btrfs: what was promised stays so when it is rewritten */

	if ((r = check_room(dirfd, size_bytes, e)) < 0)
		return r;
	image = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (image < 0)
		return err_sys(e, errno, "cannot make its image");
	(void)ioctl(image, FS_IOC_SETFLAGS, &nocow);
	if ((r = take_space(image, 0, size_bytes, e)) < 0 || (r = format(image, e)) < 0 ||
		(r = prepare_top(dirfd, id, image, owner, e)) < 0)
		return r;
	return give_name(dirfd, id, image, e);
}

/* ---- growing ---- */

static int enlarge(int dirfd, int image, uint64_t now, uint64_t size_bytes, struct err *e)
{
	int r = check_room(dirfd, size_bytes - now, e);

	return r < 0 ? r : take_space(image, now, size_bytes, e);
}

int volume_image_grow(int dirfd, uint64_t id, uint64_t size_bytes, struct err *e)
{
	int image autoclose = open_image(dirfd, id, O_RDWR);
	int mount autoclose = -1, r;
	uint64_t now, size;
	struct stat st;

	if (image < 0 || fstat(image, &st) < 0)
		return err_sys(e, image < 0 ? -image : errno, "volume %016" PRIx64, id);
	now = (uint64_t)st.st_size;
	if (size_bytes < now)
		return err_set(e, EINVAL, "a volume does not shrink");
	/* what cannot be mounted takes nothing of the disk */
	if ((mount = mount_image(dirfd, id, image, &size, e)) < 0)
		return mount;
	if (size_bytes > now) {
		if ((r = enlarge(dirfd, image, now, size_bytes, e)) < 0)
			return r;
		size = size_bytes;
	}
	return size && grow_image(dirfd, id, image, size, &mount) != 0;
}

/* ---- looking ---- */

static int read_mounted(const char *device, struct quota *ret)
{
	static const char *const options[] = {"noinit_itable", NULL};
	int mount autoclose = loopdev_mount(device, options, NULL);
	struct statvfs st;

	if (mount < 0 || fstatvfs(mount, &st) < 0)
		return -EIO;
	ret->used_bytes = (uint64_t)(st.f_blocks - st.f_bfree) * st.f_frsize;
	ret->files_max = st.f_files;
	ret->files = st.f_files - st.f_ffree;
	return 0;
}

int volume_image_read(int dirfd, uint64_t id, struct quota *ret)
{
	int image autoclose = open_image(dirfd, id, O_RDONLY);
	char device[LOOPDEV_PATH];
	struct super s;
	struct stat st;

	if (image < 0 || fstat(image, &st) < 0)
		return image < 0 ? image : -errno;
	*ret = (struct quota){.size_bytes = (uint64_t)st.st_size};
	int loop autoclose = loopdev_find(image, device);
	if (loop >= 0 && read_mounted(device, ret) == 0)
		return 0;
	if (read_super(image, &s) < 0)
		return -EUCLEAN;
	ret->used_bytes = (join(s.blocks_hi, s.blocks_lo) - le32toh(s.overhead) -
				  join(s.free_hi, s.free_lo)) *
			  BLOCK;
	ret->files_max = le32toh(s.files);
	ret->files = ret->files_max - le32toh(s.files_free);
	return 0;
}
