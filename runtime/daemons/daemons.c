/* berth's own programs: started, confined, restarted. */
#include "runtime/daemons/daemons.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/msg.h"
#include "runtime/daemons/daemon_start.h"
#include "runtime/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#define REPLACE_GAP_MS 100 /* so that one is at work before the next one goes */
#define REPLACE_AGAIN_MS 1000
#define DAEMON_STEADY_NS 2000000000ull /* ran longer: the next restart is at once */

struct one {
	struct daemons *all;
	char name[DAEMON_NAME_MAX];
	struct daemon_program program;
	pid_t pid; /* 0: not running */
	int pidfd;
	uint64_t start_time, since_ns;
	unsigned int delay_ms;	     /* before the next restart */
	bool stopping, adopted, old; /* adopted: found running; old: makes way */
	struct loop_io *watch;
	struct loop_timer *timer;
};

/* A router that has a successor and ends with its last request. */
struct leaver {
	struct daemons *all;
	pid_t pid;
	int pidfd;
	uint64_t start_time;
	bool ending;
	struct loop_io *watch;
	struct leaver *next; /* a younger one */
};

struct daemons {
	struct loop *loop;
	const struct settings *settings;
	const struct handoff *handoff;
	struct one list[DAEMONS_MAX];
	unsigned int n;
	struct loop_timer *kill_timer, *replace_timer;
	struct leaver *leavers;
	bool replacing; /* an upgrade is not over */
	void (*done)(void *arg);
	void *done_arg;
};

static int find_user(const char *name, uid_t *uid, gid_t *gid, struct err *e)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(name);
	if (!pw)
		return err_set(e, ENOENT,
			"there is no user %s; make berth's users with: berth-users",
			name);
	if (pw->pw_uid == 0)
		return err_set(e, EPERM, "user %s must not be root", name);
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return 0;
}

int daemon_ids_load(struct daemon_ids *ids, const char *ssh_user, struct err *e)
{
	int r;

	if ((r = find_user("_berth", &ids->control_uid, &ids->control_gid, e)) < 0 ||
		(r = find_user("_berth-log", &ids->logger_uid, &ids->logger_gid, e)) <
			0 ||
		(r = find_user("_berth-router", &ids->router_uid, &ids->router_gid, e)) <
			0 ||
		(r = find_user("_berth-build", &ids->build_uid, &ids->build_gid, e)) < 0)
		return r;
	return find_user(ssh_user, &ids->ssh_uid, &ids->ssh_gid, e);
}

static void add_line(const struct daemons *d, struct buf *b, const char *name, pid_t pid,
	uint64_t start_time)
{
	buf_addf(b, "%s %d %llu %llu\n", name, (int)pid, (unsigned long long)start_time,
		(unsigned long long)d->handoff->generation);
}

static int write_list(const struct daemons *d)
{
	autobuf b = BUF_INIT;
	char path[SETTINGS_PATH_MAX + 32], temp[SETTINGS_PATH_MAX + 32];
	int fd autoclose = -1;
	int r;

	for (unsigned int i = 0; i < d->n; i++) {
		const struct one *o = &d->list[i];

		if (o->pid)
			add_line(d, &b, o->name, o->pid, o->start_time);
	}
	for (const struct leaver *l = d->leavers; l; l = l->next)
		add_line(d, &b, DAEMON_LEFT, l->pid, l->start_time);
	snprintf(path, sizeof(path), "%s/daemons", d->settings->run);
	snprintf(temp, sizeof(temp), "%s/daemons.new", d->settings->run);
	fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	/* No fsync: after a power loss no process of the list lives. */
	r = fd < 0     ? -errno
	    : b.failed ? -ENOMEM
		       : io_write_all(fd, b.len ? b.data : "", b.len);
	if (r == 0 && rename(temp, path) < 0)
		r = -errno;
	if (r < 0)
		log_error("cannot write %s: %s", path, strerror(-r));
	return r;
}

