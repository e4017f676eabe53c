/* Scheduled tasks: one thread that starts what is due and ends what takes too long. */
#include "control/cron/cron.h"
#include "control/engine.h"
#include "control/logs/applog.h"
#include "control/settings.h"
#include "control/thread.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/stamp.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>

#define S_US UINT64_C(1000000)
#define STACK_BYTES (512 << 10)
#define SOURCE "berth[cron]"
#define WAIT_MS 500 /* between looks whether who waits has gone */
#define JUMP_US                                                                          \
	(3 * 3600 *                                                                      \
		S_US) /* a clock that was set back further is believed, as cron(8) does */
#define AGAIN_US                                                                         \
	(60 * S_US) /* what waits for others is looked at then, should their end be missed */

struct entry {
	uint32_t app;
	struct cron_task task;
	const struct zone *zone;
	uint64_t seen_us, next_us; /* next_us 0: never */
};
struct named_zone {
	char *name;
	struct zone *zone;
};
struct cron {
	pthread_mutex_t
		lock; /* of what follows, and of every start: held while berthd starts one */
	struct entry *entries;
	size_t n;
	struct db_cron_app *apps; /* hold the entries' texts */
	int n_apps;
	struct named_zone *zones;
	size_t n_zones;
	unsigned int waiting; /* starts by hand that wait for one to make way */
	atomic_bool stale;
	int timer, wake;
	pthread_mutex_t end_lock; /* the innermost: of ended */
	pthread_cond_t ended;	  /* CLOCK_MONOTONIC */
};

int cron_open(struct cron **ret)
{
	struct cron *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	pthread_mutex_init(&r->end_lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->ended, &attr);
	atomic_init(&r->stale, true);
	r->timer = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r->timer < 0 || r->wake < 0) {
		cron_close(r);
		return -EMFILE;
	}
	*ret = r;
	return 0;
}

static void drop_entries(struct cron *r)
{
	for (int i = 0; i < r->n_apps; i++)
		json_decref(r->apps[i].cron);
	for (size_t i = 0; i < r->n_zones; i++) {
		free(r->zones[i].name);
		zone_close(r->zones[i].zone);
	}
	free(r->apps);
	free(r->entries);
	free(r->zones);
	r->apps = NULL;
	r->entries = NULL;
	r->zones = NULL;
	r->n = r->n_zones = 0;
	r->n_apps = 0;
}

void cron_close(struct cron *r)
{
	if (!r)
		return;
	drop_entries(r);
	if (r->timer >= 0)
		close(r->timer);
	if (r->wake >= 0)
		close(r->wake);
	pthread_mutex_destroy(&r->lock);
	pthread_mutex_destroy(&r->end_lock);
	pthread_cond_destroy(&r->ended);
	free(r);
}

static void wake(struct cron *r)
{
	const uint64_t one = 1;

	(void)!write(r->wake, &one, sizeof(one)); /* full: it is awake */
}

void cron_changed(struct control *c)
{
	if (!c->cron)
		return;
	atomic_store(&c->cron->stale, true);
	wake(c->cron);
}

/* ---- what is set ---- */

char *cron_zone_name(struct control *c, uint32_t app)
{
	return setting_text(c, app, CRON_TOPIC, "timezone");
}

static uint32_t span_of(
	struct control *c, uint32_t app, const char *key, uint32_t fallback, uint32_t max)
{
	char *text autofree = setting_text(c, app, CRON_TOPIC, key);
	uint64_t s;

	return text && span_parse(text, &s) == 0 && s <= max ? (uint32_t)s : fallback;
}

static uint64_t limit_us(struct control *c, uint32_t app, const struct cron_task *t)
{
	uint32_t s = t->timeout_s ? t->timeout_s
				  : span_of(c, app, "timeout", CRON_TIMEOUT_S,
					    CRON_TIMEOUT_MAX_S);

	return s * S_US;
}

/* Of a preview only where it is said of the preview itself: its parent does the work. */
static bool is_enabled(struct control *c, uint32_t app)
{
	char *own autofree = NULL, *global autofree = NULL;
	struct db_preview p;

	db_setting_get(c->db, app, CRON_TOPIC, "enabled", &own);
	if (own)
		return strcmp(own, "off") != 0;
	if (db_preview_get(c->db, app, &p) == 0)
		return false;
	db_setting_get(c->db, 0, CRON_TOPIC, "enabled", &global);
	return !global || strcmp(global, "off") != 0;
}

