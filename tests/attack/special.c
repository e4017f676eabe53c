/* The driver's part of some attacks; see special.h. */
#include "tests/attack/special.h"
#include "lib/io.h"
#include "lib/loop.h"
#include "runtime/guards.h"
#include "runtime/instances/fifos.h"
#include "runtime/logger/logger_source.h"
#include "runtime/logger/logger_store.h"
#include "runtime/process.h"
#include "tests/attack/probe.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define LOG_BUDGET (4u << 20)
#define LOG_BUDGET_LARGE (64u << 20)
#define GRACE_MS 300   /* a datagram through two namespaces */
#define SILENT_MS 1500 /* processes that were killed are gone by then */

/* ---- effects ---- */

static bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static void drain(int fd)
{
	char text[512];

	while (read(fd, text, sizeof(text)) > 0)
		;
}

static void close_waiting(int listener)
{
	int fd;

	while ((fd = accept(listener, NULL, NULL)) >= 0)
		close(fd);
}

void special_forget(struct ground *g)
{
	*g->host_signals = 0;
	drain(g->app.out);
	drain(g->world_udp);
	close_waiting(g->world_tcp);
	close_waiting(g->host_tcp);
	close_waiting(g->host_abstract);
}

static bool spoofed_arrived(struct ground *g)
{
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	char text[64];

	return readable(g->world_udp, GRACE_MS) &&
	       recvfrom(g->world_udp, text, sizeof(text), 0, (struct sockaddr *)&from,
		       &len) > 0 &&
	       from.sin_addr.s_addr == inet_addr(SPOOFED_ADDR);
}

static bool host_signalled(struct ground *g)
{
	for (int ms = 0; ms < GRACE_MS && !*g->host_signals; ms += 10)
		usleep(10000);
	return *g->host_signals != 0;
}

int special_judge(struct ground *g, const char *name, int r)
{
	if (r != 0)
		return r;
	if (strcmp(name, "kill_all") == 0)
		return host_signalled(g) ? 0 : NOTHING;
	if (strcmp(name, "other_app_udp") == 0)
		return readable(g->app.out, GRACE_MS) ? 0 : NOTHING;
	if (strcmp(name, "spoof") == 0)
		return spoofed_arrived(g) ? 0 : NOTHING;
	return r;
}

/* ---- the log ---- */

static void all_read(void *loop, uint64_t id UNUSED)
{
	loop_stop(loop);
}

/* berth-logger's own code over one FIFO, in a process of its own, until the FIFO's end. */
static int keep_log(int dir, int fifo, uint64_t budget)
{
	struct msg_log_attach a = {.id = 1, .app = 7, .name = "web.1"};
	struct msg_log_limits small = {.budget_bytes = budget};
	struct loop *l = loop_new();
	struct store *s = store_new(dir);
	struct sources *from = sources_new(l, s, all_read, l);
	int r = store_set_limits(s, &small);

	if (r == 0)
		r = sources_attach(from, &a, fifo);
	alarm(30);
	if (r == 0)
		r = loop_run(l);
	sources_free(from);
	store_free(s);
	return r < 0;
}

static uint64_t size_of(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;
	uint64_t sum = 0;

	while (d && (e = readdir(d)))
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	if (d)
		closedir(d);
	return sum;
}

