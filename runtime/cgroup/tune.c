/* Changes the processes of a running sandbox themselves: open files, v1's group for io. */
#include "runtime/cgroup/tune.h"
#include "lib/io.h"
#include "runtime/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define LIST_BYTES (256 << 10) /* 32,000 processes; what has more keeps its limits */
#define ROUNDS 20

struct answer {
	int32_t error;
	uint32_t nofile;
	bool refused; /* it takes a capability to touch a process */
};

/* ---- in the child: other threads existed before the fork, so nothing allocates ---- */

/* Who is in the group, a number a line; false when they are too many. Opened anew each
 * time: what v1 shows of an open file is as old as the first look at it. */
static bool read_list(int group, char *out)
{
	int fd = openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, out + len, LIST_BYTES - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(fd);
	return fd >= 0 && len < LIST_BYTES - 1;
}

/* Is the line of this number in the list? */
static bool listed(const char *list, const char *line, size_t len)
{
	for (const char *p = list, *end; (end = strchr(p, '\n')); p = end + 1)
		if ((size_t)(end - p) == len && memcmp(p, line, len) == 0)
			return true;
	return false;
}

static bool join(int group, const char *line, size_t len)
{
	int fd = openat(group, "cgroup.procs", O_WRONLY | O_CLOEXEC);
	bool done = write(fd, line, len) == (ssize_t)len;

	close(fd);
	return done;
}

/* true when there was something to change. */
static bool set_nofile(pid_t pid, const struct tune *t, struct answer *a)
{
	struct rlimit old, new;
	bool changed = false;

	if (prlimit(pid, RLIMIT_NOFILE, NULL, &old) < 0) {
		a->refused |= errno == EPERM; /* else it ended */
		return false;
	}
	new.rlim_max = t->nofile;
	new.rlim_cur = old.rlim_cur == old.rlim_max || old.rlim_cur > new.rlim_max
			       ? new.rlim_max
			       : old.rlim_cur;
	if (new.rlim_max != old.rlim_max &&
		prlimit(pid, RLIMIT_NOFILE, &new, NULL) == 0) {
		changed = true;
		old = new;
	}
	if (old.rlim_max < a->nofile)
		a->nofile = (uint32_t)old.rlim_max;
	return changed;
}

/* One look at all: how many were changed; -1 when there are too many. */
static int change_listed(const struct tune *t, char *list, char *joined, struct answer *a)
{
	int n = 0;

	joined[0] = '\0';
	if (!read_list(t->group, list) || (t->join >= 0 && !read_list(t->join, joined)))
		return -1;
	a->nofile = UINT32_MAX;
	for (char *p = list, *end; (end = strchr(p, '\n')); p = end + 1) {
		pid_t pid = (pid_t)strtol(p, NULL, 10);

		if (pid <= 0) /* of another namespace */
			continue;
		if (t->nofile)
			n += set_nofile(pid, t, a);
		if (t->join >= 0 && !listed(joined, p, (size_t)(end - p)))
			n += join(t->join, p, (size_t)(end - p));
	}
	return n;
}

/* Looks again until there is nothing to change: a process may fork one with the old limits
 * before it has the new. */
static void change_all(const struct tune *t, struct answer *a)
{
	static char list[LIST_BYTES], joined[LIST_BYTES];

	a->error = EAGAIN;
	a->refused = false;
	for (int i = 0; i < ROUNDS; i++) {
		if (change_listed(t, list, joined, a) == 0) {
			a->error = 0;
			break;
		}
	}
}

/* In the pid namespace. Where the host's root lacks CAP_SYS_RESOURCE, the app's has it for
 * the app's processes: it lowers limits, but raises none. */
static _Noreturn void work_inside(const struct tune *t, int report)
{
	struct answer a = {0};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(TUNE_MS / 1000);
	change_all(t, &a);
	if (a.refused && setns(t->target, CLONE_NEWUSER) == 0)
		change_all(t, &a);
	if (a.refused)
		a.error = EPERM;
	_exit(write(report, &a, sizeof(a)) != sizeof(a));
}

/* The one between: only a child of it is born in the namespace. */
static _Noreturn void go_inside(const struct tune *t, int report)
{
	char step[124];
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, SIG_DFL);
	alarm(TUNE_MS / 1000);
	if (child_hide(step) < 0 || setns(t->target, CLONE_NEWPID) < 0)
		_exit(1);
	pid = fork();
	if (pid == 0)
		work_inside(t, report);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* ---- */

/* Waits for it to end, which the alarm makes sure of. */
static int hear(struct tune *t, pid_t pid, int report)
{
	struct answer a;
	int r = io_read_full(report, &a, sizeof(a));

	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return -EAGAIN; /* out of time, or the sandbox ended */
	t->ret_nofile = t->nofile ? a.nofile : 0;
	return -a.error;
}

int tune_processes(struct tune *t)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	int in autoclose = ends[0];
	pid = fork();
	if (pid == 0)
		go_inside(t, ends[1]);
	int r = pid < 0 ? -errno : 0;
	close(ends[1]);
	return r < 0 ? r : hear(t, pid, in);
}
