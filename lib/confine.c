/* Landlock and a seccomp filter around one program. */
#include "lib/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH AUDIT_ARCH_RISCV64
#else
#error "add the architecture's AUDIT_ARCH"
#endif

/* Newer than the reference's headers. */
#define FS_REFER (1ull << 13)	  /* ABI 2 */
#define FS_TRUNCATE (1ull << 14)  /* ABI 3 */
#define FS_IOCTL_DEV (1ull << 15) /* ABI 5 */
#define NET_BIND 1ull		  /* ABI 4, of TCP */
#define NET_CONNECT 2ull
#define SCOPE_ALL 3ull /* ABI 6: abstract unix sockets, signals */
#define FS_READ                                                                          \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |                     \
		LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_FILE                                                                          \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |                     \
		LANDLOCK_ACCESS_FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define FS_ALL_1 ((1ull << 13) - 1)
#define FS_DEVICES (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)

struct ruleset {
	uint64_t fs, net, scoped;
};

/* What programs and the C library read. Absent ones are left out. */
static const struct {
	const char *path;
	uint64_t allow;
} places[] = {
	{"/usr", FS_READ},
	{"/bin", FS_READ},
	{"/lib", FS_READ},
	{"/lib64", FS_READ},
	{"/etc/ld.so.cache", LANDLOCK_ACCESS_FS_READ_FILE},
	{"/etc/ld.so.preload", LANDLOCK_ACCESS_FS_READ_FILE},
	{"/etc/localtime", LANDLOCK_ACCESS_FS_READ_FILE},
	{"/etc/nsswitch.conf", LANDLOCK_ACCESS_FS_READ_FILE},
	{"/etc/passwd", LANDLOCK_ACCESS_FS_READ_FILE},
	{"/dev/null", LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE},
	{"/dev/urandom", LANDLOCK_ACCESS_FS_READ_FILE},
};

static void handled_by(long abi, unsigned int flags, struct ruleset *r)
{
	uint64_t net = NET_BIND | (flags & CONFINE_CALLS_OUT ? 0 : NET_CONNECT);

	r->fs = FS_ALL_1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
		(abi >= 5 ? FS_IOCTL_DEV : 0);
	r->net = abi >= 4 ? net : 0;
	r->scoped = abi >= 6 ? SCOPE_ALL : 0;
}

static int allow(const char *who, int rules, const struct ruleset *r, const char *path,
	uint64_t what, struct err *e)
{
	int fd autoclose = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {.parent_fd = fd};
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "cannot open %s", path);
	if (fstat(fd, &st) < 0)
		return err_sys(e, errno, "cannot look at %s", path);
	rule.allowed_access = what & r->fs & (S_ISDIR(st.st_mode) ? ~0ull : FS_FILE);
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) <
		0)
		return err_sys(e, errno, "cannot confine %s to %s", who, path);
	return 0;
}

static int limit_files(const char *who, const struct confine_place *own, size_t n,
	unsigned int flags, struct err *e)
{
	long abi = syscall(
		SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset r;
	int rules autoclose = -1;
	int result = 0;

	if (abi < 2)
		return -EOPNOTSUPP;
	handled_by(abi, flags, &r);
	/* a kernel takes the first fields that it knows, when the rest is zero */
	rules = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0);
	if (rules < 0)
		return err_sys(e, errno, "cannot confine %s", who);
	for (size_t i = 0; i < ARRAY_LEN(places) && result == 0; i++)
		result = allow(who, rules, &r, places[i].path, places[i].allow, e);
	for (size_t i = 0; i < n && result == 0; i++)
		result = allow(who, rules, &r, own[i].path,
			own[i].right == CONFINE_WRITE ? ~FS_DEVICES : FS_READ, e);
	if (result == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return err_sys(e, errno, "cannot confine %s", who);
	return result;
}

#define LOAD(field)                                                                      \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(v) BPF_STMT(BPF_RET | BPF_K, (v))
#define REFUSE(name)                                                                     \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),                           \
		ANSWER(SECCOMP_RET_ERRNO | EACCES)

#ifdef __x86_64__
#define REFUSE_X32                                                                       \
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1),                           \
		ANSWER(SECCOMP_RET_KILL_PROCESS),
#else
#define REFUSE_X32
#endif

/* What such programs never do, and an intruder in them would. */
#define COMMON                                                                           \
	LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),                     \
		ANSWER(SECCOMP_RET_KILL_PROCESS), LOAD(nr), REFUSE_X32 REFUSE(listen),   \
		REFUSE(accept), REFUSE(accept4),                                         \
		REFUSE(io_uring_setup), /* opens sockets without a system call */        \
		REFUSE(ptrace), REFUSE(process_vm_readv), REFUSE(process_vm_writev),     \
		REFUSE(pidfd_getfd), REFUSE(unshare), REFUSE(setns), REFUSE(mount),      \
		REFUSE(open_tree), REFUSE(fsopen), REFUSE(bpf), REFUSE(perf_event_open), \
		REFUSE(userfaultfd), REFUSE(add_key), REFUSE(request_key),               \
		REFUSE(keyctl)

static struct sock_filter calls_out[] = {COMMON, ANSWER(SECCOMP_RET_ALLOW)};
static struct sock_filter no_sockets[] = {COMMON, REFUSE(socket), REFUSE(socketpair),
	REFUSE(bind), REFUSE(connect), ANSWER(SECCOMP_RET_ALLOW)};

int confine(const char *who, const struct confine_place *own, size_t n,
	unsigned int flags, struct err *e)
{
	const struct sock_fprog program =
		flags & CONFINE_CALLS_OUT
			? (struct sock_fprog){ARRAY_LEN(calls_out), calls_out}
			: (struct sock_fprog){ARRAY_LEN(no_sockets), no_sockets};
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(e, errno, "cannot set no_new_privs");
	r = limit_files(who, own, n, flags, e);
	if (r < 0 && r != -EOPNOTSUPP)
		return r;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return err_sys(e, errno, "cannot load the system call filter of %s", who);
	return r;
}
