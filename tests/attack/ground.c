/* The private ground of the attack tests: its namespaces, opening and closing it, leaving guards out. */
#include "tests/attack/ground.h"
#include "lib/io.h"
#include "runtime/guards.h"
#include "runtime/network/nft.h"
#include "tests/attack/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OTHER_APP 9
#define BLOCK                                                                            \
	30 /* of the uid ranges: the last, so that no other berth of the machine has it */

int ground_trouble(const char *what)
{
	fprintf(stderr, "attack: %s: %s\n", what, strerror(errno));
	return -1;
}

/* ---- namespaces ---- */

/* First process of the namespace: collects whatever loses its parent, and ends with the body. */
static int reap_until(pid_t body)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR)
		if (pid == body)
			return WIFEXITED(status) ? WEXITSTATUS(status)
						 : 128 + WTERMSIG(status);
	return 1;
}

static int first_process(
	int (*body)(struct ground *g, void *arg), struct ground *g, void *arg)
{
	pid_t pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("proc", "/proc", "proc", 0, NULL) < 0)
		return ground_trouble("private /proc");
	pid = fork();
	if (pid == 0)
		_exit(body(g, arg));
	return pid < 0 ? 1 : reap_until(pid);
}

static void remove_group(void *arg, uint64_t id)
{
	cgroup_kill(arg, id);
	cgroup_remove(arg, id);
}

/* Normally there is nothing left but the folder; after a crash there is. */
static void clean_up(const struct ground *g)
{
	autobuf id = {.max = 64};
	int dir autoclose = open(g->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct cgroups groups;

	if (io_read_file(dir, "id", &id) == 0 && id.data &&
		cgroups_open(&groups, id.data, NULL) == 0) {
		cgroups_list(&groups, remove_group, &groups);
		cgroups_remove(&groups);
		cgroups_close(&groups);
	}
	if (io_remove_tree(AT_FDCWD, g->dir) < 0)
		fprintf(stderr, "attack: cannot remove %s\n", g->dir);
}

/* Also a Ctrl-C ends it here, so that what it made is removed. */
static int wait_or_kill(pid_t pid, const sigset_t *ends, unsigned int seconds)
{
	int fd autoclose = pidfd_open(pid, 0),
	       signals autoclose = signalfd(-1, ends, SFD_CLOEXEC);
	struct pollfd p[] = {
		{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	int status = 0;

	if (poll(p, 2, (int)seconds * 1000) == 0)
		fprintf(stderr, "attack: not done after %u s\n", seconds);
	if (!p[0].revents)
		kill(pid, SIGKILL);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 1;
	return WEXITSTATUS(status);
}

int ground_run(int (*body)(struct ground *g, void *arg), void *arg, unsigned int seconds)
{
	/* /tmp may be mounted without devices and set-uid programs, which the controls need. */
	const char *place = access("/var/tmp", W_OK) == 0 ? "/var/tmp" : "/tmp";
	struct ground g = {0};
	sigset_t ends, old;
	int status;
	pid_t pid;

	snprintf(g.dir, sizeof(g.dir), "%s/berth-attack-XXXXXX", place);
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, &old);
	if (!mkdtemp(g.dir))
		return ground_trouble(g.dir);
	snprintf(g.state, sizeof(g.state), "%s/state", g.dir);
	pid = (pid_t)syscall(SYS_clone,
		CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
			SIGCHLD,
		0, 0, 0, 0);
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		_exit(first_process(body, &g, arg));
	}
	status = pid < 0 ? ground_trouble("namespaces")
			 : wait_or_kill(pid, &ends, seconds);
	clean_up(&g);
	return status;
}

/* ---- guards ---- */

void ground_guards(struct ground *g, uint32_t off)
{
	bool net_off = off & GUARD_NET;
	struct err e;

	/* the filter needs no_new_privs where there are no capabilities; no row has the
	 * first and not the second */
	if (off & GUARD_NNP)
		off |= GUARD_FILTER;
#ifdef BERTH_TEST_GUARDS
	guards_off = off;
#endif
	g->rt->init_exec = g->init[!!(off & GUARD_DUMP)][!!(off & GUARD_UNREAD)];
	if (net_off == g->net_off)
		return;
	if (net_off)
		nft_remove(g->rt->id);
	else if (runtime_network(g->rt, &e) < 0)
		fprintf(stderr, "attack: %s\n", e.text);
	g->net_off = net_off;
}

/* ---- opening and closing ---- */

/* All blocks but the last are taken, by entries that never go. */
static int reserve_blocks(const char *registry)
{
	char path[128];

	if (mkdir(registry, 0700) < 0)
		return ground_trouble(registry);
	for (int i = 0; i < BLOCK; i++) {
		snprintf(path, sizeof(path), "%s/block-%02d", registry, i);
		int fd autoclose =
			open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, "ffffffff /\n", 11) != 11)
			return ground_trouble(path);
	}
	return 0;
}

