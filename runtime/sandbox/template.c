/*
 * The mount namespace that every sandbox starts from: a small tmpfs with the state
 * folders, a /dev and copies of the host's files. A child copies these dozen mounts
 * instead of the host's hundreds, and no host path exists in it.
 */
#include "lib/io.h"
#include "runtime/inside.h"

#include "lib/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#define CERTS "/etc/ssl/certs"
#define CERT_FILES_MAX 4096
#define CERT_SIZE_MAX ((size_t)4 << 20)
#define PACKS_DEPTH 8 /* ours have three levels */

static const char *const folders[] = {"layers", "volumes", "cache", "scratch", "skel",
	"snapshots", "packs", "names", "root", "empty", "l", "l/u", "l/c", "dev",
	"dev/pts", "dev/shm", "etc", "certs", "host", "stage", "stage/proc", "stage/dev"};

static const struct {
	const char *name;
	unsigned int major, minor;
} devices[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8},
	{"urandom", 1, 9}, {"tty", 5, 0}};

static const struct {
	const char *name, *target;
} links[] = {{"dev/ptmx", "pts/ptmx"}, {"dev/fd", "/proc/self/fd"},
	{"dev/stdin", "/proc/self/fd/0"}, {"dev/stdout", "/proc/self/fd/1"},
	{"dev/stderr", "/proc/self/fd/2"}};

static int write_new(int dir, const char *name, const struct buf *b)
{
	int fd autoclose =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);

	return fd < 0 ? -errno : io_write_all(fd, b->data, b->len);
}

static int make_dev(int root)
{
	char name[32];

	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		snprintf(name, sizeof(name), "dev/%s", devices[i].name);
		if (mknodat(root, name, S_IFCHR | 0666,
			    makedev(devices[i].major, devices[i].minor)) < 0)
			return -errno;
	}
	for (size_t i = 0; i < ARRAY_LEN(links); i++)
		if (symlinkat(links[i].target, root, links[i].name) < 0)
			return -errno;
	return 0;
}

/* One certificate, through its link; what is not a plain file of bearable size is left
 * out. */
static int copy_cert(int from, int to, const char *name)
{
	autobuf b = {.max = CERT_SIZE_MAX};
	struct stat st;

	if (fstatat(from, name, &st, 0) < 0 || !S_ISREG(st.st_mode) ||
		io_read_file(from, name, &b) < 0)
		return 0;
	return write_new(to, name, &b);
}

static int copy_certs(int root)
{
	int from autoclose = open(CERTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int to autoclose = openat(root, "certs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = opendir(CERTS);
	struct dirent *entry;
	int n = 0, r = 0;

	while (d && from >= 0 && r == 0 && n++ < CERT_FILES_MAX && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			r = copy_cert(from, to, entry->d_name);
	if (d)
		closedir(d);
	return r;
}

static int write_host_files(int root)
{
	autobuf resolv = BUF_INIT;
	autobuf apt = BUF_INIT;
	autobuf npm = BUF_INIT;
	int r;

	if ((r = host_resolv_conf(&resolv)) < 0 || (r = host_apt_conf(&apt)) < 0 ||
		(r = host_npmrc(&npm)) < 0 ||
		(r = write_new(root, "etc/resolv.conf", &resolv)) < 0 ||
		(r = write_new(root, "host/apt.conf", &apt)) < 0)
		return r;
	return write_new(root, "host/npmrc", &npm);
}

/* What hides things in a sandbox's /proc: read-only, so that a plain bind of them is too. */
static int make_covers(void)
{
	static const char *const covers[][2] = {{"dev/null", "null"}, {"empty", "empty"}};
	struct mount_attr a = {.attr_set = MOUNT_ATTR_RDONLY};

	for (size_t i = 0; i < ARRAY_LEN(covers); i++)
		if (mount(covers[i][0], covers[i][1], NULL, MS_BIND, NULL) < 0 ||
			mount_setattr(AT_FDCWD, covers[i][1], 0, &a, sizeof(a)) < 0)
			return -errno;
	return 0;
}

static int fill(int root)
{
	char name[16];
	int r;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++)
		if (mkdirat(root, folders[i], 0755) < 0)
			return -errno;
	for (int i = 0; i <= PROTO_LAYERS_MAX; i++) {
		snprintf(name, sizeof(name), "l/%d", i);
		if (mkdirat(root, name, 0755) < 0)
			return -errno;
	}
	if (mknodat(root, "null", S_IFREG | 0444, 0) < 0)
		return -errno;
	if ((r = make_dev(root)) < 0 || (r = copy_certs(root)) < 0)
		return r;
	return write_host_files(root);
}

/* A detached copy of the folder at path. */
static int take_tree(const char *base, const char *name)
{
	char path[PATH_MAX + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", base, name);
	fd = open_tree(
		AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	return fd < 0 ? -errno : fd;
}

static int new_tmpfs(unsigned int attrs)
{
	int fs autoclose = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_SET_STRING, "source", "berth", 0) < 0 ||
		fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
		fsconfig(fs, FSCONFIG_SET_STRING, "size", "67108864", 0) < 0 ||
		fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, attrs);
	return fd < 0 ? -errno : fd;
}

static int copy_tree(int from, int to, int depth);

static int copy_entry(int from, int to, const char *name, int depth)
{
	struct stat st;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode)) {
		if (depth == 0 || mkdirat(to, name, 0755) < 0)
			return depth ? -errno : -ELOOP;
		int below autoclose =
			openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int folder = openat(
			from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		return folder < 0 ? -errno : copy_tree(folder, below, depth - 1);
	}
	int in autoclose = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int out autoclose = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		st.st_mode & S_IXUSR ? 0755 : 0644);
	if (!S_ISREG(st.st_mode) || in < 0 || out < 0)
		return S_ISREG(st.st_mode) ? -errno : -EINVAL;
	return sendfile(out, in, NULL, (size_t)st.st_size) == st.st_size ? 0 : -EIO;
}

