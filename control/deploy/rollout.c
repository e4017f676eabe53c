/* From one set of instances to the next: start, probe, switch, drain. */
#include "control/deploy/rollout.h"
#include "control/config.h"
#include "control/cron/cron.h"
#include "control/data/volumes.h"
#include "control/deploy/release_data.h"
#include "control/engine.h"
#include "control/logs/applog.h"
#include "control/network/network.h"
#include "control/network/routes.h"
#include "control/run/fleet.h"
#include "control/run/liveness.h"
#include "control/run/probe.h"
#include "control/run/sleep.h"
#include "control/run/supervise.h"
#include "control/run/tail.h"
#include "control/settings.h"
#include "control/thread.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define DRAIN_MS 30000
#define DRAINING_MAX 2 /* old generations of an app beside the live one */
#define TAIL_LINES 20
#define INSTANCES_MAX 512
#define STACK_BYTES (256 << 10)
#define RETRY_MS                                                                         \
	500 /* what a failed change left empty is filled soon, after the caller took its wishes back */

struct set {
	struct member *m;
	unsigned int n;
};

static void set_add(struct set *s, const struct member *m)
{
	struct member *more = realloc(s->m, (s->n + 1) * sizeof(*more));

	if (!more)
		return;
	s->m = more;
	s->m[s->n++] = *m;
}

static uint64_t *ids_of(const struct set *s)
{
	uint64_t *ids = calloc(s->n + 1, sizeof(*ids));

	for (unsigned int i = 0; ids && i < s->n; i++)
		ids[i] = s->m[i].id;
	return ids;
}

bool rollout_stop_first(struct control *c, uint32_t app, const char *type)
{
	struct db_mount *mounts autofree = NULL;
	char *overlap autofree = NULL;
	int n = db_mount_list(c->db, app, &mounts);
	bool writable = false;

	for (int i = 0; i < n; i++)
		writable |= !mounts[i].read_only && mounts[i].pending != DB_GOES &&
			    mount_is_of(&mounts[i], type);
	if (db_setting_get(c->db, app, "ps", "overlap", &overlap) == 0 && overlap)
		return strcmp(overlap, "off") == 0;
	return writable;
}

/* ---- old instances ---- */

/* A release that goes live takes the place of all others; else the live one and the canary have each their own. */
static bool is_ours(const struct rollout *r, const struct member *m)
{
	return m->state != MEMBER_RETIRING &&
	       ((r->commit && !r->canary_percent) || m->version == r->release->version);
}

/*
 * Members that go: of this app and type, not already on their way out; one that is being restarted just now goes as well.
 */
static void list_old(
	struct control *c, const struct rollout *r, bool web, struct set *ret)
{
	struct member *m autofree = NULL;
	int n;

	supervise_settle(c, r->app->id);
	n = fleet_list(c, r->app->id, r->type, &m);

	for (int i = 0; i < n; i++) {
		if (is_ours(r, &m[i]) && (strcmp(m[i].type, "web") == 0) == web)
			set_add(ret, &m[i]);
	}
}

struct retirement {
	struct control *c;
	struct set old;
	bool cut;
	struct retirement *next; /* in draining */
};

static pthread_mutex_t draining_lock = PTHREAD_MUTEX_INITIALIZER;
static struct retirement *draining; /* newest first */

static void drain_and_stop(struct control *c, const struct set *old)
{
	uint64_t *ids autofree = calloc(old->n + 1, sizeof(*ids));
	unsigned int n = 0;

	if (!ids || old->n == 0)
		return;
	/* One that never served is unknown to the router, which would say nothing of it. */
	for (unsigned int i = 0; i < old->n; i++) {
		if (old->m[i].state == MEMBER_READY && old->m[i].port)
			ids[n++] = old->m[i].id;
	}
	if (routes_wait_drained(c->routes, ids, n, DRAIN_MS) < 0)
		applog(old->m[0].app, "berth[deploy]",
			"requests still run after %d s in the old instances: stopping "
			"them",
			DRAIN_MS / 1000);
	fleet_stop(c, old->m, old->n);
	routes_forget(c->routes, ids, n);
}

