/* The instances that run: membership, starting and stopping. */
#include "control/builds/own_start.h"
#include "control/command.h"
#include "control/data/volumes.h"
#include "control/engine.h"
#include "control/env.h"
#include "control/limits.h"
#include "control/logs/applog.h"
#include "control/network/network.h"
#include "control/network/stale.h"
#include "control/run/fleet_inside.h"
#include "control/settings.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/spec.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int fleet_open(struct control *c, struct fleet **ret)
{
	struct fleet *f = calloc(1, sizeof(*f));
	pthread_condattr_t attr;

	if (!f)
		return -ENOMEM;
	f->stale = c->stale;
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &attr);
	*ret = f;
	return 0;
}

void fleet_close(struct fleet *f)
{
	if (!f)
		return;
	for (struct node *n = f->members, *next; n; n = next) {
		next = n->next;
		free(n);
	}
	for (struct held *h = f->held, *next; h; h = next) {
		next = h->next;
		free(h);
	}
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->changed);
	free(f);
}

/* ---- membership ---- */

static struct node **find(struct fleet *f, const struct node *n)
{
	struct node **at = &f->members;

	while (*at && *at != n)
		at = &(*at)->next;
	return at;
}

struct node *fleet_node(struct fleet *f, uint64_t id)
{
	struct node *n = id ? f->members : NULL;

	while (n && n->m.id != id)
		n = n->next;
	return n;
}

struct node *fleet_node_by_key(struct fleet *f, uint32_t key)
{
	struct node *n = f->members;

	while (n && n->m.key != key)
		n = n->next;
	return n;
}

struct node *fleet_add(struct fleet *f, const struct member *m)
{
	struct node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->m = *m;
	n->m.key = ++f->last_key;
	if (!n->m.since_us)
		n->m.since_us = io_now_us();
	n->next = f->members;
	f->members = n;
	stale_mark(f->stale, m->app);
	pthread_cond_broadcast(&f->changed);
	return n;
}

static void drop(struct fleet *f, struct node *n)
{
	*find(f, n) = n->next;
	stale_mark(f->stale, n->m.app);
	free(n);
	pthread_cond_broadcast(&f->changed);
}

enum member_action fleet_step(struct fleet *f, struct node *n, enum member_event event)
{
	const struct member_step *s = member_step(n->m.state, event);

	if (s->action == MEMBER_FAULT) {
		log_error("%s.%u: event %d while %s", n->m.type, n->m.number, event,
			member_state_name(n->m.state));
		return s->action;
	}
	if (s->next != n->m.state)
		n->m.since_us = io_now_us();
	n->m.state = s->next;
	stale_mark(f->stale, n->m.app);
	if (s->action == MEMBER_FORGET)
		drop(f, n);
	pthread_cond_broadcast(&f->changed);
	return s->action;
}

static bool same_place(const struct member *a, const struct member *b)
{
	return a->app == b->app && a->number == b->number && a->version == b->version &&
	       strcmp(a->type, b->type) == 0;
}

bool fleet_taken(struct fleet *f, const struct member *m)
{
	for (struct node *i = f->members; i; i = i->next) {
		if (i->m.key != m->key && same_place(&i->m, m) &&
			(i->m.state == MEMBER_STARTING || i->m.state == MEMBER_READY ||
				i->m.state == MEMBER_RESTARTING))
			return true;
	}
	return false;
}

/* What waits in the place that a new one takes waits in vain. */
static void forget_waiting(struct fleet *f, const struct member *m)
{
	struct node *next;

	for (struct node *i = f->members; i; i = next) {
		next = i->next;
		if (same_place(&i->m, m) && i->m.state != MEMBER_RETIRING && !i->m.id &&
			i->m.state != MEMBER_RESTARTING)
			fleet_step(f, i, EVENT_UNWANTED);
	}
}

static int add_member(struct fleet *f, struct member *m)
{
	pthread_mutex_lock(&f->lock);
	forget_waiting(f, m);
	struct node *n = fleet_add(f, m);
	if (n)
		m->key = n->m.key;
	pthread_mutex_unlock(&f->lock);
	return n ? 0 : -ENOMEM;
}

static void remove_member(struct fleet *f, uint64_t id)
{
	pthread_mutex_lock(&f->lock);
	struct node *n = fleet_node(f, id);
	if (n)
		drop(f, n);
	pthread_mutex_unlock(&f->lock);
}

static bool listed(const struct member *m, uint32_t app, const char *type, bool waiting)
{
	return (m->id || waiting) && (!app || m->app == app) &&
	       (!type || strcmp(m->type, type) == 0);
}

static int list(struct fleet *f, uint32_t app, const char *type, bool waiting,
	struct member **ret)
{
	size_t n = 0, cap = 0;

