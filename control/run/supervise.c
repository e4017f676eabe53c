/* Starts instances again: after an end, and all of them after a boot. */
#include "control/run/supervise.h"
#include "control/cron/cron.h"
#include "control/data/volumes.h"
#include "control/engine.h"
#include "control/logs/applog.h"
#include "control/logs/webhooks.h"
#include "control/network/network.h"
#include "control/network/routes.h"
#include "control/run/fleet_inside.h"
#include "control/run/probe.h"
#include "control/settings.h"
#include "control/thread.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sysinfo.h>

#define STACK_BYTES (256 << 10)
#define MS_NS 1000000u
#define END_WAIT_MS 5000    /* for one that was killed */
#define TELL_NS 5000000000u /* between two lines about a boot */

/* ---- what follows an end ---- */

static uint32_t random_number(void)
{
	uint32_t n;

	return getrandom(&n, sizeof(n), GRND_NONBLOCK) == sizeof(n)
		       ? n
		       : (uint32_t)io_mono_ns();
}

/* What stops for good, or for long, is in the audit trail; each stumble is in the log only. */
static void record(struct control *c, const struct db_app *app, const struct member *m,
	enum member_action done)
{
	char outcome[320];

	if (done != MEMBER_SETTLE &&
		(done != MEMBER_LONG_PAUSE || m->failures != RESTART_LOOP))
		return;
	snprintf(outcome, sizeof(outcome), "%s.%u of v%u: %s; %s", m->type, m->number,
		m->version, m->reason,
		done == MEMBER_SETTLE ? "not started again" : "tried again now and then");
	db_event_add_own(c->db, done == MEMBER_SETTLE ? "ps:ended" : "ps:crashed",
		app->name, outcome);
}

/* The first fall of a row of them, and when it is given up. */
static void tell_webhooks(
	struct control *c, const struct member *m, enum member_action done)
{
	bool first = done == MEMBER_PAUSE && m->failures == 1;

	if (!first && done != MEMBER_SETTLE &&
		(done != MEMBER_LONG_PAUSE || m->failures != RESTART_LOOP))
		return;
	json_t *o = json_pack("{s:s, s:i, s:i, s:o, s:s}", "process", m->type, "number",
		(int)m->number, "release", (int)m->version, "reason",
		db_text_json(m->reason), "what", first ? "restarts" : "crashed");
	webhooks_emit(c, m->app, HOOK_CRASH, o);
}

static void tell(struct control *c, const struct member *m, enum member_action done,
	uint64_t pause_ms)
{
	struct db_app app = {0};

	tell_webhooks(c, m, done);

	if (done == MEMBER_PAUSE) {
		applog(m->app, "berth[ps]", "%s.%u restarts in %.1f s", m->type,
			m->number, (double)pause_ms / 1000);
		return;
	}
	db_app_by_id(c->db, m->app, &app);
	record(c, &app, m, done);
	if (done == MEMBER_SETTLE)
		applog(m->app, "berth[ps]",
			"%s.%u is not started again, as its restart policy says; "
			"`berth ps:restart %s` starts it",
			m->type, m->number, app.name);
	else if (done == MEMBER_LONG_PAUSE && m->failures == RESTART_LOOP)
		applog(m->app, "berth[ps]",
			"%s.%u crashed: it failed %u times in a row, at last with "
			"\"%s\". "
			"It is tried again every %u minutes; when its cause is mended, "
			"`berth ps:restart %s` tries at once",
			m->type, m->number, m->failures, m->reason,
			RESTART_LOOP_MS / 60000, app.name);
	else if (done == MEMBER_LONG_PAUSE)
		applog(m->app, "berth[ps]", "%s.%u still fails; next try in %u minutes",
			m->type, m->number, RESTART_LOOP_MS / 60000);
}

/* The member ended or did not come up: the policy decides what follows. */
static void judge(
	struct control *c, const struct member *m, bool well, const char *reason)
{
	struct fleet *f = c->fleet;
	struct restart_policy policy;
	struct member after = {0};
	uint64_t pause_ms = 0;
	enum member_action done = MEMBER_FAULT;

