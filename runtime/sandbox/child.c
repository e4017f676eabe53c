/*
 * The new process between the clone and berth-init: the host's root at first, the app's
 * user without any right at the end. It calls nothing that allocates memory, as other
 * threads existed before the clone.
 *
 * Entering takes two: the first joins the namespaces where the app cannot see it, the
 * second is born into the app's pid namespace when nothing of the host is left to be seen
 * in its /proc/PID (mounts, network tables, descriptors), and nobody waits for it: the
 * app may stop or kill it.
 */
#include "runtime/guards.h"
#include "runtime/inside.h"
#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <termios.h>

#define BIT(cap) (1ull << (cap))
/* What apt and dpkg need, valid only for ids of the app's own range. */
#define BUILD_ROOT_CAPS                                                                  \
	(BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |    \
		BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_KILL) | BIT(CAP_SYS_CHROOT))
#define TTY_GROUP 5

/* fd -1: none. */
static int report(
	const struct child *c, struct child_report rep, const char *step, int fd)
{
	return report_send(c->status, rep, step, &fd, fd >= 0);
}

static int fail(char step[124], const char *what)
{
	int error = errno;

	snprintf(step, 124, "%s", what);
	return -error;
}

/* proc(5) tells where they lie, fields 48 and 49 of stat. */
int child_hide(char step[124])
{
	char stat[1024] = "", *p = NULL, *end;
	int fd autoclose = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && read(fd, stat, sizeof(stat) - 1) > 0)
		p = strrchr(stat, ')');
	for (int field = 2; p && field < 48; field++)
		p = strchr(p + 1, ' ');
	if (!p)
		return fail(step, "find its command line");
	uintptr_t from = strtoul(p + 1, &end, 10), to = strtoul(end, NULL, 10);
	if (from && to > from)
		memset((char *)from, 0, to - from);
	prctl(PR_SET_NAME, "berth-init");
	return 0;
}

/* An inherited session keyring would be the host's root's. Where the kernel has no keys, or
 * berthd itself may not use them, nobody inside can. */
static int leave_session(char step[124])
{
	if (setsid() < 0)
		return fail(step, "leave berthd's session");
	if (GUARD(GUARD_KEYRING) &&
		syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 &&
		errno != ENOSYS && errno != EPERM)
		return fail(step, "leave the host's keyring");
	return 0;
}

static int join_cgroup(int tasks, char step[124])
{
	return tasks >= 0 && write(tasks, "0", 1) != 1
		       ? fail(step, "join the control group")
		       : 0;
}

static int loopback_up(void)
{
	int fd autoclose = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq q = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &q) < 0 ? -errno : 0;
}

static int enter_network(const struct child *c, char step[124])
{
	if (!GUARD(GUARD_NETNS) && c->netns >= 0)
		return 0;
	if (c->netns >= 0)
		return setns(c->netns, CLONE_NEWNET) < 0
			       ? fail(step, "enter the network namespace")
			       : 0;
	if (unshare(CLONE_NEWNET) < 0)
		return fail(step, "make a network namespace");
	return loopback_up() < 0 ? fail(step, "start the loopback interface") : 0;
}

/* What came of reading from the line. Who has no berthd any more, or is told nothing more
 * because berthd gave up, has nobody to tell. */
static int hear(int r, char step[124])
{
	if (r == 0)
		_exit(127);
	errno = r < 0 ? -r : 0;
	return r < 0 ? fail(step, "hear what to run") : 0;
}

/* However long it waits, it keeps nothing of berthd's open and alive. */
static int close_others(const struct child *c)
{
	int keep[] = {STDERR_FILENO, c->status, c->rt->template_ns, c->rt->init_exec,
		c->rt->build_exec};
	unsigned int from = 0;

	for (;;) {
		unsigned int next = ~0u;

		for (size_t i = 0; i < ARRAY_LEN(keep); i++)
			if (keep[i] >= 0 && (unsigned int)keep[i] >= from &&
				(unsigned int)keep[i] < next)
				next = (unsigned int)keep[i];
		if (next > from && syscall(SYS_close_range, from, next - 1, 0) < 0)
			return -errno;
		if (next == ~0u)
			return 0;
		from = next + 1;
	}
}

