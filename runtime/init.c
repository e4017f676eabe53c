/*
 * berth-init: first process of every sandbox and parent of every command entered into
 * one. It runs as the app's user behind the same filter, parses nothing but the sealed
 * spec, forwards signals, reaps, and writes the exit record.
 *
 * argv[1]: 't' or '-' (stdin is a terminal to take), 'b' or '-' (run INIT_FD_BUILD
 * instead of argv[0] of the spec). Its environment is added to the command's where the
 * spec does not name the variable.
 */
#include "lib/io.h"
#include "lib/spec.h"
#include "runtime/guards.h"
#include "runtime/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

extern char **environ;

struct command {
	char **argv, **env;
	char cwd[256];
	bool tty, builder;
};

static void write_record(uint32_t magic, int value)
{
	struct exit_record r = {.magic = magic, .value = value, .time_us = io_now_us()};

	/* nobody is left to tell when it fails: berthd then reports the end as lost */
	if (pwrite(INIT_FD_EXIT, &r, sizeof(r), 0) != sizeof(r))
		_exit(125);
}

static bool names_same(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n + 1) == 0;
}

/* The spec's variables, then ours that it does not have. */
static char **merge_env(char **spec, char **ours)
{
	size_t n = 0, m = 0, out;
	char **env;

	while (spec[n])
		n++;
	while (ours[m])
		m++;
	env = calloc(n + m + 1, sizeof(*env));
	if (!env)
		return spec;
	memcpy(env, spec, n * sizeof(*env));
	out = n;
	for (size_t i = 0; i < m; i++) {
		bool named = false;
		for (size_t k = 0; k < n && !named; k++)
			named = names_same(ours[i], spec[k]);
		if (!named)
			env[out++] = ours[i];
	}
	return env;
}

/* Runs in the command's process. Returns the errno that kept it from starting. */
static int exec_command(const struct command *c)
{
	sigset_t none;

	setsid();
	if (c->tty && ioctl(0, TIOCSCTTY, 0) < 0)
		return errno;
	if (chdir(c->cwd) < 0)
		return errno;
	environ = c->env;
	if (!getenv("PATH") && setenv("PATH", DEFAULT_PATH, 1) < 0)
		return ENOMEM;
	/* a command must not inherit what is berth-init's */
	close(INIT_FD_SPEC);
	close(INIT_FD_EXIT);
	close(INIT_FD_FIFO);
	fcntl(INIT_FD_BUILD, F_SETFD, FD_CLOEXEC);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (c->builder)
		syscall(SYS_execveat, INIT_FD_BUILD, "", c->argv, environ, AT_EMPTY_PATH);
	else
		execvp(c->argv[0], c->argv);
	return errno;
}

/*
 * The pid, or the negative errno for which no command runs. A vfork: until the exec the
 * child has our memory and we stand still, so nothing is copied, and its error is ours to
 * read.
 */
static pid_t start_command(const struct command *c)
{
	volatile int error = 0;
	pid_t pid = vfork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		error = exec_command(c);
		_exit(127);
	}
	if (error)
		waitpid(pid, NULL, 0);
	return error ? -error : pid;
}

/* Its own copies would keep pipes and the terminal open after the command's end. */
static void let_go_of_stdio(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = 0; i < 3; i++)
		if (null < 0 || dup2(null, i) < 0)
			close(i);
	if (null > 2)
		close(null);
	close(INIT_FD_SPEC);
	close(INIT_FD_BUILD);
}

/* Reaps everything that ended. True: the command did. */
static bool reap(pid_t command, int *status)
{
	pid_t pid;
	int s;

	while ((pid = waitpid(-1, &s, WNOHANG)) > 0)
		if (pid == command) {
			*status = s;
			return true;
		}
	return false;
}

static int serve(pid_t command)
{
	sigset_t all;
	int status = 0, signo;

	sigfillset(&all);
	for (;;) {
		signo = sigwaitinfo(&all, NULL);
		if (signo == SIGCHLD && reap(command, &status))
			return status;
		if (signo > 0 && signo != SIGCHLD)
			kill(command, signo);
	}
}

int main(int argc, char **argv)
{
	struct command c = {0};
	void *mem = NULL;
	char **spec_env;
	sigset_t all;
	pid_t pid;
	int r;

	if (GUARD(GUARD_DUMP))
		prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_NAME, "berth-init");
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	c.tty = argc > 1 && argv[1][0] == 't';
	c.builder = argc > 1 && argv[1][0] && argv[1][1] == 'b';
	r = spec_unpack(INIT_FD_SPEC, &c.argv, &spec_env, c.cwd, &mem);
	if (r < 0) {
		write_record(EXIT_RECORD_EXEC, -r);
		return 125;
	}
	c.env = merge_env(spec_env, environ);
	pid = start_command(&c);
	if (pid < 0) {
		write_record(EXIT_RECORD_EXEC, -pid);
		return 126;
	}
	let_go_of_stdio();
	write_record(EXIT_RECORD_STATUS, serve(pid));
	return 0;
}
