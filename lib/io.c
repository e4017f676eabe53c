/* Files and descriptors: whole reads and writes, atomic replacement, sealed memory files. */
#include "lib/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define TREE_DEPTH_OPEN 64
#define MOVE_TRIES 1000

int io_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_read_full(int fd, void *data, size_t len)
{
	char *p = data;

	while (len > 0) {
		ssize_t n = read(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int io_read_all(int fd, struct buf *b)
{
	size_t max = b->max ? b->max : BUF_MAX_DEFAULT;

	for (;;) {
		size_t want = max - b->len < 65536 ? max - b->len : 65536;
		if (want == 0) {
			char one;
			ssize_t more = read(fd, &one, 1);
			return more > 0 ? -EMSGSIZE : more < 0 ? -errno : 0;
		}
		char *at = buf_room(b, want);
		if (!at)
			return -ENOMEM;
		ssize_t n = read(fd, at, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		b->len += (size_t)n;
		b->data[b->len] = '\0';
		if (n == 0)
			return 0;
	}
}

int io_read_file(int dirfd, const char *path, struct buf *b)
{
	int fd autoclose = openat(dirfd, path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : io_read_all(fd, b);
}

int io_replace_file(
	int dirfd, const char *name, const void *data, size_t len, mode_t mode)
{
	char temp[NAME_MAX + 1];

	if (snprintf(temp, sizeof(temp), ".%s.tmp", name) >= (int)sizeof(temp))
		return -ENAMETOOLONG;
	int fd autoclose = openat(
		dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return -errno;
	int r = io_write_all(fd, data, len);
	if (r == 0 && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		r = -errno;
	if (r == 0 && renameat(dirfd, temp, dirfd, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dirfd, temp, 0);
		return r;
	}
	int dir autoclose = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir >= 0 && fsync(dir) < 0 ? -errno : 0;
}

int io_memfd_sealed(const char *name, const void *data, size_t len)
{
	int fd autoclose = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	int r = io_write_all(fd, data, len);
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int io_memfd_check(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & SEALS) == SEALS ? 0 : -EPERM;
}

int io_memfd_map(int fd, const char *what, size_t least, size_t most, void **ret,
	size_t *ret_size, struct err *e)
{
	struct stat st;
	void *map;

	if (io_memfd_check(fd) < 0)
		return err_set(e, EPERM, "%s: not a sealed memory file", what);
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "%s", what);
	if (st.st_size < (off_t)least || st.st_size > (off_t)most)
		return err_set(
			e, EBADMSG, "%s of %lld bytes", what, (long long)st.st_size);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return err_sys(e, errno, "cannot map the %s", what);
	*ret = map;
	*ret_size = (size_t)st.st_size;
	return 0;
}

static int set_flag(int fd, int get, int set, int flag, bool on)
{
	int flags = fcntl(fd, get);

	if (flags < 0 || fcntl(fd, set, on ? flags | flag : flags & ~flag) < 0)
		return -errno;
	return 0;
}

int io_set_cloexec(int fd, bool on)
{
	return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int io_set_nonblock(int fd, bool on)
{
	return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

/* A bind mount of the same file system has the same device number, so the kernel is asked
 * (openat2(2)). The way to the topmost folder may cross mounts. */
static int open_to_empty(int dirfd, const char *name, int depth)
{
	struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = depth ? RESOLVE_NO_XDEV : 0};

	return (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
}

/* A removal under way. Apps make trees as deep as they like: what lies deeper than
 * TREE_DEPTH_OPEN is moved to the top, so that few folders are open at a time. */
struct removal {
	int top;
	unsigned int serial, moved;
	uint64_t left; /* entries that it may still remove */
};

static int move_up(struct removal *m, int dirfd, const char *name)
{
	char to[24];

	for (int i = 0; i < MOVE_TRIES; i++) {
		snprintf(to, sizeof(to), ".deep-%u", m->serial++);
		if (renameat(dirfd, name, m->top, to) == 0) {
			m->moved++;
			return 0;
		}
		if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
			return -errno;
	}
	return -EEXIST;
}

static int remove_below(struct removal *m, DIR *dir, int depth);

/* Of a folder of its own, below the topmost one. */
static int remove_folder(struct removal *m, int dirfd, const char *name, int depth)
{
	if (depth == TREE_DEPTH_OPEN)
		return move_up(m, dirfd, name);
	int fd = open_to_empty(dirfd, name, depth);
	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		int code = errno;
		close(fd);
		return -code;
	}
	if (depth == 0)
		m->top = fd;
	int r = remove_below(m, dir, depth + 1);
	while (depth == 0 && r == 0 && m->moved) {
		m->moved = 0;
		rewinddir(dir);
		r = remove_below(m, dir, depth + 1);
	}
	closedir(dir);
	if (r < 0)
		return r;
	return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

static int remove_entry(struct removal *m, int dirfd, const char *name, int depth)
{
	if (m->left == 0)
		return -EINPROGRESS;
	m->left--;
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	return remove_folder(m, dirfd, name, depth);
}

static int remove_below(struct removal *m, DIR *dir, int depth)
{
	struct dirent *d;

	while ((errno = 0, d = readdir(dir))) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		int r = remove_entry(m, dirfd(dir), d->d_name, depth);
		if (r < 0)
			return r;
	}
	return -errno;
}

int io_remove_part(int dirfd, const char *name, uint64_t most)
{
	/* what an earlier part moved up may still be there, by its number */
	unsigned int serial = most < UINT64_MAX ? (unsigned int)io_mono_ns() : 0;
	struct removal m = {.top = -1, .serial = serial, .left = most};

	return remove_entry(&m, dirfd, name, 0);
}

int io_remove_tree(int dirfd, const char *name)
{
	return io_remove_part(dirfd, name, UINT64_MAX);
}

int io_mkdirs(const char *path, mode_t mode)
{
	char part[PATH_MAX];

	if (path[0] != '/' ||
		snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return -EINVAL;
	for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash)
			*slash = '\0';
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return -errno;
		if (!slash)
			return 0;
		*slash = '/';
	}
}

int io_beside_program(const char *name, char *out, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", out, size);
	const char *slash;

	if (n < 0)
		return -errno;
	slash = memrchr(out, '/', (size_t)n);
	size_t at = slash ? (size_t)(slash - out) + 1 : 0;
	if ((size_t)n == size || at + strlen(name) >= size)
		return -ENAMETOOLONG;
	memcpy(out + at, name, strlen(name) + 1);
	return 0;
}

static int unix_address(const char *path, struct sockaddr_un *sa)
{
	*sa = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(sa->sun_path))
		return -ENAMETOOLONG;
	memcpy(sa->sun_path, path, strlen(path) + 1);
	return 0;
}

int io_unix_connect(const char *path, int type)
{
	struct sockaddr_un sa;
	int r = unix_address(path, &sa);

	if (r < 0)
		return r;
	int fd autoclose = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int io_unix_listen(const char *path, int type, mode_t mode)
{
	struct sockaddr_un sa;
	int r = unix_address(path, &sa);

	if (r < 0)
		return r;
	int fd autoclose = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0 || chmod(path, mode) < 0 ||
		listen(fd, SOMAXCONN) < 0)
		return -errno;
	return TAKE_FD(fd);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t io_now_us(void)
{
	return clock_ns(CLOCK_REALTIME) / 1000;
}

uint64_t io_mono_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

struct timespec io_mono_in(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += (long)(ms % 1000) * 1000000L;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000L;
	}
	return t;
}
