/* One-off programs beside an app, and entering its instances. */
#include "control/builds/own_start.h"
#include "control/engine.h"
#include "control/env.h"
#include "control/run/fleet.h"
#include "control/run/sleep.h"
#include "control/settings.h"
#include "lib/io.h"
#include "lib/spec.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>

#define CHECK_END_MS 5000 /* for one that was killed */

struct live {
	struct db_app app;
	struct db_release release;
	struct db_image image;
};

static void unload(struct live *l)
{
	db_release_clear(&l->release);
	db_image_clear(&l->image);
}

/* Of l->app; 0: the live one. What was loaded before goes. */
static int load_release(struct control *c, uint32_t version, struct live *l)
{
	unload(l);
	int r = db_release_get(c->db, l->app.id, version, &l->release);

	return r < 0 ? r : db_image_get(c->db, l->release.image, &l->image);
}

static int load(struct control *c, uint32_t app, struct live *l, struct err *e)
{
	int r = db_app_by_id(c->db, app, &l->app);

	if (r == 0 && l->app.live_version == 0)
		return err_set(
			e, ENOENT, "%s has no release yet; push first", l->app.name);
	if (r == 0)
		r = load_release(c, 0, l);
	return r < 0 ? err_sys(e, -r, "read the live release") : 0;
}

/* Pipes for the three streams: theirs go into the sandbox, ours to the caller. */
static int make_stdio(int theirs[3], int ours[3])
{
	for (int i = 0; i < 3; i++) {
		int p[2];
		if (pipe2(p, O_CLOEXEC) < 0)
			return -errno;
		theirs[i] = i == 0 ? p[0] : p[1];
		ours[i] = i == 0 ? p[1] : p[0];
	}
	return 0;
}