/* The app's old instances that drain longest, when there are more generations than may. */
static bool oldest_too_many(const struct retirement *now, struct set *ret)
{
	struct retirement *oldest = NULL;
	int n = 0;

	for (struct retirement *r = draining; r; r = r->next)
		if (!r->cut && r->old.m[0].app == now->old.m[0].app) {
			oldest = r;
			n++;
		}
	if (n <= DRAINING_MAX)
		return false;
	oldest->cut = true;
	for (unsigned int i = 0; i < oldest->old.n; i++)
		set_add(ret, &oldest->old.m[i]);
	return true;
}

/* Deploys in a row must not fill the memory with releases that somebody still looks at. */
static void begin_draining(struct retirement *r)
{
	struct set oldest = {0};
	bool cut;

	pthread_mutex_lock(&draining_lock);
	r->next = draining;
	draining = r;
	cut = oldest_too_many(r, &oldest);
	pthread_mutex_unlock(&draining_lock);
	if (cut) {
		applog(r->old.m[0].app, "berth[deploy]",
			"requests still run in instances %d releases old: stopping them",
			DRAINING_MAX + 1);
		fleet_stop(r->c, oldest.m, oldest.n);
	}
	free(oldest.m);
}

static void end_draining(struct retirement *r)
{
	struct retirement **at = &draining;

	pthread_mutex_lock(&draining_lock);
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	pthread_mutex_unlock(&draining_lock);
}

static void *retire_main(void *arg)
{
	struct retirement *r = arg;

	begin_draining(r);
	network_wait_idle(r->c, r->old.m, r->old.n, DRAIN_MS);
	drain_and_stop(r->c, &r->old);
	end_draining(r);
	free(r->old.m);
	free(r);
	return NULL;
}

/* The pusher need not wait for old requests to end. Takes the set. */
static void retire_in_background(struct control *c, struct set *old)
{
	struct retirement *r = calloc(1, sizeof(*r));

	if (old->n == 0 || !r) {
		free(r);
		return;
	}
	*r = (struct retirement){.c = c, .old = *old};
	*old = (struct set){0};
	if (thread_detached(retire_main, r, STACK_BYTES) < 0)
		retire_main(r);
}

static void retire(struct control *c, const struct set *s)
{
	uint64_t *ids autofree = ids_of(s);

	if (ids)
		fleet_retire(c, ids, s->n);
}

/* ---- new instances ---- */

static int start_one(struct control *c, const struct rollout *r, const char *type,
	uint32_t number, struct set *into, struct err *e)
{
	struct member m;
	struct fleet_start s = {.app = r->app,
		.release = r->release,
		.image = r->image,
		.type = type,
		.command = json_string_value(json_object_get(r->image->processes, type)),
		.kind = "app",
		.number = number};

	if (into->n >= INSTANCES_MAX)
		return err_set(e, E2BIG, "more than %d instances", INSTANCES_MAX);
	int status = fleet_start(c, &s, &m, NULL, e);
	if (status == 0)
		set_add(into, &m);
	return status;
}

static void print_tail(struct control *c, const struct rollout *r, const struct member *m)
{
	char source[64];
	autobuf text = BUF_INIT;

	snprintf(source, sizeof(source), "app[%s.%u]", m->type, m->number);
	tail_read(c, r->app->id, source, m->started_us, TAIL_LINES, &text);
	if (text.len == 0) {
		sink_detail(r->s, "(%s.%u wrote no log lines)", m->type, m->number);
		return;
	}
	sink_detail(r->s, "Last log lines of %s.%u:", m->type, m->number);
	char *rest = text.data;
	for (char *line; (line = strsep(&rest, "\n"));) {
		if (*line)
			sink_detail(r->s, "%s", line);
	}
}