static int open_runtime(struct ground *g, const char *bin)
{
	char registry[96], path[96];
	struct runtime_config c = {
		.state = g->state, .run = g->dir, .lib = bin, .registry = registry};
	struct err e;

	snprintf(registry, sizeof(registry), "%s/registry", g->dir);
	if (mkdir(g->state, 0755) < 0 || reserve_blocks(registry) < 0)
		return ground_trouble(g->state);
	if (runtime_open(&c, &g->rt, &e) < 0 || runtime_network(g->rt, &e) < 0) {
		fprintf(stderr, "attack: %s\n", e.text);
		return -1;
	}
	snprintf(path, sizeof(path), "%s/id", g->dir);
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 || write(fd, runtime_id(g->rt), 8) != 8 ? ground_trouble(path) : 0;
}

/* The runtime's own, and where a berth-init without that guard is given, the other combinations. */
static int open_inits(struct ground *g, const char *bin, const char *open_init)
{
	char closed[PATH_MAX], path[128];

	g->init[0][0] = g->rt->init_exec;
	if (!open_init)
		return 0;
	snprintf(closed, sizeof(closed), "%s/berth-init", bin);
	for (int i = 1; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/init-%d", g->dir, i);
		if (ground_copy(
			    i & 2 ? open_init : closed, path, 0, i & 1 ? 0755 : 0711) < 0)
			return -1;
		g->init[i >> 1][i & 1] = open(path, O_PATH | O_CLOEXEC);
	}
	return 0;
}

static pid_t command_of(uint32_t init)
{
	char path[64];
	autobuf b = {.max = 4096};

	snprintf(path, sizeof(path), "/proc/%u/task/%u/children", init, init);
	return io_read_file(AT_FDCWD, path, &b) == 0 && b.data
		       ? (pid_t)strtol(b.data, NULL, 10)
		       : -1;
}

static int start_other_app(struct ground *g)
{
	struct guest *b = &g->app;
	struct pollfd p = {.events = POLLIN};
	char text[64];
	struct in_addr a;

	*b = guest_new(g, PROFILE_APP, 0);
	b->start.app = OTHER_APP;
	b->start.n_mounts = 1;
	b->start.mounts[0].id = VOLUME_OTHER;
	if (guest_start(g, b, (const char *const[]){"serve", NULL}, -1) < 0) {
		fprintf(stderr, "attack: %s\n", b->e.text);
		return -1;
	}
	p.fd = b->out;
	if (poll(&p, 1, 10000) != 1 || read(b->out, text, sizeof(text)) <= 0 ||
		io_set_nonblock(b->out, true) < 0)
		return ground_trouble("the other app");
	a.s_addr = htonl(g->rt->addr_base + b->rec.net_index);
	snprintf(g->env[0], sizeof(g->env[0]), ENV_HOST_PID "=%d", g->host_pid);
	snprintf(g->env[1], sizeof(g->env[1]), ENV_APP_PID "=%d", command_of(b->rec.pid));
	snprintf(g->env[2], sizeof(g->env[2]), ENV_APP_ADDR "=%s", inet_ntoa(a));
	snprintf(g->env[3], sizeof(g->env[3]), ENV_HOST_PATH "=%s/id", g->dir);
	return 0;
}

/* Left open on purpose, and not to be closed at exec: the host's root folder. */
static int leak_descriptor(void)
{
	int fd autoclose = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return dup2(fd, LEAKED_FD) < 0 ? ground_trouble("dup2") : 0;
}

int ground_open(
	struct ground *g, const char *bin, const char *probe, const char *open_init)
{
	if (host_open(g) < 0 || open_runtime(g, bin) < 0 ||
		open_inits(g, bin, open_init) < 0 || guest_plant(g, probe) < 0)
		return -1;
	return start_other_app(g) < 0 ? -1 : leak_descriptor();
}

bool ground_close(struct ground *g)
{
	struct err e = {0};

	ground_guards(g, 0);
	g->rt->init_exec = g->init[0][0];
	sandbox_kill(g->rt, &g->app.rec);
	guest_wait(g, &g->app, 10);
	guest_done(g, &g->app);
	if (runtime_remove(g->rt, &e) < 0)
		fprintf(stderr, "attack: %s\n", e.text);
	runtime_close(g->rt);
	kill(g->host_pid, SIGKILL);
	waitpid(g->host_pid, NULL, 0);
	return e.text[0] == '\0';
}
