/* Processes that are not lost: a pid together with its start time; held children. */
#include "runtime/process.h"
#include "lib/io.h"
#include "runtime/guards.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <time.h>

#define FIELD_START_TIME                                                                 \
	22 /* proc(5), counted from 1; the name in field 2 may hold anything */

int process_start_time(pid_t pid, uint64_t *ret)
{
	char path[32], *p, *end;
	autobuf b = {.max = 4096};
	int r;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	r = io_read_file(AT_FDCWD, path, &b);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	p = b.data ? strrchr(b.data, ')') : NULL;
	if (!p || p[1] != ' ' || p[2] == 'Z' || p[2] == 'X')
		return -ESRCH;
	/* p stands at the end of field 2; each space begins the next one. */
	for (int field = 2; field < FIELD_START_TIME; field++)
		if (!(p = strchr(p + 1, ' ')))
			return -EBADMSG;
	errno = 0;
	*ret = strtoull(p + 1, &end, 10);
	return errno || end == p + 1 ? -EBADMSG : 0;
}

uint64_t process_ticks(void)
{
	uint64_t hz = (uint64_t)sysconf(_SC_CLK_TCK);
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * hz + (uint64_t)ts.tv_nsec * hz / 1000000000u;
}

int process_open(pid_t pid, uint64_t start_time)
{
	int fd autoclose = pidfd_open(pid, 0);
	uint64_t found;
	int r;

	if (fd < 0)
		return -errno;
	r = process_start_time(pid, &found);
	if (r < 0)
		return r;
	return found == start_time || !GUARD(GUARD_START) ? TAKE_FD(fd) : -ESRCH;
}

uint64_t process_nofile(pid_t pid)
{
	static const char name[] = "Max open files";
	autobuf b = {.max = 4096};
	char path[32], *p;

	snprintf(path, sizeof(path), "/proc/%d/limits", (int)pid);
	if (io_read_file(AT_FDCWD, path, &b) < 0 || !b.data ||
		!(p = strstr(b.data, name)))
		return 0;
	strtoull(p + sizeof(name) - 1, &p, 10); /* the soft one */
	return strtoull(p, NULL, 10);
}

int process_hold(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ? -errno
									       : 0;
}

void process_wait(const int ends[2])
{
	char byte;

	close(ends[1]); /* else it would see its own copy when it waits for the end */
	if (recv(ends[0], &byte, 1, 0) != 1)
		_exit(127);
	close(ends[0]);
}

void process_go(int end)
{
	send(end, "", 1, MSG_NOSIGNAL); /* who is gone already needs no word */
	close(end);
}

int process_keep(int *a, int *b)
{
	*a = fcntl(*a, F_DUPFD_CLOEXEC, 100);
	*b = *a < 0 ? -1 : fcntl(*b, F_DUPFD_CLOEXEC, *a + 1);
	if (*b < 0)
		return -errno;
	if (close_range(3, (unsigned int)*a - 1, 0) < 0 ||
		close_range((unsigned int)*b + 1, ~0u, 0) < 0)
		return -errno;
	if (*b > *a + 1 && close_range((unsigned int)*a + 1, (unsigned int)*b - 1, 0) < 0)
		return -errno;
	return 0;
}

/* Raising needs no right. In the host's /proc: what a sandbox has there may be of its own making, such as a FIFO on which
 * root would wait for ever. */
void process_unprotect(void)
{
	int fd autoclose = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "0", 1) < 0)
		errno = 0;
}
