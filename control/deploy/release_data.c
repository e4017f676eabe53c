/* The data of a release. */
#include "control/deploy/release_data.h"
#include "control/logs/applog.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_id(const void *a, const void *b)
{
	const struct release_volume *x = a, *y = b;

	return x->v.id < y->v.id ? -1 : x->v.id > y->v.id;
}

static bool is_listed(const struct release_data *d, uint64_t volume)
{
	for (unsigned int i = 0; i < d->n; i++)
		if (d->volumes[i].v.id == volume)
			return true;
	return false;
}

/* By number: so two deploys cannot wait for each other's volumes, and once each: so none waits for itself. */
static int list_volumes(struct control *c, uint32_t app, struct release_data *d)
{
	struct db_mount *mounts autofree = NULL;
	int n = db_mount_list(c->db, app, &mounts);

	for (int i = 0; i < n && d->n < ARRAY_LEN(d->volumes); i++) {
		struct db_volume *v = &d->volumes[d->n].v;

		if (!mounts[i].read_only && !is_listed(d, mounts[i].volume) &&
			db_volume_by_id(c->db, mounts[i].volume, v) == 0)
			d->n++;
	}
	qsort(d->volumes, d->n, sizeof(*d->volumes), by_id);
	return n < 0 ? n : 0;
}

/* ---- what can be had ---- */

static int check_volume(struct control *c, const struct db_app *a,
	const struct db_volume *v, uint32_t version, struct err *e)
{
	struct db_snapshot s;
	int r = db_snapshot_of_release(c->db, v->id, a->id, version, &s);

	if (r == -ENOENT)
		return err_set(e, ENOENT,
			"there is no snapshot of %s from when v%u of %s was replaced; "
			"`berth "
			"volumes:snapshots %s` lists what there is",
			v->name, version, a->name, v->name);
	return r < 0 ? err_sys(e, -r, "look for the snapshot") : 0;
}

/* It would lose its files under its feet. */
static int check_alone(struct control *c, const struct db_app *a,
	const struct db_volume *v, struct err *e)
{
	struct db_mount *mounts autofree = NULL;
	int n = db_mount_list(c->db, 0, &mounts);
	struct db_app other;

	for (int i = 0; i < n; i++)
		if (mounts[i].volume == v->id && mounts[i].app != a->id &&
			db_app_by_id(c->db, mounts[i].app, &other) == 0 &&
			!other.stopped && other.live_version)
			return err_set(e, EBUSY,
				"%s runs with %s too: `berth ps:stop %s` first",
				other.name, v->name, other.name);
	return 0;
}

int release_data_check(
	struct control *c, const struct db_app *a, uint32_t version, struct err *e)
{
	struct release_data d = {0};
	int r = list_volumes(c, a->id, &d);

	if (r < 0)
		return err_sys(e, -r, "list the volumes");
	if (d.n == 0)
		return err_set(e, EINVAL,
			"%s has no writable volume: there are no data to take along",
			a->name);
	for (unsigned int i = 0; r == 0 && i < d.n; i++) {
		r = check_volume(c, a, &d.volumes[i].v, version, e);
		if (r == 0)
			r = check_alone(c, a, &d.volumes[i].v, e);
		if (r == 0)
			r = volume_check_oneoffs(c, &d.volumes[i].v, e);
	}
	return r;
}

/* ---- snapshots around a switch ---- */

static void say_missing(
	struct release_data *d, const struct release_volume *v, const struct err *e)
{
	sink_fail(d->s, "No snapshot of %s: %s. The deploy goes on without it", v->v.name,
		e->text);
	applog(d->app, "berth[deploy]", "no snapshot of %s: %s", v->v.name, e->text);
}

static void begin_one(struct release_data *d, struct release_volume *v, bool given)
{
	struct db_snapshot row = {.volume = v->v.id, .app = d->app, .why = "release"};
	struct err e;
	int r = volume_lock(v->v.id, d->s, &e);

	v->locked = r == 0;
	if (given)
		snprintf(row.why, sizeof(row.why), "rollback");
	if (r == 0)
		r = snapshot_begin(d->c, &row, true, &v->job, &e);
	if (r < 0)
		say_missing(d, v, &e);
}

static void drop_job(
	struct release_data *d, struct release_volume *v, const struct err *why)
{
	struct err ignored;

	say_missing(d, v, why);
	snapshot_end(TAKE_PTR(v->job), 0, NULL, &ignored);
}

void release_data_begin(struct control *c, const struct db_app *a, bool all,
	struct sink *s, struct release_data *ret)
{
	struct db_volume_snapshots set;
	struct err e;

