/* The instances that run: membership, exits and restarts. */
#include "control/fleet.h"
#include "control/applog.h"
#include "control/command.h"
#include "control/engine.h"
#include "control/env.h"
#include "control/probe.h"
#include "control/routes.h"
#include "control/settings.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/spec.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 60000
#define STABLE_US 60000000u /* an instance that lived this long starts its count anew */
#define STACK_BYTES (256 << 10)

struct node {
	struct member m;
	struct node *next;
};

struct held {
	uint32_t app;
	struct held *next;
};

struct fleet {
	pthread_mutex_t lock;
	struct node *members;
	struct held *held;
};

int fleet_open(struct control *c, struct fleet **ret)
{
	struct fleet *f = calloc(1, sizeof(*f));

	(void)c;
	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	*ret = f;
	return 0;
}

/* ---- membership ---- */

static struct node **find(struct fleet *f, uint64_t id)
{
	struct node **at = &f->members;

	while (*at && (*at)->m.id != id)
		at = &(*at)->next;
	return at;
}

static int add_member(struct fleet *f, const struct member *m)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->m = *m;
	pthread_mutex_lock(&f->lock);
	n->next = f->members;
	f->members = n;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

/* true and *ret when it was one. */
static bool remove_member(struct fleet *f, uint64_t id, struct member *ret)
{
	pthread_mutex_lock(&f->lock);
	struct node **at = find(f, id), *n = *at;
	if (n) {
		*ret = n->m;
		*at = n->next;
		free(n);
	}
	pthread_mutex_unlock(&f->lock);
	return n != NULL;
}

int fleet_list(struct control *c, uint32_t app, const char *type, struct member **ret)
{
	struct fleet *f = c->fleet;
	size_t n = 0, cap = 0;

	*ret = NULL;
	pthread_mutex_lock(&f->lock);
	for (struct node *i = f->members; i; i = i->next) {
		if ((app && i->m.app != app) || (type && strcmp(i->m.type, type) != 0))
			continue;
		if (n == cap) {
			cap = cap ? cap * 2 : 8;
			struct member *more = realloc(*ret, cap * sizeof(*more));
			if (!more)
				break;
			*ret = more;
		}
		(*ret)[n++] = i->m;
	}
	pthread_mutex_unlock(&f->lock);
	return (int)n;
}

void fleet_adopt(struct control *c, const struct member *m)
{
	if (add_member(c->fleet, m) < 0)
		log_warn("instance %llu: out of memory", (unsigned long long)m->id);
}

/* Is there room for this instance: right release, app running, its number in the formation and not taken? */
static bool wanted(struct control *c, const struct member *m)
{
	struct db_app app;

	return db_app_by_id(c->db, m->app, &app) == 0 && !app.removing && !app.stopped &&
	       app.live_version == m->version &&
	       m->number <= app_quantity(c, m->app, m->type);
}

static bool taken(struct fleet *f, const struct member *m)
{
	for (struct node *i = f->members; i; i = i->next) {
		if (i->m.id != m->id && i->m.app == m->app && i->m.number == m->number &&
			i->m.version == m->version && i->m.state != MEMBER_RETIRING &&
			strcmp(i->m.type, m->type) == 0)
			return true;
	}
	return false;
}

bool fleet_ready(struct control *c, uint64_t id)
{
	struct fleet *f = c->fleet;

	if (db_instance_state(c->db, id, "running") < 0)
		return false;
	pthread_mutex_lock(&f->lock);
	struct node *n = *find(f, id);
	bool starting = n && n->m.state == MEMBER_STARTING;
	if (starting)
		n->m.state = MEMBER_READY;
	pthread_mutex_unlock(&f->lock);
	return starting;
}