const char *cron_held(
	struct control *c, const struct db_app *a, const struct cron_task *t)
{
	struct db_cron_task kept;

	if (a->stopped)
		return "stopped";
	if (!is_enabled(c, a->id))
		return "off";
	if (t->suspended ||
		(db_cron_task(c->db, a->id, t->id, &kept) == 0 && kept.suspended))
		return "suspended";
	return NULL;
}

/* ---- the list ---- */

/* NULL: the host has no such zone (any more); then its own counts. */
static const struct zone *zone_of(struct control *c, struct cron *r, uint32_t app)
{
	char *name = cron_zone_name(c, app);
	struct zone *z = NULL;
	struct err e;

	for (size_t i = 0; i < r->n_zones; i++)
		if (strcmp(r->zones[i].name, name ? name : "") == 0) {
			free(name);
			return r->zones[i].zone;
		}
	struct named_zone *more = realloc(r->zones, (r->n_zones + 1) * sizeof(*more));
	if (more)
		r->zones = more;
	if (!more || (zone_open(name, &z, &e) < 0 && zone_open(NULL, &z, &e) < 0)) {
		free(name);
		return NULL;
	}
	r->zones[r->n_zones++] = (struct named_zone){name ? name : strdup(""), z};
	return z;
}

static uint64_t next_of(const struct entry *n, uint64_t after_us)
{
	int64_t at;

	return schedule_next(
		       &n->task.schedule, n->zone, (int64_t)(after_us / S_US), &at) == 0
		       ? (uint64_t)at * S_US
		       : 0;
}

/* A task that was not there before counts from now on. */
static void add_entry(struct control *c, struct cron *r, const struct db_cron_app *a,
	const json_t *row, json_t *ids, uint64_t now_us)
{
	struct entry *n = &r->entries[r->n];
	struct db_cron_task kept;
	struct err e;

	*n = (struct entry){.app = a->app, .zone = zone_of(c, r, a->app)};
	if (!n->zone || cron_task_read(row, &n->task, &e) < 0 ||
		db_cron_task(c->db, a->app, n->task.id, &kept) < 0)
		return;
	n->seen_us =
		kept.seen_us && kept.seen_us <= now_us + JUMP_US ? kept.seen_us : now_us;
	if (!kept.seen_us)
		db_cron_seen(c->db, a->app, n->task.id, now_us);
	n->next_us = next_of(n, n->seen_us > now_us ? now_us : n->seen_us);
	json_array_append_new(ids, json_pack("[i, s]", (int)a->app, n->task.id));
	r->n++;
}

static void reload(struct control *c, struct cron *r, uint64_t now_us)
{
	json_t *ids = json_array(), *row;
	size_t total = 0, k;

	drop_entries(r);
	r->n_apps = db_cron_apps(c->db, &r->apps);
	if (r->n_apps < 0) {
		r->n_apps = 0;
		atomic_store(&r->stale, true); /* at the next look */
		json_decref(ids);
		return;
	}
	for (int i = 0; i < r->n_apps; i++)
		total += json_array_size(r->apps[i].cron);
	r->entries = calloc(total + 1, sizeof(*r->entries));
	for (int i = 0; r->entries && i < r->n_apps; i++)
		json_array_foreach (r->apps[i].cron, k, row)
			add_entry(c, r, &r->apps[i], row, ids, now_us);
	if (r->entries)
		db_cron_forget(c->db, ids);
	json_decref(ids);
}

/* ---- ends ---- */

static const char *status_of(const struct db_cron_run *run, const struct msg_exited *x)
{
	if (run->ending[0])
		return run->ending;
	return x->reason == EXIT_REASON_EXITED && x->value == 0 ? "succeeded" : "failed";
}

static bool is_failure(const char *status)
{
	return strcmp(status, "failed") == 0 || strcmp(status, "timeout") == 0 ||
	       strcmp(status, "lost") == 0;
}

