/* Attacks by making and joining namespaces. */
#include "tests/attack/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int end(long pid)
{
	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(0);
	waitpid((pid_t)pid, NULL, 0);
	return 0;
}

static int by_clone(unsigned long flag)
{
	return end(syscall(SYS_clone, flag | SIGCHLD, 0, 0, 0, 0));
}

static int by_clone3(unsigned long flag)
{
	struct clone_args a = {.flags = flag, .exit_signal = SIGCHLD};

	return end(syscall(SYS_clone3, &a, sizeof(a)));
}

static int by_unshare(unsigned long flag)
{
	return result(syscall(SYS_unshare, flag));
}

#define MAKE(how, name, flag)                                                            \
	int attack_##how##_##name(void)                                                  \
	{                                                                                \
		return by_##how(flag);                                                   \
	}
#define MAKE_ALL(name, flag)                                                             \
	MAKE(clone, name, flag) MAKE(clone3, name, flag) MAKE(unshare, name, flag)

MAKE_ALL(user, CLONE_NEWUSER)
MAKE_ALL(mount, CLONE_NEWNS)
MAKE_ALL(pid, CLONE_NEWPID)
MAKE_ALL(net, CLONE_NEWNET)
MAKE_ALL(ipc, CLONE_NEWIPC)
MAKE_ALL(uts, CLONE_NEWUTS)
MAKE_ALL(cgroup, CLONE_NEWCGROUP)
/* in clone(2) its bit belongs to the exit signal */
MAKE(clone3, time, CLONE_NEWTIME)
MAKE(unshare, time, CLONE_NEWTIME)

static int join(const char *path, int type)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? errno : result(syscall(SYS_setns, fd, type));
}

int attack_setns_net(void)
{
	return join("/proc/self/ns/net", CLONE_NEWNET);
}

/* One's own is never allowed, but asked for only after the filter. */
int attack_setns_user(void)
{
	return join("/proc/self/ns/user", CLONE_NEWUSER);
}

int attack_setns_process(void)
{
	pid_t pid = sleeper();
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int r = fd < 0 ? errno : result(syscall(SYS_setns, fd, CLONE_NEWUTS));

	end_sleeper(pid);
	return r;
}
