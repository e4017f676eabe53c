/* Apps that sleep: who is idle, and falling asleep. */
#include "control/applock.h"
#include "control/engine.h"
#include "control/logs/applog.h"
#include "control/network/routes.h"
#include "control/run/fleet.h"
#include "control/run/liveness.h"
#include "control/run/sleep_inside.h"
#include "control/run/supervise.h"
#include "control/settings.h"
#include "lib/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>

#define DOZE_MS 2000 /* what is in flight longer than this keeps the app awake */
#define DOZE_STEP_MS                                                                     \
	20 /* a request that comes while the app falls asleep waits for so long at most */
#define AT_ONCE 8 /* apps that are put to sleep because they are idle; others wait */

static bool entered(struct control *c, uint32_t app)
{
	struct db_instance *rows autofree = NULL;
	int n = db_instance_list(c->db, app, false, &rows);
	bool any = false;

	for (int i = 0; i < n; i++)
		any |= strcmp(rows[i].kind, "run") == 0 &&
		       strcmp(rows[i].type, "enter") == 0;
	return any;
}

static int somebody_inside(const struct db_app *a, struct err *e)
{
	return err_set(e, EBUSY,
		"%s stays awake: somebody is in one of its instances (berth enter)",
		a->name);
}

static int may_sleep(struct control *c, const struct db_app *a, struct err *e)
{
	struct serving s;

	if (a->removing || !a->live_version)
		return err_set(e, ENOENT, "%s has nothing that runs", a->name);
	if (a->stopped)
		return err_set(e, EINVAL,
			"%s is stopped: nothing of it can sleep; `berth ps:start %s` "
			"starts it",
			a->name, a->name);
	if (entered(c, a->id))
		return somebody_inside(a, e);
	int r = serving_list(c, a->id, &s);
	serving_free(&s);
	if (r < 0)
		return err_sys(e, -r, "list the instances");
	if (s.starting)
		return err_set(e, EBUSY,
			"%s is starting; try again when `berth ps:report %s` shows it "
			"running",
			a->name, a->name);
	if (!s.n)
		return err_set(e, EINVAL,
			"%s has no web process that runs, and only these sleep", a->name);
	return 0;
}

/* From here on its requests are held. False: it is just being woken. */
static bool doze(struct control *c, uint32_t app)
{
	struct nap *n = nap_lock(c->sleepers, app);
	bool on = !n->waking;

	n->dozing = on;
	n->asked = false;
	nap_unlock(c->sleepers, n);
	return on;
}

static void end_doze(struct control *c, uint32_t app)
{
	struct nap *n = nap_lock(c->sleepers, app);

	n->dozing = false;
	nap_unlock(c->sleepers, n);
}

static bool asked(struct control *c, uint32_t app)
{
	return nap_look(c->sleepers, app).asked;
}

static int somebody_asked(const struct db_app *a, struct err *e)
{
	return err_set(e, EAGAIN,
		"%s stays awake: a request, `berth enter` or `ps:wake` came meanwhile",
		a->name);
}

static int still_used(const struct db_app *a, struct err *e)
{
	return err_set(e, EBUSY,
		"%s stays awake: it has requests or WebSockets open; `berth ps:stop %s` "
		"ends them",
		a->name, a->name);
}

/* The router holds what comes, and nothing is in flight any more. */
static int drain(
	struct control *c, const struct db_app *a, const struct serving *s, struct err *e)
{
	int r = -ETIMEDOUT;

	if (routes_stay(c->routes, s->ids, s->n))
		return still_used(a, e);
	routes_watch(c->routes, s->ids, s->n);
	if (routes_refresh(c, e) < 0)
		return -EIO;
	for (int ms = 0; ms < DOZE_MS && r < 0; ms += DOZE_STEP_MS) {
		r = routes_wait_drained(c->routes, s->ids, s->n, DOZE_STEP_MS);
		if (asked(c, a->id))
			return somebody_asked(a, e);
	}
	return r < 0 ? still_used(a, e) : 0;
}

/* From the doze to sleep, unless somebody asked: the database first. */
static int fall(struct control *c, const struct db_app *a, enum db_asleep how,
	const char *why, struct err *e)
{
	struct sleepers *s = c->sleepers;
	int r = 0;

	routes_lock(c->routes);
	struct nap *n = nap_lock(s, a->id);
	bool late = n->asked;
	if (!late)
		r = db_app_set_asleep(c->db, a->id, how, why);
	if (!late && r == 0 && how == DB_ASLEEP_STOPPED) {
		n->dozing = false;
		n->stopping = true;
	}
	nap_unlock(s, n);
	routes_unlock(c->routes);
	if (late)
		return somebody_asked(a, e);
	if (r < 0)
		return err_sys(e, -r, "record it");
	liveness_slept(c, a->id);
	return 0;
}

static int stop(struct control *c, const struct db_app *a, const struct serving *s,
	const char *why, struct err *e)
{
	int r = fall(c, a, DB_ASLEEP_STOPPED, why, e);

	if (r < 0)
		return r;
	fleet_hold(c, a->id, false); /* workers go on; web processes are not wanted */
	applog(a->id, "berth[ps]", "asleep (stopped): %s; the next request starts it",
		why);
	fleet_retire(c, s->ids, s->n);
	fleet_stop(c, s->m, s->n);
	struct nap *n = nap_lock(c->sleepers, a->id);
	n->stopping = false;
	nap_unlock(c->sleepers, n);
	return 0;
}

static int freeze_all(struct control *c, const struct serving *s)
{
	struct sysinfo host;
	bool swap = sysinfo(&host) == 0 && host.totalswap;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < s->n; i++) {
		struct msg_freeze m = {
			.id = s->ids[i], .flags = swap ? FREEZE_RECLAIM : 0};
		r = engine_call(c->engine, MSG_FREEZE, &m, sizeof(m), NULL, 0, NULL);
	}
	return r;
}

