/* Liveness checks: who is to be asked when, and what follows. */
#include "control/run/liveness.h"
#include "control/logs/applog.h"
#include "control/run/fleet.h"
#include "control/run/health.h"
#include "control/settings.h"
#include "control/thread.h"
#include "lib/io.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>

#define STACK_BYTES (512 << 10)
#define S_NS UINT64_C(1000000000)
#define WAIT_MIN_S 1u /* between two tries of a check */
#define PARALLEL 16u  /* tries at once: one that hangs must not keep the others */
#define OF_ONE_APP 2u /* among them, as one app's may all hang */

/* An instance and one of its checks. */
struct watched {
	uint64_t instance;
	uint32_t app;
	size_t check;
	unsigned int failures;
	uint64_t due_ns;
	bool web;	 /* sleeps with its app */
	bool busy, gone; /* a thread asks; it is not in the list any more */
	bool slept;	 /* since that thread asked: what it hears says nothing */
	struct watched *next;
};
struct liveness {
	pthread_mutex_t lock; /* of the list */
	struct watched *list;
	unsigned int busy;
	int wake;
};

int liveness_open(struct liveness **ret)
{
	struct liveness *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->wake < 0) {
		free(l);
		return -EMFILE;
	}
	*ret = l;
	return 0;
}

void liveness_changed(struct control *c)
{
	const uint64_t one = 1;

	if (c->liveness)
		(void)!write(c->liveness->wake, &one, sizeof(one));
}

void liveness_slept(struct control *c, uint32_t app)
{
	struct liveness *l = c->liveness;

	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	for (struct watched *w = l->list; w; w = w->next)
		w->slept |= w->web && w->app == app;
	pthread_mutex_unlock(&l->lock);
}

/* ---- one try ---- */

struct
try {
	struct control *c;
	struct watched *w;
	struct member m;
	struct health h;
	json_t *checks; /* holds what h points to */
};

static void tell(struct try *t, const char *answer)
{
	struct db_app app;
	char text[256];

	char often[32] = "";

	if (t->h.attempts > 1)
		snprintf(often, sizeof(often), " %u times in a row", t->h.attempts);
	snprintf(text, sizeof(text), "%s.%u failed its liveness check%s: %.150s",
		t->m.type, t->m.number, often, answer);
	applog(t->m.app, "berth[ps]", "%s; it is stopped and started again", text);
	if (db_app_by_id(t->c->db, t->m.app, &app) == 0)
		db_event_add_own(t->c->db, "ps:unhealthy", app.name, text);
}

static void *try_main(void *arg)
{
	struct try *t = arg;
	struct liveness *l = t->c->liveness;
	char answer[160] = "";
	int r = health_try(t->c, &t->m, &t->h, answer);
	uint32_t wait_s = t->h.wait_s > WAIT_MIN_S ? t->h.wait_s : WAIT_MIN_S;

	pthread_mutex_lock(&l->lock);
	if (r == 0)
		t->w->failures = 0;
	else if (r == 1 && !t->w->slept)
		t->w->failures++;
	bool stop = t->w->failures >= t->h.attempts;
	if (stop)
		t->w->failures = 0;
	t->w->due_ns = io_mono_ns() + wait_s * S_NS;
	t->w->busy = false;
	l->busy--;
	pthread_mutex_unlock(&l->lock);
	if (stop) {
		tell(t, answer);
		fleet_send_stop(t->c, t->m.id, app_stop_timeout_ms(t->c, t->m.app));
	}
	liveness_changed(t->c);
	json_decref(t->checks);
	free(t);
	return NULL;
}

/* ---- who is to be asked ---- */

static struct watched *find(struct liveness *l, uint64_t instance, size_t check)
{
	struct watched *w = l->list;

	while (w && (w->instance != instance || w->check != check))
		w = w->next;
	return w;
}

static struct watched *note(
	struct liveness *l, const struct member *m, size_t check, const struct health *h)
{
	struct watched *w = find(l, m->id, check);
	uint32_t first_s = h->initial_delay_s + (h->wait_s ? h->wait_s : WAIT_MIN_S);