/* Stops what was started; its exits are expected and start nothing. */
static void abandon(struct control *c, struct set *fresh)
{
	if (fresh->n == 0)
		return;
	retire(c, fresh);
	for (unsigned int i = 0; i < fresh->n; i++) {
		/* again when berthd's restart swallowed it */
		if (engine_stop(c->engine, fresh->m[i].id, 2000) == -ECONNRESET)
			engine_stop(c->engine, fresh->m[i].id, 2000);
	}
	for (unsigned int i = 0; i < fresh->n; i++) {
		struct msg_exited x;
		engine_wait_exit(c->engine, fresh->m[i].id, 7000, &x);
		engine_forget(c->engine, fresh->m[i].id);
	}
	fresh->n = 0;
}

static uint32_t quantity(struct control *c, const struct rollout *r, const char *type)
{
	if (r->app->stopped)
		return 0;
	return r->canary_percent ? app_canary_quantity(c, r->app->id, r->canary_percent)
				 : app_quantity(c, r->app->id, type);
}

static uint32_t first_number(const struct rollout *r)
{
	return r->canary_percent ? CANARY_FIRST : 1;
}

/* How many are started before they must be ready: app.json's formation. */
static uint32_t max_parallel(const struct rollout *r, const char *type)
{
	const json_t *row =
		json_object_get(json_object_get(r->image->checks, "formation"), type);
	json_int_t n = json_integer_value(json_object_get(row, "max_parallel"));

	return n > 0 && n <= FORMATION_MAX ? (uint32_t)n : FORMATION_MAX;
}

/* Those from *probed on. */
static int probe_new(struct control *c, const struct rollout *r, const struct set *fresh,
	unsigned int *probed, struct err *e)
{
	int status = 0;

	for (; status == 0 && !r->skip_checks && *probed < fresh->n; (*probed)++) {
		status = probe_wait(c, &fresh->m[*probed], r->s, e);
		if (status < 0 && status != -ECANCELED)
			print_tail(c, r, &fresh->m[*probed]);
	}
	return status;
}

static int start_web(
	struct control *c, const struct rollout *r, struct set *fresh, struct err *e)
{
	uint32_t n = quantity(c, r, "web");
	unsigned int probed = 0;
	int status = 0;

	if ((r->type && strcmp(r->type, "web") != 0) ||
		!json_object_get(r->image->processes, "web"))
		return 0;
	uint32_t at_once = max_parallel(r, "web");
	for (uint32_t i = 0; status == 0 && i < n; i++) {
		status = start_one(c, r, "web", first_number(r) + i, fresh, e);
		if (status == 0 && ((i + 1) % at_once == 0 || i + 1 == n))
			status = probe_new(c, r, fresh, &probed, e);
	}
	return status;
}

static void make_ready(struct control *c, struct set *fresh)
{
	for (unsigned int i = 0; i < fresh->n; i++) {
		if (!fleet_ready(c, fresh->m[i].id))
			supervise_lost(c, &fresh->m[i]);
		engine_forget(c->engine, fresh->m[i].id);
	}
}

/* ---- the release task ---- */

int rollout_task(struct control *c, const struct rollout *r, const char *type,
	const char *command, struct err *e)
{
	struct fleet_start s = {.app = r->app,
		.release = r->release,
		.image = r->image,
		.type = type,
		.limits = "release",
		.command = command,
		.kind = "run",
		.number = 1};
	struct msg_exited x = {0};
	struct member m;
	char reason[160];

	int status = fleet_start(c, &s, &m, NULL, e);
	if (status < 0)
		return status;
	while ((status = engine_wait_exit(c->engine, m.id, 200, &x)) == -EAGAIN) {
		if (sink_cancelled(r->s))
			engine_stop(c->engine, m.id, 2000);
	}
	engine_forget(c->engine, m.id);
	exit_text(&x, reason);
	print_tail(c, r, &m);
	if (sink_cancelled(r->s))
		return err_set(e, ECANCELED, "cancelled");
	if (status < 0 || x.reason != EXIT_REASON_EXITED || x.value != 0)
		return err_set(e, ECHILD, "%s", reason);
	return 0;
}

