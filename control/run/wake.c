/* Apps that sleep: waking them, what the router is told of them, and what holds after a restart. */
#include "control/deploy/rollout.h"
#include "control/engine.h"
#include "control/logs/applog.h"
#include "control/network/routes.h"
#include "control/run/fleet.h"
#include "control/run/sleep_inside.h"
#include "control/run/supervise.h"
#include "control/settings.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>

static int thaw_one(struct control *c, uint64_t id)
{
	struct msg_instance m = {id};
	int r = -ECONNRESET;

	for (int tries = 0; tries < 3 && r == -ECONNRESET; tries++)
		r = engine_call(c->engine, MSG_THAW, &m, sizeof(m), NULL, 0, NULL);
	return r;
}

void serving_thaw(struct control *c, uint32_t app)
{
	struct serving s;

	serving_list(c, app, &s);
	for (unsigned int i = 0; i < s.n; i++) {
		int r = thaw_one(c, s.ids[i]);

		if (r == 0 || r == -ESRCH)
			continue;
		applog(app, "berth[ps]", "web.%u cannot go on, it is ended: %s",
			s.m[i].number, strerror(-r));
		fleet_send_stop(c, s.ids[i], 0);
	}
	serving_free(&s);
}

/* One at a time wakes it; an app whose instances must not meet waits until the old ones have ended. */
static void begin_wake(struct control *c, uint32_t app)
{
	struct sleepers *s = c->sleepers;
	bool apart = rollout_stop_first(c, app, "web");
	struct nap *n = nap_lock(s, app);

	while (n->waking || n->dozing || (apart && n->stopping)) {
		n->asked = true;
		pthread_cond_wait(&s->changed, &s->lock);
		n = nap_find(s, app);
	}
	n->waking = true;
	nap_unlock(s, n);
}

static void end_wake(struct control *c, uint32_t app)
{
	struct nap *n = nap_lock(c->sleepers, app);

	n->waking = false;
	n->asked = false;
	nap_unlock(c->sleepers, n);
}

static int start(struct control *c, const struct db_app *a, struct err *e)
{
	char reason[160];

	supervise_woken(c, a->id);
	int r = supervise_await_web(c, a->id, reason);
	if (r < 0)
		return err_set(e, -r, "%s did not wake: %s; `berth logs %s` shows more",
			a->name, reason[0] ? reason : "no web process is wanted",
			a->name);
	return 0;
}

static int wake(struct control *c, const struct db_app *a, const char *why, struct err *e)
{
	uint64_t began = io_mono_ns();

	applog(a->id, "berth[ps]", "waking: %s", why);
	if (a->asleep == DB_ASLEEP_FROZEN)
		serving_thaw(c, a->id);
	int r = db_app_set_asleep(c->db, a->id, DB_AWAKE, "");
	if (r < 0)
		return err_sys(e, -r, "record it");
	r = start(c, a, e);
	if (r == 0)
		applog(a->id, "berth[ps]", "awake after %.3f s",
			(double)(io_mono_ns() - began) / 1e9);
	else
		applog(a->id, "berth[ps]", "%s", e->text);
	return r;
}

int sleep_wake(struct control *c, uint32_t app, const char *why, struct err *e)
{
	struct db_app a = {0};

	begin_wake(c, app);
	int r = db_app_by_id(c->db, app, &a);
	if (r < 0)
		err_sys(e, -r, "read the app");
	else if (a.asleep)
		r = wake(c, &a, why, e);
	end_wake(c, app);
	routes_refresh(c, NULL);
	return r;
}

int sleep_keep_awake(struct control *c, uint32_t app, const char *why, struct err *e)
{
	struct db_app a = {0};
	struct nap *n = nap_lock(c->sleepers, app);
	int r = db_app_by_id(c->db, app, &a);
	bool awake = r == 0 && !a.asleep && !n->dozing && !n->waking;

	nap_unlock(c->sleepers, n);
	return awake ? 0 : sleep_wake(c, app, why, e);
}