/* What is the same for all sandboxes. */
static int make_stage(const struct child *c, char step[124])
{
	const int own =
		CLONE_NEWNS | CLONE_NEWUTS | (GUARD(GUARD_IPCNS) ? CLONE_NEWIPC : 0);

	if (cgroup_join(&c->rt->cgroups, c->id) < 0)
		return fail(step, "join the control group");
	if (GUARD(GUARD_FDS) && close_others(c) < 0)
		return fail(step, "close berthd's descriptors");
	if (setns(c->rt->template_ns, CLONE_NEWNS) < 0 || unshare(own) < 0)
		return fail(step, "make its namespaces");
	return mounts_stage(c, step);
}

/* A sandbox of its own. */
static int make_place(struct child *c, char step[124])
{
	struct mount_fds spent = {.n = 0};
	int r;

	if ((r = join_cgroup(c->io_group, step)) < 0)
		return r;
	if (GUARD(GUARD_CGNS) && unshare(CLONE_NEWCGROUP) < 0)
		return fail(step, "make a cgroup namespace");
	if (sethostname(c->start->name, strnlen(c->start->name, PROTO_NAME_MAX)) < 0)
		return fail(step, "set the host name");
	if ((r = mounts_build_root(c, &spent, step)) < 0)
		return r;
	/* To let go of them here would take half as long as to make them. Without anybody
	 * who takes them they end with this process. */
	if (spent.n)
		report_send(c->status, (struct child_report){.mounts = 1}, NULL,
			spent.fds, spent.n);
	return hear(orders_take_network(c), step) < 0 ? -errno : enter_network(c, step);
}

/* An existing one. Of the pid namespace only the next child is. */
static int join_place(const struct child *c, char step[124])
{
	int r = child_hide(step);

	if (r < 0)
		return r;
	if (cgroup_leave(&c->rt->cgroups, c->cgroup_fds) < 0)
		return fail(step, "leave berthd's control group");
	if (setns(c->target_pidfd, CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS |
					   CLONE_NEWNET | CLONE_NEWPID) < 0)
		return fail(step, "join the sandbox's namespaces");
	return chdir("/") < 0 ? fail(step, "enter its root") : 0;
}

/* /dev is a read-only mount of the template; root looks twice nevertheless before it uses
 * what it finds in a sandbox. */
static int open_device(const char *path, dev_t device)
{
	int fd autoclose =
		open(path, O_RDWR | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	if (!S_ISCHR(st.st_mode) || st.st_rdev != device) {
		errno = ENODEV;
		return -1;
	}
	return fcntl(fd, F_SETFL, 0) < 0 ? -1 : TAKE_FD(fd);
}

/* Slave in *ret; the master goes to the parent. */
static int open_pty(const struct child *c, uid_t owner, int *ret, char step[124])
{
	int master autoclose = open_device("/dev/pts/ptmx", makedev(5, 2)), zero = 0,
		   slave;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &zero) < 0)
		return fail(step, "open a terminal");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || fchown(slave, owner, c->uid_base + TTY_GROUP) < 0)
		return fail(step, "open a terminal");
	if (report(c, (struct child_report){0}, NULL, master) < 0)
		return fail(step, "hand out the terminal");
	*ret = slave;
	return 0;
}

static int limit(int what, uint64_t value)
{
	struct rlimit l;

	l.rlim_cur = l.rlim_max = value;
	if (setrlimit((__rlimit_resource_t)what, &l) == 0)
		return 0;
	/* the host may not give more than it has: CAP_SYS_RESOURCE is not everywhere */
	if (errno != EPERM || getrlimit((__rlimit_resource_t)what, &l) < 0 ||
		value <= l.rlim_max)
		return -errno;
	l.rlim_cur = l.rlim_max;
	return setrlimit((__rlimit_resource_t)what, &l) < 0 ? -errno : 0;
}

/* In the app's user namespace nobody may raise a hard limit. Lowered it is later: berthd's
 * descriptors are still here. Where the host lets nobody raise it, set_limits clamps. */
static void allow_nofile(const struct child *c)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || c->nofile <= l.rlim_max)
		return;
	l.rlim_max = c->nofile;
	setrlimit(RLIMIT_NOFILE, &l);
}

static int set_limits(const struct child *c, char step[124])
{
	if (limit(RLIMIT_CORE, 0) < 0 ||
		(c->nofile && limit(RLIMIT_NOFILE, c->nofile) < 0))
		return fail(step, "set resource limits");
	return 0;
}

