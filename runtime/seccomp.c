/* The system calls a sandbox may make: compiled once, loaded by every child. */
#include "runtime/seccomp.h"
#include "lib/buf.h"
#include "lib/io.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define TIOCL_LINUX 0x541C /* TIOCLINUX: types into a console (ioctl_console(2)) */
#define PERSONALITY_LINUX32 0x8u
#define PERSONALITY_NO_RANDOM 0x40000u /* gdb, old runtimes */

/*
 * What programs need. Left out on purpose besides the refused ones: io_uring (goes around
 * this filter), clone3 (its flags lie in memory, where a filter cannot look; the C
 * library falls back to clone), process_vm_*, userfaultfd.
 */
static const char *const allowed[] = {"accept", "accept4", "access", "alarm",
	"arch_prctl", "bind", "brk", "cachestat", "capget", "capset", "chdir", "chmod",
	"chown", "chroot", "clock_getres", "clock_gettime", "clock_nanosleep", "clone",
	"close", "close_range", "connect", "copy_file_range", "creat", "dup", "dup2",
	"dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old",
	"epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd",
	"eventfd2", "execve", "execveat", "exit", "exit_group", "faccessat", "faccessat2",
	"fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown",
	"fchownat", "fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork",
	"fremovexattr", "fsetxattr", "fstat", "fstatfs", "fsync", "ftruncate", "futex",
	"futex_requeue", "futex_wait", "futex_waitv", "futex_wake", "futimesat",
	"get_mempolicy", "get_robust_list", "get_thread_area", "getcpu", "getcwd",
	"getdents", "getdents64", "getegid", "geteuid", "getgid", "getgroups",
	"getitimer", "getpeername", "getpgid", "getpgrp", "getpid", "getppid",
	"getpriority", "getrandom", "getresgid", "getresuid", "getrlimit", "getrusage",
	"getsid", "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid",
	"getxattr", "inotify_add_watch", "inotify_init", "inotify_init1",
	"inotify_rm_watch", "io_cancel", "io_destroy", "io_getevents", "io_pgetevents",
	"io_setup", "io_submit", "ioctl", "ioprio_get", "ioprio_set", "kill",
	"landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self",
	"lchown", "lgetxattr", "link", "linkat", "listen", "listxattr", "llistxattr",
	"lremovexattr", "lseek", "lsetxattr", "lstat", "madvise", "mbind", "membarrier",
	"memfd_create", "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock",
	"mlock2", "mlockall", "mmap", "mprotect", "mq_getsetattr", "mq_notify", "mq_open",
	"mq_timedreceive", "mq_timedsend", "mq_unlink", "mremap", "mseal", "msgctl",
	"msgget", "msgrcv", "msgsnd", "msync", "munlock", "munlockall", "munmap",
	"name_to_handle_at", "nanosleep", "newfstatat", "open", "openat", "openat2",
	"pause", "personality", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2",
	"pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "prctl", "pread64",
	"preadv", "preadv2", "prlimit64", "process_madvise", "process_mrelease",
	"pselect6", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink",
	"readlinkat", "readv", "recvfrom", "recvmmsg", "recvmsg", "remap_file_pages",
	"removexattr", "rename", "renameat", "renameat2", "restart_syscall", "rmdir",
	"riscv_flush_icache", "riscv_hwprobe", "rseq", "rt_sigaction", "rt_sigpending",
	"rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
	"rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_get_priority_max",
	"sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam",
	"sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity",
	"sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp",
	"select", "semctl", "semget", "semop", "semtimedop", "sendfile", "sendmmsg",
	"sendmsg", "sendto", "set_mempolicy", "set_robust_list", "set_thread_area",
	"set_tid_address", "setfsgid", "setfsuid", "setgid", "setgroups", "setitimer",
	"setpgid", "setpriority", "setregid", "setresgid", "setresuid", "setreuid",
	"setrlimit", "setsid", "setsockopt", "setuid", "setxattr", "shmat", "shmctl",
	"shmdt", "shmget", "shutdown", "sigaltstack", "signalfd", "signalfd4", "socket",
	"socketpair", "splice", "stat", "statfs", "statx", "symlink", "symlinkat", "sync",
	"sync_file_range", "syncfs", "sysinfo", "tee", "tgkill", "time", "timer_create",
	"timer_delete", "timer_getoverrun", "timer_gettime", "timer_settime",
	"timerfd_create", "timerfd_gettime", "timerfd_settime", "times", "tkill",
	"truncate", "umask", "uname", "unlink", "unlinkat", "unshare", "utime",
	"utimensat", "utimes", "vfork", "vmsplice", "wait4", "waitid", "waitpid", "write",
	"writev"};

static const char *const refused[] = {"acct", "add_key", "adjtimex", "bpf",
	"clock_adjtime", "clock_settime", "delete_module", "fanotify_init",
	"fanotify_mark", "finit_module", "fsconfig", "fsmount", "fsopen", "fspick",
	"init_module", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load",
	"keyctl", "lookup_dcookie", "mount", "mount_setattr", "move_mount", "move_pages",
	"migrate_pages", "open_by_handle_at", "open_tree", "perf_event_open",
	"pidfd_getfd", "pivot_root", "process_vm_readv", "process_vm_writev", "ptrace",
	"quotactl", "quotactl_fd", "reboot", "request_key", "setdomainname",
	"sethostname", "setns", "settimeofday", "swapoff", "swapon", "syslog", "umount2",
	"userfaultfd", "vhangup"};

