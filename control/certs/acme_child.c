/* uacme as a confined child process: pipes, its hook's questions, its end. */
#include "control/certs/acme_child.h"
#include "control/child.h"
#include "lib/io.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
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

static int start(struct running *k, struct err *e)
{
	char pid[16];
	const char *argv[ARGS_MAX + 8] = {
		"berth-acme", "run", k->child->folder, pid, "uacme"};
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
	const int fds[ACME_FD + 1] = {-1, out_end, out_end, ask_end};
	int r = child_start(k->child->helper, argv, fds, ARRAY_LEN(fds), false, &k->pid);
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