static bool start(struct one *o);
static void plan_next(struct daemons *d, unsigned int delay_ms);

static void restart_timer(void *arg)
{
	struct one *o = arg;

	o->timer = NULL;
	if (start(o))
		plan_next(o->all, REPLACE_GAP_MS);
}

static void plan_restart(struct one *o)
{
	unsigned int delay = o->delay_ms;

	if (o->stopping)
		return;
	o->delay_ms = delay == 0			  ? 50
		      : delay * 2 > DAEMON_RESTART_MAX_MS ? DAEMON_RESTART_MAX_MS
							  : delay * 2;
	o->timer = loop_after(o->all->loop, delay, restart_timer, o);
	if (!o->timer)
		log_error("cannot plan the restart of %s", o->name);
}

static void forget_process(struct one *o)
{
	loop_del(o->watch);
	o->watch = NULL;
	if (o->pidfd >= 0)
		close(o->pidfd);
	o->pidfd = -1;
	o->pid = 0;
}

static void check_stopped(struct daemons *d)
{
	void (*done)(void *arg) = d->done;

	if (!done)
		return;
	for (unsigned int i = 0; i < d->n; i++)
		if (d->list[i].stopping && d->list[i].pid)
			return;
	if (d->leavers)
		return;
	loop_cancel(d->kill_timer);
	d->kill_timer = NULL;
	d->done = NULL;
	done(d->done_arg);
}

static void tell_end(const struct one *o, const siginfo_t *si)
{
	char how[32] = "";

	if (si->si_pid)
		snprintf(how, sizeof(how), " (%s %d)",
			si->si_code == CLD_EXITED ? "status" : "signal", si->si_status);
	log_warn("%s[%d] ended%s; starting it again%s", o->name, (int)o->pid, how,
		o->delay_ms ? " after a pause" : "");
}

static void replaced(struct one *o);

static void on_exit_seen(void *arg, uint32_t events UNUSED)
{
	struct one *o = arg;
	siginfo_t si = {0};

	/* ECHILD when an earlier worker started it: the monitor reaps it. */
	(void)waitid(P_PIDFD, (id_t)o->pidfd, &si, WEXITED | WNOHANG);
	if (io_mono_ns() - o->since_ns > DAEMON_STEADY_NS)
		o->delay_ms = 0;
	if (o->old)
		log_info("%s[%d] made way", o->name, (int)o->pid);
	else if (!o->stopping)
		tell_end(o, &si);
	forget_process(o);
	if (o->old) {
		replaced(o);
		return;
	}
	(void)write_list(o->all);
	plan_restart(o);
	check_stopped(o->all);
}

static int watch(struct one *o, pid_t pid, int pidfd, uint64_t start_time)
{
	o->pid = pid;
	o->pidfd = pidfd;
	o->start_time = start_time;
	o->since_ns = io_mono_ns();
	o->watch = loop_add(o->all->loop, pidfd, EPOLLIN, on_exit_seen, o);
	return o->watch ? 0 : -ENOMEM;
}

/* 0, or -errno: the next worker would not find it. */
static int write_down(struct one *o, pid_t pid, int pidfd)
{
	uint64_t start_time = 0;
	int found = process_start_time(pid, &start_time);
	int r = watch(o, pid, pidfd, start_time);

	if (r == 0)
		r = found;
	return r < 0 ? r : write_list(o->all);
}

/* It runs only if the list has it: else the next worker would start a second one, and both
 * would read from one pair. False: it does not, and is tried again. */
static bool start(struct one *o)
{
	struct err e = {0};
	int pidfd, go, r;
	pid_t pid = daemon_start(&o->program, &pidfd, &go, &e);

	o->adopted = false;
	if (pid < 0) {
		log_error("cannot start %s: %s", o->name, e.text);
		plan_restart(o);
		return false;
	}
	r = write_down(o, pid, pidfd);
	if (r == 0) {
		process_go(go);
		return true;
	}
	log_error("cannot start %s: %s", o->name, strerror(-r));
	close(go); /* it ends at once */
	waitpid(pid, NULL, 0);
	forget_process(o);
	plan_restart(o);
	return false;
}