#define LOAD(field)                                                                      \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ARG(n)                                                                           \
	LOAD(args[n]) /* lower half, which is all the kernel looks at for these calls */
#define ANSWER(v) BPF_STMT(BPF_RET | BPF_K, (v))
#define REFUSE(err) ANSWER(SECCOMP_RET_ERRNO | (err))
#define ALLOW ANSWER(SECCOMP_RET_ALLOW)
#define IS(v, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (v), (yes), (no))
#define HAS(v, yes, no) BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (v), (yes), (no))
#define NEW_NAMESPACES                                                                   \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |   \
		CLONE_NEWPID | CLONE_NEWNET)
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/*
 * Written by hand because libseccomp 2.5 cannot compare one argument twice. The names
 * program before it has already dealt with other architectures. args[n] is read at its
 * lower half: little-endian machines only, as all that Debian 12 and Ubuntu serve.
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "args[] offsets");
static struct sock_filter arguments[] = {
	LOAD(nr),
	IS(SYS_clone, 0, 4),
	ARG(0), /* the first argument: x86-64, arm64, riscv64 */
	HAS(NEW_NAMESPACES, 0, 1),
	REFUSE(EPERM),
	ALLOW,
	IS(SYS_unshare, 0, 4),
	ARG(0),
	HAS(NEW_NAMESPACES | CLONE_NEWTIME, 0, 1),
	REFUSE(EPERM),
	ALLOW,
	IS(SYS_ioctl, 0, 6),
	ARG(1),
	IS(TIOCSTI, 2, 0),  /* types into the terminal that started it */
	IS(TIOCSETD, 1, 0), /* loads a line discipline into the kernel */
	IS(TIOCL_LINUX, 0, 1),
	REFUSE(EPERM),
	ALLOW,
	IS(SYS_personality, 0, 7),
	ARG(0),
	IS(0, 4, 0),
	IS(0xffffffff, 3, 0),
	IS(PERSONALITY_LINUX32, 2, 0),
	IS(PERSONALITY_NO_RANDOM, 1, 0),
	REFUSE(EPERM),
	ALLOW,
	IS(SYS_socket, 1, 0),
	IS(SYS_socketpair, 0, 15),
	ARG(0),
	IS(AF_UNIX, 13, 0),
	IS(AF_INET, 5, 0),
	IS(AF_INET6, 4, 0),
	IS(AF_NETLINK, 1, 0),
	REFUSE(EAFNOSUPPORT), /* AF_VSOCK reaches the hypervisor, AF_ALG the kernel's
				 ciphers */
	ARG(2),
	IS(0 /* NETLINK_ROUTE */, 7, 8),
	ARG(2), /* not SCTP, DCCP, L2TP and others, each much code that nobody here needs
		   and that the kernel loads for whoever asks */
	IS(0, 5, 0),
	IS(IPPROTO_TCP, 4, 0),
	IS(IPPROTO_UDP, 3, 0),
	IS(IPPROTO_ICMP, 2, 0),
	IS(IPPROTO_ICMPV6, 1, 0),
	IS(IPPROTO_MPTCP, 0, 1),
	ALLOW,
	REFUSE(EPROTONOSUPPORT),
};

static int add_all(scmp_filter_ctx ctx, uint32_t action, const char *const *names,
	size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		int nr = seccomp_syscall_resolve_name(names[i]), r;
		if (nr < 0)
			continue; /* not on this architecture, or newer than the library
				   */
		if ((r = seccomp_rule_add(ctx, action, nr, 0)) < 0)
			return err_sys(e, -r, "cannot add %s to the system call filter",
				names[i]);
	}
	return 0;
}

static int export_program(scmp_filter_ctx ctx, struct sock_fprog *ret, struct err *e)
{
	int fd autoclose = memfd_create("filter", MFD_CLOEXEC);
	autobuf b = {.max = 64 << 10};
	int r;

	if (fd < 0)
		return err_sys(e, errno, "memfd_create");
	if ((r = seccomp_export_bpf(ctx, fd)) < 0 || lseek(fd, 0, SEEK_SET) < 0 ||
		(r = io_read_all(fd, &b)) < 0)
		return err_sys(
			e, r < 0 ? -r : errno, "cannot compile the system call filter");
	ret->len = (unsigned short)(b.len / sizeof(struct sock_filter));
	ret->filter = (struct sock_filter *)(void *)buf_take(&b);
	return ret->filter ? 0 : err_set(e, ENOMEM, "out of memory");
}

int filter_make(struct filter *ret, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	int r;

	if (!ctx)
		return err_set(e, ENOMEM, "cannot start the system call filter");
	seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE,
		2); /* a tree instead of a list of compares */
	r = add_all(ctx, SCMP_ACT_ALLOW, allowed, ARRAY_LEN(allowed), e);
	if (r == 0)
		r = add_all(ctx, SCMP_ACT_ERRNO(EPERM), refused, ARRAY_LEN(refused), e);
	if (r == 0)
		r = export_program(ctx, &ret->names, e);
	seccomp_release(ctx);
	ret->arguments = (struct sock_fprog){ARRAY_LEN(arguments), arguments};
	return r;
}

void filter_free(struct filter *f)
{
	free(f->names.filter);
	f->names.filter = NULL;
}

int filter_load(const struct filter *f)
{
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f->arguments) < 0 ||
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f->names) < 0)
		return -errno;
	return 0;
}