static int release_task(struct control *c, const struct rollout *r, struct err *e)
{
	const char *command =
		json_string_value(json_object_get(r->image->processes, "release"));

	if (!command || !r->release_task)
		return 0;
	sink_step(r->s, "Running the release task: %s", command);
	int status = rollout_task(c, r, "release", command, e);
	return status == 0 || status == -ECANCELED
		       ? status
		       : err_add(e, "the release task failed");
}

/* ---- workers: stop, then start ---- */

/* Says once a type that the release has no such process. */
static void tell_vanished(const struct rollout *r, const struct set *old)
{
	for (unsigned int i = 0; i < old->n; i++) {
		const char *type = old->m[i].type;
		bool told = json_object_get(r->image->processes, type) != NULL;
		for (unsigned int j = 0; j < i; j++)
			told |= strcmp(old->m[j].type, type) == 0;
		if (told)
			continue;
		sink_fail(r->s, "%s: not in v%u, its instances stop", type,
			r->release->version);
		applog(r->app->id, "berth[ps]",
			"v%u has no process type %s: its instances stop",
			r->release->version, type);
	}
}

static void roll_workers(struct control *c, const struct rollout *r)
{
	struct set old = {0}, fresh = {0};
	struct err e;
	const char *type;
	json_t *command;
	bool missing = false;

	list_old(c, r, false, &old);
	tell_vanished(r, &old);
	retire(c, &old);
	fleet_stop(c, old.m, old.n);
	json_object_foreach (r->image->processes, type, command) {
		if (strcmp(type, "web") == 0 || strcmp(type, "release") == 0 ||
			(r->type && strcmp(r->type, type) != 0))
			continue;
		uint32_t n = quantity(c, r, type), started = 0;
		for (uint32_t i = 1; i <= n; i++) {
			if (start_one(c, r, type, i, &fresh, &e) == 0) {
				started++;
				continue;
			}
			sink_fail(r->s, "%s.%u: %s", type, i, e.text);
			missing = true;
		}
		if (started)
			sink_detail(r->s, "%s: %u started", type, started);
	}
	make_ready(c, &fresh);
	network_refresh(c);
	if (missing)
		supervise_fill(c, r->app->id, RETRY_MS);
	free(old.m);
	free(fresh.m);
}

/* ---- the story ---- */

/* Requests wait at the router from here on until the next table. */
static void stop_old(struct control *c, const struct rollout *r, struct set *web)
{
	struct set workers = {0};

	if (web->n)
		sink_step(r->s, "Stopping the old instance first: the app has a writable "
				"volume (requests wait)");
	tell_vanished(r, web);
	fleet_hold(c, r->app->id, true);
	/* Again, now that nothing is restarted any more: what was restarted just now must not run beside the new one. */
	free(web->m);
	*web = (struct set){0};
	list_old(c, r, true, web);
	list_old(c, r, false, &workers);
	tell_vanished(r, &workers);
	retire(c, web);
	retire(c, &workers);
	routes_refresh(c, NULL);
	drain_and_stop(c, web);
	fleet_stop(c, workers.m, workers.n);
	free(workers.m);
}

/* To a sink whose asker may be gone: what was running is brought back all the same. */
struct patient {
	struct sink sink;
	struct sink *to;
};

static void patient_write(struct sink *s, char kind, const char *text)
{
	struct sink *to = ((struct patient *)s)->to;

	to->write(to, kind, text);
}

/* What ran before runs again: the live release, started anew. */
static void bring_back(struct control *c, const struct rollout *r)
{
	struct db_release release = {0};
	struct db_image image = {0};
	struct set fresh = {0};
	struct patient patient = {
		.sink = {.write = patient_write, .watch_fd = -1}, .to = r->s};
	struct err e;

	if (db_release_get(c->db, r->app->id, 0, &release) < 0)
		return;
	if (db_image_get(c->db, release.image, &image) == 0) {
		struct rollout back = *r;
		back.release = &release;
		back.image = &image;
		back.s = &patient.sink;
		if (start_web(c, &back, &fresh, &e) < 0)
			sink_fail(r->s, "v%u did not come back: %s", release.version,
				e.text);
		make_ready(c, &fresh);
		roll_workers(c, &back);
	}
	free(fresh.m);
	db_image_clear(&image);
	db_release_clear(&release);
}

