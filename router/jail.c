/* Privileges: empty root, own user, and the few system calls that moving bytes takes. */
#include "router/jail.h"
#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

static int drop_user(const char *folder, const char *name, struct err *e)
{
	struct passwd *pw = getpwnam(name); /* before the chroot hides /etc */

	if (!pw)
		return err_set(e, ENOENT,
			"user %s does not exist (packaging/berth-users makes it)", name);
	if (chroot(folder) < 0 || chdir("/") < 0)
		return err_sys(e, errno, "cannot enter %s", folder);
	if (setgroups(0, NULL) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
		setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return err_sys(e, errno, "cannot become user %s", name);
	return 0;
}

#ifdef ARCH
#define ALLOW(nr)                                                                        \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##nr, 0, 1),                             \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int load_filter(struct err *e)
{
	/* most used first: the filter runs from the top for each call */
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(recvfrom),
		ALLOW(sendto),
		ALLOW(epoll_pwait),
#ifdef SYS_epoll_wait
		ALLOW(epoll_wait),
#endif
		ALLOW(sendmsg),
		ALLOW(write),
		ALLOW(close),
		ALLOW(connect),
		ALLOW(accept4),
		ALLOW(epoll_ctl),
#ifdef SYS_poll
		ALLOW(poll), /* msg_recv: is it the end */
#endif
		ALLOW(ppoll),
		ALLOW(shutdown),
		ALLOW(recvmsg),
		ALLOW(setsockopt),
		ALLOW(getsockopt),
		ALLOW(read),
		ALLOW(clock_gettime),
		ALLOW(brk),
		ALLOW(munmap),
		ALLOW(mremap),
		ALLOW(madvise),
		ALLOW(mmap),
		ALLOW(futex),
		ALLOW(eventfd2),
		ALLOW(getpid),
		ALLOW(gettid),
		ALLOW(restart_syscall),
		ALLOW(rt_sigreturn),
		ALLOW(rt_sigprocmask),
		ALLOW(tgkill),
		ALLOW(exit),
		ALLOW(exit_group),
		ALLOW(gettimeofday),
		ALLOW(fstat),
		ALLOW(newfstatat),
		ALLOW(fcntl),
		ALLOW(getrandom),
		ALLOW(writev),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	};
	struct sock_fprog prog = {(unsigned short)(sizeof(code) / sizeof(code[0])), code};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0)
		return err_sys(e, errno, "cannot load the seccomp filter");
	return 0;
}
#else
static int load_filter(struct err *e)
{
	(void)e;
	return 0; /* no list for this architecture yet: the other walls stand */
}
#endif

int jail_enter(const char *folder, const char *name, struct err *e)
{
	int r = geteuid() == 0 ? drop_user(folder, name, e) : 0;

	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(e, errno, "cannot give up privileges");
	return getenv("BERTH_NO_SECCOMP") ? 0 : load_filter(e);
}
