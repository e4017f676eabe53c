/* Apps that sleep: since when nobody asked for them, and who is told when somebody does. */
#include "lib/log.h"
#include "router/worker.h"
#include <errno.h>
#include <string.h>

struct sleeper {
	uint32_t id; /* of the app */
	struct sleeper *next;
	struct worker *w;
	const struct table_app *row; /* in the current table */
	struct wheel_timer timer;
	uint64_t used_ms, told_ms; /* last request's start or end; last MSG_IDLE */
	uint32_t generation;
	bool asleep;
	bool idle;	 /* control was told so */
	bool use_unsent; /* idle, or busy: whatever holds when it can be sent */
	bool waker,
		wake_unsent; /* control was told under this table that somebody waits */
};

static struct sleeper **bucket(struct worker *w, uint32_t id)
{
	return &w->sleepers[id % INSTANCE_BUCKETS];
}

static struct sleeper *find(struct worker *w, uint32_t id)
{
	struct sleeper *s = *bucket(w, id);

	while (s && s->id != id)
		s = s->next;
	return s;
}

/* ---- what control is told ---- */

static void tell_use(struct sleeper *s)
{
	s->use_unsent = link_tell(s->w, s->idle ? MSG_IDLE : MSG_BUSY, s->id) < 0;
	s->w->tells_unsent |= s->use_unsent;
}

static void tell_wake(struct sleeper *s)
{
	s->wake_unsent = link_tell(s->w, MSG_WAKE, s->id) < 0;
	s->w->tells_unsent |= s->wake_unsent;
}

void sleeper_used(struct worker *w, struct sleeper *s)
{
	s->used_ms = w->now_ms;
	if (!s->idle)
		return;
	s->idle = false;
	tell_use(s);
}

static bool in_flight(const struct sleeper *s)
{
	struct instance **list = s->w->table->backends + s->row->first_instance;
	uint32_t k;

	for (k = 0; k < s->row->n_instances; k++)
		if (list[k]->inflight)
			return true;
	return false;
}

/* Armed as long as the app may become idle; a request only stores its time. */
static void idle_timeout(void *arg)
{
	struct sleeper *s = arg;
	uint64_t now = s->w->now_ms, after = s->row->idle_after_ms;
	uint64_t due = (s->idle ? s->told_ms : s->used_ms) + after;

	if (due <= now && s->row->n_instances && !in_flight(s)) {
		s->idle = true;
		s->told_ms = now;
		tell_use(s);
	}
	wheel_set(&s->w->wheel, &s->timer, due > now ? due : now + after);
}

/* ---- waking ---- */

static void ask_wake(struct worker *w, struct instance *i)
{
	if (!i->wake_seq)
		i->wake_seq = ++w->seq ? w->seq : ++w->seq;
	i->wake_unsent = link_ask_wake(w, i->id, i->wake_seq) < 0;
	w->tells_unsent |= i->wake_unsent;
}

void sleeper_wake(struct worker *w, const struct table_app *app)
{
	struct instance **list = w->table->backends + app->first_instance;
	struct sleeper *s = w->table->sleepers[app - w->table->apps];
	uint32_t k;

	if (s->waker)
		return;
	s->waker = true;
	tell_wake(s);
	for (k = 0; k < app->n_instances; k++)
		if (list[k]->frozen && !list[k]->gone)
			ask_wake(w, list[k]);
}

void sleeper_woken(struct worker *w, const struct msg *m)
{
	const struct msg_instance *body = (const void *)m->body;
	struct instance *i =
		m->head.size == sizeof(*body) ? backend_find(w, body->id) : NULL;

	/* one that a table came between says nothing any more */
	if (!i || !i->frozen || i->wake_seq != m->head.seq)
		return;
	i->wake_seq = 0;
	if (m->head.status < 0) {
		/* control, which was told too, knows what to do */
		log_warn("instance %llu does not wake: %s", (unsigned long long)i->id,
			strerror(-m->head.status));
		i->gone = m->head.status == -ESRCH;
		return;
	}
	i->frozen = false;
	hold_release(w, i->sleeper->id);
}