/* With its data and config, in one transaction: what was restored stays from here on, and what serves is what config shows. */
static int switch_release(
	struct control *c, const struct rollout *r, struct release_data *data)
{
	int status = db_begin(c->db);

	if (status < 0)
		return status;
	status = db_release_switch(c->db, r->app->id, r->release->version);
	if (status >= 0 && r->config_before)
		status = config_settle(
			c, r->app->id, r->config_before, r->release->config);
	if (status >= 0)
		status = release_data_settle(data);
	if (status >= 0 && !r->app->stopped)
		status = db_app_set_stopped(c->db, r->app->id, false);
	int ended = db_end(c->db, status >= 0);
	cron_changed(c);
	liveness_changed(c);
	return status < 0 ? status : ended;
}

static int commit(struct control *c, const struct rollout *r, const struct set *fresh,
	struct release_data *data, struct err *e)
{
	if (sink_cancelled(r->s))
		return err_set(e, ECANCELED, "cancelled");
	if (!r->commit)
		return 0;
	/* From the switch on a berth that dies here goes on with them: they were probed. */
	for (unsigned int i = 0; i < fresh->n; i++)
		db_instance_state(c->db, fresh->m[i].id, "running");
	int status = r->canary_percent ? db_app_set_canary(c->db, r->app->id,
						 r->release->version, r->canary_percent)
				       : switch_release(c, r, data);
	return status < 0 ? err_sys(e, -status, "record the switch") : 0;
}

/* Meanwhile: a volume of it is half restored. */
static bool is_stopped(struct control *c, uint32_t app)
{
	struct db_app now;

	return db_app_by_id(c->db, app, &now) == 0 && now.stopped;
}

int rollout_run(struct control *c, const struct rollout *r, struct err *e)
{
	struct set old = {0}, fresh = {0};
	struct release_data data = {0};
	struct err routing;
	bool hold = false, served;
	const bool whole = r->app->live_version && !r->canary_percent &&
			   !(r->type && strcmp(r->type, "web") != 0);

	if (whole && r->commit)
		release_data_begin(c, r->app, r->data_version != 0, r->s, &data);
	list_old(c, r, true, &old);
	served = old.n > 0;
	if (whole && (r->data_version || rollout_stop_first(c, r->app->id, "web"))) {
		hold = true;
		stop_old(c, r, &old);
		old.n = 0;
	}
	release_data_read(&data);
	int status = r->data_version ? release_data_give(&data, r->data_version, e) : 0;
	if (status == 0)
		status = release_task(c, r, e);
	if (status == 0)
		status = start_web(c, r, &fresh, e);
	if (status == 0)
		status = commit(c, r, &fresh, &data, e);
	if (status < 0) {
		abandon(c, &fresh);
		release_data_give_back(&data);
		if (hold && served && !is_stopped(c, r->app->id)) {
			bring_back(c, r);
			sleep_over(c, r->app->id, "started again after a failed change");
		}
		fleet_hold(c, r->app->id, false);
		if (hold)
			routes_refresh(c, NULL);
		supervise_fill(c, r->app->id,
			RETRY_MS); /* one that crashed meanwhile found its place taken by what failed */
		release_data_end(&data);
		free(old.m);
		free(fresh.m);
		return status;
	}
	make_ready(c, &fresh);
	free(old.m);
	old = (struct set){0};
	/* Listed again: one that crashed and was restarted meanwhile is old too. */
	supervise_settle(c, r->app->id);
	struct member *now autofree = NULL;
	int n = r->type && strcmp(r->type, "web") != 0
			? 0
			: fleet_list(c, r->app->id, "web", &now);
	for (int i = 0; i < n; i++) {
		bool is_fresh = false;
		for (unsigned int j = 0; j < fresh.n; j++)
			is_fresh |= fresh.m[j].id == now[i].id;
		if (!is_fresh && is_ours(r, &now[i]))
			set_add(&old, &now[i]);
	}
	tell_vanished(r, &old);
	retire(c, &old);
	if (!r->type || strcmp(r->type, "web") == 0)
		sleep_over(c, r->app->id, r->commit ? "a new release" : "restarted");
	fleet_hold(c, r->app->id, false);
	if (routes_refresh(c, &routing) < 0)
		sink_fail(r->s, "%s", routing.text);
	retire_in_background(c, &old);
	roll_workers(c, r);
	release_data_end(&data);
	free(old.m);
	free(fresh.m);
	return 0;
}