	if (!w && (w = calloc(1, sizeof(*w)))) {
		*w = (struct watched){.instance = m->id,
			.app = m->app,
			.check = check,
			.web = strcmp(m->type, "web") == 0,
			.due_ns = io_mono_ns() + first_s * S_NS,
			.next = l->list};
		l->list = w;
	}
	return w;
}

static void begin(struct control *c, struct watched *w, const struct member *m,
	const struct health *h, json_t *checks)
{
	struct try *t = calloc(1, sizeof(*t));

	if (!t)
		return;
	*t = (struct try){c, w, *m, *h, json_incref(checks)};
	w->busy = true;
	w->slept = false;
	c->liveness->busy++;
	if (thread_detached(try_main, t, STACK_BYTES) == 0)
		return;
	w->busy = false;
	c->liveness->busy--;
	json_decref(checks);
	free(t);
}

static bool has_room(const struct liveness *l, uint32_t app)
{
	unsigned int own = 0;

	for (const struct watched *w = l->list; w; w = w->next)
		own += w->busy && w->app == app;
	return l->busy < PARALLEL && own < OF_ONE_APP;
}

/* With the lock held. The first moment at which one is due, at most *next_ns. */
static void look_at(struct control *c, const struct member *m, json_t *checks,
	uint64_t now, uint64_t *next_ns)
{
	struct health h;

	for (size_t i = 0; health_read(checks, m->type, "liveness", i, &h); i++) {
		struct watched *w = note(c->liveness, m, i, &h);

		if (!w)
			continue;
		w->gone = false;
		if (w->busy)
			continue;
		if (w->due_ns > now && (!*next_ns || w->due_ns < *next_ns))
			*next_ns = w->due_ns;
		/* Without room the end of a try wakes us. */
		if (w->due_ns <= now && has_room(c->liveness, m->app))
			begin(c, w, m, &h, checks);
	}
}

static void look_at_app(
	struct control *c, uint32_t app, json_t *checks, uint64_t now, uint64_t *next_ns)
{
	struct member *m autofree = NULL;
	struct db_app a;
	int n = fleet_list(c, app, NULL, &m);

	if (db_app_by_id(c->db, app, &a) < 0)
		return;
	for (int i = 0; i < n; i++)
		if (m[i].state == MEMBER_READY && m[i].version == a.live_version &&
			!(a.asleep && strcmp(m[i].type, "web") == 0))
			look_at(c, &m[i], checks, now, next_ns);
	/* One that comes back after a crash has to be found. */
	uint64_t soon = now + 5 * S_NS;
	if (!*next_ns || soon < *next_ns)
		*next_ns = soon;
}

static void drop_gone(struct liveness *l)
{
	for (struct watched **at = &l->list, *w; (w = *at);) {
		if (w->gone && !w->busy) {
			*at = w->next;
			free(w);
		} else {
			at = &w->next;
		}
	}
}

/* The time of the next look; 0: when something changes. */
static uint64_t look(struct control *c)
{
	struct db_checks_app *apps autofree = NULL;
	int n = db_liveness_apps(c->db, &apps);
	uint64_t now = io_mono_ns(), next_ns = 0;

	pthread_mutex_lock(&c->liveness->lock);
	for (struct watched *w = c->liveness->list; w; w = w->next)
		w->gone = true;
	for (int i = 0; i < n; i++) {
		look_at_app(c, apps[i].app, apps[i].checks, now, &next_ns);
		json_decref(apps[i].checks);
	}
	drop_gone(c->liveness);
	pthread_mutex_unlock(&c->liveness->lock);
	return next_ns;
}

static void *liveness_main(void *arg)
{
	struct control *c = arg;
	uint64_t many;

	for (;;) {
		struct pollfd p = {.fd = c->liveness->wake, .events = POLLIN};
		uint64_t next_ns = look(c), now = io_mono_ns();
		int ms = !next_ns	  ? -1
			 : next_ns <= now ? 100 /* all threads are busy */
					  : (int)((next_ns - now) / 1000000) + 1;

		poll(&p, 1, ms);
		(void)!read(c->liveness->wake, &many, sizeof(many));
	}
	return NULL;
}

int liveness_run(struct control *c)
{
	return thread_detached(liveness_main, c, STACK_BYTES);
}
