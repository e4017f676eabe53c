/* Whose the bytes on the disk are. */
#include "control/data/share.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct share *of_app(struct shares *s, uint32_t app)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->apps[i].app == app)
			return &s->apps[i];
	return NULL;
}

static struct share *of_name(struct shares *s, const char *name)
{
	for (size_t i = 0; i < s->n; i++)
		if (strcmp(s->apps[i].name, name) == 0)
			return &s->apps[i];
	return NULL;
}

/* ---- layers ---- */

static int compare_layer(const void *key, const void *element)
{
	uint64_t id = *(const uint64_t *)key, at = ((const struct db_layer *)element)->id;

	return id < at ? -1 : id > at;
}

/* The first need of a layer; *ret_n: how many follow each other, of apps *ret_apps. */
static const struct db_need *find_needs(
	const struct share_from *f, uint64_t layer, int *ret_n, int *ret_apps)
{
	int low = 0, high = f->n_needs;

	while (low < high) {
		int middle = low + (high - low) / 2;

		if (f->needs[middle].layer < layer)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_n = *ret_apps = 0;
	for (int i = low; i < f->n_needs && f->needs[i].layer == layer; i++) {
		++*ret_n;
		*ret_apps += f->needs[i].app != 0;
	}
	return f->needs + low;
}

static uint64_t *place_of_layer(const struct share_from *f, struct shares *s,
	const struct usage_row *row, const struct db_need *needs, int n, int n_apps)
{
	const struct db_layer *l =
		f->n_layers ? bsearch(&row->id, f->layers, (size_t)f->n_layers,
				      sizeof(*l), compare_layer)
			    : NULL;

	if (l && !l->ready)
		return &s->unfinished;
	if (l && strcmp(l->kind, "stack") == 0 && (n || !strchr(l->key, '@')))
		return &s->base;
	if (n_apps > 1)
		return &s->shared;
	if (n_apps == 1) {
		struct share *a = of_app(s, needs[n - 1].app);

		return a ? &a->layers : &s->gone;
	}
	return n ? &s->tagged : &s->unneeded;
}

static void add_layer(
	const struct share_from *f, struct shares *s, const struct usage_row *row)
{
	int n, n_apps;
	const struct db_need *needs = find_needs(f, row->id, &n, &n_apps);
	uint64_t *place = place_of_layer(f, s, row, needs, n, n_apps);

	*place += row->bytes;
	if (place != &s->base && place != &s->shared)
		return;
	for (int i = 0; i < n; i++) {
		struct share *a = needs[i].app ? of_app(s, needs[i].app) : NULL;

		if (a)
			a->shared += row->bytes;
	}
}

/* ---- everything else ---- */

/* The first app that mounts it stands for the owner. NULL: nobody does. */
static struct share *owner_of(const struct share_from *f, struct shares *s, uint64_t id)
{
	for (int i = 0; i < f->n_mounts; i++) {
		struct share *a =
			f->mounts[i].volume == id ? of_app(s, f->mounts[i].app) : NULL;

		if (a)
			return a;
	}
	return NULL;
}

static void add_volume(
	const struct share_from *f, struct shares *s, const struct usage_row *row)
{
	struct share *a = owner_of(f, s, row->id);

	*(a ? &a->volumes : &s->volumes) += row->bytes;
	if (row->kind != USAGE_SNAPSHOTS)
		return;
	s->snapshots += row->bytes;
	if (a)
		a->snapshots += row->bytes;
}

static void add_scratch(struct shares *s, const struct usage_row *row)
{
	struct share *a = of_app(s, row->app);

	*(a ? &a->scratch : &s->scratch) += row->bytes;
	if (row->kind != USAGE_UNNAMED)
		return;
	s->unnamed += row->bytes;
	if (a)
		a->unnamed += row->bytes;
}

static void add(const struct share_from *f, struct shares *s, const struct usage_row *row)
{
	struct share *a =
		row->kind == USAGE_REPO ? of_name(s, row->name) : of_app(s, row->app);

	s->partial |= (row->flags & USAGE_PARTIAL) != 0;
	switch ((enum usage_kind)row->kind) {
	case USAGE_LAYER:
		add_layer(f, s, row);
		break;
	case USAGE_UPPER:
		s->unfinished += row->bytes;
		break;
	case USAGE_REPO:
		*(a ? &a->git : &s->gone) += row->bytes;
		break;
	case USAGE_CACHE:
		*(a ? &a->caches : &s->gone) += row->bytes;
		break;
	case USAGE_LOGS:
		*(a ? &a->logs : &s->gone) += row->bytes;
		break;
	case USAGE_VOLUME:
	case USAGE_SNAPSHOTS:
		add_volume(f, s, row);
		break;
	case USAGE_SCRATCH:
	case USAGE_UNNAMED:
		add_scratch(s, row);
		break;
	case USAGE_CONTROL:
		s->database += row->bytes;
		break;
	case USAGE_TRASH:
		s->removing += row->bytes;
		break;
	case USAGE_OTHER:
	case USAGE_END:
		s->other += row->bytes;
		break;
	}
}

int shares_make(const struct share_from *f, struct shares *ret)
{
	*ret = (struct shares){.n = (size_t)f->n_apps};
	ret->apps = calloc(ret->n + 1, sizeof(*ret->apps));
	if (!ret->apps)
		return -ENOMEM;
	for (size_t i = 0; i < ret->n; i++) {
		ret->apps[i].app = f->apps[i].id;
		ret->apps[i].name = f->apps[i].name;
	}
	for (size_t i = 0; i < f->usage->n; i++)
		add(f, ret, &f->usage->rows[i]);
	return 0;
}

void shares_clear(struct shares *s)
{
	free(s->apps);
	*s = (struct shares){0};
}

uint64_t share_total(const struct share *a)
{
	return a->layers + a->git + a->caches + a->logs + a->volumes + a->scratch;
}

uint64_t shares_total(const struct shares *s)
{
	uint64_t sum = s->shared + s->base + s->tagged + s->unneeded + s->unfinished +
		       s->volumes + s->scratch + s->gone + s->database + s->removing +
		       s->other;

	for (size_t i = 0; i < s->n; i++)
		sum += share_total(&s->apps[i]);
	return sum;
}