/* Records it, once. */
static void end_run(struct control *c, const struct db_cron_run *run, const char *status,
	const char *reason, uint64_t time_us)
{
	struct db_app app;
	char outcome[512];

	if (db_cron_run_end(c->db, run->id, status, reason, time_us) < 0)
		return;
	applog(run->app, SOURCE, "cron.%u of v%u %s: %s (%.200s)", run->number,
		run->version, status, reason, run->command);
	if (!is_failure(status) || db_app_by_id(c->db, run->app, &app) < 0)
		return;
	snprintf(outcome, sizeof(outcome), "%s %s: %s (%.200s)", run->task, status,
		reason, run->command);
	db_event_add_own(c->db, "cron:failed", app.name, outcome);
}

bool cron_ended(struct control *c, const struct msg_exited *x)
{
	struct db_cron_run run;
	char reason[160];

	if (!c->cron || db_cron_run_of(c->db, x->id, &run) < 0)
		return false;
	exit_text(x, reason);
	end_run(c, &run, status_of(&run, x), reason, x->time_us);
	pthread_mutex_lock(&c->cron->end_lock);
	pthread_cond_broadcast(&c->cron->ended);
	pthread_mutex_unlock(&c->cron->end_lock);
	wake(c->cron);
	return true;
}

int cron_wait(struct control *c, uint64_t id, int ms, struct db_cron_run *ret)
{
	struct timespec until = io_mono_in(ms);
	int r = 0;

	pthread_mutex_lock(&c->cron->end_lock);
	for (;;) {
		int found = db_cron_run_get(c->db, id, ret);

		if (found < 0 || strcmp(ret->status, "running") != 0) {
			r = found;
			break;
		}
		if (r != 0) {
			r = -EAGAIN;
			break;
		}
		r = pthread_cond_timedwait(&c->cron->ended, &c->cron->end_lock, &until);
	}
	pthread_mutex_unlock(&c->cron->end_lock);
	return r;
}

static int stop_instance(struct control *c, const struct db_cron_run *run)
{
	return engine_stop(c->engine, run->instance, app_stop_timeout_ms(c, run->app));
}

/* Why comes first: its end may be told before the answer to this. */
int cron_stop(struct control *c, const struct db_cron_run *run, const char *why)
{
	int r = db_cron_run_ending(c->db, run->id, why);

	if (r < 0)
		return r;
	r = stop_instance(c, run);
	if (r < 0)
		db_cron_run_ending(c->db, run->id, run->ending); /* nobody ends it */
	return r;
}

bool cron_keeps(struct control *c, const struct db_instance *i)
{
	struct db_cron_run run;

	return db_cron_run_of(c->db, i->id, &run) == 0 &&
	       strcmp(run.status, "running") == 0;
}

void cron_recover(struct control *c)
{
	struct db_cron_run *runs autofree = NULL;
	int n = db_cron_running(c->db, 0, &runs);

	for (int i = 0; i < n; i++) {
		struct db_instance at;

		if (runs[i].instance &&
			db_instance_get(c->db, runs[i].instance, &at) == 0 &&
			strcmp(at.state, "exited") != 0) {
			if (runs[i].ending[0]) /* perhaps that was not asked any more */
				stop_instance(c, &runs[i]);
			continue;
		}
		/* What is known of its end may come yet, and then counts. */
		end_run(c, &runs[i], "lost", "it ended while berth was down",
			io_now_us());
	}
}

/* ---- starts ---- */

struct start {
	const struct db_app *app;
	const struct cron_task *task;
	const char *why, *actor;
	uint64_t due_us, seen_us, now_us;
};

static void fill_run(const struct start *s, struct db_cron_run *run)
{
	*run = (struct db_cron_run){.app = s->app->id,
		.version = s->app->live_version,
		.times = 1,
		.due_us = s->due_us};
	snprintf(run->task, sizeof(run->task), "%s", s->task->id);
	snprintf(run->command, sizeof(run->command), "%s", s->task->command);
	snprintf(run->why, sizeof(run->why), "%s", s->why);
	snprintf(run->actor, sizeof(run->actor), "%s", s->actor);
}

