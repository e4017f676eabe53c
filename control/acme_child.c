/* uacme as a confined child process: pipes, its hook's questions, its end. */
#include "control/acme_child.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define ARGS_MAX 32

struct running {
	const struct acme_child *child;
	pid_t pid;
	int pidfd, out, ask;
	struct buf *output;
};

static int spawn(
	const struct acme_child *child, char *const *argv, int out, int ask, pid_t *ret)
{
	char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	char locale[] = "LC_ALL=C.UTF-8";
	char *const env[] = {path, locale, NULL};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, pipe;

	sigemptyset(&none);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	posix_spawn_file_actions_init(&files);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &pipe);
	posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_adddup2(&files, out, 2);
	posix_spawn_file_actions_adddup2(&files, ask, ACME_FD);
	posix_spawn_file_actions_addclosefrom_np(&files, ACME_FD + 1);
	int r = posix_spawn(ret, child->helper, &files, &attr, argv, env);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -r;
}

static int start(struct running *k, struct err *e)
{
	char pid[16];
	const char *argv[ARGS_MAX + 8] = {
		"berth-acme", "run", k->child->folder, pid, "uacme"};
	union {
		const char *const *from;
		char *const *to;
	} a = {.from = argv}; /* posix_spawn changes nothing */
	int out[2], ask[2];

	snprintf(pid, sizeof(pid), "%d", getpid());
	for (size_t i = 0; i < ARGS_MAX && k->child->args[i]; i++)
		argv[5 + i] = k->child->args[i];
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(e, errno, "pipe");
	k->out = out[0];
	int out_end autoclose = out[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ask) < 0)
		return err_sys(e, errno, "socketpair");
	k->ask = ask[0];
	int ask_end autoclose = ask[1];
	int r = spawn(k->child, a.to, out_end, ask_end, &k->pid);
	if (r < 0)
		return err_sys(e, -r, "cannot start %s", k->child->helper);
	k->pidfd = pidfd_open(k->pid, 0);
	return k->pidfd < 0 ? err_sys(e, errno, "pidfd_open") : 0;
}

static void read_output(struct running *k)
{
	char part[4096];
	ssize_t n = read(k->out, part, sizeof(part));

	if (n <= 0) {
		close(k->out);
		k->out = -1;
		return;
	}
	if (k->output->len + (size_t)n < k->output->max)
		buf_add(k->output, part, (size_t)n);
}

static bool ends(const char *text, size_t size)
{
	return memchr(text, '\0', size) != NULL;
}

static void read_question(struct running *k)
{
	struct acme_ask q;
	int32_t answer = -EINVAL;
	ssize_t n = recv(k->ask, &q, sizeof(q), MSG_DONTWAIT);

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
			close(k->ask);
			k->ask = -1;
		}
		return;
	}
	if (n == sizeof(q) && ends(q.name, sizeof(q.name)) &&
		ends(q.token, sizeof(q.token)) && ends(q.answer, sizeof(q.answer)))
		answer = k->child->answer(k->child->arg, &q);
	send(k->ask, &answer, sizeof(answer), MSG_NOSIGNAL);
}

/* Until it has ended and all its output is read: a hook of its may hold the pipe a moment longer. */
static int wait_end(struct running *k, int *ret_status)
{
	uint64_t until = io_mono_ns() + (uint64_t)k->child->deadline_ms * 1000000;
	siginfo_t end = {0};

	for (;;) {
		struct pollfd p[] = {{.fd = k->pidfd, .events = POLLIN},
			{.fd = k->out, .events = POLLIN},
			{.fd = k->ask, .events = POLLIN}};
		uint64_t now = io_mono_ns();

		if (now >= until)
			return -ETIME;
		if (poll(p, 3, (int)((until - now) / 1000000) + 1) <= 0)
			continue;
		if (p[1].revents)
			read_output(k);
		else if (p[2].revents)
			read_question(k);
		else if (p[0].revents)
			break;
	}
	if (waitid(P_PIDFD, (id_t)k->pidfd, &end, WEXITED) < 0)
		return -errno;
	k->pid = 0;
	*ret_status = end.si_code == CLD_EXITED ? end.si_status : 128 + end.si_status;
	return 0;
}

static void stop(struct running *k)
{
	if (k->pid > 0) {
		kill(-k->pid, SIGKILL); /* its hook too */
		kill(k->pid, SIGKILL);	/* before it made its group */
		waitpid(k->pid, NULL, 0);
	}
	int *fds[] = {&k->pidfd, &k->out, &k->ask};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (*fds[i] >= 0)
			close(*fds[i]);
}

int acme_child_run(const struct acme_child *child, int *ret_status, struct buf *output,
	struct err *e)
{
	struct running k = {
		.child = child, .pidfd = -1, .out = -1, .ask = -1, .output = output};
	int r = start(&k, e);

	if (r == 0) {
		r = wait_end(&k, ret_status);
		if (r == -ETIME)
			err_set(e, ETIME, "uacme did not end within %d s",
				child->deadline_ms / 1000);
		else if (r < 0)
			err_sys(e, -r, "wait for uacme");
	}
	stop(&k);
	return r;
}