void fleet_retire(struct control *c, const uint64_t *ids, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		db_instance_state(c->db, ids[i], "stopping");
		pthread_mutex_lock(&c->fleet->lock);
		struct node *n = *find(c->fleet, ids[i]);
		if (n)
			n->m.state = MEMBER_RETIRING;
		pthread_mutex_unlock(&c->fleet->lock);
	}
}

bool fleet_held(struct control *c, uint32_t app)
{
	bool on = false;

	pthread_mutex_lock(&c->fleet->lock);
	for (struct held *h = c->fleet->held; h; h = h->next)
		on |= h->app == app;
	pthread_mutex_unlock(&c->fleet->lock);
	return on;
}

void fleet_hold(struct control *c, uint32_t app, bool on)
{
	struct fleet *f = c->fleet;

	pthread_mutex_lock(&f->lock);
	struct held **at = &f->held;
	while (*at && (*at)->app != app)
		at = &(*at)->next;
	struct held *h = *at;
	if (on && !h && (h = calloc(1, sizeof(*h)))) {
		h->app = app;
		h->next = f->held;
		f->held = h;
	} else if (!on && h) {
		*at = h->next;
		free(h);
	}
	pthread_mutex_unlock(&f->lock);
}

/* ---- starting ---- */

static int fill_mounts(
	struct control *c, uint32_t app, struct msg_start *m, struct err *e)
{
	struct db_mount *mounts autofree = NULL;
	int n = db_mount_list(c->db, app, &mounts);

	if (n < 0)
		return err_sys(e, -n, "read the app's volumes");
	if (n > PROTO_MOUNTS_MAX)
		return err_set(
			e, E2BIG, "an app takes at most %d volumes", PROTO_MOUNTS_MAX);
	for (int i = 0; i < n; i++) {
		m->mounts[i].id = mounts[i].volume;
		m->mounts[i].kind = MOUNT_VOLUME;
		m->mounts[i].flags = mounts[i].read_only ? MOUNT_READ_ONLY_FLAG : 0;
		memcpy(m->mounts[i].path, mounts[i].path, sizeof(m->mounts[i].path));
	}
	m->n_mounts = (uint32_t)n;
	return 0;
}

static int fill_start(struct control *c, const struct fleet_start *s, uint64_t id,
	struct msg_start *m, struct err *e)
{
	const json_t *layer;
	size_t i;

	m->id = id;
	m->app = s->app->id;
	m->profile = PROFILE_APP;
	m->flags = s->flags;
	m->stop_timeout_ms = app_stop_timeout_ms(c, s->app->id);
	app_limits(c, s->app->id, s->type, &m->limits);
	snprintf(m->name, sizeof(m->name), "%s.%u", s->type, s->number);
	if (json_array_size(s->image->layers) > PROTO_LAYERS_MAX)
		return err_set(
			e, E2BIG, "an image takes at most %d layers", PROTO_LAYERS_MAX);
	json_array_foreach (s->image->layers, i, layer)
		m->layers[m->n_layers++] = (uint64_t)json_integer_value(layer);
	return fill_mounts(c, s->app->id, m, e);
}

/* The command through the image's shell. */
static int pack_command(const struct fleet_start *s, const char *const *env)
{
	static const char profile[] =
		"for f in /app/.profile.d/*.sh; do [ -r \"$f\" ] && . \"$f\"; done\n"
		"[ -r /app/.profile ] && . /app/.profile\n";
	autobuf text = BUF_INIT;

	if (s->image->profile_d)
		buf_adds(&text, profile);
	if (s->command)
		command_for_shell(s->command, &text);
	else
		buf_adds(&text, "exec \"$@\"");
	if (text.failed)
		return -ENOMEM;
	const char *shell = s->image->profile_d ? "/bin/bash" : "/bin/sh";
	const char *argv[256] = {shell, "-c", text.data, shell};
	size_t n = 4;
	for (const char *const *a = s->argv; !s->command && a && *a; a++) {
		if (n + 1 >= ARRAY_LEN(argv))
			return -E2BIG;
		argv[n++] = *a;
	}
	return spec_pack(argv, env, "/app");
}

