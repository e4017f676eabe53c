/* Unix sockets that sandboxes accept from. */
#include "runtime/sandbox/listener.h"
#include "lib/io.h"
#include "runtime/guards.h"
#include "runtime/records.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

int listener_open(const char *run, struct err *e)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/listen", run);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(e, errno, "cannot make %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open %s", path) : fd;
}

void listener_remove_folder(const char *run)
{
	int fd autoclose = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		(void)io_remove_tree(fd, "listen");
}

/* No path of the host, and short enough for any run folder. */
static struct sockaddr_un address(int folder, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/%s", folder, name);
	return a;
}

static int refuse_descriptors(int fd)
{
	int off = 0;

	if (!GUARD(GUARD_RIGHTS))
		return 0;
	return setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off)) < 0 ? -errno
										: 0;
}

int listener_possible(void)
{
	int fd autoclose = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : refuse_descriptors(fd);
}

int listener_make(int folder, uint64_t id, int fd)
{
	struct sockaddr_un a = address(folder, LISTENER_NAME);
	char name[32];
	int r = 0;

	id_name(name, id, "");
	unlinkat(folder, LISTENER_NAME, 0); /* of a berthd that died right here */
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	if (listen(fd, LISTENER_BACKLOG) < 0 ||
		renameat(folder, LISTENER_NAME, folder, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(folder, LISTENER_NAME, 0);
	return r;
}

static int connect_one(const struct sockaddr_un *a)
{
	int fd autoclose = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? -errno : refuse_descriptors(fd);

	if (r < 0)
		return r;
	return connect(fd, (const struct sockaddr *)a, sizeof(*a)) < 0 ? -errno
								       : TAKE_FD(fd);
}

int listener_connect(int folder, uint64_t id, unsigned int n, int *fds)
{
	struct sockaddr_un a;
	unsigned int i = 0;
	char name[32];
	int fd = -EINVAL;

	id_name(name, id, "");
	a = address(folder, name);
	while (i < n && (fd = connect_one(&a)) >= 0)
		fds[i++] = fd;
	return i ? (int)i : fd;
}

void listener_remove(int folder, uint64_t id)
{
	char name[32];

	id_name(name, id, "");
	unlinkat(folder, name, 0);
}

void listener_list(int folder, void (*cb)(void *arg, uint64_t id), void *arg)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	uint64_t id;

	while (d && (entry = readdir(d)))
		if (id_parse(entry->d_name, "", &id))
			cb(arg, id);
	if (d)
		closedir(d);
}