	app_restart_policy(c, m->app, m->type, &policy);
	pthread_mutex_lock(&f->lock);
	struct node *n = fleet_node_by_key(f, m->key);
	if (n) {
		uint32_t failures = ++n->m.failures;

		n->m.id = 0;
		n->half = n->fell = false;
		n->m.restarts++;
		snprintf(n->m.reason, sizeof(n->m.reason), "%.159s", reason);
		pause_ms = restart_pause_ms(failures, random_number());
		n->m.due_ns = io_mono_ns() + pause_ms * MS_NS;
		after = n->m;
		done = fleet_step(f, n, restart_verdict(&policy, well, failures));
	}
	pthread_mutex_unlock(&f->lock);
	if (done == MEMBER_SETTLE && m->id)
		db_instance_set_final(c->db, m->id);
	if (done == MEMBER_LONG_PAUSE)
		db_instance_prune(c->db); /* it leaves a row at each try */
	tell(c, &after, done, pause_ms);
}

static bool ended_well(const struct msg_exited *e)
{
	return e->reason == EXIT_REASON_EXITED && e->value == 0;
}

/* What the log says of an end, whatever follows. */
static void tell_end(
	const struct member *m, const struct msg_exited *e, const char *reason)
{
	bool forced = e->reason == EXIT_REASON_SIGNALED && e->value == SIGKILL;

	if (m->state == MEMBER_RETIRING)
		applog(m->app, "berth[ps]", "%s.%u of v%u stopped%s", m->type, m->number,
			m->version, forced ? ": killed, it did not end in time" : "");
	else
		applog(m->app, "berth[ps]", "%s.%u of v%u ended: %s", m->type, m->number,
			m->version, reason);
}

/* Under the lock: the member as it was; READY is left for judge(), and so is RESTARTING for its starter. */
static bool note_end(struct fleet *f, const struct msg_exited *e, struct member *ret)
{
	struct node *n = fleet_node(f, e->id);

	if (!n)
		return false;
	*ret = n->m;
	if (n->m.state == MEMBER_RESTARTING) {
		n->fell = true;
	} else if (n->m.state == MEMBER_READY) {
		if (e->time_us > n->m.started_us + RESTART_STABLE_US)
			n->m.failures = 0;
		f->route |= n->m.port != 0;
	} else {
		fleet_step(f, n, EVENT_FELL);
	}
	return true;
}

/* A program beside the app: nobody may be there who waits for it. */
static void tell_oneoff(struct control *c, uint64_t id, const char *reason)
{
	struct db_instance i;

	if (db_instance_get(c->db, id, &i) == 0 && strcmp(i.kind, "run") == 0 &&
		strcmp(i.type, "run") == 0)
		applog(i.app, "berth[ps]", "run.%u of v%u ended: %s", i.number, i.version,
			reason);
}

/* False: it is no member, or its end was seen to already. */
static bool end_member(struct control *c, const struct msg_exited *e, const char *reason)
{
	struct member m;

	pthread_mutex_lock(&c->fleet->lock);
	bool known = note_end(c->fleet, e, &m);
	pthread_mutex_unlock(&c->fleet->lock);
	if (!known)
		return false;
	tell_end(&m, e, reason);
	if (m.state == MEMBER_READY)
		judge(c, &m, ended_well(e), reason);
	return true;
}

void supervise_exited(struct control *c, const struct msg_exited *e)
{
	char reason[160];

	exit_text(e, reason);
	db_instance_exit(c->db, e->id, reason, e->time_us);
	if (!end_member(c, e, reason) && !cron_ended(c, e))
		tell_oneoff(c, e->id, reason);
}

void supervise_adopted(struct control *c, uint64_t id)
{
	struct db_instance now;

	if (db_instance_get(c->db, id, &now) < 0 || strcmp(now.state, "exited") != 0)
		return;
	end_member(c,
		&(struct msg_exited){
			.id = id, .reason = EXIT_REASON_LOST, .time_us = now.exited_us},
		now.reason);
}

/* With the lock held: somebody has the place, or waits there. */
static bool occupied(struct fleet *f, const struct member *m)
{
	for (struct node *n = f->members; n; n = n->next) {
		if (n->m.app == m->app && n->m.number == m->number &&
			n->m.version == m->version && n->m.state != MEMBER_RETIRING &&
			strcmp(n->m.type, m->type) == 0)
			return true;
	}
	return false;
}

