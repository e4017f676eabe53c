/* User namespaces kept by descriptor alone: no process stays in them. */
#include "runtime/userns.h"
#include "lib/buf.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int write_map(pid_t pid, const char *file, const struct buf *map)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	int fd autoclose = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, map->data, map->len) == (ssize_t)map->len ? 0 : -errno;
}

static int map_and_open(pid_t pid, const struct buf *map, struct err *e)
{
	char path[64];
	int fd, r;

	if ((r = write_map(pid, "uid_map", map)) < 0 ||
		(r = write_map(pid, "gid_map", map)) < 0)
		return err_sys(e, -r, "cannot map the user range");
	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the user namespace") : fd;
}

/* The kernel's reasons (clone(2), user_namespaces(7)) in words. */
static int explain(int error, struct err *e)
{
	if (error == EPERM)
		return err_set(e, EPERM,
			"the kernel refuses to make a user namespace; it does so for "
			"whatever runs in a chroot: start berthd outside of it");
	if (error == ENOSPC)
		return err_set(e, ENOSPC,
			"this host allows no (more) user namespaces; raise "
			"/proc/sys/user/max_user_namespaces");
	return err_sys(e, error, "cannot make a user namespace");
}

int userns_make(const struct userns_extent *map, size_t n, struct err *e)
{
	autobuf b = {.max = 1024};
	pid_t pid;
	int r;

	for (size_t i = 0; i < n; i++)
		buf_addf(&b, "%u %u %u\n", map[i].inside, map[i].outside, map[i].count);
	if (b.failed)
		return err_set(e, ENOMEM, "out of memory");
	/* The child shares nothing it could change and only waits to be killed. */
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid < 0)
		return explain(errno, e);
	if (pid == 0)
		for (;;)
			pause();
	r = map_and_open(pid, &b, e);
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}