	*ret = (struct release_data){
		.c = c, .s = s, .app = a->id, .version = a->live_version};
	list_volumes(c, a->id, ret);
	for (unsigned int i = 0; i < ret->n; i++)
		if (all || (db_volume_snapshots(c->db, ret->volumes[i].v.id, &set) == 0 &&
				   set.automatic))
			begin_one(ret, &ret->volumes[i], all);
	for (unsigned int i = 0; i < ret->n; i++) {
		struct release_volume *v = &ret->volumes[i];

		if (v->job && snapshot_await(v->job, s, &e) < 0)
			drop_job(ret, v, &e);
	}
}

static void read_one(struct release_data *d, struct release_volume *v)
{
	struct snapshot_held held = {0};
	struct err e;

	/* also those of other apps that share it */
	if (snapshot_hold(d->c, v->v.id, &held, &e) < 0)
		sink_fail(d->s, "%s: the snapshot of %s is taken while it runs", e.text,
			v->v.name);
	int r = snapshot_read(v->job, &e);
	if (held.ids)
		v->pause_us = snapshot_release(d->c, &held);
	if (r < 0)
		drop_job(d, v, &e);
}

void release_data_read(struct release_data *d)
{
	for (unsigned int i = 0; i < d->n; i++)
		if (d->volumes[i].job)
			read_one(d, &d->volumes[i]);
}

/* On disk from here on. */
static int finish_one(struct release_volume *v, struct err *e)
{
	return v->job ? snapshot_end(TAKE_PTR(v->job), v->pause_us, &v->taken, e) : 0;
}

/* ---- and back ---- */

static int give_one(
	struct release_data *d, struct release_volume *v, uint32_t version, struct err *e)
{
	struct db_snapshot then;
	int r = finish_one(v, e);

	if (r == 0 && !v->taken.id)
		r = err_set(e, EIO,
			"there is no snapshot of %s as it is now: nothing is restored",
			v->v.name);
	if (r == 0 && (r = db_snapshot_of_release(
			       d->c->db, v->v.id, d->app, version, &then)) < 0)
		err_sys(e, -r, "find the snapshot of %s", v->v.name);
	if (r == 0) {
		volume_shut(&v->shut, v->v.id);
		r = volume_check_oneoffs(d->c, &v->v, e);
		if (r == 0)
			r = snapshot_give(d->c, v->v.id, then.id, v->taken.id, NULL, e);
		volume_open(&v->shut);
	}
	if (r == 0)
		v->restored = then.id;
	return r;
}

int release_data_give(struct release_data *d, uint32_t version, struct err *e)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < d->n; i++)
		r = give_one(d, &d->volumes[i], version, e);
	if (r < 0)
		release_data_give_back(d);
	return r;
}

void release_data_give_back(struct release_data *d)
{
	for (unsigned int i = 0; i < d->n; i++) {
		struct release_volume *v = &d->volumes[i];

		if (!v->restored)
			continue;
		volume_shut(&v->shut, v->v.id);
		snapshot_give_back(d->c, v->v.id, v->taken.id, d->s);
		volume_open(&v->shut);
		v->restored = 0;
	}
}

/* Only now it is what the volume was when the release was replaced. */
static int tie(struct release_data *d, const struct release_volume *v)
{
	uint64_t id = v->job ? snapshot_id(v->job) : v->taken.id;

	return id ? db_snapshot_tie(d->c->db, id, d->app, d->version) : 0;
}

int release_data_settle(struct release_data *d)
{
	int r = 0;

	for (unsigned int i = 0; r >= 0 && i < d->n; i++) {
		r = tie(d, &d->volumes[i]);
		if (r >= 0 && d->volumes[i].restored)
			r = snapshot_settle(d->c, d->volumes[i].v.id);
	}
	return r < 0 ? r : 0;
}

/* ---- the end ---- */

static void say_taken(struct release_data *d, const struct release_volume *v)
{
	char added[24], held[48] = "";

	num_format_size(v->taken.added_bytes, added);
	if (v->taken.pause_us)
		snprintf(held, sizeof(held), ", held %.0f ms",
			(double)v->taken.pause_us / 1e3);
	sink_detail(d->s, "%s as it was with v%u is s%llu (%s new%s)", v->v.name,
		d->version, (unsigned long long)v->taken.id, added, held);
}

static void say_given(struct release_data *d, const struct release_volume *v)
{
	sink_detail(d->s,
		"%s is restored to s%llu; `berth volumes:restore %s s%llu` undoes that",
		v->v.name, (unsigned long long)v->restored, v->v.name,
		(unsigned long long)v->taken.id);
}

void release_data_end(struct release_data *d)
{
	struct err e;

	for (unsigned int i = 0; i < d->n; i++) {
		struct release_volume *v = &d->volumes[i];

		if (finish_one(v, &e) < 0)
			say_missing(d, v, &e);
		if (v->taken.id)
			say_taken(d, v);
		if (v->restored)
			say_given(d, v);
		if (v->locked)
			volume_unlock(v->v.id);
	}
}