static struct one *find(struct daemons *d, const char *name)
{
	for (unsigned int i = 0; i < d->n; i++)
		if (strcmp(d->list[i].name, name) == 0)
			return &d->list[i];
	return NULL;
}

/* Only this program writes that file. */
static bool parse_line(const char *line, struct daemon_line *f)
{
	char *end;
	const char *space = strchr(line, ' ');
	size_t len = space ? (size_t)(space - line) : 0;

	if (len == 0 || len >= sizeof(f->name))
		return false;
	memcpy(f->name, line, len);
	f->name[len] = '\0';
	f->pid = (pid_t)strtol(space, &end, 10);
	f->start_time = strtoull(end, &end, 10);
	f->generation = strtoull(end, &end, 10);
	return f->pid > 0 && f->generation > 0 && *end == '\0';
}

/* Ends a program that holds descriptors of an earlier berthd. */
static void end_stale(const struct daemon_line *f, int pidfd)
{
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	log_info("ending %s[%d] of an earlier start", f->name, (int)f->pid);
	pidfd_send_signal(pidfd, SIGTERM, NULL, 0);
	if (poll(&p, 1, DAEMON_STOP_MS / 3) == 0) {
		pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
		poll(&p, 1, DAEMON_STOP_MS);
	}
}

/* ---- routers that have made way ---- */

static void free_leaver(struct leaver *l)
{
	struct leaver **at = &l->all->leavers;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	loop_del(l->watch);
	close(l->pidfd);
	free(l);
}

static void leaver_ended(void *arg, uint32_t events UNUSED)
{
	struct leaver *l = arg;
	struct daemons *d = l->all;
	siginfo_t si;

	(void)waitid(P_PIDFD, (id_t)l->pidfd, &si, WEXITED | WNOHANG);
	log_info("berth-router[%d] that made way has ended", (int)l->pid);
	free_leaver(l);
	(void)write_list(d);
	check_stopped(d);
}

static void signal_leavers(struct daemons *d, int signo)
{
	for (struct leaver *l = d->leavers; l; l = l->next)
		pidfd_send_signal(l->pidfd, signo, NULL, 0);
}

/* Each keeps some memory, and somebody may never close his window. */
static void bound_leavers(struct daemons *d)
{
	struct leaver *eldest = NULL;
	unsigned int n = 0;

	for (struct leaver *l = d->leavers; l; l = l->next) {
		n += !l->ending;
		eldest = eldest || l->ending ? eldest : l;
	}
	if (n < DAEMON_LEAVERS_MAX)
		return;
	log_warn("berth-router[%d] made way %u upgrades of routers ago and still has "
		 "requests: ending it",
		(int)eldest->pid, n);
	eldest->ending = true;
	pidfd_send_signal(eldest->pidfd, SIGTERM, NULL, 0);
}

/* Takes pidfd over. */
static void add_leaver(struct daemons *d, pid_t pid, int pidfd, uint64_t start_time)
{
	struct leaver *l = calloc(1, sizeof(*l)), **at = &d->leavers;

	bound_leavers(d);
	if (l)
		*l = (struct leaver){
			.all = d, .pid = pid, .pidfd = pidfd, .start_time = start_time};
	if (l)
		l->watch = loop_add(d->loop, pidfd, EPOLLIN, leaver_ended, l);
	if (!l || !l->watch) {
		log_error(
			"no memory to watch berth-router[%d], which made way", (int)pid);
		free(l);
		close(pidfd);
		return;
	}
	while (*at)
		at = &(*at)->next;
	*at = l;
}

/* ---- those that run already ---- */