/* ---- scaling ---- */

/* Too many, or of the canary before this one. */
static bool is_surplus(const struct rollout *r, const struct member *m, uint32_t want)
{
	if (m->version != r->release->version)
		return r->commit && member_is_canary(m);
	return m->number >= first_number(r) + want;
}

static int scale_type(struct control *c, const struct rollout *r, const char *type,
	struct set *fresh, struct set *gone, struct err *e)
{
	struct member *m autofree = NULL;
	int n = fleet_list(c, r->app->id, type, &m);
	uint32_t want = quantity(c, r, type);
	/* it counts from the wake on */
	bool asleep = r->app->asleep && strcmp(type, "web") == 0;
	int status = 0;

	for (uint32_t k = 0; status == 0 && k < want; k++) {
		uint32_t number = first_number(r) + k;
		bool there = false;
		for (int i = 0; i < n; i++)
			there |= m[i].number == number && is_ours(r, &m[i]);
		if (!there && !asleep)
			status = start_one(c, r, type, number, fresh, e);
	}
	for (int i = 0; i < n; i++) {
		if (m[i].state != MEMBER_RETIRING && is_surplus(r, &m[i], want))
			set_add(gone, &m[i]);
	}
	return status;
}

int rollout_scale(struct control *c, const struct rollout *r, struct err *e)
{
	struct set fresh = {0}, gone = {0};
	struct release_data none = {0};
	const char *type;
	json_t *command;
	int status = 0;

	supervise_settle(c, r->app->id);
	json_object_foreach (r->image->processes, type, command) {
		if (status == 0 && strcmp(type, "release") != 0 &&
			(!r->type || strcmp(r->type, type) == 0))
			status = scale_type(c, r, type, &fresh, &gone, e);
	}
	for (unsigned int i = 0; status == 0 && !r->skip_checks && i < fresh.n; i++) {
		if (!fresh.m[i].port)
			continue;
		status = probe_wait(c, &fresh.m[i], r->s, e);
		if (status < 0 && status != -ECANCELED)
			print_tail(c, r, &fresh.m[i]);
	}
	if (status == 0 && r->commit)
		status = commit(c, r, &fresh, &none, e);
	if (status < 0) {
		abandon(c, &fresh);
		supervise_fill(c, r->app->id, RETRY_MS);
	} else {
		struct err routing;
		make_ready(c, &fresh);
		retire(c, &gone);
		if (routes_refresh(c, &routing) < 0)
			sink_fail(r->s, "%s", routing.text);
		retire_in_background(c, &gone);
		if (r->app->asleep) /* it may have been woken meanwhile, with as many as before */
			supervise_woken(c, r->app->id);
	}
	free(fresh.m);
	free(gone.m);
	return status;
}

int rollout_end_canary(
	struct control *c, const struct db_app *a, struct sink *s, struct err *e)
{
	struct member *m autofree = NULL;
	struct set gone = {0};
	struct err routing;
	int status = db_app_set_canary(c->db, a->id, 0, 0);

	if (status < 0)
		return err_sys(e, -status, "record its end");
	supervise_settle(c, a->id);
	int n = fleet_list(c, a->id, "web", &m);
	for (int i = 0; i < n; i++) {
		if (member_is_canary(&m[i]) && m[i].state != MEMBER_RETIRING)
			set_add(&gone, &m[i]);
	}
	retire(c, &gone);
	if (routes_refresh(c, &routing) < 0)
		sink_fail(s, "%s", routing.text);
	retire_in_background(c, &gone);
	free(gone.m);
	return 0;
}