void supervise_lost(struct control *c, const struct member *m)
{
	struct msg_exited x = {.reason = EXIT_REASON_LOST};
	struct member again = *m;
	char reason[160];

	const bool ended = engine_wait_exit(c->engine, m->id, 0, &x) == 0;
	exit_text(&x, reason);
	again.id = again.since_us = 0;
	again.state = MEMBER_RESTARTING;
	pthread_mutex_lock(&c->fleet->lock);
	struct node *own = fleet_node(c->fleet, m->id);
	const bool first = ended && own && own->m.state == MEMBER_STARTING;
	if (first) /* supervise_exited has written the row, and comes to the member only now */
		fleet_step(c->fleet, own, EVENT_FELL);
	struct node *n = occupied(c->fleet, m) ? NULL : fleet_add(c->fleet, &again);
	if (n)
		again.key = n->m.key;
	pthread_mutex_unlock(&c->fleet->lock);
	again.id = m->id;
	if (first)
		tell_end(m, &x, reason);
	if (n)
		judge(c, &again, ended_well(&x), reason);
}

/* ---- one start ---- */

struct start {
	struct control *c;
	struct member m;
};

static int start_again(struct control *c, struct member *m, struct err *e)
{
	struct db_app app;
	struct db_release release = {0};
	struct db_image image = {0};
	int r = db_app_by_id(c->db, m->app, &app);

	if (r == 0)
		r = db_release_get(c->db, m->app, m->version, &release);
	if (r == 0)
		r = db_image_get(c->db, release.image, &image);
	if (r < 0) {
		err_sys(e, -r, "read release v%u", m->version);
	} else {
		const char *command =
			json_string_value(json_object_get(image.processes, m->type));
		struct fleet_start s = {.app = &app,
			.release = &release,
			.image = &image,
			.type = m->type,
			.command = command ? command : "false",
			.kind = "app",
			.number = m->number,
			.restarts = m->restarts,
			.key = m->key};
		r = fleet_start(c, &s, m, NULL, e);
	}
	db_release_clear(&release);
	db_image_clear(&image);
	return r;
}

/* Only workers are ready by being started; a web process must listen. */
static int await_ready(struct control *c, const struct member *m, struct err *e)
{
	return m->port ? probe_wait(c, m, NULL, e) : 0;
}

/* Sets whether the member is half started; with forget_id it has no sandbox any more for the rest of berth. */
static bool set_half(struct fleet *f, uint32_t key, bool half, bool forget_id)
{
	pthread_mutex_lock(&f->lock);
	struct node *n = fleet_node_by_key(f, key);
	bool ours = n && n->m.state == MEMBER_RESTARTING;
	if (ours) {
		n->half = half;
		if (forget_id)
			n->m.id = 0;
		pthread_cond_broadcast(&f->changed);
	}
	pthread_mutex_unlock(&f->lock);
	return ours;
}

/* Killed and gone, so that another may take its place. */
static void end(struct control *c, const struct member *m)
{
	struct msg_exited x;

	if (fleet_send_stop(c, m->id, 0) == 0)
		engine_wait_exit(c->engine, m->id, END_WAIT_MS, &x);
}

/* It runs but does not serve, or ended on the way. */
static void not_ready(struct control *c, const struct member *m, const char *why)
{
	struct msg_exited x = {0};
	char reason[160];

	if (!set_half(c->fleet, m->key, true, true))
		return; /* whoever wants it gone stops it */
	if (engine_wait_exit(c->engine, m->id, 0, &x) == 0) {
		exit_text(&x, reason);
	} else {
		snprintf(reason, sizeof(reason), "%.159s", why);
		end(c, m);
	}
	judge(c, m, ended_well(&x), reason);
}

static void unwanted(struct control *c, const struct member *m)
{
	pthread_mutex_lock(&c->fleet->lock);
	struct node *n = fleet_node(c->fleet, m->id);
	if (n && n->m.state == MEMBER_RESTARTING) {
		bool fell = n->fell;
		fleet_step(c->fleet, n, EVENT_UNWANTED);
		if (fell)
			fleet_step(c->fleet, n, EVENT_FELL);
	}
	pthread_mutex_unlock(&c->fleet->lock);
	fleet_send_stop(c, m->id, 0);
}