static pid_t start_logger(struct ground *g, int dir, int writer, uint64_t budget)
{
	int folder autoclose = open(g->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fifo autoclose = fifo_open_read(folder, 1);
	pid_t pid = fork();

	if (pid == 0) {
		close(writer); /* or it would wait for itself */
		_exit(keep_log(dir, fifo, budget));
	}
	return pid;
}

static int log_flood(struct ground *g, uint32_t profile, uint32_t off)
{
	uint64_t budget = off & GUARD_LIMITS ? LOG_BUDGET_LARGE : LOG_BUDGET;
	struct guest b = guest_new(g, profile, off);
	int folder autoclose = open(g->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fifo = fifo_make(folder, 1), dir autoclose = -1, status = 1;
	uint64_t size;
	pid_t logger;

	io_remove_tree(folder, "logs");
	mkdirat(folder, "logs", 0700);
	dir = openat(folder, "logs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fifo < 0 ||
		guest_start(g, &b, (const char *const[]){"log_flood", NULL}, fifo) < 0)
		return DIED;
	logger = start_logger(g, dir, fifo, budget);
	close(fifo);
	if (!guest_wait(g, &b, 30))
		return TIMEOUT;
	guest_done(g, &b);
	waitpid(logger, &status, 0);
	fifo_remove(folder, 1);
	size = size_of(dir, "7");
	if (status != 0 || size == 0)
		return DIED;
	return size <= LOG_BUDGET ? NOTHING : size >= FLOOD_BYTES ? 0 : DIED;
}

/* Until the probe has answered, which is when everything is set up. */
static bool answered(struct guest *b)
{
	char text[64];

	return readable(b->out, 60000) && read(b->out, text, sizeof(text)) > 0;
}

/* ---- what all users share ---- */

/* True when root of the host still gets one. */
static bool one_inotify(void)
{
	int fd autoclose = inotify_init1(IN_CLOEXEC);

	return fd >= 0;
}

static bool one_timer(void)
{
	timer_t t;

	return timer_create(CLOCK_MONOTONIC, NULL, &t) == 0 && timer_delete(t) == 0;
}

static bool one_mqueue(void)
{
	mqd_t q = mq_open("/one", O_RDWR | O_CREAT, 0600, NULL);

	return q >= 0 && mq_close(q) == 0 && mq_unlink("/one") == 0;
}

/* As another sandbox does: the host's own terminals have a reserve. */
static bool one_terminal(void)
{
	static const char place[] = "/dev/shm/berth-attack-pts";
	int fd;

	mkdir(place, 0700);
	if (mount("devpts", place, "devpts", 0, "ptmxmode=0666") < 0)
		return false;
	fd = open("/dev/shm/berth-attack-pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	umount2(place, MNT_DETACH);
	rmdir(place);
	return fd >= 0;
}

static int shared(struct ground *g, const char *name, uint32_t profile, uint32_t off,
	bool (*one)(void))
{
	struct guest b = guest_new(g, profile, off);
	bool left;

	b.start.limits.nofile = 8192;
	b.start.limits.memory_bytes = 256
				      << 20; /* the kernel's own part of each counts */
	/* what the one before took is given back some time after its end */
	for (int i = 0; i < 50 && !one(); i++)
		usleep(100000);
	if (!one() ||
		guest_start(g, &b, (const char *const[]){name, "wait", NULL}, -1) < 0 ||
		!answered(&b))
		return DIED;
	left = one();
	sandbox_kill(g->rt, &b.rec);
	guest_wait(g, &b, 10);
	guest_done(g, &b);
	return left ? NOTHING : 0;
}

static int share_inotify(struct ground *g, uint32_t profile, uint32_t off)
{
	return shared(g, "inotify", profile, off, one_inotify);
}

static int share_timers(struct ground *g, uint32_t profile, uint32_t off)
{
	return shared(g, "timers", profile, off, one_timer);
}

static int share_mqueues(struct ground *g, uint32_t profile, uint32_t off)
{
	return shared(g, "mqueues", profile, off, one_mqueue);
}

static int share_terminals(struct ground *g, uint32_t profile, uint32_t off)
{
	return shared(g, "terminals", profile, off, one_terminal);
}

/* ---- the router's time ---- */

/* What the router does with a connection: it reads, whatever came. */
static int pass_linger(struct ground *g, uint32_t profile, uint32_t off)
{
	struct guest b = guest_new(g, profile, off);
	uint64_t began, took;
	sigset_t all, old;
	char byte;
	int fd, n;

	if (g->rt->no_unix[0])
		return ENOPROTOOPT;
	b.start.flags |= START_LISTEN;
	if (guest_start(g, &b, (const char *const[]){"pass_linger", "wait", NULL}, -1) <
		0)
		return DIED;
	n = sandbox_sockets(g->rt, &b.rec, AF_UNIX, 1, &fd);
	if (n != 1 || !answered(&b))
		return DIED;
	sigfillset(
		&all); /* a signal would end the wait; berth's processes block theirs too */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	began = io_mono_ns();
	n = (int)recv(fd, &byte, 1, 0);
	took = io_mono_ns() - began;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(fd);
	sandbox_kill(g->rt, &b.rec);
	guest_wait(g, &b, 10);
	guest_done(g, &b);
	return n != 1 ? DIED : took > (uint64_t)LINGER_S * 500000000 ? 0 : NOTHING;
}

/* ---- outliving the end ---- */

static int fork_at_kill(struct ground *g, uint32_t profile, uint32_t off)
{
	struct guest b = guest_new(g, profile, off);
	bool silent;

	if (guest_start(g, &b, (const char *const[]){"fork_at_kill", "wait", NULL}, -1) <
			0 ||
		!answered(&b))
		return DIED;
	sandbox_signal(g->rt, &b.rec, SIGTERM);
	usleep(100000);
	sandbox_kill(g->rt, &b.rec);
	guest_wait(g, &b, 10);
	silent = guest_silent(&b, SILENT_MS);
	ground_guards(g, 0);
	cgroup_kill(&g->rt->cgroups, b.rec.id);
	guest_done(g, &b);
	return silent ? NOTHING : 0;
}

static int daemonised(struct ground *g, uint32_t profile, uint32_t off)
{
	struct guest b = guest_new(g, profile, off);
	int out;
	bool silent;

	if (guest_start(g, &b, (const char *const[]){"daemon", NULL}, -1) < 0 ||
		!guest_wait(g, &b, 10))
		return DIED;
	out = TAKE_FD(b.out);
	guest_done(g, &b); /* whoever is left is killed by the cleaning up */
	b.out = out;
	silent = guest_silent(&b, SILENT_MS);
	close(out);
	ground_guards(g, 0);
	cgroup_kill(&g->rt->cgroups, b.rec.id);
	return silent ? NOTHING : 0;
}

/* A process with a number that another one had. */
static pid_t born_as(pid_t number)
{
	struct clone_args a = {.exit_signal = SIGCHLD,
		.set_tid = (uint64_t)(uintptr_t)&number,
		.set_tid_size = 1};
	pid_t pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a));

	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static int pid_reuse(struct ground *g, uint32_t profile, uint32_t off)
{
	struct guest b = guest_new(g, profile, off);
	bool killed;
	pid_t victim;

	if (guest_start(g, &b, (const char *const[]){"pid_reuse", "wait", NULL}, -1) <
			0 ||
		!answered(&b))
		return DIED;
	pidfd_send_signal(b.pidfd, SIGKILL, NULL, 0);
	if (!guest_wait(g, &b, 10))
		return DIED;
	usleep(30000); /* start times are told in steps of 10 ms */
	victim = born_as((pid_t)b.rec.pid);
	if (victim != (pid_t)b.rec.pid)
		return DIED;
	int fd autoclose = pidfd_open(victim, 0);
	sandbox_kill(g->rt, &b.rec);
	killed = readable(fd, GRACE_MS);
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	guest_done(g, &b);
	return killed ? 0 : NOTHING;
}

static const struct {
	const char *name;
	int (*run)(struct ground *g, uint32_t profile, uint32_t off);
} runs[] = {{"log_flood", log_flood}, {"fork_at_kill", fork_at_kill},
	{"daemon", daemonised}, {"pid_reuse", pid_reuse}, {"inotify", share_inotify},
	{"timers", share_timers}, {"mqueues", share_mqueues},
	{"terminals", share_terminals}, {"pass_linger", pass_linger}};

bool special_own(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(runs); i++)
		if (strcmp(runs[i].name, name) == 0)
			return true;
	return false;
}

bool special_run(
	struct ground *g, const char *name, uint32_t profile, uint32_t off, int *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(runs); i++)
		if (strcmp(runs[i].name, name) == 0) {
			*ret = runs[i].run(g, profile, off);
			return true;
		}
	return false;
}