static void close_all(int fds[3])
{
	for (int i = 0; i < 3; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

static void set_size(int pty, const struct oneoff *o)
{
	struct winsize size = {
		.ws_row = (unsigned short)o->rows, .ws_col = (unsigned short)o->cols};

	if (pty >= 0 && o->rows && o->cols)
		ioctl(pty, TIOCSWINSZ, &size); /* a wrong size is no reason to fail */
}

/* A number that is taken, from before its row is there. */
struct claim {
	uint32_t app, number;
	const char *kind;
	struct claim *next;
};

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static struct claim *claims; /* program-wide like the apps themselves */

static bool is_taken(const struct claim *k, const struct db_instance *rows, int n)
{
	for (const struct claim *other = claims; other; other = other->next)
		if (other->app == k->app && other->number == k->number &&
			strcmp(other->kind, k->kind) == 0)
			return true;
	for (int i = 0; i < n; i++)
		if (strcmp(rows[i].kind, k->kind) == 0 &&
			strcmp(rows[i].type, k->kind) == 0 && rows[i].number == k->number)
			return true;
	return false;
}

/* The lowest that is free, until drop_number. */
static void claim_number(struct control *c, struct claim *k)
{
	struct db_instance *rows autofree = NULL;

	pthread_mutex_lock(&guard);
	int n = db_instance_list(c->db, k->app, false, &rows);
	for (k->number = 1; is_taken(k, rows, n); k->number++)
		;
	k->next = claims;
	claims = k;
	pthread_mutex_unlock(&guard);
}

static void drop_number(struct claim *k)
{
	pthread_mutex_lock(&guard);
	struct claim **at = &claims;
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	pthread_mutex_unlock(&guard);
}

static int run_new(struct control *c, struct live *l, const struct oneoff *o,
	int stdio[3], struct oneoff_handle *ret, struct err *e)
{
	const char *first = o->cron		    ? o->cron
			    : o->argv && o->argv[0] ? o->argv[0]
						    : o->type;
	const char *command = NULL, *kind = o->cron ? "cron" : "run";
	struct member m;
	int pty = -1;

	/* `run app migrate` runs the process type of that name, as elsewhere. */
	if (first && (!o->argv || !o->argv[0] || !o->argv[1]))
		command = json_string_value(json_object_get(l->image.processes, first));
	if (!command)
		command = o->cron;
	if (!command && (!o->argv || !o->argv[0]))
		return err_set(e, EINVAL, "no command given");
	if (o->type && !json_object_get(l->image.processes, o->type))
		return err_set(
			e, EINVAL, "%s has no process type \"%s\"", l->app.name, o->type);
	struct claim number = {.app = l->app.id, .kind = kind};
	claim_number(c, &number);
	struct fleet_start s = {.app = &l->app,
		.release = &l->release,
		.image = &l->image,
		.type = kind,
		.limits = o->cron ? "run" : o->type,
		.command = command,
		.argv = o->argv,
		.env = o->env,
		.term = o->tty ? o->term : NULL,
		.kind = kind,
		.actor = o->actor,
		.detached = o->detach,
		.number = number.number,
		.flags = o->tty	     ? START_TTY
			 : o->detach ? 0
				     : START_STDIO,
		.stdio = o->tty || o->detach ? NULL : stdio};
	int r = fleet_start(c, &s, &m, &pty, e);
	drop_number(&number);
	if (r < 0)
		return r;
	ret->id = m.id;
	ret->number = s.number;
	snprintf(ret->name, sizeof(ret->name), "%s.%u", kind, s.number);
	if (o->tty)
		ret->fds[0] = pty;
	return 0;
}

static int find_instance(struct control *c, uint32_t app, const char *name,
	struct member *ret, struct err *e)
{
	struct member *m autofree = NULL;
	int n = fleet_list(c, app, NULL, &m);
	autobuf names = BUF_INIT;
	char one[48];

	for (int i = 0; i < n; i++) {
		if (m[i].state != MEMBER_READY)
			continue;
		snprintf(one, sizeof(one), "%s.%u", m[i].type, m[i].number);
		if (strcmp(one, name) == 0) {
			*ret = m[i];
			return 0;
		}
		buf_addf(&names, "%s%s", names.len ? ", " : "", one);
	}
	return err_set(e, ENOENT, "no running instance %s; running: %s", name,
		names.len ? names.data : "none");
}

static int pack_enter(
	struct control *c, struct live *l, const struct oneoff *o, const struct member *m)
{
	const char *shell[] = {"/bin/sh", NULL};
	struct msg_limits_body limits;
	char name[48];

	app_limits(c, l->app.id, m->type, &limits);
	snprintf(name, sizeof(name), "%s.%u", m->type, m->number);
	struct env_for f = {.app = &l->app,
		.release = &l->release,
		.image = &l->image,
		.name = name,
		.type = m->type,
		.limits = &limits,
		.port = m->port,
		.term = o->tty ? o->term : NULL,
		.extra = o->env};
	char **env = env_build(&f);
	const char *argv[ONEOFF_WORDS_MAX + 5] = {"/bin/sh", "-c", "exec \"$@\"", "sh"};
	const char *const *words = o->argv && o->argv[0] ? o->argv : shell;
	size_t n = 4;
	int fd = -ENOMEM;
	const char *const *a = words;
	for (; *a && n + 1 < ARRAY_LEN(argv); a++)
		argv[n++] = *a;
	if (env && own_start(&l->image))
		fd = own_start_pack(&l->image, NULL, words, (const char *const *)env);
	else if (env)
		fd = *a ? -E2BIG : spec_pack(argv, (const char *const *)env, "/app");
	env_free(env);
	return fd;
}

/* Awake, if it is one that sleeps with the app; its release becomes l's. */
static int find_awake(struct control *c, struct live *l, const struct oneoff *o,
	struct member *ret, struct err *e)
{
	int r = strncmp(o->instance, "web.", 4) == 0
			? sleep_keep_awake(c, l->app.id, "berth enter", e)
			: 0;

	if (r == 0)
		r = find_instance(c, l->app.id, o->instance, ret, e);
	if (r < 0)
		return r;
	/* a canary's, or one that the last deploy is about to stop */
	if (ret->version != l->release.version &&
		(r = load_release(c, ret->version, l)) < 0)
		return err_sys(
			e, -r, "read v%u, which %s is of", ret->version, o->instance);
	return 0;
}

/* Starts it inside target; its row is there. */
static int enter_target(struct control *c, struct live *l, const struct oneoff *o,
	const struct member *target, uint64_t id, int stdio[3], int *ret_pty,
	struct err *e)
{
	int spec autoclose = pack_enter(c, l, o, target);
	if (spec < 0)
		return err_sys(e, -spec, "pack the command");
	struct msg_enter m = {.id = id,
		.target = target->id,
		.flags = o->tty ? START_TTY : START_STDIO};
	int fds[4] = {spec, stdio[0], stdio[1], stdio[2]};
	int r = engine_expect(c->engine, id);
	if (r == 0)
		r = engine_enter(c->engine, &m, fds, o->tty ? 1 : 4, ret_pty, e);
	if (r < 0) {
		engine_forget(c->engine, id);
		engine_stop(c->engine, id, 0); /* as fleet_start */
	}
	return r;
}

static int enter(struct control *c, struct live *l, const struct oneoff *o, int stdio[3],
	struct oneoff_handle *ret, struct err *e)
{
	struct db_instance row = {.app = l->app.id,
		.number = 1,
		.kind = "run",
		.type = "enter",
		.state = "starting",
		.started_us = io_now_us()};
	struct member target;
	int pty = -1;

	int r = find_awake(c, l, o, &target, e);
	if (r < 0)
		return r;
	row.version = l->release.version;
	r = db_instance_create(c->db, &row);
	if (r < 0)
		return err_sys(e, -r, "record it");
	/* It may have begun to fall asleep before the row was there. */
	r = find_awake(c, l, o, &target, e);
	if (r == 0 && target.version != row.version) { /* a deploy was faster */
		db_instance_exit(c->db, row.id, "not started", io_now_us());
		return enter(c, l, o, stdio, ret, e);
	}
	if (r == 0)
		r = enter_target(c, l, o, &target, row.id, stdio, &pty, e);
	if (r < 0) {
		db_instance_exit(c->db, row.id, "not started", io_now_us());
		return r;
	}
	ret->id = row.id;
	snprintf(ret->name, sizeof(ret->name), "%s", o->instance);
	if (o->tty)
		ret->fds[0] = pty;
	return 0;
}

int oneoff_start(struct control *c, uint32_t app, const struct oneoff *o,
	struct oneoff_handle *ret, struct err *e)
{
	int theirs[3] = {-1, -1, -1};
	struct live l = {0};

	*ret = (struct oneoff_handle){.fds = {-1, -1, -1}};
	int r = load(c, app, &l, e);
	if (r == 0 && !o->tty && !o->detach && (r = make_stdio(theirs, ret->fds)) < 0)
		err_sys(e, -r, "make pipes");
	if (r == 0)
		r = o->instance ? enter(c, &l, o, theirs, ret, e)
				: run_new(c, &l, o, theirs, ret, e);
	close_all(theirs);
	if (r < 0)
		close_all(ret->fds);
	else if (o->tty)
		set_size(ret->fds[0], o);
	if (r == 0 && o->detach && !o->cron)
		engine_forget(c->engine, ret->id);
	if (r == 0)
		db_instance_state(c->db, ret->id, "running");
	unload(&l);
	return r;
}

int oneoff_signal(struct control *c, uint64_t id, int signo)
{
	struct msg_signal m = {.id = id, .signo = (uint32_t)signo};

	return engine_call(c->engine, MSG_SIGNAL, &m, sizeof(m), NULL, 0, NULL);
}

int oneoff_stop(struct control *c, uint64_t id)
{
	return engine_stop(c->engine, id, 5000);
}

void oneoff_abandon(struct control *c, uint64_t id)
{
	oneoff_stop(c, id);
	engine_forget(c->engine, id);
}

/* As a shell has it. */
static int status_of(const struct msg_exited *x, char reason[160])
{
	exit_text(x, reason);
	switch ((enum exit_reason)x->reason) {
	case EXIT_REASON_EXITED:
		return x->value;
	case EXIT_REASON_SIGNALED:
	case EXIT_REASON_OOM:
		return 128 + (x->value ? x->value : SIGKILL);
	case EXIT_REASON_EXEC:
	case EXIT_REASON_LOST:
		break;
	}
	return 125;
}

int oneoff_wait(
	struct control *c, uint64_t id, int watch_fd, int *ret_status, char reason[160])
{
	struct pollfd p[2] = {{.fd = engine_exit_fd(c->engine, id), .events = POLLIN},
		{.fd = watch_fd, .events = POLLIN | POLLRDHUP}};
	struct msg_exited x;

	while (engine_wait_exit(c->engine, id, 0, &x) != 0) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents && !p[0].revents)
			return -EAGAIN;
	}
	engine_forget(c->engine, id);
	*ret_status = status_of(&x, reason);
	return 0;
}

