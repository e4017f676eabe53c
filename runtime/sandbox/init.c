/*
 * berth-init: first process of every sandbox and parent of every command entered into
 * one. It runs as the app's user behind the same filter, parses nothing but the sealed
 * spec, forwards signals, reaps, and writes the exit record.
 *
 * argv[1]: 't' or '-' (stdin is a terminal to take), 'b' or '-' (run INIT_FD_BUILD
 * instead of argv[0] of the spec), 'l' or '-' (INIT_FD_LISTEN is for the command). Its
 * environment is added to the command's where the spec does not name the variable.
 *
 * Without the C library (runtime/sandbox/bare.h) and without relocations: no pointers in static
 * data.
 */
#include "lib/base.h"
#include "runtime/guards.h"
#include "runtime/inside.h"
#include "runtime/sandbox/bare.h"
#include "runtime/sandbox/init_spec.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#define PATH_MAX_BYTES 4096
#define ALL_SIGNALS (~(uint64_t)0)
#define READER_MS 3000 /* as long as berthd may take to be back with a logger */

static const char default_path[] =
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

void bare_main(long *stack) __attribute__((noreturn, used));
__asm__(".text\n.globl _start\n.type _start, @function\n_start:\n\t" BARE_START);

/* What the compiler itself calls. */
void *memset(void *p, int c, size_t n) __attribute__((used));
void *memset(void *p, int c, size_t n)
{
	for (volatile char *at = p; n--; at++)
		*at = (char)c;
	return p;
}
void *memcpy(void *to, const void *from, size_t n) __attribute__((used));
void *memcpy(void *to, const void *from, size_t n)
{
	volatile char *t = to;

	for (const char *f = from; n--; f++)
		*t++ = *f;
	return to;
}

static void leave(int status) __attribute__((noreturn));
static void leave(int status)
{
	for (;;)
		CALL1(SYS_exit_group, status);
}

static void write_record(uint32_t magic, int value)
{
	struct timespec t = {0};
	struct exit_record r = {.magic = magic, .value = value};

	CALL2(SYS_clock_gettime, CLOCK_REALTIME, &t);
	r.time_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
	/* nobody is left to tell when it fails: berthd then reports the end as lost */
	if (CALL4(SYS_pwrite64, INIT_FD_EXIT, &r, sizeof(r), 0) != sizeof(r))
		leave(125);
}

/* ---- the environment ---- */

static bool names_same(const char *a, const char *b)
{
	while (*a == *b && *a != '=' && *a)
		a++, b++;
	return *a == *b;
}

static char *find_same(char **env, const char *variable)
{
	for (; *env; env++)
		if (names_same(*env, variable))
			return *env;
	return NULL;
}

/* Appends those that are not named yet. */
static void add_env(char **env, char **ours)
{
	size_t n = count(env);

	for (; *ours; ours++)
		if (!find_same(env, *ours)) {
			env[n++] = *ours;
			env[n] = NULL;
		}
}

/* ---- the command ---- */

/* A file without a format that the kernel knows is a script for sh, as execvp(3) has it. */
static long try_exec(const struct command *c, char *path)
{
	long r = CALL3(SYS_execve, path, c->argv, c->env);
	char **argv = c->argv - 1;

	if (r != -ENOEXEC)
		return r;
	argv[0] = (char[]){"/bin/sh"};
	argv[1] = path;
	return CALL3(SYS_execve, "/bin/sh", argv, c->env);
}

/* dir, which ends at ':' or NUL, a slash, name. False when that is too long. */
static bool join(char *out, const char *dir, const char *name)
{
	size_t n = 0;

	while (*dir && *dir != ':' && n < PATH_MAX_BYTES - 2)
		out[n++] = *dir++;
	if (n)
		out[n++] = '/';
	while (*name && n < PATH_MAX_BYTES - 1)
		out[n++] = *name++;
	out[n] = '\0';
	return !*name && (!*dir || *dir == ':');
}

/* As execvp(3): the first of PATH's folders that has it; one that may not be run is
 * remembered. */
static long search_exec(const struct command *c)
{
	const char *at = find_same(c->env, default_path) + sizeof("PATH");
	char path[PATH_MAX_BYTES];
	long r, result = -ENOENT;

	for (;; at++) {
		r = join(path, at, c->argv[0]) ? try_exec(c, path) : -ENAMETOOLONG;
		if (r == -EACCES)
			result = r;
		else if (r != -ENOENT && r != -ENOTDIR && r != -ENAMETOOLONG)
			return r;
		while (*at && *at != ':')
			at++;
		if (!*at)
			return result;
	}
}

/* As sd_listen_fds(3) wants it: the number is right for whoever this process becomes. */
static long give_listener(const struct command *c)
{
	char digits[12], *to = c->listen_pid;
	long pid = CALL0(SYS_getpid), r = CALL3(SYS_dup3, INIT_FD_LISTEN, LISTEN_FD, 0);
	int n = 0;

	do
		digits[n++] = (char)('0' + pid % 10);
	while ((pid /= 10));
	while (n)
		*to++ = digits[--n];
	*to = '\0';
	CALL1(SYS_close, INIT_FD_LISTEN);
	return r;
}