	*ret = NULL;
	pthread_mutex_lock(&f->lock);
	for (struct node *i = f->members; i; i = i->next) {
		if (!listed(&i->m, app, type, waiting))
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

int fleet_list(struct control *c, uint32_t app, const char *type, struct member **ret)
{
	return list(c->fleet, app, type, false, ret);
}

int fleet_list_all(struct control *c, uint32_t app, struct member **ret)
{
	return list(c->fleet, app, NULL, true, ret);
}

void fleet_adopt(struct control *c, const struct member *m)
{
	struct member copy = *m;

	if (add_member(c->fleet, &copy) < 0)
		log_warn("instance %llu: out of memory", (unsigned long long)m->id);
}

/* Nothing is started for a sleeping app's requests; what is frozen stays. */
static bool sleeps(const struct db_app *a, const struct member *m)
{
	return a->asleep && strcmp(m->type, "web") == 0 &&
	       !(a->asleep == DB_ASLEEP_FROZEN && m->state == MEMBER_READY);
}

bool fleet_wanted(struct control *c, const struct member *m)
{
	struct db_app app;

	if (db_app_by_id(c->db, m->app, &app) < 0 || app.removing || app.stopped ||
		sleeps(&app, m))
		return false;
	if (member_is_canary(m))
		return app.canary_version == m->version &&
		       m->number - FORMATION_MAX <=
			       app_canary_quantity(c, m->app, app.canary_percent);
	return app.live_version == m->version &&
	       m->number <= app_quantity(c, m->app, m->type);
}

bool fleet_ready(struct control *c, uint64_t id)
{
	struct fleet *f = c->fleet;

	if (db_instance_state(c->db, id, "running") < 0)
		return false;
	pthread_mutex_lock(&f->lock);
	struct node *n = fleet_node(f, id);
	bool ready = n && !n->fell;
	if (ready) {
		fleet_step(f, n, EVENT_READY);
		ready = n->m.state == MEMBER_READY;
	}
	pthread_mutex_unlock(&f->lock);
	return ready;
}

void fleet_retire(struct control *c, const uint64_t *ids, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		db_instance_state(c->db, ids[i], "stopping");
		pthread_mutex_lock(&c->fleet->lock);
		struct node *n = fleet_node(c->fleet, ids[i]);
		if (n)
			fleet_step(c->fleet, n, EVENT_UNWANTED);
		pthread_mutex_unlock(&c->fleet->lock);
	}
}

bool fleet_held_locked(struct fleet *f, uint32_t app)
{
	bool on = false;

	for (struct held *h = f->held; h; h = h->next)
		on |= h->app == app;
	return on;
}

bool fleet_held(struct control *c, uint32_t app)
{
	pthread_mutex_lock(&c->fleet->lock);
	bool on = fleet_held_locked(c->fleet, app);
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
		stale_mark(f->stale, app);
	} else if (!on && h) {
		*at = h->next;
		stale_mark(f->stale, app);
		free(h);
		pthread_cond_broadcast(&f->changed);
	}
	pthread_mutex_unlock(&f->lock);
}

/* ---- starting ---- */

static void add_mount(struct msg_start *m, const struct db_mount *from)
{
	struct msg_mount *to = &m->mounts[m->n_mounts++];

	to->id = from->volume;
	to->kind = MOUNT_VOLUME;
	to->flags = from->read_only ? MOUNT_READ_ONLY_FLAG : 0;
	memcpy(to->path, from->path, sizeof(to->path));
}

/* Of its type; a one-off's is the one that it was given. */
static bool has_mount(const struct fleet_start *s, const struct db_mount *m)
{
	return mount_is_of(m, s->type) || (s->limits && mount_is_of(m, s->limits));
}

/* One that the release being made brings is not for instances of the live one, which come back when that fails. */
static int fill_mounts(struct control *c, const struct fleet_start *s,
	struct msg_start *m, struct err *e)
{
	struct db_mount *mounts autofree = NULL;
	enum db_pending not_for =
		s->release->version == s->app->live_version ? DB_COMES : DB_GOES;
	int n = db_mount_list(c->db, s->app->id, &mounts);

	if (n < 0)
		return err_sys(e, -n, "read the app's volumes");
	for (int i = 0; i < n; i++) {
		if (mounts[i].pending == not_for || !has_mount(s, &mounts[i]))
			continue;
		int r = volume_check_open(mounts[i].volume, mounts[i].volume_name, e);
		if (r < 0)
			return r;
		if (m->n_mounts == PROTO_MOUNTS_MAX)
			return err_set(e, E2BIG, "an app takes at most %d volumes",
				PROTO_MOUNTS_MAX);
		add_mount(m, &mounts[i]);
	}
	return 0;
}