static void take_found(struct daemons *d, const struct daemon_line *f)
{
	int pidfd autoclose = process_open(f->pid, f->start_time);
	struct one *o = d ? find(d, f->name) : NULL;
	bool ours = d && f->generation == d->handoff->generation;

	if (pidfd < 0)
		return;
	if (ours && strcmp(f->name, DAEMON_LEFT) == 0) {
		add_leaver(d, f->pid, TAKE_FD(pidfd), f->start_time);
		return;
	}
	if (!o || o->pid || !ours) {
		end_stale(f, pidfd);
		return;
	}
	log_info("%s[%d] still runs", f->name, (int)f->pid);
	o->adopted = true;
	if (watch(o, f->pid, TAKE_FD(pidfd), f->start_time) < 0)
		log_error("cannot watch %s", o->name);
}

int daemons_read(const struct settings *s, struct daemon_line *ret)
{
	char path[SETTINGS_PATH_MAX + 32];
	autobuf b = {.max = 65536};
	int n = 0, r;

	snprintf(path, sizeof(path), "%s/daemons", s->run);
	r = io_read_file(AT_FDCWD, path, &b);
	if (r < 0 || !b.data)
		return r;
	for (char *line = b.data, *next; *line && n < DAEMONS_MAX; line = next) {
		next = strchr(line, '\n');
		if (!next)
			break;
		*next++ = '\0';
		n += parse_line(line, &ret[n]);
	}
	return n;
}

static void read_list(struct daemons *d, const struct settings *s)
{
	struct daemon_line lines[DAEMONS_MAX];
	int n = daemons_read(s, lines);

	for (int i = 0; i < n; i++)
		take_found(d, &lines[i]);
}

void daemons_end_leftovers(const struct settings *s)
{
	read_list(NULL, s);
}

static void add(struct daemons *d, const char *name, unsigned int worker)
{
	struct one *o = &d->list[d->n++];

	o->all = d;
	o->pidfd = -1;
	if (worker == DAEMON_NO_WORKER)
		snprintf(o->name, sizeof(o->name), "%s", name);
	else
		snprintf(o->name, sizeof(o->name), "%s.%u", name, worker);
	o->program.worker = worker;
	o->program.settings = d->settings;
	o->program.handoff = d->handoff;
}

struct daemons *daemons_new(struct loop *l, const struct settings *s,
	const struct handoff *h, const struct daemon_ids *ids)
{
	struct daemons *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->loop = l;
	d->settings = s;
	d->handoff = h;
	/* The logger first: the others write to its pipe. */
	add(d, "logger", DAEMON_NO_WORKER);
	d->list[0].program.kind = DAEMON_LOGGER;
	add(d, "control", DAEMON_NO_WORKER);
	d->list[1].program.kind = DAEMON_CONTROL;
	for (unsigned int w = 0; w < h->n_workers; w++) {
		add(d, "router", w);
		d->list[d->n - 1].program.kind = DAEMON_ROUTER;
	}
	for (unsigned int i = 0; i < d->n; i++)
		d->list[i].program.ids = ids;
	return d;
}

void daemons_start(struct daemons *d)
{
	read_list(d, d->settings);
	for (unsigned int i = 0; i < d->n; i++)
		if (!d->list[i].pid)
			(void)start(&d->list[i]);
	(void)write_list(d);
}

/* ---- an upgrade ---- */

static void replace_next(void *arg);

static void plan_next(struct daemons *d, unsigned int delay_ms)
{
	if (!d->replacing)
		return;
	loop_cancel(d->replace_timer);
	d->replace_timer = loop_after(d->loop, delay_ms, replace_next, d);
}

/* The old process is gone or has left: the new one starts; once it runs, the next makes way. */
static void replaced(struct one *o)
{
	o->old = false;
	loop_cancel(o->timer);
	o->timer = NULL;
	if (o->stopping) {
		check_stopped(o->all);
		return;
	}
	if (start(o))
		plan_next(o->all, REPLACE_GAP_MS);
}

static void way_timeout(void *arg)
{
	struct one *o = arg;

	o->timer = NULL;
	log_warn("%s[%d] did not make way: killing it", o->name, (int)o->pid);
	pidfd_send_signal(o->pidfd, SIGKILL, NULL, 0);
}