static int start_sandbox(struct control *c, const struct fleet_start *s,
	const struct member *m, int *ret_pty, struct err *e)
{
	struct msg_start *start autofree = calloc(1, sizeof(*start));
	if (!start)
		return err_set(e, ENOMEM, "out of memory");
	int r = fill_start(c, s, m->id, start, e);
	if (r < 0)
		return r;
	struct env_for f = {.app = s->app,
		.release = s->release,
		.image = s->image,
		.name = start->name,
		.limits = &start->limits,
		.port = m->port,
		.term = s->term,
		.extra = s->env};
	char **env = env_build(&f);
	if (!env)
		return err_set(e, ENOMEM, "out of memory");
	int spec autoclose = pack_command(s, (const char *const *)env);
	env_free(env);
	if (spec < 0)
		return err_sys(e, -spec, "pack the command and its environment");
	int fds[4] = {spec, -1, -1, -1};
	if (s->stdio)
		memcpy(fds + 1, s->stdio, 3 * sizeof(int));
	return engine_start(c->engine, start, fds, s->stdio ? 4 : 1, ret_pty, e);
}

static int begin_row(struct control *c, const struct fleet_start *s, uint64_t *ret_id)
{
	struct db_instance row = {.app = s->app->id,
		.number = s->number,
		.restarts = s->restarts,
		.version = s->release->version,
		.started_us = io_now_us()};

	snprintf(row.kind, sizeof(row.kind), "%s", s->kind);
	snprintf(row.type, sizeof(row.type), "%s", s->type);
	snprintf(row.state, sizeof(row.state), "starting");
	int r = db_instance_create(c->db, &row);
	*ret_id = row.id;
	return r;
}

int fleet_start(struct control *c, const struct fleet_start *s, struct member *ret,
	int *ret_pty, struct err *e)
{
	struct member m = {.app = s->app->id,
		.version = s->release->version,
		.number = s->number,
		.restarts = s->restarts,
		.state = MEMBER_STARTING,
		.started_us = io_now_us()};
	bool member = strcmp(s->kind, "app") == 0;

	int r = begin_row(c, s, &m.id);
	if (r < 0)
		return err_sys(e, -r, "record the new instance");
	snprintf(m.type, sizeof(m.type), "%s", s->type);
	if (strcmp(s->type, "web") == 0)
		m.port = app_port(c, m.app);
	r = engine_expect(c->engine, m.id);
	if (r == 0 && member)
		r = add_member(c->fleet, &m);
	if (r < 0)
		err_sys(e, -r, "start %s.%u", s->type, s->number);
	else
		r = start_sandbox(c, s, &m, ret_pty, e);
	if (r < 0) {
		struct member gone;
		remove_member(c->fleet, m.id, &gone);
		engine_forget(c->engine, m.id);
		engine_stop(c->engine, m.id,
			0); /* it may have started when only the answer was lost */
		db_instance_exit(c->db, m.id, e ? e->text : "not started", io_now_us());
		return r;
	}
	*ret = m;
	return 0;
}

/* ---- stopping ---- */

/* Stopping twice does no harm; a stop that berthd's restart swallowed leaves an instance that nobody wants. */
static int send_stop(struct control *c, uint64_t id, uint32_t timeout_ms)
{
	int r = -ECONNRESET;

	for (int tries = 0; tries < 3 && r == -ECONNRESET; tries++)
		r = engine_stop(c->engine, id, timeout_ms);
	return r;
}

