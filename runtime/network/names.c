/* /etc/hosts and /etc/hostname of every sandbox. */
#include "runtime/network/names.h"
#include "lib/io.h"
#include "runtime/records.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define MOUNT_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)
/* three pages each for the most sandboxes there can be; only what is written takes memory */
#define MOUNT_OPTIONS "mode=0700,size=64m"
#define HOST_LINES "127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 %s\n"

static int open_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* A tmpfs, and not the one that the run folder may itself be on. */
static bool is_mounted(int fd, const char *run)
{
	struct stat here, above;
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == TMPFS_MAGIC &&
	       fstat(fd, &here) == 0 && stat(run, &above) == 0 &&
	       here.st_dev != above.st_dev;
}

int names_open(const char *run, struct err *e)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/names", run);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "cannot make %s", path);
	fd = open_folder(path);
	if (fd < 0)
		return err_sys(e, -fd, "cannot open %s", path);
	if (is_mounted(fd, run))
		return fd;
	close(fd);
	if (mount("berth", path, "tmpfs", MOUNT_FLAGS, MOUNT_OPTIONS) < 0)
		return err_sys(e, errno, "cannot mount a tmpfs at %s", path);
	fd = open_folder(path);
	return fd < 0 ? err_sys(e, -fd, "cannot open %s", path) : fd;
}

void names_unmount(const char *run)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/names", run);
	fd = open_folder(path);
	if (fd < 0)
		return;
	if (is_mounted(fd, run))
		umount2(path, MNT_DETACH);
	close(fd);
	rmdir(path);
}

static int put(int fd, const char *host, const char *more, size_t len)
{
	autobuf text = BUF_INIT;
	ssize_t n;

	buf_addf(&text, HOST_LINES, host);
	buf_add(&text, more, len);
	if (text.failed)
		return -ENOMEM;
	/* one write, and no moment at which the file is empty */
	n = pwrite(fd, text.data, text.len, 0);
	if (n != (ssize_t)text.len)
		return n < 0 ? -errno : -ENOSPC;
	return ftruncate(fd, (off_t)text.len) < 0 ? -errno : 0;
}

static int create(int names, uint64_t id, const char *suffix)
{
	char name[32];
	int fd;

	id_name(name, id, suffix);
	unlinkat(names, name, 0);
	fd = openat(names, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	(void)fchmod(fd, 0644); /* whatever the umask is */
	return fd;
}

int names_make(int names, uint64_t id, const char *host, const char *more, size_t len)
{
	int hosts autoclose = create(names, id, NAMES_HOSTS);
	int hostname autoclose = create(names, id, NAMES_HOSTNAME);

	if (hosts < 0 || hostname < 0)
		return hosts < 0 ? hosts : hostname;
	if (dprintf(hostname, "%s\n", host) < 0)
		return -errno;
	return put(hosts, host, more, len);
}

int names_update(int names, uint64_t id, const char *host, const char *more, size_t len)
{
	char name[32];
	int fd autoclose = -1;

	id_name(name, id, NAMES_HOSTS);
	fd = openat(names, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : put(fd, host, more, len);
}

void names_remove(int names, uint64_t id)
{
	static const char *const suffixes[] = {NAMES_HOSTS, NAMES_HOSTNAME};
	char name[32];

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		id_name(name, id, suffixes[i]);
		unlinkat(names, name, 0);
	}
}

void names_list(int names, void (*cb)(void *arg, uint64_t id), void *arg)
{
	int fd = openat(names, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	uint64_t id;

	while (d && (entry = readdir(d)))
		if (id_parse(entry->d_name, NAMES_HOSTS, &id))
			cb(arg, id);
	if (d)
		closedir(d);
}