static void rouse(struct control *c, uint32_t app)
{
	static const char why[] = "a request came in";
	struct err e = {0};
	struct db_app a = {0};

	db_app_by_id(c->db, app, &a);
	if (sleep_wake(c, app, why, &e) == 0 && a.asleep)
		db_event_add_own(c->db, "ps:wake", a.name, why);
	else if (a.asleep)
		db_event_add_own(c->db, "ps:wake", a.name, e.text);
	struct nap *n = nap_lock(c->sleepers, app);
	n->rousing = false;
	nap_unlock(c->sleepers, n);
}

void sleep_asked(struct control *c, uint32_t app)
{
	struct nap *n = nap_lock(c->sleepers, app);

	n->asked |= n->dozing;
	if (!n->dozing && !n->rousing && !n->waking)
		n->rousing = nap_in_thread(c, app, rouse);
	nap_unlock(c->sleepers, n);
}

void sleep_over(struct control *c, uint32_t app, const char *why)
{
	struct db_app a;

	if (db_app_by_id(c->db, app, &a) < 0 || !a.asleep)
		return;
	if (a.asleep == DB_ASLEEP_FROZEN)
		serving_thaw(c, app);
	db_app_set_asleep(c->db, app, DB_AWAKE, "");
	applog(app, "berth[ps]", "awake: %s", why);
}

int ps_wake(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	struct db_app a;
	int r = db_app_by_id(c->db, app, &a);

	if (r < 0)
		return err_set(e, ENOENT, "the app was destroyed meanwhile");
	if (a.stopped)
		return err_set(e, EINVAL, "%s is stopped; `berth ps:start %s` starts it",
			a.name, a.name);
	if (!a.asleep) {
		sink_detail(s, "%s is awake", a.name);
		return 0;
	}
	sink_step(s, "Waking %s", a.name);
	return sleep_wake(c, app, "ps:wake", e);
}

/* ---- the table ---- */

/* With its live release: what waits shall not all go to a canary that is back first. */
static bool serves(struct control *c, uint32_t app)
{
	struct serving s;
	unsigned int n = serving_list(c, app, &s) == 0 ? s.n : 0;
	bool any = false;

	for (unsigned int i = 0; i < n; i++)
		any |= !member_is_canary(&s.m[i]);
	serving_free(&s);
	return any;
}

bool sleep_row(struct control *c, const struct db_app *a, uint32_t idle_after_ms,
	struct table_app *t)
{
	struct nap n = nap_look(c->sleepers, a->id);

	if (n.dozing || a->asleep || (n.waking && !serves(c, a->id)))
		t->flags |= APP_HOLD | APP_ASLEEP;
	else
		t->idle_after_ms = idle_after_ms;
	return !n.dozing && a->asleep != DB_ASLEEP_STOPPED;
}

/* ---- after a restart ---- */

static bool is_one_of(const uint64_t *ids, size_t n, uint64_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (ids[i] == id)
			return true;
	}
	return false;
}

/* Frozen as a whole it stays so; where nothing runs (the host was restarted) it is as good as stopped. */
static void recover_app(
	struct control *c, const struct db_app *a, const struct sleep_found *f)
{
	struct db_instance *rows autofree = NULL;
	int n = db_instance_list(c->db, a->id, false, &rows), all = 0, still = 0;

	for (int i = 0; i < n; i++) {
		if (strcmp(rows[i].kind, "app") != 0 || strcmp(rows[i].type, "web") != 0)
			continue;
		all += is_one_of(f->running, f->n_running, rows[i].id);
		still += is_one_of(f->frozen, f->n_frozen, rows[i].id);
	}
	if (all == 0)
		db_app_set_asleep(c->db, a->id, DB_ASLEEP_STOPPED, a->asleep_why);
	else if (still < all)
		db_app_set_asleep(c->db, a->id, DB_AWAKE, "");
}

void sleep_recover(struct control *c, const struct sleep_found *f)
{
	struct db_app *apps autofree = NULL, a;
	struct db_instance row;
	int n = db_app_list(c->db, &apps);

	for (int i = 0; i < n; i++) {
		if (apps[i].asleep == DB_ASLEEP_FROZEN)
			recover_app(c, &apps[i], f);
	}
	for (size_t i = 0; i < f->n_frozen; i++) {
		if (db_instance_get(c->db, f->frozen[i], &row) < 0 ||
			db_app_by_id(c->db, row.app, &a) < 0 ||
			a.asleep != DB_ASLEEP_FROZEN)
			thaw_one(c, f->frozen[i]);
	}
}
