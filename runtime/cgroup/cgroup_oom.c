/* Being told by the kernel that a group ran out of memory. */
#include "runtime/cgroup/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

/* The kernel's Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control". */
static int open_v1(int dir)
{
	int event autoclose = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int control autoclose = openat(dir, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	char text[32];
	int r;

	if (event < 0 || control < 0)
		return -errno;
	snprintf(text, sizeof(text), "%d %d", event, control);
	r = cgroup_write(dir, "cgroup.event_control", text);
	return r < 0 ? r : TAKE_FD(event);
}

int cgroup_oom_open(const struct cgroups *g, uint64_t id, uint32_t *ret_events)
{
	int dir autoclose = cgroup_open(g, CGROUP_MEMORY, id);
	int fd;

	if (dir < 0)
		return dir;
	*ret_events = g->v2 ? EPOLLPRI : EPOLLIN;
	if (!g->v2)
		return open_v1(dir);
	fd = openat(dir, "memory.events", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	cgroup_oom_quiet(g, fd); /* only a file that was read tells of changes */
	return fd;
}

void cgroup_oom_quiet(const struct cgroups *g, int fd)
{
	char text[256];

	while (!g->v2 && read(fd, text, 8) == 8)
		;
	if (g->v2 && pread(fd, text, sizeof(text), 0) < 0)
		errno = 0; /* it goes with its group */
}
