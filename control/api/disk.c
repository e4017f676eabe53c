/* What takes the disk, and what may. */
#include "control/api/handlers.h"
#include "control/data/retention.h"
#include "control/data/share.h"
#include "control/data/space.h"
#include <errno.h>
#include <stdio.h>

/* Everything that the report is made of. */
struct sources {
	struct usage usage;
	struct db_app *apps;
	struct db_layer *layers;
	struct db_need *needs;
	struct db_mount *mounts;
	struct shares shares;
};

static void clear(struct sources *f)
{
	shares_clear(&f->shares);
	usage_clear(&f->usage);
	free(f->apps);
	free(f->layers);
	free(f->needs);
	free(f->mounts);
}

/* The counts first: what is made or goes meanwhile has its row at least. */
static int collect(struct request *r, struct sources *f)
{
	struct err e = {0};

	if (usage_read(r->c, 0, &f->usage, &e) < 0)
		return request_fail(r, FAIL_BERTH, "%s", e.text);
	struct share_from from = {.usage = &f->usage,
		.n_apps = db_app_list(r->c->db, &f->apps),
		.n_layers = db_layer_list(r->c->db, &f->layers),
		.n_needs = db_layer_needs(r->c->db, &f->needs),
		.n_mounts = db_mount_list(r->c->db, 0, &f->mounts)};
	from.apps = f->apps;
	from.layers = f->layers;
	from.needs = f->needs;
	from.mounts = f->mounts;
	int n = from.n_apps < 0	    ? from.n_apps
		: from.n_layers < 0 ? from.n_layers
		: from.n_needs < 0  ? from.n_needs
		: from.n_mounts < 0 ? from.n_mounts
				    : shares_make(&from, &f->shares);
	return n < 0 ? request_fail_db(r, n, "disk") : 0;
}

static json_t *app_json(const struct share *a)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "app",
		a->name, "total_bytes", (json_int_t)share_total(a), "layer_bytes",
		(json_int_t)a->layers, "git_bytes", (json_int_t)a->git, "cache_bytes",
		(json_int_t)a->caches, "log_bytes", (json_int_t)a->logs, "volume_bytes",
		(json_int_t)a->volumes, "scratch_bytes", (json_int_t)a->scratch,
		"unnamed_bytes", (json_int_t)a->unnamed, "snapshot_bytes",
		(json_int_t)a->snapshots, "shared_bytes", (json_int_t)a->shared);
}

/* What the next images:prune would free. */
static json_int_t prunable(struct control *c)
{
	uint64_t *ids autofree = NULL;

	retention_count(c);
	int n = db_layer_unused(c->db, DB_KEPT_USUAL, retention_since(c), &ids);
	json_int_t sum = 0;

	for (int i = 0; i < n; i++) {
		struct db_layer l;

		if (db_layer_get(c->db, ids[i], &l, NULL) == 0)
			sum += (json_int_t)l.size_bytes;
	}
	return sum;
}

static json_t *host_json(struct control *c, const struct shares *s)
{
	uint64_t apps = 0;

	for (size_t i = 0; i < s->n; i++)
		apps += share_total(&s->apps[i]);
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
			 "s:I, s:I, s:I, s:b, s:I}",
		"apps_bytes", (json_int_t)apps, "shared_bytes", (json_int_t)s->shared,
		"base_bytes", (json_int_t)s->base, "tagged_bytes", (json_int_t)s->tagged,
		"unneeded_bytes", (json_int_t)s->unneeded, "unfinished_bytes",
		(json_int_t)s->unfinished, "volume_bytes", (json_int_t)s->volumes,
		"scratch_bytes", (json_int_t)s->scratch, "gone_bytes",
		(json_int_t)s->gone, "database_bytes", (json_int_t)s->database,
		"removing_bytes", (json_int_t)s->removing, "other_bytes",
		(json_int_t)s->other, "total_bytes", (json_int_t)shares_total(s),
		"unnamed_bytes", (json_int_t)s->unnamed, "snapshot_bytes",
		(json_int_t)s->snapshots, "partial", s->partial, "prunable_bytes",
		prunable(c));
}

static void add_space(struct control *c, json_t *host)
{
	struct space s;

	if (space_look(c, &s) < 0)
		return;
	json_object_set_new(host, "disk_bytes", json_integer((json_int_t)s.total));
	json_object_set_new(host, "free_bytes", json_integer((json_int_t)s.free));
	json_object_set_new(host, "reserve_bytes", json_integer((json_int_t)s.reserve));
	json_object_set_new(host, "budget_bytes",
		s.budget ? json_integer((json_int_t)s.budget) : json_null());
	json_object_set_new(host, "budget_used_bytes",
		s.budget ? json_integer((json_int_t)s.used) : json_null());
	json_object_set_new(host, "room_bytes", json_integer((json_int_t)space_room(&s)));
}

int disk_report(struct request *r)
{
	struct sources f = {0};
	json_t *o = NULL;

	if (collect(r, &f) == 0) {
		json_t *apps = json_array(), *host = host_json(r->c, &f.shares);

		for (size_t i = 0; i < f.shares.n; i++)
			json_array_append_new(apps, app_json(&f.shares.apps[i]));
		add_space(r->c, host);
		o = json_pack("{s:o, s:o}", "apps", apps, "host", host);
		if (access_role(&r->access, 0) < ROLE_VIEW)
			json_object_del(o, "host");
	}
	clear(&f);
	return o ? request_reply(r, 200, o) : -1;
}

int disk_report_app(struct request *r)
{
	struct sources f = {0};
	json_t *o = NULL;

	if (collect(r, &f) == 0)
		for (size_t i = 0; i < f.shares.n && !o; i++)
			if (f.shares.apps[i].app == r->app.id)
				o = app_json(&f.shares.apps[i]);
	clear(&f);
	if (!o)
		return r->failure.set
			       ? -1
			       : request_fail(r, FAIL_MISSING, "%s is gone", r->app.name);
	uint64_t kept = DB_RELEASES_KEPT;
	db_releases_kept(r->c->db, r->app.id, &kept);
	json_object_set_new(o, "releases", json_integer((json_int_t)kept));
	return request_reply(r, 200, o);
}