/* Folders and files only. Closes from. */
static int copy_tree(int from, int to, int depth)
{
	DIR *d = fdopendir(from);
	struct dirent *entry;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (entry = readdir(d)))
		if (entry->d_name[0] != '.')
			r = copy_entry(from, to, entry->d_name, depth);
	closedir(d);
	return r;
}

/*
 * The host's own buildpacks, folders that root put into the state folder, to packs/host. Only when nobody else can write there: what
 * cannot be copied is left out, and said.
 */
static void take_host_packs(const char *state, int packs)
{
	char path[PATH_MAX + 32];
	struct stat st;

	snprintf(path, sizeof(path), "%s/buildpacks", state);
	int from = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0)
		return;
	if (fstat(from, &st) < 0 || st.st_uid != 0 || st.st_mode & 022) {
		log_error("%s is not root's alone: its buildpacks are left out", path);
		close(from);
		return;
	}
	int to autoclose =
		mkdirat(packs, "host", 0755) < 0
			? -1
			: openat(packs, "host", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (to < 0) {
		close(from);
		return;
	}
	int r = copy_tree(from, to, PACKS_DEPTH);
	if (r < 0)
		log_error("the buildpacks in %s could not all be copied (files and "
			  "folders only, 64 MB): %s",
			path, strerror(-r));
}

/*
 * A copy of the buildpacks: builds see no path of the host in their mount table, and an
 * installation under a running berthd changes nothing for them. fd, -ENOENT: there are
 * none.
 */
static int take_packs(const char *lib, const char *state)
{
	char path[PATH_MAX + 32];
	int from, r;

	snprintf(path, sizeof(path), "%s/packs", lib);
	from = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return -errno;
	int to autoclose = new_tmpfs(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (to < 0) {
		close(from);
		return to;
	}
	r = copy_tree(from, to, PACKS_DEPTH);
	if (r == 0)
		take_host_packs(state, to);
	return r < 0 ? r : TAKE_FD(to);
}

enum { TREE_PACKS = 6, TREE_NAMES, TREES }; /* places in `folders` */

static int take_trees(const struct runtime *rt, int trees[TREES])
{
	for (int i = 0; i < TREES; i++) {
		trees[i] = i == TREE_PACKS
				   ? take_packs(rt->lib, rt->state)
				   : take_tree(i == TREE_NAMES ? rt->run : rt->state,
					     folders[i]);
		if (trees[i] < 0 && !(trees[i] == -ENOENT && i == TREE_PACKS))
			return trees[i];
	}
	return 0;
}

/*
 * The tmpfs becomes the root of the namespace and all else goes. The kernel's own first
 * file system (a host that runs from its initramfs) can neither be pivoted away nor
 * unmounted: it stays below, where no path leads, as it does on every host.
 */
static int take_over(int root)
{
	if (move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
		fchdir(root) < 0)
		return -errno;
	if (syscall(SYS_pivot_root, ".", ".") == 0)
		return umount2(".", MNT_DETACH) < 0 ? -errno : 0;
	return errno == EINVAL && chroot(".") == 0 ? 0 : -errno;
}

/* Runs in a child: everything until the namespace is as it shall be. */
static int enter_template(const struct runtime *rt)
{
	int trees[TREES], root, r;

	umask(0);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || unshare(CLONE_NEWNS) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if ((r = take_trees(rt, trees)) < 0 ||
		(root = new_tmpfs(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)) < 0)
		return r < 0 ? r : root;
	if ((r = fill(root)) < 0 || (r = take_over(root)) < 0)
		return r;
	for (int i = 0; i < TREES; i++)
		if (trees[i] >= 0 && move_mount(trees[i], "", AT_FDCWD, folders[i],
					     MOVE_MOUNT_F_EMPTY_PATH) < 0)
			return -errno;
	return make_covers();
}

static int open_when_done(pid_t pid, int in, struct err *e)
{
	char path[32];
	int answer = -EIO, fd;

	if (io_read_full(in, &answer, sizeof(answer)) < 0 || answer < 0)
		return err_sys(e, answer < 0 ? -answer : EIO,
			"cannot prepare the sandboxes' mounts");
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the sandboxes' mounts") : fd;
}

int template_make(struct runtime *rt, struct err *e)
{
	int ends[2], r;
	pid_t pid, parent = getpid();

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	pid = fork();
	if (pid == 0) {
		r = enter_template(rt);
		if (getppid() == parent && write(ends[1], &r, sizeof(r)) == sizeof(r))
			for (;;)
				pause();
		_exit(1);
	}
	close(ends[1]);
	r = pid < 0 ? err_sys(e, errno, "fork") : open_when_done(pid, ends[0], e);
	close(ends[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return r;
}