static int set_capabilities(uint64_t keep)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {0};
	int cap;

	for (cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!(keep & BIT(cap)) && prctl(PR_CAPBSET_DROP, cap) < 0)
			return -errno;
	if (errno != EINVAL) /* that is the first one which this kernel does not have */
		return -errno;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	data[0].permitted = data[0].effective = (uint32_t)keep;
	data[1].permitted = data[1].effective = (uint32_t)(keep >> 32);
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/*
 * Safe because it only ever gives up: after setns the process is root of nothing but the
 * app's range, then not even that. Entering never has capabilities, whatever the
 * sandbox's profile.
 */
static int become_user(const struct child *c, char step[124])
{
	uint32_t base = GUARD(GUARD_USERNS) ? 0 : c->uid_base;
	uid_t uid = GUARD(GUARD_USER) && c->uid ? c->uid + base : 0;
	gid_t gid = GUARD(GUARD_USER) && c->gid ? c->gid + base : 0;
	uint64_t keep =
		c->profile == PROFILE_BUILD_ROOT && c->start ? BUILD_ROOT_CAPS : 0;

	if (!GUARD(GUARD_CAPS | GUARD_USERNS) && guards_keep_capabilities() < 0)
		return fail(step, "keep capabilities");
	if (syscall(SYS_setgroups, 0, NULL) < 0 ||
		syscall(SYS_setresgid, gid, gid, gid) < 0 ||
		syscall(SYS_setresuid, uid, uid, uid) < 0)
		return fail(step, "become the app's user");
	/* changing ids sets what fs.suid_dumpable says, and others of the user may be
	 * here */
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		return fail(step, "close the process to the app");
	if (GUARD(GUARD_CAPS) && set_capabilities(keep) < 0)
		return fail(step, "drop capabilities");
	if (GUARD(GUARD_NNP) && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail(step, "set no_new_privs");
	return 0;
}

static int place_fd(int from, int to, int flags)
{
	if (from < 0)
		return close(to) < 0 && errno != EBADF ? -errno : 0;
	return dup3(from, to, flags) < 0 ? -errno : 0;
}

/* Every descriptor to its fixed number; two steps, as a source may have another's number.
 */
static int arrange(struct child *c, const int stdio[3], char step[124])
{
	int from[INIT_FD_FIRST_FREE] = {stdio[0], stdio[1], stdio[2], c->io->spec_fd,
		c->exit_fd, c->io->fifo_fd,
		c->flags & START_BUILDER ? c->rt->build_exec : -1, c->listener, c->status,
		c->rt->init_exec};

	for (int i = 0; i < INIT_FD_FIRST_FREE; i++)
		if (from[i] >= 0 && (from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 64)) < 0)
			return fail(step, "arrange descriptors");
	for (int i = 0; i < INIT_FD_FIRST_FREE; i++)
		if (place_fd(from[i], i, i >= INIT_FD_STATUS ? O_CLOEXEC : 0) < 0)
			return fail(step, "arrange descriptors");
	c->status = c->status < 0 ? -1 : INIT_FD_STATUS;
	c->exit_fd = INIT_FD_EXIT;
	if (GUARD(GUARD_FDS) && syscall(SYS_close_range, INIT_FD_FIRST_FREE, ~0u, 0) < 0)
		return fail(step, "close descriptors");
	return 0;
}

static int choose_stdio(const struct child *c, int fds[3], char step[124])
{
	uid_t owner = c->uid_base + c->uid;
	int null, slave = -1, r;

	if (c->io->tty) {
		if ((r = open_pty(c, owner, &slave, step)) < 0)
			return r;
		fds[0] = fds[1] = fds[2] = slave;
		return 0;
	}
	null = open_device("/dev/null", makedev(1, 3));
	if (null < 0)
		return fail(step, "open /dev/null");
	for (int i = 0; i < 3; i++) {
		fds[i] = c->flags & START_STDIO ? c->io->stdio[i] : -1;
		if (fds[i] < 0)
			fds[i] = i > 0 && c->fifo_write >= 0 ? c->fifo_write : null;
	}
	return 0;
}

/* No descriptor of berthd's is left when the process begins to be the app's. */
static int confine(struct child *c, const int stdio[3], char step[124])
{
	int r;

	allow_nofile(c);
	if (GUARD(GUARD_USERNS) && setns(c->userns, CLONE_NEWUSER) < 0)
		return fail(step, "enter the user namespace");
	if ((r = arrange(c, stdio, step)) < 0 || (r = set_limits(c, step)) < 0 ||
		(r = become_user(c, step)) < 0)
		return r;
	return GUARD(GUARD_FILTER) && filter_load(&c->rt->filter) < 0
		       ? fail(step, "load the system call filter")
		       : 0;
}