void fleet_stop(struct control *c, const struct member *m, unsigned int n)
{
	bool *done autofree = calloc(n + 1, sizeof(*done));
	struct msg_exited x;

	if (!done)
		return;

	for (unsigned int i = 0; i < n; i++) {
		db_instance_state(c->db, m[i].id, "stopping");
		engine_expect(c->engine, m[i].id);
	}
	for (unsigned int i = 0; i < n; i++) {
		int r = send_stop(c, m[i].id, app_stop_timeout_ms(c, m[i].app));
		if (r == -ESRCH) {
			struct member gone;
			remove_member(c->fleet, m[i].id, &gone);
		} else if (engine_wait_exit(c->engine, m[i].id, 0, &x) == -EAGAIN) {
			continue;
		}
		engine_forget(c->engine, m[i].id);
		done[i] = true;
	}
	for (unsigned int i = 0; i < n; i++) {
		if (done[i])
			continue;
		if (engine_wait_exit(c->engine, m[i].id,
			    (int)app_stop_timeout_ms(c, m[i].app) + 5000, &x) == -EAGAIN)
			log_warn("%s.%u (%llu) did not end in time", m[i].type,
				m[i].number, (unsigned long long)m[i].id);
		engine_forget(c->engine, m[i].id);
	}
}

/* ---- restarting ---- */

struct restart {
	struct control *c;
	struct member m;
	uint64_t delay_ms;
};

static uint64_t backoff_ms(uint32_t restarts)
{
	uint64_t ms =
		restarts >= 10 ? BACKOFF_MAX_MS : (uint64_t)BACKOFF_FIRST_MS << restarts;

	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	return ms + ms * (io_mono_ns() / 1000 % 20) /
			    100; /* up to 20 % later: many apps don't start as one */
}

static int restart_start(struct control *c, struct member *m, struct err *e)
{
	struct db_app app;
	struct db_release release = {0};
	struct db_image image = {0};
	int r = db_app_by_id(c->db, m->app, &app);

	if (r == 0)
		r = db_release_get(c->db, m->app, m->version, &release);
	if (r == 0)
		r = db_image_get(c->db, release.image, &image);
	if (r < 0)
		return err_sys(e, -r, "read release v%u", m->version);
	const char *command =
		json_string_value(json_object_get(image.processes, m->type));
	struct fleet_start s = {.app = &app,
		.release = &release,
		.image = &image,
		.type = m->type,
		.command = command ? command : "false",
		.kind = "app",
		.number = m->number,
		.restarts = m->restarts + 1};
	r = fleet_start(c, &s, m, NULL, e);
	db_release_clear(&release);
	db_image_clear(&image);
	return r;
}

/* Only workers are ready by being started; a web process must listen. */
static int await_ready(struct control *c, const struct member *m, struct err *e)
{
	if (!m->port)
		return 0;
	return probe_wait(c, m, NULL, e);
}

static void restart_failed(struct control *c, const struct member *m, const struct err *e)
{
	applog(m->app, "berth[ps]", "%s.%u could not be restarted: %s", m->type,
		m->number, e->text);
	fleet_restart_later(c, m, backoff_ms(m->restarts));
}

static void restart_once(struct control *c, struct member *m)
{
	struct err e = {0};

	pthread_mutex_lock(&c->fleet->lock);
	bool free_place = !taken(c->fleet, m);
	pthread_mutex_unlock(&c->fleet->lock);
	if (!free_place || !wanted(c, m) || fleet_held(c, m->app))
		return;
	struct member next = *m;
	next.id = 0;
	if (restart_start(c, &next, &e) < 0) {
		next.restarts = m->restarts + 1;
		restart_failed(c, &next, &e);
		return;
	}
	int r = await_ready(c, &next, &e);
	engine_forget(c->engine, next.id);
	if (r == 0 && wanted(c, &next) && fleet_ready(c, next.id)) {
		routes_refresh(c, NULL);
		return;
	}
	/* Not ready; or it ended between its start and now, which is how a worker that fails at once ends. */
	struct member gone;
	bool was = remove_member(
		c->fleet, next.id, &gone); /* so that its exit starts no second restart */
	if (was)
		send_stop(c, next.id, 0);
	if ((was && gone.state == MEMBER_RETIRING) || !wanted(c, &next))
		return;
	if (r < 0)
		restart_failed(c, &next, &e);
	else
		fleet_restart_later(c, &next, backoff_ms(next.restarts));
}