static long exec_command(const struct command *c)
{
	uint64_t none = 0;
	long r;

	CALL0(SYS_setsid);
	if (c->tty && (r = CALL3(SYS_ioctl, 0, TIOCSCTTY, 0)) < 0)
		return r;
	if ((r = CALL1(SYS_chdir, c->cwd)) < 0)
		return r;
	/* a command must not inherit what is berth-init's */
	CALL1(SYS_close, INIT_FD_SPEC);
	CALL1(SYS_close, INIT_FD_EXIT);
	CALL1(SYS_close, INIT_FD_FIFO);
	CALL3(SYS_fcntl, INIT_FD_BUILD, F_SETFD, FD_CLOEXEC);
	if (c->listen_pid && (r = give_listener(c)) < 0)
		return r;
	CALL4(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
	if (c->builder)
		return CALL5(
			SYS_execveat, INIT_FD_BUILD, "", c->argv, c->env, AT_EMPTY_PATH);
	for (const char *p = c->argv[0]; *p; p++)
		if (*p == '/')
			return try_exec(c, c->argv[0]);
	return c->argv[0][0] ? search_exec(c) : -ENOENT;
}

/* In the new process, on its parent's stack: must not return. */
static void become_command(const struct command *c, volatile long *error)
	__attribute__((noinline, noreturn));
static void become_command(const struct command *c, volatile long *error)
{
	*error = exec_command(c);
	leave(127);
}

/*
 * The pid, or the -errno for which no command runs. As vfork(2): until the exec the child
 * has our memory and we stand still, so nothing is copied, and its error is ours to read.
 */
static long start_command(const struct command *c)
{
	volatile long error = 0;
	long pid = CALL5(
		SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		become_command(c, &error);
	if (pid > 0 && error)
		CALL4(SYS_wait4, pid, NULL, 0, NULL);
	return pid > 0 && error ? error : pid;
}

/* Its own copies would keep pipes and the terminal open after the command's end. */
static void let_go_of_stdio(void)
{
	long null = CALL4(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);

	for (int i = 0; i < 3; i++)
		if (null < 0 || CALL3(SYS_dup3, null, i, 0) < 0)
			CALL1(SYS_close, i);
	if (null > 2)
		CALL1(SYS_close, null);
	CALL1(SYS_close, INIT_FD_SPEC);
	CALL1(SYS_close, INIT_FD_BUILD);
	CALL1(SYS_close, INIT_FD_LISTEN);
}

/* Reaps everything that ended. True: the command did. */
static bool reap(long command, int *status)
{
	long pid;
	int s;

	while ((pid = CALL4(SYS_wait4, -1, &s, WNOHANG, NULL)) > 0)
		if (pid == command) {
			*status = s;
			return true;
		}
	return false;
}

static int serve(long command)
{
	uint64_t all = ALL_SIGNALS;
	int status = 0;
	long signo;

	for (;;) {
		signo = CALL4(SYS_rt_sigtimedwait, &all, NULL, NULL, sizeof(all));
		if (signo == SIGCHLD && reap(command, &status))
			return status;
		if (signo > 0 && signo != SIGCHLD)
			CALL2(SYS_kill, command, signo);
	}
}

/*
 * What is in the FIFO goes with the last who holds it: us, when berthd and the logger were killed in the moment in which the
 * command ended. The next ones read it.
 */
static void await_reader(void)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int unread = 0;

	for (int i = 0; i < READER_MS; i++) {
		if (CALL3(SYS_ioctl, INIT_FD_FIFO, FIONREAD, &unread) < 0 || unread == 0)
			return;
		CALL4(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, NULL);
	}
}

/* The kernel's first stack: argc, argv, NULL, environment, NULL. */
void bare_main(long *stack)
{
	char **argv = (char **)(stack + 1), **ours = argv + stack[0] + 1;
	struct command c = {.tty = false};
	char *path[] = {(char *)(uintptr_t)default_path, NULL};
	char listen_fds[] = "LISTEN_FDS=1", listen_pid[32] = "LISTEN_PID=";
	char *listener[] = {listen_fds, listen_pid, NULL};
	uint64_t all = ALL_SIGNALS;
	long r;

	if (GUARD(GUARD_DUMP))
		CALL5(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	CALL5(SYS_prctl, PR_SET_NAME, "berth-init", 0, 0, 0);
	CALL4(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
	c.tty = stack[0] > 1 && argv[1][0] == 't';
	c.builder = stack[0] > 1 && argv[1][0] && argv[1][1] == 'b';
	if (stack[0] > 1 && argv[1][0] && argv[1][1] && argv[1][2] == 'l')
		c.listen_pid = listen_pid + sizeof("LISTEN_PID=") - 1;
	r = read_spec(&c, INIT_FD_SPEC, count(ours));
	if (r < 0) {
		write_record(EXIT_RECORD_EXEC, (int)-r);
		leave(125);
	}
	add_env(c.env, ours);
	add_env(c.env, path);
	if (c.listen_pid)
		add_env(c.env, listener);
	r = start_command(&c);
	if (r < 0) {
		write_record(EXIT_RECORD_EXEC, (int)-r);
		leave(126);
	}
	let_go_of_stdio();
	write_record(EXIT_RECORD_STATUS, serve(r));
	await_reader();
	leave(0);
}