static int start_here(struct child *c, char step[124])
{
	int stdio[3], r;

	if ((r = make_place(c, step)) < 0 || (r = choose_stdio(c, stdio, step)) < 0)
		return r;
	return confine(c, stdio, step);
}

/* Ends in the first process. 0 in the second, which has berthd for a parent too. */
static int be_born(struct child *c, char step[124])
{
	int pidfd = -1;
	struct clone_args args = {.flags = CLONE_PARENT | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd};

	if (c->rt->cgroups.v2) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)c->cgroup_fds[0];
	}
	long pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pid < 0)
		return fail(step, "make its process");
	if (pid == 0)
		return 0;
	report(c, (struct child_report){.pid = (int32_t)pid}, NULL, pidfd);
	_exit(0);
}

/* From its birth on the app's limits hold for it, and the app's signals may reach it. */
static int enter_here(struct child *c, char step[124])
{
	int stdio[3], r;

	if ((r = join_place(c, step)) < 0 || (r = choose_stdio(c, stdio, step)) < 0 ||
		(r = be_born(c, step)) < 0)
		return r;
	close(c->status);
	c->status = -1;
	process_wait(c->go);
	for (int k = 0; k < CGROUP_FDS && !c->rt->cgroups.v2; k++)
		if ((r = join_cgroup(c->cgroup_fds[k], step)) < 0)
			return r;
	if (setns(c->target_pidfd, CLONE_NEWCGROUP) < 0)
		return fail(step, "join its cgroup namespace");
	return confine(c, stdio, step);
}

/* To whoever listens still. */
static void tell(const struct child *c, int error, const char *step)
{
	struct exit_record x = {.magic = EXIT_RECORD_EXEC, .value = error};

	if (c->status >= 0)
		report(c, (struct child_report){.error = error}, step, -1);
	else if (pwrite(c->exit_fd, &x, sizeof(x), 0) != sizeof(x))
		_exit(126);
}

/* First and last steps of both ways into a sandbox. */
static void begin(struct child *c)
{
	/* an ignored signal would stay so; all are blocked until the command runs */
	for (int i = 0; i < c->rt->n_ignored; i++)
		signal(c->rt->ignored[i], SIG_DFL);
	umask(0);
	if (c->rt->protected)
		process_unprotect();
}

static _Noreturn void become_init(const struct child *c, int r, char step[124])
{
	char mode[] = {c->io && c->io->tty ? 't' : '-',
		c->flags & START_BUILDER ? 'b' : '-', c->listener >= 0 ? 'l' : '-', '\0'};
	char *argv[] = {(char[]){"berth-init"}, mode, NULL}, *none[] = {NULL};
	char **env = c->flags & START_HOST_APT ? c->rt->host_env : none;

	if (r == 0) {
		umask(022);
		syscall(SYS_execveat, INIT_FD_EXEC, "", argv, env, AT_EMPTY_PATH);
		r = fail(step, "start berth-init");
	}
	tell(c, -r, step);
	_exit(127);
}

void child_wait(struct runtime *rt, uint64_t id, int line)
{
	struct child c = {.rt = rt,
		.id = id,
		.status = line,
		.io_group = -1,
		.scratch = -1,
		.userns = -1,
		.idmap = -1,
		.volume_idmap = -1,
		.netns = -1,
		.listener = -1,
		.target_pidfd = -1,
		.fifo_write = -1,
		.exit_fd = -1};
	struct sandbox_io io;
	struct orders orders;
	char step[124] = "";
	int r;

	begin(&c);
	prctl(PR_SET_NAME, "berth-ready");
	if ((r = leave_session(step)) == 0 && (r = make_stage(&c, step)) == 0) {
		report(&c, (struct child_report){.ready = 1}, NULL, -1);
		r = hear(orders_take(&c, &orders, &io), step);
	}
	become_init(&c, r < 0 ? r : start_here(&c, step), step);
}

void child_enter(const struct child *given)
{
	struct child c = *given;
	char step[124] = "";
	int r;

	begin(&c);
	c.exit_fd = c.io->exit_fd;
	r = leave_session(step);
	become_init(&c, r < 0 ? r : enter_here(&c, step), step);
}
