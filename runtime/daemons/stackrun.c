/* Starting stackmake.h's work as a process of user _berth-build, in a pid namespace. */
#include "runtime/daemons/stackrun.h"
#include "runtime/disk/chores.h"
#include "runtime/process.h"
#include "runtime/records.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

struct job {
	char program[SETTINGS_PATH_MAX + 16], tmp[SETTINGS_PATH_MAX + 80],
		home[SETTINGS_PATH_MAX + 80];
	char *argv[4];
	char *env[16];
	int null, exit_fd, out, err_out, go[2];
	uid_t uid;
	gid_t gid;
};

static void fill_env(struct job *j)
{
	/* How this host reaches archives; apt and mmdebstrap know these names. */
	static const char *const passed[] = {"http_proxy", "https_proxy", "ftp_proxy",
		"no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"};
	static char path[] =
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	static char locale[] = "LC_ALL=C.UTF-8";
	unsigned int n = 0;

	j->env[n++] = path;
	j->env[n++] = locale;
	j->env[n++] = j->tmp;
	j->env[n++] = j->home;
	for (size_t i = 0; i < ARRAY_LEN(passed); i++) {
		char *value = getenv(passed[i]);

		/* The environment holds NAME=VALUE in one piece; the name stands before
		 * the value. */
		if (value)
			j->env[n++] = value - strlen(passed[i]) - 1;
	}
	j->env[n] = NULL;
}

static int make_tmp(const struct folders *f, uint64_t id, uid_t uid)
{
	char name[64];
	int fd autoclose = -1;

	id_name(name, id, "");
	fd = openat(
		f->state, "stack-build", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	if (mkdirat(fd, name, 0711) < 0)
		return -errno;
	/* The sub ids must pass through, whatever the umask said. */
	if (fchownat(fd, name, uid, (gid_t)-1, AT_SYMLINK_NOFOLLOW) < 0 ||
		fchmodat(fd, name, 0711, 0) < 0)
		return -errno;
	return 0;
}

/* Between clone and exec in a process that has threads: system calls only. */
static int prepare_child(const struct job *j)
{
	const struct rlimit none = {0, 0};
	int exit_copy, out, err_out;
	sigset_t no_signals;

	process_wait(j->go);
	sigemptyset(&no_signals);
	sigprocmask(SIG_SETMASK, &no_signals, NULL);
	/* A /proc of the new pid namespace: newuidmap looks there for the process. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) <
			0)
		return -errno;
	out = fcntl(j->out, F_DUPFD, STACK_EXIT_FD + 1);
	err_out = fcntl(j->err_out, F_DUPFD, STACK_EXIT_FD + 1);
	exit_copy = fcntl(j->exit_fd, F_DUPFD, STACK_EXIT_FD + 1);
	if (out < 0 || err_out < 0 || exit_copy < 0 || dup2(j->null, 0) < 0 ||
		dup2(out, 1) < 0 || dup2(err_out, 2) < 0 ||
		dup2(exit_copy, STACK_EXIT_FD) < 0 ||
		close_range(STACK_EXIT_FD + 1, ~0u, 0) < 0)
		return -errno;
	umask(022);
	if (setsid() < 0 || chdir("/") < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	/* No no_new_privs: newuidmap, which gives the sub-id range, is set-user-id. */
	/* The bare calls: glibc's would signal berthd's other threads, which this process
	 * does not have. */
	if (syscall(SYS_setgroups, 0, NULL) < 0 ||
		syscall(SYS_setresgid, j->gid, j->gid, j->gid) < 0 ||
		syscall(SYS_setresuid, j->uid, j->uid, j->uid) < 0)
		return -errno;
	return 0;
}

static _Noreturn void run_child(const struct job *j)
{
	int r = prepare_child(j);

	if (r == 0)
		execve(j->program, j->argv, j->env);
	_exit(126);
}

static pid_t clone_job(const struct job *j, int *ret_pidfd)
{
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)ret_pidfd,
		.exit_signal = SIGCHLD,
	};
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		run_child(j);
	return pid < 0 ? -errno : pid;
}

pid_t stackrun_start(const struct settings *s, const struct daemon_ids *ids,
	const struct folders *f, uint64_t id, uint32_t suite, int exit_fd, int out,
	int err_out, int *ret_pidfd, int *ret_go, struct err *e)
{
	static char flag[] = "--stack-build", name[] = "debian-12";
	struct job j = {.exit_fd = exit_fd,
		.out = out,
		.err_out = err_out,
		.uid = ids->build_uid,
		.gid = ids->build_gid};
	int null autoclose = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t pid;
	int r;

	if (suite != 1)
		return err_set(e, EINVAL, "no stack has the number %u", suite);
	if (null < 0)
		return err_sys(e, errno, "/dev/null");
	r = make_tmp(f, id, ids->build_uid);
	if (r < 0)
		return err_sys(e, -r, "cannot make the folder to build the stack in");
	j.null = null;
	snprintf(j.program, sizeof(j.program), "%s/berthd", s->programs);
	snprintf(j.tmp, sizeof(j.tmp), "TMPDIR=%s/stack-build/%016llx", s->state,
		(unsigned long long)id);
	snprintf(j.home, sizeof(j.home), "HOME=%s/stack-build/%016llx", s->state,
		(unsigned long long)id);
	j.argv[0] = j.program;
	j.argv[1] = flag;
	j.argv[2] = name;
	fill_env(&j);
	if ((r = process_hold(j.go)) < 0)
		return err_sys(e, -r, "socketpair");
	pid = clone_job(&j, ret_pidfd);
	close(j.go[0]);
	if (pid < 0) {
		close(j.go[1]);
		return err_sys(e, -pid, "cannot start the stack build");
	}
	*ret_go = j.go[1];
	return pid;
}

void stackrun_cleanup(struct chores *c, const struct folders *f, uint64_t id)
{
	int fd autoclose = openat(
		f->state, "stack-build", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	char name[32];

	id_name(name, id, "");
	if (fd >= 0)
		(void)chores_remove_tree(c, fd, name);
}