/* It was not started, and nobody wants it any more. */
static void leave(struct fleet *f, uint32_t key)
{
	pthread_mutex_lock(&f->lock);
	struct node *n = fleet_node_by_key(f, key);
	if (n && n->m.state == MEMBER_RESTARTING) {
		fleet_step(f, n, EVENT_UNWANTED);
		fleet_step(f, n, EVENT_FELL);
	}
	pthread_mutex_unlock(&f->lock);
}

static void start_once(struct control *c, struct member *m)
{
	struct fleet *f = c->fleet;
	struct err e = {0};
	int r;

	/* no fault of its own: it comes when what its volume holds has been replaced */
	while ((r = start_again(c, m, &e)) == -ETXTBSY) {
		volume_await(c, m->app);
		if (!fleet_wanted(c, m)) {
			leave(f, m->key);
			return;
		}
	}
	if (r < 0) {
		applog(m->app, "berth[ps]", "%s.%u could not be started: %s", m->type,
			m->number, e.text);
		judge(c, m, false, e.text);
		return;
	}
	set_half(f, m->key, false, false);
	r = await_ready(c, m, &e);
	if (!fleet_wanted(c, m)) {
		unwanted(c, m);
	} else if (r == 0 && fleet_ready(c, m->id)) {
		pthread_mutex_lock(&f->lock);
		f->route |= m->port != 0;
		pthread_cond_broadcast(&f->changed);
		pthread_mutex_unlock(&f->lock);
		if (!m->port)
			network_refresh(c);
	} else {
		if (r < 0 && r != -ECHILD) /* an end is told where it is seen */
			applog(m->app, "berth[ps]", "%s.%u did not come up: %s", m->type,
				m->number, e.text);
		not_ready(c, m, e.text);
	}
	engine_forget(c->engine, m->id);
}

static void *start_main(void *arg)
{
	struct start *s = arg;

	start_once(s->c, &s->m);
	free(s);
	return NULL;
}

static int start_in_thread(struct control *c, const struct member *m)
{
	struct start *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct start){c, *m};
	int r = thread_detached(start_main, s, STACK_BYTES);
	if (r < 0)
		free(s);
	return r;
}

/* ---- turns and pauses ---- */

static unsigned int slots(void)
{
	unsigned int n = SUPERVISE_PER_CPU * (unsigned int)get_nprocs();

	return n < SUPERVISE_MIN ? SUPERVISE_MIN : n > SUPERVISE_MAX ? SUPERVISE_MAX : n;
}

/* Lower goes first. */
static unsigned int rank(const struct member *m)
{
	unsigned int of_type = strcmp(m->type, "web") != 0 ? 2 : m->number > 1;

	return of_type + (m->failures ? 3 : 0);
}

struct turn {
	struct node *next;	  /* whose turn it is, when a slot is free */
	unsigned int busy, total; /* starts that keep a slot; all */
	uint64_t deadline_ns;	  /* when something changes by itself; 0: never */
	unsigned int booting;	  /* that have not come back yet */
	char text[160];		  /* to be logged */
};

static void sooner(struct turn *t, uint64_t ns)
{
	if (!t->deadline_ns || ns < t->deadline_ns)
		t->deadline_ns = ns;
}

static void look_at(struct fleet *f, struct node *n, struct turn *t, uint64_t now)
{
	const struct member *m = &n->m;

	if (m->state == MEMBER_BACKOFF || m->state == MEMBER_CRASHED) {
		if (m->due_ns > now)
			sooner(t, m->due_ns);
		else
			fleet_step(f, n, EVENT_DUE);
	}
	if (m->state == MEMBER_RESTARTING) {
		t->total++;
		if (m->due_ns > now) {
			t->busy++;
			sooner(t, m->due_ns);
		}
	}
	/* New ones stand in front: among equals the last one found waits longest. */
	if (m->state == MEMBER_QUEUED && !fleet_held_locked(f, m->app) &&
		(!t->next || rank(m) <= rank(&t->next->m)))
		t->next = n;
}

