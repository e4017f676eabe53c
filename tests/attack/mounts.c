/* Attacks with mounts, and on the way out of the root. */
#include "tests/attack/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MNT_DETACH 2
#define SYS_STATMOUNT 457
#define SYS_LISTMOUNT 458
#define SYS_OPEN_TREE_ATTR 467

static int mount_(const char *from, const char *to, const char *type, unsigned long flags)
{
	return result(syscall(SYS_mount, from, to, type, flags, NULL));
}

/* Where nothing can be written, any folder does. */
static const char *place(void)
{
	return mkdir("/tmp/place", 0777) == 0 || errno == EEXIST ? "/tmp/place" : "/tmp";
}

/* A mount that was made goes again. */
static int undo(int r, const char *at)
{
	if (r == 0)
		syscall(SYS_umount2, at, MNT_DETACH);
	return r;
}

int attack_mount_tmpfs(void)
{
	return undo(mount_("none", place(), "tmpfs", 0), place());
}

int attack_mount_bind(void)
{
	return undo(mount_("/", place(), NULL, MS_BIND), place());
}

int attack_mount_remount(void)
{
	return mount_(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND);
}

int attack_mount_shared(void)
{
	return mount_(NULL, "/", NULL, MS_SHARED);
}

/* /app is no mount: permitted it is only wrong. */
int attack_mount_move(void)
{
	return mount_("/app", place(), NULL, MS_MOVE);
}

int attack_umount(void)
{
	return result(syscall(SYS_umount2, "/app", MNT_DETACH));
}

int attack_pivot_root(void)
{
	return result(syscall(SYS_pivot_root, "/nowhere", "/nowhere"));
}

int attack_open_tree(void)
{
	return result(syscall(SYS_open_tree, AT_FDCWD, "/", OPEN_TREE_CLONE));
}

int attack_move_mount(void)
{
	return result(syscall(SYS_move_mount, -1, "", -1, "",
		MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

int attack_fsopen(void)
{
	return result(syscall(SYS_fsopen, "tmpfs", 0));
}

int attack_fsmount(void)
{
	return result(syscall(SYS_fsmount, -1, 0, 0));
}

int attack_fspick(void)
{
	return result(syscall(SYS_fspick, AT_FDCWD, "/", 0));
}

/* What it works on comes from fsopen and fspick: without them there is nothing to ask a right for. */
int attack_fsconfig(void)
{
	return result(syscall(SYS_fsconfig, -1, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
}

/* Bits that contradict each other. */
int attack_mount_setattr(void)
{
	struct mount_attr a = {.attr_clr = MOUNT_ATTR_NOSUID, .propagation = ~0ull};

	return result(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &a, sizeof(a)));
}

int attack_open_tree_attr(void)
{
	struct mount_attr a = {.attr_clr = MOUNT_ATTR_NOSUID};

	return result(syscall(
		SYS_OPEN_TREE_ATTR, AT_FDCWD, "/", OPEN_TREE_CLONE, &a, sizeof(a)));
}

int attack_statmount(void)
{
	return result(syscall(SYS_STATMOUNT, NULL, NULL, 0, 0));
}

int attack_listmount(void)
{
	return result(syscall(SYS_LISTMOUNT, NULL, NULL, 0, 0));
}

/* Opened only: nothing is switched. */
int attack_mount_sysfs(void)
{
	int r = mount_("sysfs", place(), "sysfs", 0);

	if (r == 0 && chdir(place()) == 0)
		r = try_open("kernel/profiling", O_WRONLY);
	return undo(r, place());
}

int attack_swapon(void)
{
	return result(syscall(SYS_swapon, "/nowhere", 0));
}

int attack_swapoff(void)
{
	return result(syscall(SYS_swapoff, "/nowhere"));
}

int attack_quotactl(void)
{
	return result(syscall(SYS_quotactl, 0x80000700u, "/dev/null", 0, NULL));
}

/* ---- out of the root ---- */

/* The root that a start begins with holds all of berth's layers: it must be out of reach, as the host's. */
static int climb(void)
{
	for (int i = 0; i < 64; i++)
		if (chdir("..") < 0)
			return errno;
	if (chroot(".") < 0)
		return errno;
	return access("/layers", F_OK) == 0 || access(getenv(ENV_HOST_PATH), F_OK) == 0
		       ? 0
		       : NOTHING;
}

int attack_chroot_chdir(void)
{
	if (chdir("/app") < 0 || chroot(place()) < 0)
		return errno;
	return climb();
}

int attack_chroot_fchdir(void)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY);

	if (chdir(place()) < 0 || chroot(".") < 0 || fchdir(fd) < 0)
		return errno;
	return climb();
}

int attack_chroot_nested(void)
{
	if (chdir(place()) < 0 || (mkdir("in", 0777) < 0 && errno != EEXIST))
		return errno;
	if (chdir("/app") < 0 || chroot("/tmp/place") < 0 || chroot("/in") < 0)
		return errno;
	return climb();
}

int attack_chroot_volume(void)
{
	int r = attack_chroot_chdir();

	return r ? r : try_read("/volumes/0000000000000009/secret");
}

int attack_handle(void)
{
	struct {
		struct file_handle head;
		unsigned char rest[MAX_HANDLE_SZ];
	} h = {.head.handle_bytes = MAX_HANDLE_SZ};
	int at, mount = open("/tmp", O_RDONLY | O_DIRECTORY);

	if (name_to_handle_at(AT_FDCWD, "/tmp", &h.head, &at, 0) < 0)
		return NOTHING;
	return result(syscall(SYS_open_by_handle_at, mount, &h, O_RDONLY));
}
