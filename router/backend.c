/* Instances: which one a request goes to, and when a removed one is drained. */
#include "router/metrics.h"
#include "router/policy.h"
#include "router/worker.h"
#include <errno.h>
#include <string.h>

static struct instance **bucket(struct worker *w, uint64_t id)
{
	return &w->buckets[(id * 0x9e3779b97f4a7c15ull) >> 54]; /* top 10 bits */
}
_Static_assert(INSTANCE_BUCKETS == 1u << 10, "bucket() takes ten bits");

struct instance *backend_find(struct worker *w, uint64_t id)
{
	struct instance *i = *bucket(w, id);

	while (i && i->id != id)
		i = i->hash_next;
	return i;
}

static struct instance *new_instance(struct worker *w, uint64_t id)
{
	struct instance *i = calloc(1, sizeof(*i)), **b = bucket(w, id);
	int k;

	if (!i)
		return NULL;
	i->id = id;
	for (k = 0; k < 2; k++)
		i->stock[k].tail = &i->stock[k].waiters;
	i->hash_next = *b;
	*b = i;
	i->next = w->instances;
	if (i->next)
		i->next->prev = &i->next;
	i->prev = &w->instances;
	w->instances = i;
	w->n_instances++;
	return i;
}

static void free_instance(struct worker *w, struct instance *i)
{
	struct instance **at = bucket(w, i->id);

	while (*at != i)
		at = &(*at)->hash_next;
	metrics_fold(w, i->slot);
	*at = i->hash_next;
	*i->prev = i->next;
	if (i->next)
		i->next->prev = i->prev;
	w->n_instances--;
	free(i);
}

/* Nothing new goes there: what lies ready is closed. */
static void empty_instance(struct instance *i)
{
	while (i->idle)
		upstream_close(i->idle);
	backend_drop_stock(i);
}

static void drained(struct worker *w, struct instance *i)
{
	link_drained(w, i->id);
	empty_instance(i);
	free_instance(w, i);
}

void backend_enter(struct instance *i, struct exchange *x)
{
	x->inst = i;
	i->inflight++;
	if (i->sleeper)
		sleeper_used(x->client->w, i->sleeper);
	if (!i->slot)
		i->slot = metrics_slot(x->client->w, x->app, i->id);
	x->slot = i->slot;
	x->last_inst = i->id;
	x->name_len = i->name_len;
	memcpy(x->name, i->name, i->name_len);
}

void backend_leave(struct exchange *x)
{
	struct instance *i = x->inst;

	x->inst = NULL;
	if (i->sleeper)
		sleeper_used(x->client->w, i->sleeper);
	if (!--i->inflight && !i->listed)
		drained(x->client->w, i);
}

static bool tried(const struct exchange *x, uint64_t id)
{
	uint8_t k;

	for (k = 0; k < x->n_tried; k++)
		if (x->tried[k] == id)
			return true;
	return false;
}

void backend_failed(struct instance *i, uint64_t now_ms, bool refused)
{
	uint32_t n = ++i->failures, doubled = refused ? n - 1 : n - SLOW_MAX;

	if (!refused && n < SLOW_MAX)
		return;
	i->sour_ms = now_ms + (doubled < 5 ? SOUR_MS << doubled : SOUR_MAX_MS);
}

/* The app has a canary, and its kth instance is not of the client's group. */
static bool is_foreign(const struct worker *w, const struct table_app *app, uint32_t k,
	const struct exchange *x)
{
	const struct table *t = w->table;
	const struct table_options *o = x->group ? table_options_of(t, app) : NULL;

	if (!o || !o->canary_key)
		return false;
	return (t->instances[app->first_instance + k].release == o->canary_release) !=
	       (x->group == GROUP_CANARY);
}

/*
 * Those that failed lately come last. Where the canary's did, its clients rather go to the live ones; the canary is small,
 * and gets the others' clients only when nobody else is there.
 */
static uint64_t cost(
	const struct instance *i, uint64_t now_ms, const struct exchange *x, bool foreign)
{
	uint64_t late = now_ms < i->sour_ms,
		 level = x->group == GROUP_CANARY ? late << 1 | foreign
						  : (uint64_t)foreign << 1 | late;

	return level << 32 | i->inflight;
}

/* The one that its client's cookie names; NULL: gone, or tried. */
static struct instance *pick_sticky(
	struct worker *w, const struct table_app *app, const struct exchange *x)
{
	struct instance **list = w->table->backends + app->first_instance;

