/* The monitor: keeps a worker running, takes no input, reaps everything. */
#include "runtime/monitor.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/name.h"
#include "runtime/process.h"
#include "runtime/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define RESTART_QUICK_NS                                                                 \
	1000000000ull /* after a worker that lived shorter than this there is a pause */
#define RESTART_DELAY_MIN_MS 100
#define RESTART_DELAY_MAX_MS 1000
#define RELIEVE_MS 20000	    /* it may be starting an instance */
#define UPGRADE_ENV "BERTH_UPGRADE" /* of an exec: the worker's process id */
#define UPGRADED_ENV                                                                     \
	"BERTH_UPGRADED" /* when the last upgrade began: every next worker goes on with it */

struct monitor {
	const struct settings *settings;
	const struct handoff *handoff;
	int signals; /* signalfd */
	int self;    /* pidfd of this process, for the worker to notice our end */
	pid_t worker;
	uint64_t worker_since_ns;
	int delay_ms;	   /* between the last end of a worker and the next start */
	uint64_t start_ns; /* that start; only where there is none */
	bool upgrade;	   /* asked for, once there is a worker */
	bool relieving;	 /* the worker is of the berthd before and was told to make way */
	bool clean;	 /* the next one follows one that ended between two messages */
	bool first;	 /* no worker of this start has come up yet */
	int stop_signal; /* asked by the operator; 0: none */
	bool done;
	int status;
};

static int pid_path(const struct settings *s, char *out, size_t size)
{
	int n = snprintf(out, size, "%s/berthd.pid", s->run);

	return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

int monitor_pid_read(const struct settings *s)
{
	char path[SETTINGS_PATH_MAX + 32];
	autobuf b = {.max = 32};
	uint64_t pid;
	int r = pid_path(s, path, sizeof(path));

	if (r < 0)
		return r;
	r = io_read_file(AT_FDCWD, path, &b);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (b.len && b.data[b.len - 1] == '\n')
		b.data[b.len - 1] = '\0';
	return num_parse_u64(b.data ? b.data : "", 1, INT32_MAX, &pid) < 0 ? -EBADMSG
									   : (int)pid;
}

/* In the environment, for a worker that becomes the monitor. */
static void note_upgrade(void)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)process_ticks());
	if (setenv(UPGRADED_ENV, text, 1) < 0)
		log_error("no memory: programs of before the upgrade stay");
}

static uint64_t upgraded(void)
{
	const char *text = getenv(UPGRADED_ENV);
	uint64_t ticks = 0;

	if (text)
		(void)num_parse_u64(text, 1, UINT64_MAX, &ticks);
	return ticks;
}

static void write_pid(const struct settings *s)
{
	char text[32];
	int dir autoclose = open(s->run, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	if (dir < 0 || io_replace_file(dir, "berthd.pid", text, (size_t)n, 0644) < 0)
		log_error("cannot write %s/berthd.pid", s->run);
}

static void start_later(struct monitor *m, int delay_ms)
{
	m->start_ns = io_mono_ns() + (uint64_t)delay_ms * 1000000u;
}

static void start_worker(struct monitor *m)
{
	pid_t pid;

	m->worker_since_ns = io_mono_ns();
	pid = fork();
	if (pid < 0) {
		log_error("cannot start the worker: %s", strerror(errno));
		start_later(m, RESTART_DELAY_MAX_MS);
		return;
	}
	if (pid == 0) {
		close(m->signals);
		_exit(worker_run(m->settings, m->handoff, m->self, m->clean, upgraded()));
	}
	m->worker = pid;
	m->clean = false;
	if (m->stop_signal)
		kill(pid, m->stop_signal);
}

static void worker_ended(struct monitor *m, int status)
{
	bool quick = io_mono_ns() - m->worker_since_ns < RESTART_QUICK_NS;

	m->worker = 0;
	if (m->relieving) {
		m->relieving = false;
		note_upgrade();
		if (WIFEXITED(status) && WEXITSTATUS(status) == WORKER_EXIT_WAY) {
			m->clean = true;
			return;
		}
	}
	if (WIFEXITED(status) && (WEXITSTATUS(status) == WORKER_EXIT_DONE ||
					 (WEXITSTATUS(status) == WORKER_EXIT_SETUP &&
						 (m->first || m->stop_signal)))) {
		m->done = true;
		m->status = WEXITSTATUS(status) != WORKER_EXIT_DONE;
		return;
	}
	m->first = false;
	m->delay_ms = !quick ? 0 : m->delay_ms ? m->delay_ms * 2 : RESTART_DELAY_MIN_MS;
	if (m->delay_ms > RESTART_DELAY_MAX_MS)
		m->delay_ms = RESTART_DELAY_MAX_MS;
	start_later(m, m->delay_ms);
	if (WIFSIGNALED(status))
		log_warn("the worker was killed by signal %d; starting another",
			WTERMSIG(status));
	else
		log_warn("the worker ended with status %d; starting another",
			WEXITSTATUS(status));
}

static void reap(struct monitor *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == m->worker)
			worker_ended(m, status);
}

