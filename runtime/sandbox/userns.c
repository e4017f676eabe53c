/* User namespaces kept by descriptor alone: no process stays in them. */
#include "runtime/sandbox/userns.h"
#include "lib/buf.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
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

static int open_mapped(pid_t pid, const struct buf *map, struct err *e)
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

/*
 * The child: the owner is whose effective uid makes it. The capabilities stay, as some
 * hosts let nobody else make one; the real uid too, as root has no limit of processes.
 * It shares nothing it could change, says 0 or its errno, and waits to be killed, by us or
 * by our death (which a change of ids makes it forget, so that comes last).
 */
static void be_owner(uid_t owner, pid_t parent, int to)
{
	int error = 0;

	if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0 ||
		syscall(SYS_setresuid, -1, owner, -1) < 0 || unshare(CLONE_NEWUSER) < 0 ||
		prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		error = errno;
	if (getppid() == parent && write(to, &error, sizeof(error)) == sizeof(error))
		for (;;)
			pause();
	_exit(1);
}

int userns_begin(uid_t owner, struct userns_maker *m, struct err *e)
{
	int ends[2];
	pid_t pid, parent = getpid();

	if (pipe2(ends, O_CLOEXEC) < 0)
		return explain(errno, e);
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (pid == 0)
		be_owner(owner, parent, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		int r = explain(errno, e);
		close(ends[0]);
		return r;
	}
	*m = (struct userns_maker){.pid = pid, .from = ends[0]};
	return 0;
}

static int map_and_open(const struct userns_maker *m, const struct userns_extent *map,
	size_t n, struct err *e)
{
	autobuf b = {.max = 1024};
	int error = EIO;

	for (size_t i = 0; i < n; i++)
		buf_addf(&b, "%u %u %u\n", map[i].inside, map[i].outside, map[i].count);
	if (b.failed)
		return err_set(e, ENOMEM, "out of memory");
	if (io_read_full(m->from, &error, sizeof(error)) < 0)
		error = EIO;
	return error ? explain(error, e) : open_mapped(m->pid, &b, e);
}

int userns_finish(const struct userns_maker *m, const struct userns_extent *map, size_t n,
	struct err *e)
{
	int fd = map_and_open(m, map, n, e);

	kill(m->pid, SIGKILL); /* ours and not yet waited for: the number is still its */
	return fd;
}

void userns_end(struct userns_maker *m)
{
	if (m->pid <= 0)
		return;
	kill(m->pid, SIGKILL);
	while (waitpid(m->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(m->from);
	m->pid = 0;
}

int userns_make(const struct userns_extent *map, size_t n, uid_t owner, struct err *e)
{
	struct userns_maker m;
	int r = userns_begin(owner, &m, e);

	if (r < 0)
		return r;
	r = userns_finish(&m, map, n, e);
	userns_end(&m);
	return r;
}