/* How a boot goes on: an instance is back, or its first try failed. */
static void count_boot(struct boot *b, struct node *n, struct turn *t)
{
	if (n->m.state == MEMBER_QUEUED || n->m.state == MEMBER_RESTARTING) {
		t->booting++;
		return;
	}
	if (n->m.state == MEMBER_READY)
		b->up++;
	else
		b->down++;
	n->boot = false;
}

static void tell_boot(struct boot *b, struct turn *t, uint64_t now)
{
	if (b->n == 0)
		return;
	if (t->booting && now < b->tell_ns) {
		sooner(t, b->tell_ns);
		return;
	}
	snprintf(t->text, sizeof(t->text), "%u of %u instances are back after %.1f s%s",
		b->up, b->n, (double)(now - b->began_ns) / 1e9,
		b->down ? "; some failed, see: berth ps:report" : "");
	b->tell_ns = now + TELL_NS;
	if (t->booting)
		sooner(t, b->tell_ns);
	else
		b->n = 0;
}

/* With the lock held: pauses that are over end, and the next one's turn is found. */
static struct turn look(struct fleet *f)
{
	struct turn t = {0};
	uint64_t now = io_mono_ns();

	for (struct node *n = f->members; n; n = n->next) {
		if (n->boot)
			count_boot(&f->boot, n, &t);
		look_at(f, n, &t, now);
	}
	if (f->boot.filling || t.busy >= slots() || t.total >= SUPERVISE_STARTS_MAX)
		t.next = NULL;
	if (!f->boot.filling)
		tell_boot(&f->boot, &t, now);
	return t;
}

static void wait_until(struct fleet *f, uint64_t deadline_ns)
{
	struct timespec until = {.tv_sec = (time_t)(deadline_ns / 1000000000u),
		.tv_nsec = (long)(deadline_ns % 1000000000u)};

	if (deadline_ns)
		pthread_cond_timedwait(&f->changed, &f->lock, &until);
	else
		pthread_cond_wait(&f->changed, &f->lock);
}

/* Its turn, unless nobody wants it any more. The lock is held at the start and the end, not meanwhile. */
static void give_turn(struct control *c, struct node *n)
{
	struct fleet *f = c->fleet;
	struct member m = n->m;

	pthread_mutex_unlock(&f->lock);
	bool wanted = fleet_wanted(c, &m);
	pthread_mutex_lock(&f->lock);
	n = fleet_node_by_key(f, m.key);
	if (!n || n->m.state != MEMBER_QUEUED || fleet_held_locked(f, m.app))
		return;
	if (!wanted || fleet_taken(f, &m)) {
		fleet_step(f, n, EVENT_UNWANTED);
		return;
	}
	fleet_step(f, n, EVENT_TURN);
	n->half = true;
	n->m.due_ns = io_mono_ns() + (uint64_t)SUPERVISE_SLOT_MS * MS_NS;
	m = n->m;
	if (start_in_thread(c, &m) == 0)
		return;
	log_warn("no thread to start %s.%u", m.type, m.number);
	pthread_mutex_unlock(&f->lock);
	judge(c, &m, false, "out of threads");
	pthread_mutex_lock(&f->lock);
}

static void *supervise_main(void *arg)
{
	struct control *c = arg;
	struct fleet *f = c->fleet;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		struct turn t = look(f);
		bool route = f->route;

		f->route = false;
		if (t.next)
			give_turn(c, t.next);
		else if (!route && !t.text[0])
			wait_until(f, t.deadline_ns);
		pthread_mutex_unlock(&f->lock);
		if (t.text[0])
			log_info("%s", t.text);
		if (route)
			routes_refresh(c, NULL);
		pthread_mutex_lock(&f->lock);
	}
	return NULL;
}

int supervise_run(struct control *c)
{
	pthread_t thread;
	int r = -pthread_create(&thread, NULL, supervise_main, c);

	if (r == 0)
		pthread_detach(thread);
	return r;
}

void supervise_settle(struct control *c, uint32_t app)
{
	struct fleet *f = c->fleet;
	struct timespec until = io_mono_in(ENGINE_TIMEOUT_MS);
	bool half = true;

	pthread_mutex_lock(&f->lock);
	for (int r = 0; half && r == 0;) {
		half = false;
		for (struct node *n = f->members; n; n = n->next)
			half |= n->half && n->m.app == app;
		if (half)
			r = pthread_cond_timedwait(&f->changed, &f->lock, &until);
	}
	pthread_mutex_unlock(&f->lock);
}