static int freeze(struct control *c, const struct db_app *a, const struct serving *s,
	const char *why, struct err *e)
{
	int r = fall(c, a, DB_ASLEEP_FROZEN, why, e);

	if (r < 0)
		return r;
	r = freeze_all(c, s);
	if (r < 0) {
		serving_thaw(c, a->id);
		db_app_set_asleep(c->db, a->id, DB_AWAKE, "");
		return err_sys(e, -r, "freeze it");
	}
	/* No table that is just being built may have read the database before it said so. */
	routes_lock(c->routes);
	end_doze(c, a->id);
	routes_unlock(c->routes);
	fleet_hold(c, a->id, false);
	routes_refresh(c, NULL);
	applog(a->id, "berth[ps]",
		"asleep (frozen): %s; with the next request it goes on", why);
	return 0;
}

static int fall_asleep(struct control *c, const struct db_app *a, const struct serving *s,
	const char *why, struct err *e)
{
	int r = drain(c, a, s, e);

	if (r == 0 && app_sleep_freezes(c, a->id)) {
		r = freeze(c, a, s, why, e);
		if (r != -EOPNOTSUPP)
			return r;
		log_warn("%s is stopped instead: this host cannot freeze", a->name);
		r = 0;
	}
	return r < 0 ? r : stop(c, a, s, why, e);
}

/* The app's lock is held. 0, or -errno with the reason why it stays awake. */
static int go_to_sleep(
	struct control *c, const struct db_app *a, const char *why, struct err *e)
{
	struct serving s;
	int r = may_sleep(c, a, e);

	if (r < 0)
		return r;
	if (!doze(c, a->id))
		return err_set(e, EBUSY, "%s is just waking", a->name);
	fleet_hold(c, a->id, true);
	supervise_settle(c, a->id);
	/* Who is recorded as inside after this look finds it dozing: sleep_keep_awake. */
	bool inside = entered(c, a->id);
	r = serving_list(c, a->id, &s);
	if (r < 0 || s.starting || !s.n)
		r = err_set(e, EBUSY, "%s is starting", a->name);
	else if (inside)
		r = somebody_inside(a, e);
	else
		r = fall_asleep(c, a, &s, why, e);
	if (r < 0) {
		end_doze(c, a->id);
		fleet_hold(c, a->id, false);
		routes_refresh(c, NULL);
	}
	routes_forget(c->routes, s.ids, s.n);
	serving_free(&s);
	return r;
}

/* ---- idle ---- */

static void sleep_if_idle(struct control *c, uint32_t app)
{
	uint32_t ms = app_idle_after_ms(c, app);
	struct err e = {0};
	struct db_app a;
	char why[64];

	if (!ms || !applock_try(app))
		return; /* the router says it again */
	snprintf(why, sizeof(why), "no request for %u s", ms / 1000);
	if (db_app_by_id(c->db, app, &a) == 0 && !a.asleep &&
		go_to_sleep(c, &a, why, &e) == 0)
		db_event_add_own(c->db, "ps:sleep", a.name, why);
	applock_drop(app);
}

static void try_idle(struct control *c, uint32_t app)
{
	struct sleepers *s = c->sleepers;

	pthread_mutex_lock(&s->lock);
	while (s->at_once >= AT_ONCE)
		pthread_cond_wait(&s->changed, &s->lock);
	s->at_once++;
	pthread_mutex_unlock(&s->lock);
	sleep_if_idle(c, app);
	struct nap *n = nap_lock(s, app);
	n->trying = false;
	s->at_once--;
	nap_unlock(s, n);
}

void sleep_idle(struct control *c, uint32_t app, unsigned int worker, uint32_t up)
{
	struct nap *n = nap_lock(c->sleepers, app);

	n->idle |= 1u << worker;
	if ((n->idle & up) == up && !n->trying && !n->dozing)
		n->trying = nap_in_thread(c, app, try_idle);
	nap_unlock(c->sleepers, n);
}

void sleep_busy(struct control *c, uint32_t app, unsigned int worker)
{
	struct nap *n = nap_lock(c->sleepers, app);

	n->idle &= ~(1u << worker);
	nap_unlock(c->sleepers, n);
}

/* A new process counts anew, and has held nothing. */
void sleep_new_worker(struct control *c, unsigned int worker)
{
	struct sleepers *s = c->sleepers;

	pthread_mutex_lock(&s->lock);
	for (struct nap *n = s->naps, *next; n; n = next) {
		next = n->next;
		n->idle &= ~(1u << worker);
		nap_changed(s, n);
	}
	pthread_mutex_unlock(&s->lock);
}

/* ---- a person's orders ---- */

static const char *const ways[] = {
	[DB_ASLEEP_STOPPED] = "stopped: the next request starts it",
	[DB_ASLEEP_FROZEN] = "frozen: with the next request it goes on",
};

int ps_sleep(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	struct db_app a;
	int r = applock_take(app, s, e);

	if (r < 0)
		return r;
	r = db_app_by_id(c->db, app, &a);
	if (r < 0) {
		err_set(e, ENOENT, "the app was destroyed meanwhile");
	} else if (a.asleep) {
		sink_detail(s, "%s sleeps already, %s", a.name, ways[a.asleep]);
	} else {
		sink_step(s, "Putting %s to sleep", a.name);
		r = go_to_sleep(c, &a, "ps:sleep", e);
		if (r == 0 && db_app_by_id(c->db, app, &a) == 0)
			sink_detail(
				s, "%s", a.asleep ? ways[a.asleep] : "and awake again");
	}
	applock_drop(app);
	return r;
}
