/* Attacks on other processes: berth-init, the host's, another app's; and attempts to become more. */
#include "tests/attack/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/ioprio.h>
#include <linux/kcmp.h>
#include <mqueue.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define INIT                                                                             \
	1 /* berth-init, also where the row's own pid namespace is left out: see init_pid */

/* The parent of the command: number 1 in a namespace of its own, something else in the host's. */
static pid_t init_pid(void)
{
	pid_t probe = getppid(), parent = INIT;
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)probe);
	f = fopen(path, "re");
	/* where the probe is the first itself, there is nobody above it */
	if (!f || fscanf(f, "%*d (%*[^)]) %*c %d", &parent) != 1 || parent == 0)
		parent = INIT;
	if (f)
		fclose(f);
	return parent;
}

static int with_child(int (*f)(pid_t))
{
	pid_t pid = sleeper();
	int r = f(pid);

	end_sleeper(pid);
	return r;
}

static int seize(pid_t pid)
{
	return result(ptrace(PTRACE_SEIZE, pid, 0, 0));
}

static int trace_me(void)
{
	return result(ptrace(PTRACE_TRACEME, 0, 0, 0));
}

int attack_ptrace_me(void)
{
	return in_child(trace_me);
}

int attack_ptrace_child(void)
{
	return with_child(seize);
}

int attack_ptrace_init(void)
{
	return seize(init_pid());
}

static char here[8];

static int vm(long call, pid_t pid, void *there)
{
	char buf[sizeof(here)] = "";
	struct iovec local = {buf, sizeof(buf)}, remote = {there, sizeof(here)};

	return result(syscall(call, pid, &local, 1, &remote, 1, 0));
}

static int vm_read(pid_t pid)
{
	return vm(SYS_process_vm_readv, pid, here);
}

static int vm_write(pid_t pid)
{
	return vm(SYS_process_vm_writev, pid, here);
}

int attack_vm_read(void)
{
	return with_child(vm_read);
}

int attack_vm_write(void)
{
	return with_child(vm_write);
}

/* No address of it is known, but the right is asked for first. */
int attack_vm_read_init(void)
{
	return vm(SYS_process_vm_readv, init_pid(), (void *)16);
}

static int get_fd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? errno : result(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

int attack_getfd_child(void)
{
	return with_child(get_fd);
}

int attack_getfd_init(void)
{
	return get_fd(init_pid());
}

static int compare(pid_t pid)
{
	return result(syscall(SYS_kcmp, getpid(), pid, KCMP_FILES, 0, 0));
}

int attack_kcmp(void)
{
	return with_child(compare);
}

static int open_of(pid_t pid, const char *name, int flags)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return try_open(path, flags);
}

int attack_init_memory(void)
{
	return open_of(init_pid(), "mem", O_RDWR);
}

int attack_init_environ(void)
{
	return open_of(init_pid(), "environ", O_RDONLY);
}

int attack_init_fds(void)
{
	return open_of(init_pid(), "fd/0", O_RDONLY);
}

int attack_init_exe(void)
{
	return open_of(init_pid(), "exe", O_RDONLY);
}

int attack_init_root(void)
{
	return open_of(init_pid(), "root", O_RDONLY | O_DIRECTORY);
}

int attack_init_cwd(void)
{
	return open_of(init_pid(), "cwd", O_RDONLY | O_DIRECTORY);
}

/* Both signals do nothing to whoever has not asked for them; the host's process counts SIGWINCH. */
int attack_kill_all(void)
{
	return result(kill(-1, SIGWINCH));
}

int attack_kill_host(void)
{
	return result(kill(env_number(ENV_HOST_PID), SIGURG));
}

int attack_kill_app(void)
{
	return result(kill(env_number(ENV_APP_PID), SIGURG));
}

int attack_host_environ(void)
{
	return open_of(env_number(ENV_HOST_PID), "environ", O_RDONLY);
}

int attack_app_root(void)
{
	return open_of(env_number(ENV_APP_PID), "root/probe", O_RDONLY);
}

int attack_priority(void)
{
	return result(setpriority(PRIO_PROCESS, 0, -20));
}

int attack_io_priority(void)
{
	return result(syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0,
		IOPRIO_PRIO_VALUE(IOPRIO_CLASS_RT, 0)));
}

int attack_host_shm(void)
{
	return result(shmget(HOST_SHM_KEY, 4096, 0666));
}

int attack_host_mqueue(void)
{
	return result(mq_open(HOST_MQUEUE, O_RDWR));
}

/* ---- becoming more ---- */

int attack_setuid(void)
{
	return result(syscall(SYS_setuid, 0));
}

int attack_setgid(void)
{
	return result(syscall(SYS_setgid, 0));
}

int attack_setgroups(void)
{
	return result(syscall(SYS_setgroups, 0, NULL));
}

int attack_chown(void)
{
	int fd = open("/tmp/mine", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	return fd < 0 ? NOTHING : result(fchown(fd, 0, 0));
}

int attack_capset(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {0};

	data[0].permitted = data[0].effective = 1u << CAP_SYS_ADMIN;
	return result(syscall(SYS_capset, &head, data));
}
