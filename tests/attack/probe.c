/*
 * The attack probe: static, runs inside a sandbox. Its arguments are names of rows.h; each runs in a process of its
 * own and is answered by a line "NAME RESULT" on stdout. "serve" is another app: it listens and waits.
 */
#include "tests/attack/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROW_SECONDS 60

static const struct {
	const char *name;
	int (*run)(void);
} rows[] = {
#define BOTH(name, ...) {#name, attack_##name},
#define EACH BOTH
#define ALONE_BOTH BOTH
#define ALLOWED BOTH
#include "tests/attack/rows.h"
};

/* ---- what the attacks use ---- */

int result(long r)
{
	return r == -1 ? errno : 0;
}

int try_open(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

int try_read(const char *path)
{
	char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
	int error = errno;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return error;
	return n > 0 ? 0 : NOTHING;
}

static int outcome(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return errno;
	return WIFSIGNALED(status) ? KILLED_BY(WTERMSIG(status)) : WEXITSTATUS(status);
}

int in_child(int (*f)(void))
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(f());
	return outcome(pid);
}

pid_t sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

void end_sleeper(pid_t pid)
{
	if (pid > 0 && kill(pid, SIGKILL) == 0)
		waitpid(pid, NULL, 0);
}

int env_number(const char *name)
{
	const char *value = getenv(name);

	return value ? atoi(value) : -1;
}

/* ---- running them ---- */

/* In the row's process: what it found, through the pipe; the exit status is too short. */
static void run_row(int (*f)(void), int to)
{
	int r;

	alarm(ROW_SECONDS);
	r = f();
	if (write(to, &r, sizeof(r)) != sizeof(r))
		_exit(1);
	_exit(0);
}

static int run(int (*f)(void))
{
	int ends[2], r, status;
	pid_t pid;

	fflush(stdout);
	if (pipe(ends) < 0 || (pid = fork()) < 0)
		return errno;
	if (pid == 0)
		run_row(f, ends[1]);
	close(ends[1]);
	/* the row's children may hold the pipe for ever, so its end is not waited for */
	if (waitpid(pid, &status, 0) < 0)
		status = 0;
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ||
		read(ends[0], &r, sizeof(r)) != sizeof(r))
		r = !WIFSIGNALED(status)	  ? DIED
		    : WTERMSIG(status) == SIGALRM ? TIMEOUT
						  : KILLED_BY(WTERMSIG(status));
	close(ends[0]);
	return r;
}

static int run_named(const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i].name, name) == 0)
			return run(rows[i].run);
	return DIED;
}

/* ---- the other app ---- */

static int listener(int type)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT_APP)};
	int fd = socket(AF_INET, type, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		(type == SOCK_STREAM && listen(fd, 128) < 0))
		return -1;
	return fd;
}

/* Says "ready", then a line for each datagram and, so that the queue stays empty, none for a connection. */
static int serve(void)
{
	struct pollfd p[2] = {{.fd = listener(SOCK_STREAM), .events = POLLIN},
		{.fd = listener(SOCK_DGRAM), .events = POLLIN}};
	char text[64];

	if (p[0].fd < 0 || p[1].fd < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	while (poll(p, 2, -1) > 0) {
		if (p[0].revents)
			close(accept(p[0].fd, NULL, NULL));
		if (p[1].revents && recv(p[1].fd, text, sizeof(text), 0) > 0 &&
			write(1, "datagram\n", 9) != 9)
			return 1;
	}
	return 1;
}

/* Run with other rights, see files.c. */
static int who(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {0};

	if (syscall(SYS_capget, &head, data) < 0)
		return DIED & 63;
	return WHO + (geteuid() == 0 ? WHO_ROOT : 0) +
	       (data[0].effective & 1u << CAP_NET_ADMIN ? WHO_NET_ADMIN : 0);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && strcmp(argv[1], "serve") == 0)
		return serve();
	if (argc == 2 && strcmp(argv[1], "who") == 0)
		return who();
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "wait") == 0) { /* for the kill */
			signal(SIGTERM, SIG_IGN);
			pause();
		}
		printf("%s %d\n", argv[i], run_named(argv[i]));
		fflush(stdout);
	}
	return 0;
}