/* The row comes first: a berth that dies in between knows that the time was seen to. */
static int begin_run(struct control *c, const struct start *s, struct db_cron_run *run)
{
	fill_run(s, run);
	snprintf(run->status, sizeof(run->status), "running");
	run->started_us = s->now_us;
	run->limit_us = s->now_us + limit_us(c, s->app->id, s->task);
	int r = db_begin(c->db);
	if (r < 0)
		return r;
	r = db_cron_run_add(c->db, run);
	if (r == 0 && strcmp(s->why, "manual") != 0)
		r = db_cron_seen(c->db, run->app, run->task, s->seen_us);
	int ended = db_end(c->db, r == 0);
	return r < 0 ? r : ended;
}

static int start_run(
	struct control *c, const struct start *s, struct db_cron_run *run, struct err *e)
{
	json_t *env = json_pack("{s:s}", "BERTH_CRON_TASK", s->task->id);
	struct oneoff o = {
		.cron = s->task->command, .detach = true, .actor = s->actor, .env = env};
	struct oneoff_handle handle;
	struct msg_exited x;
	int r = begin_run(c, s, run);

	if (r < 0) {
		json_decref(env);
		return err_sys(e, -r, "record the run");
	}
	r = oneoff_start(c, run->app, &o, &handle, e);
	json_decref(env);
	if (r < 0) {
		end_run(c, run, "failed", e->text, io_now_us());
		return r;
	}
	run->instance = handle.id;
	run->number = handle.number;
	db_cron_run_started(c->db, run->id, handle.id, handle.number);
	/* It may have ended before its row said who it is. */
	if (engine_wait_exit(c->engine, handle.id, 0, &x) == 0)
		cron_ended(c, &x);
	engine_forget(c->engine, handle.id);
	return 0;
}

static void skip(
	struct control *c, struct entry *n, const struct start *s, const char *reason)
{
	struct db_cron_run run;

	fill_run(s, &run);
	snprintf(run.status, sizeof(run.status), "skipped");
	snprintf(run.reason, sizeof(run.reason), "%s", reason);
	run.ended_us = s->now_us;
	db_cron_run_add(c->db, &run);
	db_cron_seen(c->db, n->app, n->task.id, s->seen_us);
	applog(n->app, SOURCE, "%s skipped: %s (%.200s)", n->task.id, reason,
		n->task.command);
}

/* One app leaves a quarter of the places to others, whatever its tasks do. */
static bool has_place(
	struct control *c, const struct db_cron_run *runs, int n_runs, uint32_t app)
{
	int most = (int)setting_u64(c, 0, CRON_TOPIC, "parallel", CRON_PARALLEL), own = 0;

	for (int i = 0; i < n_runs; i++)
		own += runs[i].app == app;
	return n_runs < most && own < most - most / 4;
}

/* Of the task, as there are in the list; to_end: those that nobody ends yet. */
struct others {
	int n, to_end;
	const struct db_cron_run *last;
};

static struct others others_of(
	const struct db_cron_run *runs, int n_runs, uint32_t app, const char *task)
{
	struct others o = {0};

	for (int i = 0; i < n_runs; i++)
		if (runs[i].app == app && strcmp(runs[i].task, task) == 0) {
			o.n++;
			o.to_end += !runs[i].ending[0];
			o.last = &runs[i];
		}
	return o;
}

static void replace_all(struct control *c, const struct db_cron_run *runs, int n_runs,
	uint32_t app, const char *task)
{
	for (int i = 0; i < n_runs; i++)
		if (runs[i].app == app && strcmp(runs[i].task, task) == 0 &&
			!runs[i].ending[0])
			cron_stop(c, &runs[i], "replaced");
}

/* True: seen to. False: it waits, for the run that it replaces or for one of all to end. */
static bool act(struct control *c, struct entry *n, const struct start *s)
{
	struct db_cron_run *runs autofree = NULL, run;
	int n_runs = db_cron_running(c->db, 0, &runs);
	struct others o = others_of(runs, n_runs, n->app, n->task.id);
	char reason[160];
	struct err e;

	if (o.n && n->task.policy == CRON_FORBID) {
		snprintf(reason, sizeof(reason), "the run before, cron.%u, still runs",
			o.last->number);
		skip(c, n, s, reason);
		return true;
	}
	if (o.n && n->task.policy == CRON_REPLACE) {
		replace_all(c, runs, n_runs, n->app, n->task.id);
		return false;
	}
	if (!has_place(c, runs, n_runs, n->app))
		return false;
	start_run(c, s, &run, &e); /* how it failed is recorded */
	return true;
}