void sleepers_retry(struct worker *w, bool all)
{
	struct instance *i;
	struct sleeper *s;
	uint32_t b;

	w->tells_unsent = false;
	for (b = 0; b < INSTANCE_BUCKETS; b++) {
		for (s = w->sleepers[b]; s; s = s->next) {
			if (s->use_unsent)
				tell_use(s);
			if (s->wake_unsent)
				tell_wake(s);
		}
	}
	for (i = w->instances; i; i = i->next)
		if (i->wake_seq && (all || i->wake_unsent))
			ask_wake(w, i);
}

void sleepers_new_control(struct worker *w)
{
	struct sleeper *s;
	uint32_t b;

	for (b = 0; b < INSTANCE_BUCKETS; b++) {
		for (s = w->sleepers[b]; s; s = s->next) {
			s->idle = false;
			s->use_unsent = false;
			s->wake_unsent = false;
		}
	}
}

/* ---- tables ---- */

static struct sleeper *new_sleeper(struct worker *w, uint32_t id)
{
	struct sleeper *s = calloc(1, sizeof(*s)), **b = bucket(w, id);

	if (!s)
		return NULL;
	s->id = id;
	s->w = w;
	s->used_ms = w->now_ms;
	s->timer.fn = idle_timeout;
	s->timer.arg = s;
	s->next = *b;
	*b = s;
	return s;
}

int sleepers_enlist(struct worker *w, struct table *t)
{
	uint32_t k;

	for (k = 0; k < t->n_apps; k++) {
		const struct table_app *a = &t->apps[k];

		if (!a->idle_after_ms && !(a->flags & APP_ASLEEP))
			continue;
		t->sleepers[k] = find(w, a->id);
		if (!t->sleepers[k])
			t->sleepers[k] = new_sleeper(w, a->id);
		if (!t->sleepers[k])
			return -ENOMEM;
	}
	return 0;
}

/* True when one of the instances was not there before: it counts as asked for. */
static bool list_instances(struct worker *w, struct sleeper *s)
{
	struct instance **list = w->table->backends + s->row->first_instance;
	bool fresh = false;
	uint32_t k;

	for (k = 0; k < s->row->n_instances; k++) {
		list[k]->sleeper = s;
		list[k]->frozen = s->asleep;
		list[k]->wake_seq = 0;
		list[k]->wake_unsent = false;
		fresh |= list[k]->fresh;
	}
	return fresh;
}

static void list_sleeper(struct worker *w, struct sleeper *s, const struct table_app *row)
{
	bool woke = s->asleep && !(row->flags & APP_ASLEEP);
	uint64_t due;

	s->row = row;
	s->generation = w->generation;
	s->asleep = row->flags & APP_ASLEEP;
	s->waker = false;
	s->wake_unsent = false;
	if (list_instances(w, s) || woke)
		sleeper_used(w, s);
	due = s->used_ms + row->idle_after_ms;
	if (s->asleep || !row->idle_after_ms)
		wheel_del(&w->wheel, &s->timer);
	else if (!s->idle || !s->timer.prev)
		wheel_set(&w->wheel, &s->timer, due > w->now_ms ? due : w->now_ms);
}

void sleepers_list(struct worker *w)
{
	uint32_t k;

	for (k = 0; k < w->table->n_apps; k++)
		if (w->table->sleepers[k])
			list_sleeper(w, w->table->sleepers[k], &w->table->apps[k]);
}

void sleepers_sweep(struct worker *w)
{
	struct sleeper *s, **at;
	uint32_t b;

	for (b = 0; b < INSTANCE_BUCKETS; b++) {
		for (at = &w->sleepers[b]; (s = *at);) {
			if (s->generation == w->generation) {
				at = &s->next;
				continue;
			}
			*at = s->next;
			wheel_del(&w->wheel, &s->timer);
			free(s);
		}
	}
}