static int fill_start(struct control *c, const struct fleet_start *s,
	const struct member *member, struct msg_start *m, struct err *e)
{
	const json_t *layer;
	size_t i;

	m->id = member->id;
	m->app = s->app->id;
	m->profile = PROFILE_APP;
	own_start_user(s->image, m);
	m->flags |= s->flags | (member->listens ? START_LISTEN : 0);
	m->stop_timeout_ms = app_stop_timeout_ms(c, s->app->id);
	m->stop_signal = own_start_stop_signal(s->image);
	m->release = s->release->version;
	app_limits(c, s->app->id, s->limits ? s->limits : s->type, &m->limits);
	snprintf(m->name, sizeof(m->name), "%s.%u", s->type, s->number);
	if (json_array_size(s->image->layers) > PROTO_LAYERS_MAX)
		return err_set(
			e, E2BIG, "an image takes at most %d layers", PROTO_LAYERS_MAX);
	json_array_foreach (s->image->layers, i, layer)
		m->layers[m->n_layers++] = (uint64_t)json_integer_value(layer);
	return fill_mounts(c, s, m, e);
}

/* The command through the image's shell. */
static int pack_command(const struct fleet_start *s, const char *const *env)
{
	autobuf text = BUF_INIT;

	if (own_start(s->image))
		return own_start_pack(s->image, s->command, s->argv, env);
	command_text(s->command, s->image->profile_d, &text);
	if (text.failed)
		return -ENOMEM;
	const char *shell = s->image->profile_d ? "/bin/bash" : "/bin/sh";
	const char *argv[ONEOFF_WORDS_MAX + 5] = {shell, "-c", text.data, shell};
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
	int r = fill_start(c, s, m, start, e);
	if (r < 0)
		return r;
	struct env_for f = {.app = s->app,
		.release = s->release,
		.image = s->image,
		.name = start->name,
		.type = s->limits ? s->limits : s->type,
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
	r = network_settle(c, s->app->id, e);
	if (r < 0)
		return r;
	r = engine_start(c->engine, start, fds, s->stdio ? 4 : 1, ret_pty, e);
	if (r < 0)
		volume_explain(c, e);
	if (r == 0)
		limits_log(c, s->app->id, s->limits ? s->limits : s->type, start->name);
	return r;
}

/* "./import.sh --all", as people read it. */
static void show_command(const struct fleet_start *s, char *out, size_t size)
{
	size_t len = 0;

	if (s->command)
		snprintf(out, size, "%s", s->command);
	for (const char *const *a = s->argv; !s->command && a && *a && len < size; a++)
		len += (size_t)snprintf(
			out + len, size - len, "%s%s", len ? " " : "", *a);
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
	snprintf(row.actor, sizeof(row.actor), "%s", s->actor ? s->actor : "");
	row.detached = s->detached;
	if (strcmp(s->kind, "app") != 0)
		show_command(s, row.command, sizeof(row.command));
	int r = db_instance_create(c->db, &row);
	*ret_id = row.id;
	return r;
}

/* Its place in the list: a new one, or that of the member that is started again. */
static int take_place(struct fleet *f, const struct fleet_start *s, struct member *m)
{
	int r = -ESRCH;

	if (!s->key)
		return add_member(f, m);
	pthread_mutex_lock(&f->lock);
	struct node *n = fleet_node_by_key(f, s->key);
	if (n) {
		n->m.id = m->id;
		n->m.port = m->port;
		n->m.listens = m->listens;
		n->m.started_us = m->started_us;
		*m = n->m;
		r = 0;
	}
	pthread_mutex_unlock(&f->lock);
	return r;
}

static void leave_place(struct fleet *f, const struct fleet_start *s, uint64_t id)
{
	pthread_mutex_lock(&f->lock);
	struct node *n = fleet_node(f, id);
	if (n && s->key)
		n->m.id = 0;
	else if (n)
		drop(f, n);
	pthread_mutex_unlock(&f->lock);
}

/* Where this host has none, it listens on its port. */
static bool gets_listener(struct control *c, const struct fleet_start *s)
{
	struct msg_host host;

	if (!app_listens(c, s->app->id, s->command))
		return false;
	limits_host(c, &host);
	if (host.no_unix[0] && !(s->command && command_serves_files(s->command)))
		applog(s->app->id, "berth[ps]",
			"%s.%u: no unix socket, it must listen on $PORT: %s", s->type,
			s->number, host.no_unix);
	return !host.no_unix[0];
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
		m.port = app_image_port(c, m.app, s->image);
	m.listens = member && m.port && gets_listener(c, s);
	r = engine_expect(c->engine, m.id);
	if (r == 0 && member)
		r = take_place(c->fleet, s, &m);
	if (r < 0)
		err_sys(e, -r, "start %s.%u", s->type, s->number);
	else
		r = start_sandbox(c, s, &m, ret_pty, e);
	if (r < 0) {
		leave_place(c->fleet, s, m.id);
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
int fleet_send_stop(struct control *c, uint64_t id, uint32_t timeout_ms)
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
		int r = fleet_send_stop(c, m[i].id, app_stop_timeout_ms(c, m[i].app));
		if (r == -ESRCH) {
			remove_member(c->fleet, m[i].id);
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
