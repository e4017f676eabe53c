/* A berth-shell for each request of git over HTTP. */
#include "runtime/daemons/gitrun.h"
#include "lib/name.h"
#include "runtime/daemons/daemon_start.h"
#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

#define API_FD 3

struct run {
	struct gitrun *g;
	struct loop_io *watch;
	int pidfd;
	struct run *next, **prev;
};

struct gitrun {
	struct loop *loop;
	const struct settings *settings;
	const struct daemon_ids *ids;
	struct run *runs;
	unsigned int n;
};

struct gitrun *gitrun_new(
	struct loop *l, const struct settings *s, const struct daemon_ids *ids)
{
	struct gitrun *g = calloc(1, sizeof(*g));

	if (g)
		*g = (struct gitrun){.loop = l, .settings = s, .ids = ids};
	return g;
}

static void forget(struct run *y)
{
	loop_del(y->watch);
	close(y->pidfd);
	*y->prev = y->next;
	if (y->next)
		y->next->prev = y->prev;
	y->g->n--;
	free(y);
}

void gitrun_free(struct gitrun *g)
{
	while (g && g->runs)
		forget(g->runs);
	free(g);
}

static void on_end(void *arg, uint32_t events UNUSED)
{
	struct run *y = arg;
	siginfo_t si;

	(void)waitid(P_PIDFD, (id_t)y->pidfd, &si, WEXITED | WNOHANG);
	forget(y);
}

/* ---- in the child ---- */

/* 0 to 2 are its standard input, outputs, 3 the API; nothing else is open. */
static int place(const int fds[4])
{
	static const int at[4] = {API_FD, 0, 1, 2};
	int copies[4];

	for (int i = 0; i < 4; i++)
		if ((copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, API_FD + 1)) < 0)
			return -errno;
	for (int i = 0; i < 4; i++)
		if (dup2(copies[i], at[i]) < 0)
			return -errno;
	return close_range(API_FD + 1, ~0u, 0) < 0 ? -errno : 0;
}

static int prepare(const struct gitrun *g, const int fds[4])
{
	const struct rlimit none = {0, 0};
	sigset_t no_signals;
	int r = place(fds);

	if (r < 0)
		return r;
	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&no_signals);
	sigprocmask(SIG_SETMASK, &no_signals, NULL);
	if (setsid() < 0 || chdir("/") < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	process_unprotect();
	return daemon_drop_to(g->ids->ssh_uid, g->ids->ssh_gid);
}

static _Noreturn void become(
	const struct gitrun *g, const struct msg_git *m, const int fds[4])
{
	char path[SETTINGS_PATH_MAX + 16], state[SETTINGS_PATH_MAX + 16],
		run[SETTINGS_PATH_MAX + 16], name[PROTO_NAME_MAX], protocol[2] = "0";
	char program[] = "berth-shell", flag[] = "--http", push[] = "receive-pack",
	     fetch[] = "upload-pack", advertise[] = "advertise", serve[] = "serve",
	     gzip[] = "gzip", bin[] = "PATH=/usr/local/bin:/usr/bin:/bin";
	char *argv[] = {program, flag, name, m->push ? push : fetch,
		m->step == GIT_ADVERTISE ? advertise : serve, protocol,
		m->flags & GIT_GZIP ? gzip : NULL, NULL};
	char *env[] = {bin, state, run, NULL};

	memcpy(name, m->name, sizeof(name));
	protocol[0] = (char)('0' + m->protocol);
	snprintf(path, sizeof(path), "%s/berth-shell", g->settings->programs);
	snprintf(state, sizeof(state), "BERTH_STATE=%s", g->settings->state);
	snprintf(run, sizeof(run), "BERTH_RUN=%s", g->settings->run);
	if (prepare(g, fds) == 0)
		execve(path, argv, env);
	_exit(127);
}

/* ---- in berthd ---- */

bool gitrun_sound(const struct msg_git *m)
{
	return memchr(m->name, '\0', sizeof(m->name)) && name_valid(m->name) &&
	       m->push <= 1 && (m->step == GIT_ADVERTISE || m->step == GIT_SERVE) &&
	       m->protocol <= GIT_PROTOCOL_MAX && !(m->flags & ~(uint32_t)GIT_GZIP);
}

static int watch(struct gitrun *g, pid_t pid)
{
	struct run *y = calloc(1, sizeof(*y));

	if (!y)
		return -ENOMEM;
	*y = (struct run){.g = g, .pidfd = pidfd_open(pid, 0)};
	if (y->pidfd >= 0)
		y->watch = loop_add(g->loop, y->pidfd, EPOLLIN, on_end, y);
	if (!y->watch) {
		if (y->pidfd >= 0)
			close(y->pidfd);
		free(y);
		return -ENOMEM;
	}
	y->next = g->runs;
	if (y->next)
		y->next->prev = &y->next;
	y->prev = &g->runs;
	g->runs = y;
	g->n++;
	return 0;
}

int gitrun_start(struct gitrun *g, const struct msg_git *m, const int fds[4])
{
	if (g->n >= GIT_MAX)
		return -EBUSY;
	pid_t pid = fork();
	if (pid == 0)
		become(g, m, fds);
	if (pid < 0)
		return -errno;
	int r = watch(g, pid);
	if (r < 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return r;
}