static void *restart_main(void *arg)
{
	struct restart *r = arg;
	struct timespec wait = {.tv_sec = (time_t)(r->delay_ms / 1000),
		.tv_nsec = (long)(r->delay_ms % 1000) * 1000000L};

	nanosleep(&wait, NULL);
	restart_once(r->c, &r->m);
	free(r);
	return NULL;
}

void fleet_restart_later(struct control *c, const struct member *m, uint64_t delay_ms)
{
	struct restart *r = calloc(1, sizeof(*r));
	pthread_attr_t attr;
	pthread_t thread;

	if (!r)
		return;
	*r = (struct restart){.c = c, .m = *m, .delay_ms = delay_ms};
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (pthread_create(&thread, &attr, restart_main, r)) {
		log_warn("no thread to restart %s.%u", m->type, m->number);
		free(r);
	}
	pthread_attr_destroy(&attr);
}

static void fill_type(
	struct control *c, const struct db_app *a, const char *type, uint64_t delay_ms)
{
	struct member *m autofree = NULL;
	int n = fleet_list(c, a->id, type, &m);
	uint32_t want = app_quantity(c, a->id, type);

	for (uint32_t number = 1; number <= want; number++) {
		struct member lost = {
			.app = a->id, .version = a->live_version, .number = number};
		bool there = false;
		for (int i = 0; i < n; i++)
			there |= m[i].number == number &&
				 m[i].version == a->live_version &&
				 m[i].state != MEMBER_RETIRING;
		if (there)
			continue;
		snprintf(lost.type, sizeof(lost.type), "%s", type);
		if (strcmp(type, "web") == 0)
			lost.port = app_port(c, a->id);
		fleet_restart_later(c, &lost, delay_ms);
		delay_ms += 50; /* not all at once after a reboot */
	}
}

void fleet_fill(struct control *c, uint32_t app, uint64_t delay_ms)
{
	struct db_app a;
	struct db_release live = {0};
	struct db_image image = {0};
	const char *type;
	json_t *command;

	if (db_app_by_id(c->db, app, &a) < 0 || a.removing || a.stopped ||
		!a.live_version || db_release_get(c->db, app, 0, &live) < 0)
		return;
	if (db_image_get(c->db, live.image, &image) == 0) {
		json_object_foreach (image.processes, type, command) {
			if (strcmp(type, "release") != 0)
				fill_type(c, &a, type, delay_ms);
		}
	}
	db_image_clear(&image);
	db_release_clear(&live);
}

void fleet_exited(struct control *c, const struct msg_exited *e)
{
	char reason[160];
	struct member m;

	exit_text(e, reason);
	db_instance_exit(c->db, e->id, reason, e->time_us);
	if (!remove_member(c->fleet, e->id, &m))
		return;
	if (m.state == MEMBER_RETIRING) {
		bool forced = e->reason == EXIT_REASON_SIGNALED && e->value == SIGKILL;
		applog(m.app, "berth[ps]", "%s.%u of v%u stopped%s", m.type, m.number,
			m.version, forced ? ": killed, it did not end in time" : "");
	} else {
		applog(m.app, "berth[ps]", "%s.%u of v%u ended: %s", m.type, m.number,
			m.version, reason);
	}
	if (m.state != MEMBER_READY)
		return; /* its starter, or whoever stops it, waits for it */
	if (e->time_us > m.started_us + STABLE_US)
		m.restarts = 0;
	uint64_t delay = backoff_ms(m.restarts);
	applog(m.app, "berth[ps]", "%s.%u restarts in %.1f s", m.type, m.number,
		(double)delay / 1000);
	fleet_restart_later(c, &m, delay);
}
