/*
 * The root file system of a sandbox, built by the child in its own copy of the template
 * while it still is the host's root. All paths inside are resolved below the new root
 * (openat2 RESOLVE_IN_ROOT): links in layers lead nowhere else.
 */
#include "runtime/guards.h"
#include "runtime/network/names.h"
#include "runtime/sandbox/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define SHM_SIZE "67108864" /* 64 MiB, what containers elsewhere have */
#define PTS_GROUP 5	    /* "tty" in Debian */
#define PTS_MAX "64"	    /* all sandboxes together have the host's 3,072 (pty(7)) */
#define CERT_STORE "etc/ssl/certs"
#define OPEN_TRIES 128

int root_step(struct root *r, const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->step, ROOT_STEP_MAX, fmt, ap);
	va_end(ap);
	return -error;
}

int mounts_open_in(int root, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	long fd;

	/* a ".." on the way while anything on the host was renamed or mounted */
	for (int i = 0; i < OPEN_TRIES; i++)
		if ((fd = syscall(SYS_openat2, root, path, &how, sizeof(how))) >= 0 ||
			errno != EAGAIN)
			break;
	return fd < 0 ? -errno : (int)fd;
}

/* A detached copy of a folder or file of the template. idmap -1: as it is. */
int root_clone(const char *path, int idmap, uint64_t attrs)
{
	struct mount_attr a = {.attr_set = attrs};
	int fd autoclose = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (idmap >= 0) {
		a.attr_set |= MOUNT_ATTR_IDMAP;
		a.userns_fd = (uint64_t)idmap;
	}
	if (a.attr_set && mount_setattr(fd, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static int attach_to(struct root *r, int mount, int to, const char *path)
{
	if (move_mount(mount, "", to, "",
		    MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return root_step(r, "mount /%s inside", path);
	return 0;
}

/* What an image has where a folder belongs (a link, a FIFO) goes away; its own folder
 * stays. */
static int folder_at(struct root *r, int parent, const char *name)
{
	int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if ((errno == ENOTDIR && unlinkat(parent, name, 0) < 0) ||
		(errno != ENOTDIR && errno != ENOENT))
		return -errno;
	if (mkdirat(parent, name, 0755) < 0 ||
		fchownat(parent, name, r->c->uid_base, r->c->uid_base,
			AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A folder where berth mounts something: path below the root, and no link on the way, so
 * that the app cannot move it later. fd or -errno. */
static int open_own(struct root *r, const char *path)
{
	int at autoclose = openat(r->fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[32];

	if (at < 0)
		return root_step(r, "open the %s", "root");
	for (const char *p = path; p; p = strchr(p, '/')) {
		p += *p == '/';
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(p, "/"), p);
		int next = folder_at(r, at, name);
		if (next < 0) {
			errno = -next;
			return root_step(r, "make /%s inside", path);
		}
		close(at);
		at = next;
	}
	return TAKE_FD(at);
}

static int attach(struct root *r, int mount, const char *path)
{
	int to autoclose = open_own(r, path);

	return to < 0 ? to : attach_to(r, mount, to, path);
}

/* The file system that the options make, as a detached mount. options: name, value pairs,
 * NULL at the end. */
int root_new_fs(
	struct root *r, const char *type, const char *const *options, uint64_t attrs)
{
	int fs autoclose = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return root_step(r, "make a %s", type);
	for (; options && options[0]; options += 2)
		if (fsconfig(fs, FSCONFIG_SET_STRING, options[0], options[1], 0) < 0)
			return root_step(r, "set option %s", options[0]);
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return root_step(r, "make a %s", type);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned int)GUARD_ATTRS(attrs));
	return fd < 0 ? root_step(r, "make a %s", type) : fd;
}

/* A tmpfs that belongs to the sandbox's root. */
static int new_tmpfs(struct root *r, const char *mode, const char *size, uint64_t attrs)
{
	char owner[16];
	const char *options[] = {"source", "tmpfs", "uid", owner, "gid", owner, "mode",
		mode, "size", GUARD(GUARD_SIZES) ? size : "0", NULL};

	snprintf(owner, sizeof(owner), "%u", r->c->uid_base);
	return root_new_fs(r, "tmpfs", options, attrs);
}

/* In the template, until there is a root to move it to. */
static int stage(struct root *r, int mount, const char *path)
{
	char place[32];

	snprintf(place, sizeof(place), "/stage/%s", path);
	return move_mount(mount, "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) < 0
		       ? root_step(r, "mount /%s", path)
		       : 0;
}

static int attach_staged(struct root *r, const char *path)
{
	char place[32];
	int to autoclose = open_own(r, path);

	snprintf(place, sizeof(place), "/stage/%s", path);
	if (to < 0)
		return to;
	return move_mount(AT_FDCWD, place, to, "", MOVE_MOUNT_T_EMPTY_PATH) < 0
		       ? root_step(r, "mount /%s inside", path)
		       : 0;
}

static int attach_fs(struct root *r, int mount, const char *path)
{
	int result = mount < 0 ? mount : attach(r, mount, path);

	if (mount >= 0)
		close(mount);
	return result;
}

/* ---- /proc ---- */

/* What would tell about the host or act on it. The rest of /proc shows the sandbox, or
 * what any container sees. */
static const char *const hidden_files[] = {"kcore", "keys", "key-users", "timer_list",
	"sched_debug", "sysrq-trigger", "kmsg", "cmdline", "kpagecount", "kpageflags",
	"kpagecgroup", "vmcore", "kallsyms", "latency_stats"};
static const char *const hidden_folders[] = {"acpi", "asound", "scsi", "driver"};
static const char *const read_only[] = {"sys", "bus", "fs", "irq", "pressure"};

/* Over name in the current folder, /proc, whose names are the kernel's; with: the
 * template's, read-only. */
static int cover(struct root *r, const char *name, const char *with)
{
	if (mount(with, name, NULL, MS_BIND, NULL) < 0 && errno != ENOENT)
		return root_step(r, "cover /proc/%s", name);
	return 0;
}

static int freeze_folder(struct root *r, const char *name)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY};

	if (mount(name, name, NULL, MS_BIND, NULL) < 0)
		return errno == ENOENT ? 0 : root_step(r, "open /proc/%s", name);
	if (mount_setattr(AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, &a, sizeof(a)) < 0)
		return root_step(r, "make /proc/%s read-only", name);
	return 0;
}

static int mask_proc(struct root *r, int proc)
{
	int result = fchdir(proc) < 0 ? root_step(r, "enter the new %s", "/proc") : 0;

	for (size_t i = 0; result == 0 && i < ARRAY_LEN(read_only); i++)
		result = freeze_folder(r, read_only[i]);
	for (size_t i = 0; result == 0 && i < ARRAY_LEN(hidden_files); i++)
		result = cover(r, hidden_files[i], "/null");
	for (size_t i = 0; result == 0 && i < ARRAY_LEN(hidden_folders); i++)
		result = cover(r, hidden_folders[i], "/empty");
	return result;
}

static int stage_proc(struct root *r)
{
	static const char *const options[] = {"source", "proc", NULL};
	int proc autoclose = root_new_fs(r, "proc", options,
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	int result = proc < 0 ? proc : stage(r, proc, "proc");

	return result == 0 && GUARD(GUARD_MASKS) ? mask_proc(r, proc) : result;
}

/* ---- /dev and memory file systems ---- */

/* Older kernels (6.1 is one) read the number of the group as a signed one: in the upper
 * half of the ranges, terminals belong to their opener's group there. */
static int new_devpts(struct root *r)
{
	const uint64_t attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
	const uint32_t gid = r->c->uid_base + PTS_GROUP;
	char group[16];
	const char *options[] = {"source", "devpts", "ptmxmode", "0666", "mode", "0620",
		"max", GUARD(GUARD_SIZES) ? PTS_MAX : "100000", "gid", group, NULL};
	int fd;

	snprintf(group, sizeof(group), "%u", gid);
	fd = root_new_fs(r, "devpts", options, attrs);
	if (fd != -EINVAL || gid <= INT32_MAX)
		return fd;
	options[8] = NULL;
	return root_new_fs(r, "devpts", options, attrs);
}

static int stage_dev(struct root *r)
{
	int dev autoclose = root_clone("/dev", -1,
		GUARD_ATTRS(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC));

	if (dev < 0) {
		errno = -dev;
		return root_step(r, "open the %s", "devices");
	}
	return stage(r, dev, "dev");
}

/* What depends on the app's ids. */
static int make_dev(struct root *r)
{
	int result = attach_staged(r, "dev");

	if (result == 0)
		result = attach_fs(r, new_devpts(r), "dev/pts");
	if (result == 0)
		result = attach_fs(r,
			new_tmpfs(r, "1777", SHM_SIZE,
				MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC),
			"dev/shm");
	return result;
}

/* Half of the memory limit, because that is what its pages count against. */
static int make_tmp(struct root *r)
{
	char size[24];

	snprintf(size, sizeof(size), "%" PRIu64, r->c->start->limits.memory_bytes / 2);
	return attach_fs(r,
		new_tmpfs(r, "1777", size, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), "tmp");
}

/* ---- the host's files ---- */

/* A file mounted over path, /etc/NAME; what is no file there is replaced. */
static int attach_file(struct root *r, const char *from, const char *path)
{
	int etc autoclose = open_own(r, "etc");
	int to autoclose = -1, mount autoclose = -1;
	const char *name = strrchr(path, '/') + 1;
	struct stat st;

	if (etc < 0)
		return etc;
	if (fstatat(etc, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode) &&
		unlinkat(etc, name, 0) < 0)
		return root_step(r, "replace /%s", path);
	to = openat(etc, name, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
		0644);
	if (to < 0)
		return root_step(r, "make /%s", path);
	mount = root_clone(
		from, -1, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (mount < 0) {
		errno = -mount;
		return root_step(r, "open %s", from);
	}
	return attach_to(r, mount, to, path);
}

static int attach_name(struct root *r, const char *suffix, const char *path)
{
	char from[64];

	snprintf(from, sizeof(from), "/names/%016" PRIx64 "%s", r->c->id, suffix);
	return attach_file(r, from, path);
}

static int make_etc(struct root *r)
{
	int result = attach_name(r, NAMES_HOSTS, "etc/hosts");

	if (result == 0)
		result = attach_name(r, NAMES_HOSTNAME, "etc/hostname");
	return result == 0 ? attach_file(r, "/etc/resolv.conf", "etc/resolv.conf")
			   : result;
}

static int copy_file(int from, int to, const char *name, uid_t owner)
{
	int in autoclose = openat(from, name, O_RDONLY | O_CLOEXEC);
	int out autoclose =
		openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	struct stat st;

	if (in < 0 || out < 0 || fstat(in, &st) < 0 || fchown(out, owner, owner) < 0)
		return -errno;
	return sendfile(out, in, NULL, (size_t)st.st_size) == st.st_size ? 0 : -EIO;
}

/* Package scripts write to the store (update-ca-certificates), so a build as root gets a
 * copy of its own. */
static int copy_store(struct root *r, int store)
{
	char entries[4096] __attribute__((aligned(8)));
	int from autoclose = open("/certs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	long n, at;

	while ((n = syscall(SYS_getdents64, from, entries, sizeof(entries))) > 0)
		for (at = 0; at < n;) {
			const struct dirent64 *d = (const void *)(entries + at);
			if (d->d_name[0] != '.' &&
				copy_file(from, store, d->d_name, r->c->uid_base) < 0)
				return root_step(r, "copy certificate %s", d->d_name);
			at += d->d_reclen;
		}
	return n < 0 ? root_step(r, "read %s", "/certs") : 0;
}

static int make_certs(struct root *r)
{
	int store autoclose = -1;
	int result;

	if (access("/certs/ca-certificates.crt", F_OK) < 0)
		return errno == ENOENT ? 0 /* the host has none: the image's own stays */
				       : root_step(r, "find %s", "the certificates");
	if (r->c->profile == PROFILE_APP)
		return attach_fs(r,
			root_clone("/certs", -1,
				MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV),
			CERT_STORE);
	store = new_tmpfs(r, "0755", "16777216", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (store < 0)
		return store;
	result = copy_store(r, store);
	return result < 0 ? result : attach(r, store, CERT_STORE);
}

static int make_berth_folders(struct root *r)
{
	const uint64_t ro = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	int result = 0;

	if (r->c->flags & START_BUILDER)
		result = attach_fs(r, root_clone("/packs", -1, ro), "berth/packs");
	if (result == 0 && r->c->flags & START_HOST_APT)
		result = attach_fs(
			r, root_clone("/host", -1, ro | MOUNT_ATTR_NOEXEC), "berth/host");
	return result;
}

/* ---- volumes and caches ---- */

/* Makes the folder that path ends with; it belongs to the sandbox's root. */
static int make_folder(struct root *r, const char *path)
{
	char above[PROTO_PATH_MAX];
	const char *name = strrchr(path, '/') + 1;
	int parent autoclose = -1, made autoclose = -1;

	snprintf(above, sizeof(above), "%.*s", (int)(name - path), path);
	parent = mounts_open_in(r->fd, above, O_RDONLY | O_DIRECTORY);
	if (parent < 0)
		errno = -parent;
	else if (mkdirat(parent, name, 0755) == 0)
		made = openat(
			parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (made < 0 ||
		fchownat(made, "", r->c->uid_base, r->c->uid_base, AT_EMPTY_PATH) < 0)
		return root_step(r, "make the mount point %s", path);
	return 0;
}

/* Makes the folders of path that are missing. */
static int make_folders(struct root *r, const char *path)
{
	char so_far[PROTO_PATH_MAX];
	int result;

	for (const char *p = path; p; p = strchr(p + 1, '/')) {
		const char *end = strchr(p + 1, '/');
		int len = end ? (int)(end - path) : (int)strlen(path);

		snprintf(so_far, sizeof(so_far), "%.*s", len, path);
		int fd autoclose = mounts_open_in(r->fd, so_far, O_PATH | O_DIRECTORY);
		if (fd < 0 && fd != -ENOENT) {
			errno = -fd;
			return root_step(r, "open %s inside", so_far);
		}
		if (fd < 0 && (result = make_folder(r, so_far)) < 0)
			return result;
	}
	return 0;
}

/* The root itself, and /proc, /dev and what else comes from the template: a link in a
 * layer may lead there. */
static bool is_ours(const struct root *r, int fd)
{
	struct statfs fs;
	struct stat st, root, template;

	if (fstatfs(fd, &fs) < 0 || fstat(fd, &st) < 0 || fstat(r->fd, &root) < 0 ||
		stat("/", &template) < 0)
		return true;
	return fs.f_type == PROC_SUPER_MAGIC || fs.f_type == DEVPTS_SUPER_MAGIC ||
	       st.st_dev == template.st_dev ||
	       (st.st_dev == root.st_dev && st.st_ino == root.st_ino);
}

/* The place is looked up once: a link on the way may lie in a volume that another app
 * changes now. */
static int open_place(struct root *r, const char *path)
{
	int result = make_folders(r, path);
	int to autoclose = -1;

	if (result < 0)
		return result;
	to = mounts_open_in(r->fd, path, O_PATH | O_DIRECTORY);
	if (to < 0) {
		errno = -to;
		return root_step(r, "open %s inside", path);
	}
	if (is_ours(r, to)) {
		errno = EPERM;
		return root_step(r, "mount over what %s leads to", path);
	}
	return TAKE_FD(to);
}

int mounts_open_tree(struct root *r, const char *path, int idmap, uint64_t attrs)
{
	int tree = root_clone(
		path, idmap, GUARD_ATTRS(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | attrs));

	if (tree >= 0)
		return tree;
	errno = -tree;
	return root_step(r, "open %s", path);
}

/* A folder, or the image that berthd has mounted for this sandbox. */
static int open_volume(struct root *r, const struct msg_mount *m)
{
	int idmap = r->c->volume_idmap >= 0 ? r->c->volume_idmap : r->c->idmap;
	int image = r->c->volumes[m - r->c->start->mounts];
	struct mount_attr a = {
		.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)idmap};
	char path[64];

	if (image >= 0)
		return mount_setattr(image, "", AT_EMPTY_PATH, &a, sizeof(a)) < 0
			       ? root_step(r, "map the ids of %s", m->path)
			       : image;
	snprintf(path, sizeof(path), "/volumes/%016" PRIx64, m->id);
	return mounts_open_tree(r, path, idmap, 0);
}

static int open_mount(struct root *r, const struct msg_mount *m)
{
	char path[64];

	switch ((enum mount_kind)m->kind) {
	case MOUNT_VOLUME:
		return open_volume(r, m);
	case MOUNT_SNAPSHOTS:
		snprintf(path, sizeof(path), "/snapshots/%016" PRIx64, m->id);
		return mounts_open_tree(r, path, r->c->idmap, MOUNT_ATTR_NOEXEC);
	case MOUNT_LAYER:
		snprintf(path, sizeof(path), "/layers/%016" PRIx64 "/fs", m->id);
		return mounts_open_tree(r, path, r->c->idmap, MOUNT_ATTR_RDONLY);
	case MOUNT_CACHE:
	case MOUNT_CACHE_PART:
		return root_make_cache(r, m);
	case MOUNT_MERGED:
		return root_make_merged(r, m->id);
	}
	errno = EINVAL;
	return root_step(r, "mount %s", m->path);
}

static int make_mount(struct root *r, const struct msg_mount *m)
{
	struct mount_attr frozen = {.attr_set = MOUNT_ATTR_RDONLY};
	int to autoclose = open_place(r, m->path);
	int tree autoclose = -1;

	if (to < 0)
		return to;
	tree = open_mount(r, m);
	if (tree < 0)
		return tree;
	if (GUARD(GUARD_FLAGS) && m->flags & MOUNT_READ_ONLY_FLAG &&
		mount_setattr(tree, "", AT_EMPTY_PATH, &frozen, sizeof(frozen)) < 0)
		return root_step(r, "make %s read-only", m->path);
	return attach_to(r, tree, to, m->path + 1);
}

static int pivot(struct root *r)
{
	if (!GUARD(GUARD_ROOT))
		return fchdir(r->fd) < 0 || chroot(".") < 0 ? -errno : 0;
	if (fchdir(r->fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
		umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return root_step(r, "change to the new %s", "root");
	return 0;
}

/* What programs expect to find, besides /proc and /dev. */
static int make_usual(struct root *r)
{
	const struct msg_start *m = r->c->start;
	bool image_files = m->flags & START_IMAGE_FILES;
	int result;

	if (!image_files && (result = make_tmp(r)) < 0)
		return result;
	if (!(image_files && m->flags & START_NO_NET) && (result = make_certs(r)) < 0)
		return result;
	return (result = make_etc(r)) < 0 ? result : make_berth_folders(r);
}

static int make_inner(struct root *r)
{
	const struct msg_start *m = r->c->start;
	int result;

	if ((result = attach_staged(r, "proc")) < 0 || (result = make_dev(r)) < 0)
		return result;
	/* where an image is unpacked nothing may be in the way of its files; then there are no mounts either */
	if (m->n_layers && !(m->flags & START_BARE) && (result = make_usual(r)) < 0)
		return result;
	for (uint32_t i = 0; i < m->n_mounts; i++)
		if ((result = make_mount(r, &m->mounts[i])) < 0)
			return result;
	return 0;
}

int mounts_stage(const struct child *c, char text[124])
{
	struct root r = {.c = c, .fd = -1, .step = text};
	int result = stage_proc(&r);

	return result < 0 ? result : stage_dev(&r);
}

int mounts_build_root(const struct child *c, struct mount_fds *ret_spent, char text[124])
{
	struct root r = {.c = c, .fd = -1, .step = text, .spent = ret_spent};
	int result = root_make(&r);

	if (result < 0)
		return result;
	if (move_mount(r.fd, "", AT_FDCWD, "/root", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return root_step(&r, "attach the new %s", "root");
	result = make_inner(&r);
	return result < 0 ? result : pivot(&r);
}