	for (uint32_t k = 0; k < app->n_instances; k++) {
		struct instance *i = list[k];

		if (policy_sticky(x->sticky_key, i->id) != x->sticky)
			continue;
		return i->gone || i->frozen || tried(x, i->id) || is_foreign(w, app, k, x)
			       ? NULL
			       : i;
	}
	return NULL;
}

struct instance *backend_pick(
	struct worker *w, const struct table_app *app, const struct exchange *x)
{
	struct instance **list = w->table->backends + app->first_instance, *best = NULL;
	uint64_t least = UINT64_MAX, its;
	uint32_t n = app->n_instances, k, at;

	if (x->n_tried >= TRIED_MAX)
		return NULL;
	if (n == 1 && !list[0]->gone && !list[0]->frozen && !x->n_tried)
		return list[0];
	best = x->sticky ? pick_sticky(w, app, x) : NULL;
	if (best)
		return best;
	at = n > 1 ? w->turn++ % n : 0; /* equals take turns */
	for (k = 0; k < n; k++, at = at + 1 < n ? at + 1 : 0) {
		struct instance *i = list[at];

		if (i->gone || i->frozen || tried(x, i->id))
			continue;
		its = cost(i, w->now_ms, x, is_foreign(w, app, at, x));
		if (its < least) {
			least = its;
			best = i;
		}
	}
	return best;
}

/* Most stand where they stood in the table before: behind the one that was found last, at *at or a little later. */
static struct instance *find_next(struct worker *w, uint64_t id, uint32_t *at)
{
	const struct table *t = w->table;
	uint32_t k;

	for (k = *at; t && k < t->n_instances && k < *at + 4; k++) {
		if (t->instances[k].id == id) {
			*at = k + 1;
			return t->backends[k];
		}
	}
	return backend_find(w, id);
}

/*
 * Finds or makes every instance of t. On failure the new ones are swept like removed
 * ones.
 */
static int enlist(struct worker *w, struct table *t)
{
	uint32_t k, at = 0;

	for (k = 0; k < t->n_instances; k++) {
		const struct table_instance *ti = &t->instances[k];
		struct instance *i = find_next(w, ti->id, &at);

		if (!i)
			i = new_instance(w, ti->id);
		if (!i)
			return -ENOMEM;
		t->backends[k] = i;
	}
	return sleepers_enlist(w, t) < 0 ? -ENOMEM : policies_enlist(w, t);
}

static void list_all(struct worker *w, struct table *t)
{
	uint32_t k;

	w->generation++;
	for (k = 0; k < t->n_instances; k++) {
		const struct table_instance *ti = &t->instances[k];
		struct instance *i = t->backends[k];

		i->fresh = !i->listed;
		i->generation = w->generation;
		i->listed = true;
		i->gone = false;
		i->frozen = false;
		i->sleeper = NULL;
		i->failures = 0;
		i->sour_ms = 0;
		i->port = ti->port;
		i->name_len = (uint8_t)ti->name_len;
		memcpy(i->name, t->strings + ti->name_off, ti->name_len);
		if (i->fresh && backend_few(w, t->n_instances))
			backend_prefetch(w, i);
	}
}

int backend_apply(struct worker *w, struct table *t)
{
	struct table *old = w->table;

	if (enlist(w, t) < 0) {
		backend_sweep(w);
		return -ENOMEM;
	}
	list_all(w, t);
	w->table = t;
	table_free(old);
	sleepers_list(w);
	policies_list(w);
	return 0;
}

void backend_sweep(struct worker *w)
{
	struct instance *i, *next;

	for (i = w->instances; i; i = next) {
		next = i->next;
		if (i->generation == w->generation)
			continue;
		i->listed = false;
		i->frozen = false;
		i->wake_seq = 0;
		i->sleeper = NULL;
		i->inflight++; /* stays while its waiters leave */
		backend_retry_waiters(i, H10);
		empty_instance(i);
		if (!--i->inflight)
			drained(w, i);
	}
	sleepers_sweep(w);
	policies_sweep(w);
	metrics_sweep(w);
}

void backend_free_all(struct worker *w)
{
	while (w->instances) {
		empty_instance(w->instances);
		free_instance(w, w->instances);
	}
	w->generation++;
	sleepers_sweep(w);
	policies_sweep(w);
	table_free(w->table);
	w->table = NULL;
}
