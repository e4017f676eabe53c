/* The FIFOs that carry the instances' output to berth-logger. */
#include "runtime/instances/fifos.h"
#include "runtime/records.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

int fifo_make(int dirfd, uint64_t id)
{
	char name[32];
	int fd;

	id_name(name, id, "");
	fifo_remove(dirfd, id);
	if (mkfifoat(dirfd, name, 0600) < 0)
		return -errno;
	/* Read-write never waits for the other side, and keeps the end from being seen
	 * too early. */
	fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	(void)fcntl(fd, F_SETPIPE_SZ, FIFO_SIZE);
	return fd;
}

int fifo_open_read(int dirfd, uint64_t id)
{
	char name[32];
	int fd;

	id_name(name, id, "");
	fd = openat(dirfd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

void fifo_remove(int dirfd, uint64_t id)
{
	char name[32];

	id_name(name, id, "");
	unlinkat(dirfd, name, 0);
}