static void see_to(struct control *c, struct entry *n, uint64_t now_us)
{
	struct db_app app;

	if (db_app_by_id(c->db, n->app, &app) < 0 || app.removing ||
		cron_held(c, &app, &n->task)) {
		n->seen_us = now_us;
		n->next_us = next_of(n, now_us);
		db_cron_seen(c->db, n->app, n->task.id, now_us);
		return;
	}
	struct cron_plan p = cron_plan(&n->task.schedule, n->zone, n->seen_us, now_us,
		span_of(c, n->app, "catch-up", CRON_CATCH_UP_S, CRON_CATCH_UP_MAX_S));
	struct start s = {.app = &app,
		.task = &n->task,
		.why = p.verdict == CRON_LATE ? "late" : "schedule",
		.actor = "berth",
		.due_us = p.at_us,
		.seen_us = p.seen_us,
		.now_us = now_us};
	if (p.verdict == CRON_MISSED)
		skip(c, n, &s,
			p.at_us < c->started_us
				? "missed: berth did not run then"
				: "missed: it could not start for too long");
	else if (p.verdict != CRON_NOT_YET && !act(c, n, &s))
		return;
	if (p.verdict != CRON_NOT_YET)
		n->seen_us = p.seen_us;
	n->next_us = p.next_us;
}

static void sooner(uint64_t *next_us, uint64_t at_us)
{
	if (at_us && (!*next_us || at_us < *next_us))
		*next_us = at_us;
}

/* The first moment at which another must be ended. */
static void end_late(struct control *c, uint64_t now_us, uint64_t *next_us)
{
	struct db_cron_run *runs autofree = NULL;
	int n = db_cron_running(c->db, 0, &runs);

	for (int i = 0; i < n; i++) {
		if (!runs[i].limit_us || runs[i].ending[0])
			continue;
		if (runs[i].limit_us > now_us)
			sooner(next_us, runs[i].limit_us);
		else if (cron_stop(c, &runs[i], "timeout") < 0) {
			log_warn("app %u: cron.%u takes too long and cannot be stopped",
				runs[i].app, runs[i].number);
			sooner(next_us, now_us + AGAIN_US);
		}
	}
}

uint64_t cron_look(struct control *c, uint64_t now_us)
{
	struct cron *r = c->cron;
	uint64_t next_us = 0;

	pthread_mutex_lock(&r->lock);
	if (atomic_exchange(&r->stale, false))
		reload(c, r, now_us);
	for (size_t i = 0; i < r->n; i++) {
		struct entry *n = &r->entries[i];

		if (n->next_us && n->next_us <= now_us)
			see_to(c, n, now_us);
		sooner(&next_us, n->next_us && n->next_us <= now_us ? now_us + AGAIN_US
								    : n->next_us);
	}
	end_late(c, now_us, &next_us);
	pthread_mutex_unlock(&r->lock);
	return next_us;
}

/* ---- by hand ---- */

int cron_find(struct control *c, const struct db_app *a, const char *id,
	struct cron_found *ret, struct err *e)
{
	struct db_release release = {0};
	struct db_image image = {0};
	struct cron_task t;
	json_t *row;
	size_t i, n = 0;

	*ret = (struct cron_found){.version = a->live_version};
	if (a->live_version && db_release_get(c->db, a->id, 0, &release) == 0 &&
		db_image_get(c->db, release.image, &image) == 0)
		ret->cron = json_incref(json_object_get(image.checks, "cron"));
	db_image_clear(&image);
	db_release_clear(&release);
	json_array_foreach (ret->cron, i, row) {
		if (cron_task_read(row, &t, e) < 0 || !*id ||
			strncmp(t.id, id, strlen(id)) != 0)
			continue;
		ret->task = t;
		n++;
	}
	if (n == 1)
		return 0;
	json_decref(ret->cron);
	ret->cron = NULL;
	return err_set(e, ENOENT,
		n ? "more than one task of %s begins with \"%.40s\""
		  : "%s has no task \"%.40s\"",
		a->name, id);
}