/* The installed berthd goes on as this process; returns when it cannot be run. */
static void become_installed(struct monitor *m)
{
	char path[SETTINGS_PATH_MAX + 16], worker[16];
	static char name[] = "berthd";
	char *argv[] = {name, NULL};
	struct handoff unused;
	struct err e;
	int r = handoff_to_env(m->handoff);

	snprintf(path, sizeof(path), "%s/berthd", m->settings->programs);
	snprintf(worker, sizeof(worker), "%d", (int)m->worker);
	if (r == 0 && setenv(UPGRADE_ENV, worker, 1) == 0) {
		execv(path, argv);
		r = -errno;
	}
	log_error("no upgrade: cannot run %s: %s", path, strerror(-r));
	unsetenv(UPGRADE_ENV);
	handoff_from_env(&unused, &e); /* descriptors are closed at exec again */
}

/* After become_installed: the worker of before is still this process's child. */
static void relieve_worker(struct monitor *m)
{
	const char *text = getenv(UPGRADE_ENV);
	uint64_t pid;

	if (!text)
		return;
	if (num_parse_u64(text, 1, INT32_MAX, &pid) == 0) {
		m->worker = (pid_t)pid;
		m->worker_since_ns = io_mono_ns();
		m->relieving = true;
		log_info("upgrade: the new berthd takes over");
		kill(m->worker, SIGUSR2);
	}
	unsetenv(UPGRADE_ENV);
}

static void handle_signals(struct monitor *m)
{
	struct signalfd_siginfo si;

	while (read(m->signals, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			continue;
		if (si.ssi_signo == SIGUSR2) {
			m->upgrade = !m->relieving;
			continue;
		}
		m->stop_signal = (int)si.ssi_signo;
		if (m->worker)
			kill(m->worker, m->stop_signal);
	}
	reap(m);
}

/* For poll(2). */
static int wait_ms(const struct monitor *m)
{
	uint64_t now = io_mono_ns();

	if (m->worker)
		return m->relieving ? RELIEVE_MS : -1;
	return m->start_ns <= now ? 0 : (int)((m->start_ns - now) / 1000000u) + 1;
}

static void waited(struct monitor *m)
{
	if (!m->worker) {
		start_worker(m);
		return;
	}
	log_warn("the worker did not make way: killing it");
	kill(m->worker, SIGKILL);
}

static int setup(struct monitor *m)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR2);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 ||
		signal(SIGPIPE, SIG_IGN) == SIG_ERR ||
		signal(SIGHUP, SIG_IGN) == SIG_ERR ||
		prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return -errno;
	m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	m->self = pidfd_open(getpid(), 0);
	return m->signals < 0 || m->self < 0 ? -errno : 0;
}

static void remove_files(const struct settings *s)
{
	char path[SETTINGS_PATH_MAX + 32];

	if (pid_path(s, path, sizeof(path)) == 0)
		unlink(path);
	snprintf(path, sizeof(path), "%s/api.sock", s->run);
	unlink(path);
}

int monitor_run(const struct settings *s, const struct handoff *h, bool first)
{
	struct monitor m = {.settings = s, .handoff = h, .first = first};
	int r = setup(&m);

	if (r < 0) {
		log_error("cannot set up the monitor: %s", strerror(-r));
		return 1;
	}
	write_pid(s);
	if (handoff_format_write(s) < 0)
		log_error("cannot write %s/handoff", s->run);
	relieve_worker(&m);
	while (!m.done) {
		struct pollfd p = {.fd = m.signals, .events = POLLIN};

		if (poll(&p, 1, wait_ms(&m)) == 0)
			waited(&m);
		handle_signals(&m);
		if (m.upgrade && m.worker && !m.stop_signal) {
			m.upgrade = false;
			become_installed(&m);
		}
	}
	remove_files(s);
	return m.status;
}

int monitor_take_over(const struct handoff *h)
{
	int r = handoff_to_env(h);
	static char name[] = "berthd";
	char *argv[] = {name, NULL};

	if (r < 0)
		return r;
	execv("/proc/self/exe", argv);
	return -errno;
}