/* ---- a command that checks an instance ---- */

/* The instance as enter() wants it, with the release that it is of. */
static int find_of(
	struct control *c, uint64_t instance, struct live *l, struct member *ret)
{
	struct db_instance i;
	int r = db_instance_get(c->db, instance, &i);

	if (r == 0)
		r = db_app_by_id(c->db, i.app, &l->app);
	if (r == 0)
		r = load_release(c, i.version, l);
	*ret = (struct member){.id = instance, .number = i.number};
	snprintf(ret->type, sizeof(ret->type), "%s", i.type);
	return r;
}

static int await_check(
	struct control *c, uint64_t id, int timeout_ms, int *ret_status, char reason[160])
{
	struct msg_exited x;
	int r = engine_wait_exit(c->engine, id, timeout_ms, &x);

	if (r == 0) {
		*ret_status = status_of(&x, reason);
		return 0;
	}
	engine_stop(c->engine, id, 0);
	engine_wait_exit(c->engine, id, CHECK_END_MS, &x);
	return r;
}

/* Its row gives it an id, and goes with it: checks are many. */
static int check_in(struct control *c, struct live *l, const struct member *target,
	const char *const *argv, int timeout_ms, int *ret_status, char reason[160])
{
	struct db_instance row = {.app = l->app.id,
		.number = 1,
		.version = l->release.version,
		.kind = "check", /* not "run": it is nobody's, and keeps no app awake */
		.type = "enter"};
	struct oneoff o = {.argv = argv};
	struct err e = {0};
	int spec autoclose = pack_enter(c, l, &o, target);
	int null autoclose = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (spec < 0 || null < 0)
		return spec < 0 ? spec : -errno;
	int r = db_instance_create(c->db, &row);
	if (r < 0)
		return r;
	struct msg_enter m = {.id = row.id, .target = target->id, .flags = START_STDIO};
	int fds[4] = {spec, null, null, null};
	r = engine_expect(c->engine, row.id);
	if (r == 0)
		r = engine_enter(c->engine, &m, fds, 4, NULL, &e);
	if (r == 0)
		r = await_check(c, row.id, timeout_ms, ret_status, reason);
	else
		engine_stop(c->engine, row.id, 0); /* as fleet_start */
	engine_forget(c->engine, row.id);
	db_instance_delete(c->db, row.id);
	return r;
}

int oneoff_check(struct control *c, uint64_t instance, const char *const *argv,
	int timeout_ms, int *ret_status, char reason[160])
{
	struct live l = {0};
	struct member target;
	int r = find_of(c, instance, &l, &target);

	if (r == 0)
		r = check_in(c, &l, &target, argv, timeout_ms, ret_status, reason);
	unload(&l);
	return r;
}