/* Only under the lock are there no others that start. -EAGAIN: *ret_last was told to end, and is waited for. */
static int make_room(struct control *c, const struct db_app *a, const struct cron_task *t,
	struct db_cron_run *ret_last, struct err *e)
{
	struct db_cron_run *runs autofree = NULL;
	int n = db_cron_running(c->db, a->id, &runs);
	struct others o = others_of(runs, n, a->id, t->id);

	if (!o.n || t->policy == CRON_ALLOW)
		return 0;
	if (t->policy == CRON_FORBID)
		return err_set(e, EBUSY,
			"cron.%u still runs this task, and its concurrency_policy is "
			"forbid",
			o.last->number);
	replace_all(c, runs, n, a->id, t->id);
	*ret_last = *o.last;
	return -EAGAIN;
}

/* Without the lock: it may take the app's stop timeout, and tasks of others start meanwhile. */
static int wait_for_end(
	struct control *c, const struct db_cron_run *run, struct sink *s, struct err *e)
{
	const uint64_t ms = app_stop_timeout_ms(c, run->app) + 5000;
	struct db_cron_run ended;
	int r;

	for (uint64_t waited = 0; (r = cron_wait(c, run->id, WAIT_MS, &ended)) == -EAGAIN;
		waited += WAIT_MS) {
		if (sink_cancelled(s))
			return err_set(e, ECANCELED,
				"cron.%u was told to end, and nothing is started in its "
				"place: interrupted",
				run->number);
		if (waited >= ms)
			return err_set(e, EBUSY, "cron.%u does not end", run->number);
	}
	return r == 0 || r == -ENOENT ? 0
				      : err_sys(e, -r, "wait for cron.%u", run->number);
}

int cron_start(struct control *c, const struct db_app *a, const struct cron_found *f,
	const char *actor, struct sink *sink, struct db_cron_run *ret, struct err *e)
{
	struct start s = {.app = a,
		.task = &f->task,
		.why = "manual",
		.actor = actor,
		.due_us = io_now_us()};
	struct db_cron_run last = {0};
	int r;

	pthread_mutex_lock(&c->cron->lock);
	c->cron->waiting++;
	while ((r = make_room(c, a, &f->task, &last, e)) == -EAGAIN) {
		pthread_mutex_unlock(&c->cron->lock);
		r = wait_for_end(c, &last, sink, e);
		pthread_mutex_lock(&c->cron->lock);
		if (r < 0)
			break;
	}
	s.now_us = io_now_us();
	if (r == 0)
		r = start_run(c, &s, ret, e);
	c->cron->waiting--;
	pthread_mutex_unlock(&c->cron->lock);
	wake(c->cron); /* it has a time limit */
	return r;
}

bool cron_quiesce(struct control *c)
{
	pthread_mutex_lock(&c->cron->lock);
	if (!c->cron->waiting)
		return true;
	pthread_mutex_unlock(&c->cron->lock);
	return false;
}

/* ---- the thread ---- */

static void arm(struct cron *r, uint64_t at_us)
{
	struct itimerspec t = {.it_value = {.tv_sec = (time_t)(at_us / S_US),
				       .tv_nsec = (long)(at_us % S_US) * 1000}};

	/* A clock that is set wakes it too. */
	timerfd_settime(r->timer, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &t, NULL);
}

static void *cron_main(void *arg)
{
	struct control *c = arg;
	struct cron *r = c->cron;
	uint64_t many;

	for (;;) {
		struct pollfd p[] = {{.fd = r->wake, .events = POLLIN},
			{.fd = r->timer, .events = POLLIN}};

		arm(r, cron_look(c, io_now_us()));
		poll(p, ARRAY_LEN(p), -1);
		(void)!read(r->wake, &many, sizeof(many));
		if (read(r->timer, &many, sizeof(many)) < 0 && errno == ECANCELED)
			atomic_store(&r->stale, true);
	}
	return NULL;
}

int cron_run(struct control *c)
{
	return thread_detached(cron_main, c, STACK_BYTES);
}