static struct one *next_old(struct daemons *d)
{
	struct one *control = NULL;

	for (unsigned int i = 0; i < d->n; i++) {
		struct one *o = &d->list[i];

		if (!o->old || !o->pid)
			continue;
		if (o->program.kind != DAEMON_CONTROL)
			return o;
		control = o; /* it may take long */
	}
	return control;
}

static bool all_run(const struct daemons *d)
{
	for (unsigned int i = 0; i < d->n; i++)
		if (!d->list[i].pid)
			return false;
	return true;
}

/* Nobody makes way whose successor could not start: see start. */
static void replace_next(void *arg)
{
	struct daemons *d = arg;
	struct one *o = next_old(d);

	d->replace_timer = NULL;
	if (!all_run(d)) /* the start of that one plans the next */
		return;
	if (!o) {
		log_info("upgrade: all programs are new");
		d->replacing = false;
		return;
	}
	if (o->timer) /* told already: another one ended meanwhile */
		return;
	if (write_list(d) < 0) {
		plan_next(d, REPLACE_AGAIN_MS);
		return;
	}
	pidfd_send_signal(
		o->pidfd, o->program.kind == DAEMON_LOGGER ? SIGTERM : SIGUSR2, NULL, 0);
	o->timer = loop_after(d->loop, DAEMON_WAY_MS, way_timeout, o);
}

void daemons_replace(struct daemons *d, uint64_t before)
{
	for (unsigned int i = 0; i < d->n; i++) {
		struct one *o = &d->list[i];

		o->old = o->adopted && o->start_time <= before;
	}
	d->replacing = next_old(d);
	plan_next(d, REPLACE_GAP_MS);
}

void daemons_left(struct daemons *d, unsigned int worker)
{
	struct one *o = NULL;

	for (unsigned int i = 0; i < d->n; i++)
		if (d->list[i].program.kind == DAEMON_ROUTER &&
			d->list[i].program.worker == worker)
			o = &d->list[i];
	if (!o || !o->old || !o->pid) /* only one that was told to leaves */
		return;
	log_info("%s[%d] made way", o->name, (int)o->pid);
	loop_del(o->watch);
	o->watch = NULL;
	add_leaver(d, o->pid, TAKE_FD(o->pidfd), o->start_time);
	o->pid = 0;
	(void)write_list(d); /* a later worker starts the new one, whatever comes now */
	replaced(o);
}

static void signal_all(struct daemons *d, int signo)
{
	for (unsigned int i = 0; i < d->n; i++)
		if (d->list[i].pid && d->list[i].stopping)
			pidfd_send_signal(d->list[i].pidfd, signo, NULL, 0);
	signal_leavers(d, signo);
}

static void kill_late(void *arg)
{
	struct daemons *d = arg;

	d->kill_timer = NULL;
	signal_all(d, SIGKILL);
}

void daemons_stop(struct daemons *d, bool logger_too, void (*done)(void *arg), void *arg)
{
	d->done = done;
	d->done_arg = arg;
	for (unsigned int i = 0; i < d->n; i++) {
		if (d->list[i].program.kind == DAEMON_LOGGER && !logger_too)
			continue;
		d->list[i].stopping = true;
		loop_cancel(d->list[i].timer);
		d->list[i].timer = NULL;
	}
	loop_cancel(d->replace_timer);
	d->replace_timer = NULL;
	d->replacing = false;
	signal_all(d, SIGTERM);
	d->kill_timer = loop_after(d->loop, DAEMON_STOP_MS, kill_late, d);
	check_stopped(d);
}

void daemons_free(struct daemons *d)
{
	if (!d)
		return;
	for (unsigned int i = 0; i < d->n; i++) {
		loop_cancel(d->list[i].timer);
		forget_process(&d->list[i]);
	}
	while (d->leavers)
		free_leaver(d->leavers);
	loop_cancel(d->kill_timer);
	loop_cancel(d->replace_timer);
	free(d);
}