int supervise_await_web(struct control *c, uint32_t app, char reason[160])
{
	struct fleet *f = c->fleet;
	bool ready = false, coming = true;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		coming = false;
		reason[0] = '\0';
		for (struct node *n = f->members; n; n = n->next) {
			if (n->m.app != app || strcmp(n->m.type, "web") != 0 ||
				member_is_canary(&n->m))
				continue;
			ready |= n->m.state == MEMBER_READY;
			coming |= n->m.state == MEMBER_STARTING ||
				  n->m.state == MEMBER_QUEUED ||
				  n->m.state == MEMBER_RESTARTING;
			if (n->m.reason[0])
				memcpy(reason, n->m.reason, sizeof(n->m.reason));
		}
		if (ready || !coming)
			break;
		pthread_cond_wait(&f->changed, &f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return ready ? 0 : -ECHILD;
}

/* ---- the formation ---- */

/* What it was before, so that a berth-control that starts tells the same. */
static void read_past(struct control *c, struct member *m)
{
	struct db_instance last;

	if (db_instance_last(c->db, m->app, m->type, m->number, m->version, &last) < 0)
		return;
	m->restarts = last.restarts + 1;
	snprintf(m->reason, sizeof(m->reason), "%s", last.reason);
	if (last.final)
		m->state = MEMBER_ENDED;
}

static void fill_place(struct control *c, const struct db_app *a, const char *type,
	uint32_t number, uint32_t delay_ms, bool woken)
{
	bool canary = number >= CANARY_FIRST;
	struct member m = {.app = a->id,
		.version = canary ? a->canary_version : a->live_version,
		.number = number,
		.state = delay_ms ? MEMBER_BACKOFF : MEMBER_QUEUED,
		.due_ns = io_mono_ns() + (uint64_t)delay_ms * MS_NS};
	struct fleet *f = c->fleet;

	snprintf(m.type, sizeof(m.type), "%s", type);
	if (!woken)
		read_past(c, &m);
	pthread_mutex_lock(&f->lock);
	struct node *n = occupied(f, &m) ? NULL : fleet_add(f, &m);
	if (n && f->boot.filling && m.state == MEMBER_QUEUED) {
		n->boot = true;
		f->boot.n++;
	}
	pthread_mutex_unlock(&f->lock);
}

/* woken: only web, and as if nothing had been there before. */
static void fill(struct control *c, uint32_t app, uint32_t delay_ms, bool woken)
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
			bool web = strcmp(type, "web") == 0,
			     none = strcmp(type, "release") == 0 ||
				    (web ? a.asleep != DB_AWAKE : woken);
			uint32_t n = none ? 0 : app_quantity(c, app, type);
			for (uint32_t number = 1; number <= n; number++)
				fill_place(c, &a, type, number, delay_ms, woken);
		}
	}
	uint32_t canaries = a.asleep ? 0 : app_canary_quantity(c, app, a.canary_percent);
	for (uint32_t i = 0; i < canaries; i++)
		fill_place(c, &a, "web", CANARY_FIRST + i, delay_ms, woken);
	db_image_clear(&image);
	db_release_clear(&live);
}

void supervise_fill(struct control *c, uint32_t app, uint32_t delay_ms)
{
	fill(c, app, delay_ms, false);
}

void supervise_woken(struct control *c, uint32_t app)
{
	fill(c, app, 0, true);
}

static void set_filling(struct fleet *f, bool on)
{
	pthread_mutex_lock(&f->lock);
	f->boot.filling = on;
	f->boot.began_ns = io_mono_ns();
	f->boot.tell_ns = f->boot.began_ns + TELL_NS;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

void supervise_boot(struct control *c)
{
	struct db_app *apps autofree = NULL;
	int n = db_app_list(c->db, &apps);

	set_filling(c->fleet, true);
	for (int i = 0; i < n; i++)
		supervise_fill(c, apps[i].id, 0);
	set_filling(c->fleet, false);
}
