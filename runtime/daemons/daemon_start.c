/* Starting one of berth's own programs: its user, limits, environment and descriptors. */
#include "runtime/daemons/daemon_start.h"
#include "lib/io.h"
#include "runtime/daemons/secret.h"
#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define FIRST_FD 3
#define NOFILE_WANTED                                                                    \
	1048576u /* the router: two sockets a request in flight, plus waiting sockets */

static const char *const program_names[] = {
	[DAEMON_CONTROL] = "berth-control",
	[DAEMON_LOGGER] = "berth-logger",
	[DAEMON_ROUTER] = "berth-router",
};

struct fd_list {
	int fds[HANDOFF_ADDRS_MAX + PROTO_WORKERS_MAX + 4];
	unsigned int n;
};

/* In the order of lib/proto.h, the first is number 3. own: what open_own opened. */
static int collect_fds(const struct daemon_program *p, struct fd_list *l, int own)
{
	const struct handoff *h = p->handoff;

	switch (p->kind) {
	case DAEMON_CONTROL:
		l->fds[l->n++] = h->fds[HANDOFF_CONTROL_THEIRS];
		l->fds[l->n++] = h->fds[HANDOFF_LOG_WRITE];
		l->fds[l->n++] = h->fds[HANDOFF_API];
		for (unsigned int w = 0; w < h->n_workers; w++)
			l->fds[l->n++] = handoff_router_fd(h, w, HANDOFF_TABLE_CONTROL);
		l->fds[l->n++] = own;
		return 0;
	case DAEMON_LOGGER:
		l->fds[l->n++] = h->fds[HANDOFF_LOGGER_THEIRS];
		l->fds[l->n++] = h->fds[HANDOFF_LOG_READ];
		l->fds[l->n++] = own;
		return 0;
	case DAEMON_ROUTER:
		l->fds[l->n++] = handoff_router_fd(h, p->worker, HANDOFF_ROUTER_THEIRS);
		l->fds[l->n++] = h->fds[HANDOFF_LOG_WRITE];
		l->fds[l->n++] = handoff_router_fd(h, p->worker, HANDOFF_TABLE_ROUTER);
		for (unsigned int a = 0; a < h->n_addrs; a++)
			l->fds[l->n++] = handoff_listener(h, p->worker, a);
		return 0;
	default:
		return -EINVAL;
	}
}

/* Moves the descriptors to 3, 4, …, and closes all others above. */
static int place_fds(struct fd_list *l)
{
	int null;

	for (unsigned int i = 0; i < l->n; i++)
		if ((l->fds[i] = fcntl(
			     l->fds[i], F_DUPFD_CLOEXEC, FIRST_FD + (int)l->n)) < 0)
			return -errno;
	for (unsigned int i = 0; i < l->n; i++)
		if (dup2(l->fds[i], FIRST_FD + (int)i) < 0)
			return -errno;
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
		dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return -errno;
	return close_range(FIRST_FD + l->n, ~0u, 0) < 0 ? -errno : 0;
}

static void raise_nofile(void)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) < 0)
		return;
	rl.rlim_cur = rl.rlim_max < NOFILE_WANTED ? rl.rlim_max : NOFILE_WANTED;
	(void)setrlimit(RLIMIT_NOFILE, &rl);
}

static int forbid_cores(void)
{
	const struct rlimit none = {0, 0};

	return setrlimit(RLIMIT_CORE, &none) < 0 ? -errno : 0;
}

static int set_capabilities(uint64_t set)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{.effective = (uint32_t)set, .permitted = (uint32_t)set},
		{.effective = (uint32_t)(set >> 32), .permitted = (uint32_t)(set >> 32)},
	};

	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

static int drop_bounding(uint64_t keep)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (keep & (1ull << cap))
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			if (errno == EINVAL) /* above the kernel's last one */
				return 0;
			return -errno;
		}
	}
	return 0;
}

int daemon_drop_to(uid_t uid, gid_t gid)
{
	int r = drop_bounding(0);

	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
		setresuid(uid, uid, uid) < 0)
		return -errno;
	r = set_capabilities(0);
	if (r < 0)
		return r;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* The router must exec before it may give up the file system: it keeps what chroot and
 * the change of user need. */
static int confine_router(void)
{
	const uint64_t keep = 1ull << CAP_SYS_CHROOT | 1ull << CAP_SETUID |
			      1ull << CAP_SETGID | 1ull << CAP_SETPCAP;
	int r = drop_bounding(keep);

	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0)
		return -errno;
	r = set_capabilities(keep);
	if (r < 0)
		return r;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

static int confine(const struct daemon_program *p)
{
	umask(027);
	raise_nofile();
	if (setsid() < 0)
		return -errno;
	switch (p->kind) {
	case DAEMON_CONTROL:
		return daemon_drop_to(p->ids->control_uid, p->ids->control_gid);
	case DAEMON_LOGGER:
		return daemon_drop_to(p->ids->logger_uid, p->ids->logger_gid);
	case DAEMON_ROUTER:
		return confine_router();
	default:
		return -EINVAL;
	}
}

