/* What an app's owner has set: who may go on, and whose page is shown. */
#include "router/policy.h"
#include "router/worker.h"
#include <errno.h>
#include <string.h>

struct policy {
	uint32_t id; /* of the app */
	uint32_t generation;
	uint32_t waiting; /* requests that have no answer yet */
	struct policy *next;
};

static struct policy **bucket(struct worker *w, uint32_t id)
{
	return &w->policies[id % INSTANCE_BUCKETS];
}

static struct policy *find_or_make(struct worker *w, uint32_t id)
{
	struct policy **b = bucket(w, id), *p = *b;

	while (p && p->id != id)
		p = p->next;
	if (p || !(p = calloc(1, sizeof(*p))))
		return p;
	p->id = id;
	p->next = *b;
	*b = p;
	return p;
}

int policies_enlist(struct worker *w, struct table *t)
{
	for (uint32_t k = 0; t->n_options && k < t->n_apps; k++) {
		if (!t->apps[k].options)
			continue;
		t->policies[k] = find_or_make(w, t->apps[k].id);
		if (!t->policies[k])
			return -ENOMEM;
	}
	return 0;
}

void policies_list(struct worker *w)
{
	const struct table *t = w->table;

	for (uint32_t k = 0; t->n_options && k < t->n_apps; k++) {
		if (t->policies[k])
			t->policies[k]->generation = w->generation;
	}
}

/* Requests still count in it: they let go of it later. */
static bool needed(const struct worker *w, const struct policy *p)
{
	return p->waiting || p->generation == w->generation;
}

void policies_sweep(struct worker *w)
{
	for (uint32_t k = 0; k < INSTANCE_BUCKETS; k++) {
		struct policy **at = &w->policies[k], *p;

		while ((p = *at)) {
			if (needed(w, p)) {
				at = &p->next;
				continue;
			}
			*at = p->next;
			free(p);
		}
	}
}

void policy_leave(struct exchange *x)
{
	x->policy->waiting--;
	x->policy = NULL;
}

static bool join(struct exchange *x, struct policy *p, uint32_t queue_max)
{
	if (x->policy == p)
		return true;
	if (x->policy)
		policy_leave(x);
	if (queue_max && p->waiting >= queue_max)
		return false;
	p->waiting++;
	x->policy = p;
	return true;
}

bool policy_admit(struct exchange *x, const struct table_app *app)
{
	const struct table *t = x->client->w->table;
	const struct table_options *o = table_options_of(t, app);

	if (!o)
		return true;
	x->body_max = o->body_max_bytes ? o->body_max_bytes : REQUEST_BODY_MAX;
	if (!join(x, t->policies[app - t->apps], o->queue_max)) {
		exchange_fail(x, H11);
		return false;
	}
	return true;
}

struct page policy_page(const struct exchange *x, unsigned int status, enum hcode code)
{
	const struct table *t = x->client->w->table;
	const struct table_app *app =
		x->app && t && t->n_options ? exchange_app(x) : NULL;
	const struct table_options *o = app ? table_options_of(t, app) : NULL;
	const struct table_text *own = NULL;

	if (o && code == H80 && o->maintenance_page.len)
		own = &o->maintenance_page;
	else if (o && status >= 500 && o->error_page.len)
		own = &o->error_page;
	return own ? (struct page){t->strings + own->off, own->len} : (struct page){0};
}
