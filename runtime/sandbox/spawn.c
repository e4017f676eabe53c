/* The process that becomes berth-init, made before anything that it will be told. */
#include "lib/io.h"
#include "runtime/guards.h"
#include "runtime/inside.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

int spawn_line(int ret[2], struct err *e)
{
	const struct timeval patience = {.tv_sec = START_SECONDS_MAX};

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret) < 0)
		return err_sys(e, errno, "socketpair");
	if (setsockopt(ret[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0)
		return 0;
	err_sys(e, errno, "cannot limit the time to start");
	close(ret[0]);
	close(ret[1]);
	return -errno;
}

/* None of the signals to the new process may be lost before berth-init waits for them. */
pid_t spawn_clone(struct clone_args *args)
{
	sigset_t all, old;
	long pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = syscall(SYS_clone3, args, sizeof(*args));
	if (pid != 0)
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	return (pid_t)pid;
}

static int open_group(struct runtime *rt, uint64_t id, struct err *e)
{
	int fd = cgroup_open(&rt->cgroups, CGROUP_MEMORY, id);

	return fd < 0 ? err_sys(e, -fd, "cannot open the control group") : fd;
}

int spawn_process(struct runtime *rt, uint64_t id, struct spawned *ret, struct err *e)
{
	int group autoclose = -1, pidfd = -1, ends[2], r;
	/* its other namespaces it makes itself, while berthd goes on */
	struct clone_args args = {
		.flags = CLONE_PIDFD | (GUARD(GUARD_PIDNS) ? CLONE_NEWPID : 0),
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD};
	pid_t pid;

	if ((r = cgroup_prepare(&rt->cgroups, id, e)) < 0)
		return r;
	if (rt->cgroups.v2) {
		if ((group = open_group(rt, id, e)) < 0)
			return group;
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)group;
	}
	if ((r = spawn_line(ends, e)) < 0)
		return r;
	pid = spawn_clone(&args);
	if (pid == 0)
		child_wait(rt, id, ends[1]);
	r = pid < 0 ? err_sys(e, errno, "cannot make the sandbox's process") : 0;
	close(ends[1]); /* its end shows when the child's own is gone */
	if (r < 0)
		close(ends[0]);
	else
		*ret = (struct spawned){.pid = pid, .pidfd = pidfd, .line = ends[0]};
	return r;
}

bool spawn_lives(const struct spawned *p)
{
	siginfo_t info = {0};

	return p->pid > 0 &&
	       waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == 0;
}

void spawn_end(struct spawned *p)
{
	if (p->pid <= 0)
		return;
	kill(p->pid, SIGKILL); /* ours and not yet waited for: the number is still its */
	while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
		;
	close(p->pidfd);
	close(p->line);
	*p = SPAWNED_NONE;
}
