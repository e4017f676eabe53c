/* The system calls a sandbox may make: compiled once, loaded by every child. */
#include "runtime/sandbox/seccomp.h"

#include <errno.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <string.h>
#include <sys/ioctl.h>
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
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#define SO_PEERPIDFD 77
#endif
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/*
 * For the calls of with_arguments; the search before it has already dealt with other
 * architectures. args[n] is read at its
 * lower half: little-endian machines only, as all that Debian 12 and Ubuntu serve.
 */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "args[] offsets");
static const struct sock_filter arguments[] = {
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
	IS(SYS_getsockopt, 1, 0),
	IS(SYS_setsockopt, 0, 7),
	ARG(1),
	IS(SOL_SOCKET, 0, 4),
	ARG(2),
	IS(SO_PASSPIDFD, 1, 0), /* processes of the host at the other end of a listener */
	IS(SO_PEERPIDFD, 0, 1),
	REFUSE(ENOPROTOOPT),
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

/* ---- the program: a binary search over ranges of numbers ---- */

#define NUMBERS 1024	   /* more than any architecture has */
#define X32_BIT 0x40000000 /* calls of x32 have it; they are another architecture */
#define TO_ARGUMENTS 0	   /* not an answer of the kernel's: look at the arguments */
#define RANGES_MAX 128	   /* so that every jump fits its eight bits */
#define PROGRAM_MAX (8 + 2 * RANGES_MAX + ARRAY_LEN(arguments))

struct range {
	uint32_t first, answer;
};

struct program {
	struct sock_filter *at;
	size_t n;
};

static const int with_arguments[] = {SYS_clone, SYS_unshare, SYS_ioctl, SYS_personality,
	SYS_getsockopt, SYS_setsockopt, SYS_socket, SYS_socketpair};

static void answer_all(
	uint32_t answers[NUMBERS], uint32_t answer, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int nr = seccomp_syscall_resolve_name(names[i]);

		/* not on this architecture, or newer than the library */
		if (nr >= 0 && nr < NUMBERS)
			answers[nr] = answer;
	}
}

static size_t find_ranges(struct range *ret)
{
	uint32_t answers[NUMBERS];
	size_t n = 0;

	for (size_t i = 0; i < NUMBERS; i++)
		answers[i] = SECCOMP_RET_ERRNO | ENOSYS;
	answer_all(answers, SECCOMP_RET_ALLOW, allowed, ARRAY_LEN(allowed));
	answer_all(answers, SECCOMP_RET_ERRNO | EPERM, refused, ARRAY_LEN(refused));
	for (size_t i = 0; i < ARRAY_LEN(with_arguments); i++)
		answers[with_arguments[i]] = TO_ARGUMENTS;
	for (uint32_t i = 0; i < NUMBERS; i++)
		if (i == 0 || answers[i] != answers[i - 1]) {
			if (n == RANGES_MAX)
				return 0;
			ret[n++] = (struct range){i, answers[i]};
		}
	return n;
}

static void add(struct program *p, struct sock_filter insn)
{
	p->at[p->n++] = insn;
}

/*
 * n ranges make n leaves and n - 1 decisions, so the left half's length is known. Leaves
 * that look at arguments get their way there when it is known. The depth is the logarithm
 * of RANGES_MAX.
 */
static void add_search(struct program *p, const struct range *r, size_t n)
{
	size_t left = n / 2;

	if (n == 1) {
		add(p, (struct sock_filter)ANSWER(r->answer));
		return;
	}
	add(p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, r[left].first,
		       (uint8_t)(2 * left - 1), 0));
	add_search(p, r, left);
	add_search(p, r + left, n - left);
}

static void add_arguments(struct program *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].code == (BPF_RET | BPF_K) && p->at[i].k == TO_ARGUMENTS)
			p->at[i] = (struct sock_filter)BPF_STMT(
				BPF_JMP | BPF_JA, (uint32_t)(p->n - i - 1));
	for (size_t i = 0; i < ARRAY_LEN(arguments); i++)
		add(p, arguments[i]);
}

int filter_make(struct sock_fprog *ret, struct err *e)
{
	struct range ranges[RANGES_MAX];
	size_t n = find_ranges(ranges);
	struct program p = {.at = calloc(PROGRAM_MAX, sizeof(*p.at))};

	if (!p.at || !n) {
		free(p.at);
		return err_set(
			e, p.at ? E2BIG : ENOMEM, "cannot make the system call filter");
	}
	add(&p, (struct sock_filter)LOAD(arch));
	add(&p, (struct sock_filter)IS(seccomp_arch_native(), 1, 0));
	add(&p, (struct sock_filter)ANSWER(SECCOMP_RET_KILL_PROCESS));
	add(&p, (struct sock_filter)LOAD(nr));
	add(&p, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1));
	add(&p, (struct sock_filter)ANSWER(SECCOMP_RET_KILL_PROCESS));
	add_search(&p, ranges, n);
	add_arguments(&p);
	*ret = (struct sock_fprog){(unsigned short)p.n, p.at};
	return 0;
}

int filter_load(const struct sock_fprog *f)
{
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, f) < 0 ? -errno : 0;
}