struct env_list {
	char text[SETTINGS_PATH_MAX * 4 + SETTINGS_HTTP_MAX * 2 + 4096];
	char *vars[24];
	size_t used;
	unsigned int n;
};

static void PRINTF(2, 3) add_env(struct env_list *l, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->text + l->used, sizeof(l->text) - l->used, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(l->text) - l->used ||
		l->n + 1 >= ARRAY_LEN(l->vars))
		return;
	l->vars[l->n++] = l->text + l->used;
	l->used += (size_t)n + 1;
}

/* How this host reaches others; control's children that call out know these names. */
static void add_proxies(struct env_list *l)
{
	static const char *const names[] = {"http_proxy", "https_proxy", "no_proxy",
		"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *value = getenv(names[i]);

		if (value)
			add_env(l, "%s=%s", names[i], value);
	}
}

static void make_env(
	const struct daemon_program *p, struct env_list *l, unsigned int n_fds)
{
	const struct settings *s = p->settings;
	char http[SETTINGS_HTTP_MAX], https[SETTINGS_HTTP_MAX];

	if (handoff_addresses(p->handoff, false, http, sizeof(http)) < 0)
		snprintf(http, sizeof(http), "%s", s->http);
	if (handoff_addresses(p->handoff, true, https, sizeof(https)) < 0)
		https[0] = '\0';
	add_env(l, "BERTH_STATE=%s", s->state);
	add_env(l, "BERTH_RUN=%s", s->run);
	if (p->kind == DAEMON_CONTROL)
		add_env(l, "BERTH_SECRET_FD=%u", FIRST_FD + --n_fds);
	add_env(l, "BERTH_NFDS=%u", n_fds);
	add_env(l, "BERTH_HTTP=%s", http);
	add_env(l, "BERTH_HTTPS=%s", https);
	add_env(l, "BERTH_NTLS=%u", p->handoff->n_tls);
	add_env(l, "BERTH_SSH_USER=%s", s->ssh_user);
	add_env(l, "BERTH_WORKERS=%u", p->handoff->n_workers);
	add_env(l, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	add_env(l, "LC_ALL=C.UTF-8");
	if (p->kind == DAEMON_ROUTER)
		add_env(l, "BERTH_WORKER=%u", p->worker);
	if (getenv("BERTH_DEBUG"))
		add_env(l, "BERTH_DEBUG=1");
	if (p->kind == DAEMON_CONTROL)
		add_proxies(l);
}

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
}

/* In the child of a process with threads: system calls only, everything is prepared. */
static _Noreturn void run_child(const struct daemon_program *p, struct fd_list *fds,
	char *path, char **env, const int go[2])
{
	char *argv[] = {path, NULL};
	int r;

	process_wait(go);
	reset_signals();
	r = place_fds(fds);
	if (r == 0 && chdir("/") < 0)
		r = -errno;
	if (r == 0 && (r = forbid_cores()) == 0)
		r = confine(p);
	if (r == 0) {
		execve(path, argv, env);
		r = -errno;
	}
	dprintf(STDERR_FILENO, "berthd: cannot run %s: %s\n", path, strerror(-r));
	_exit(127);
}

static int open_logs(const struct settings *s, struct err *e)
{
	char path[SETTINGS_PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/logs", s->state);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? err_sys(e, errno, "cannot open %s", path) : fd;
}

/* What is opened for this start and this program only. 0 or -errno. */
static int open_own(const struct daemon_program *p, int *ret, struct err *e)
{
	if (p->kind == DAEMON_ROUTER)
		return 0;
	int fd = p->kind == DAEMON_LOGGER ? open_logs(p->settings, e)
					  : secret_key_open(p->settings, e);
	if (fd >= 0)
		*ret = fd;
	return fd < 0 ? fd : 0;
}

pid_t daemon_start(
	const struct daemon_program *p, int *ret_pidfd, int *ret_go, struct err *e)
{
	int own autoclose = -1;
	char path[SETTINGS_PATH_MAX + 32];
	struct fd_list fds = {0};
	struct env_list env = {0};
	int fd, go[2];
	pid_t pid;

	int r = open_own(p, &own, e);
	if (r < 0)
		return r;
	if (collect_fds(p, &fds, own) < 0)
		return err_set(e, EINVAL, "unknown program");
	make_env(p, &env, fds.n);
	snprintf(path, sizeof(path), "%s/%s", p->settings->programs,
		program_names[p->kind]);
	if ((r = process_hold(go)) < 0)
		return err_sys(e, -r, "socketpair");
	pid = fork();
	if (pid == 0)
		run_child(p, &fds, path, env.vars, go);
	fd = pid < 0 ? -1 : pidfd_open(pid, 0);
	if (fd < 0) {
		r = err_sys(e, errno, pid < 0 ? "fork" : "pidfd_open");
		close(go[0]);
		close(go[1]);
		if (pid > 0)
			waitpid(pid, NULL, 0);
		return r;
	}
	close(go[0]);
	*ret_go = go[1];
	*ret_pidfd = fd;
	return pid;
}
