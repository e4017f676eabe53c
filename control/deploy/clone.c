/* A new app that is what another one is. */
#include "control/deploy/clone.h"
#include "control/applock.h"
#include "control/data/snapshot_step.h"
#include "control/data/snapshots.h"
#include "control/data/volumes.h"
#include "control/deploy/deploy.h"
#include "control/deploy/release.h"
#include "control/logs/loglimits.h"
#include "control/network/network.h"
#include "lib/log.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- half-made ---- */

#define TOPIC "clone"
#define BEGUN "begun" /* among its settings until it is whole; db/restore.c knows it */

static int begin(struct control *c, uint32_t app)
{
	return db_setting_set(c->db, app, TOPIC, BEGUN, "1");
}

int clone_over(struct control *c, uint32_t app, struct err *e)
{
	int r = db_setting_set(c->db, app, TOPIC, BEGUN, NULL);

	return r < 0 ? err_sys(e, -r, "record that the clone is whole") : 0;
}

bool clone_is_half(struct control *c, const struct db_app *a)
{
	char *begun autofree = NULL;

	return !a->live_version &&
	       db_setting_get(c->db, a->id, TOPIC, BEGUN, &begun) == 0 && begun;
}

/* ---- rows ---- */

static int copy_rows(
	struct control *c, const struct db_app *from, const char *name, uint32_t *ret_id)
{
	json_t *config = NULL;
	int r = db_app_create(c->db, name, ret_id);

	if (r == 0)
		r = db_config_get(c->db, from->id, &config);
	if (r >= 0)
		r = db_config_put(c->db, *ret_id, config);
	if (r >= 0)
		r = db_app_copy_settings(c->db, from->id, *ret_id);
	if (r >= 0)
		r = begin(c, *ret_id);
	if (r >= 0 && from->deploy_branch[0])
		r = db_app_set_branch(c->db, *ret_id, from->deploy_branch);
	json_decref(config);
	return r < 0 ? r : 0;
}

/* A setting that others hold, too. */
static void tell_limits(struct control *c, uint32_t app)
{
	struct err e = {0};

	if (loglimits_apply(c, app, &e) < 0)
		log_error("log budget and rate of app %u: %s", app, e.text);
}

int clone_rows(struct control *c, uint32_t from, const char *name, uint32_t *ret_id,
	struct err *e)
{
	struct db_app a;
	int r = db_begin(c->db);

	*ret_id = 0;
	if (r < 0)
		return err_sys(e, -r, "record the app");
	r = db_app_by_id(c->db, from, &a);
	bool gone = r < 0 || a.removing;
	if (!gone)
		r = copy_rows(c, &a, name, ret_id);
	int ended = db_end(c->db, r == 0 && !gone);
	if (gone)
		return err_set(e, ENOENT, "the app was destroyed meanwhile");
	if (r == 0 && (r = ended) == 0) {
		tell_limits(c, *ret_id);
		return 0;
	}
	*ret_id = 0;
	if (r == -EEXIST)
		return err_set(e, EEXIST, "there is already an app named %s", name);
	return err_sys(e, -r, "record the app");
}

/* ---- data ---- */

struct export
{
	struct control *c;
	const struct db_volume *v;
	int fd, status;
	atomic_bool over;
	struct err e;
};

static void *export_main(void *arg)
{
	struct export *x = arg;
	struct sink quiet = vault_quiet();

	x->status = volume_export(x->c, x->v, 0, x->fd, &quiet, &x->e);
	atomic_store(&x->over, true);
	close(x->fd);
	return NULL;
}

/* As it is now: an export of the one is the import of the other. */
static int copy_data(struct control *c, const struct db_volume *from,
	const struct db_volume *to, struct err *e)
{
	struct export x = {.c = c, .v = from};
	struct sink quiet = vault_quiet();
	pthread_t thread;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(e, errno, "make a pipe");
	x.fd = ends[1];
	int r = pthread_create(&thread, NULL, export_main, &x);
	if (r != 0) {
		close(ends[0]);
		close(ends[1]);
		return err_sys(e, r, "start a thread");
	}
	const struct volume_archive a = {.fd = ends[0]};
	r = volume_import(c, to, &a, &quiet, e);
	bool failed_first = r < 0 && !atomic_load(&x.over);
	close(ends[0]); /* an export that nobody reads ends */
	pthread_join(thread, NULL);
	if (failed_first)
		return r;
	return x.status < 0 ? err_set(e, -x.status, "%s", x.e.text) : r;
}

static int make_volume(
	struct control *c, struct db_volume *to, uint64_t size_bytes, struct err *e)
{
	int r = size_bytes ? volume_check_room(c, size_bytes, e) : 0;

	if (r < 0)
		return r;
	r = db_volume_create(c->db, to->name, size_bytes, &to->id);
	if (r == -EEXIST)
		return err_set(e, EEXIST, "there is already a volume named %s", to->name);
	if (r < 0)
		return err_sys(e, -r, "record the volume");
	return volume_make(c, to->id, size_bytes, e);
}

static int add_mount(struct control *c, const struct db_mount *m, struct err *e)
{
	int r = db_mount_add(c->db, m);

	return r < 0 ? err_sys(e, -r, "mount the copy") : 0;
}

/* Only now it is whole, and mounted: what is cut off before goes at the next start, and is in nobody's way. */
static int mount_first(struct control *c, const struct db_mount *m, struct err *e)
{
	int r = db_begin(c->db);

	if (r < 0)
		return err_sys(e, -r, "mount the copy");
	r = db_volume_set_whole(c->db, m->volume, true);
	r = r < 0 ? err_sys(e, -r, "record the volume") : add_mount(c, m, e);
	int ended = db_end(c->db, r == 0);
	return r == 0 && ended < 0 ? err_sys(e, -ended, "mount the copy") : r;
}

/* Its volume becomes a new one called after the app, empty or with what the other one holds. */
static int copy_volume(struct control *c, struct db_mount *m, const char *name,
	bool empty, struct sink *s, struct err *e)
{
	struct db_volume from, to = {0};
	struct err ignored;
	int r = db_volume_by_id(c->db, m->volume, &from);

	if (r < 0)
		return err_sys(e, -r, "read the volume");
	name_joined(name, from.name, to.name);
	if (!empty)
		sink_step(s, "Copying volume %s to %s", from.name, to.name);
	r = make_volume(c, &to, from.size_bytes, e);
	if (r == 0 && !empty)
		r = copy_data(c, &from, &to, e);
	m->volume = to.id;
	if (r == 0)
		r = mount_first(c, m, e);
	if (r < 0 && to.id)
		volume_destroy(c, to.id, &ignored);
	return r;
}

/* Of several mounts of one volume each becomes one of the same copy. */
static int copy_volumes(struct control *c, uint32_t from, const struct db_app *to,
	bool empty, struct sink *s, struct err *e)
{
	struct db_mount *mounts autofree = NULL;
	uint64_t of[PROTO_MOUNTS_MAX * 2], copy[ARRAY_LEN(of)];
	int n = db_mount_list(c->db, from, &mounts), known = 0, r = 0;

	if (n < 0 || n > (int)ARRAY_LEN(of))
		return err_sys(e, n < 0 ? -n : E2BIG, "list the volumes");
	for (int i = 0, at; r == 0 && i < n; i++) {
		struct db_mount mount = mounts[i];

		if (mount.pending == DB_COMES)
			continue;
		mount.app = to->id;
		mount.pending = DB_SETTLED;
		for (at = 0; at < known && of[at] != mounts[i].volume; at++)
			;
		if (at < known) {
			mount.volume = copy[at];
			r = add_mount(c, &mount, e);
			continue;
		}
		r = copy_volume(c, &mount, to->name, empty, s, e);
		of[known] = mounts[i].volume;
		copy[known++] = mount.volume;
	}
	return r;
}

/* ---- the app ---- */

int clone_fill(struct control *c, uint32_t from, uint32_t app, enum clone_data how,
	struct sink *s, struct err *e)
{
	struct db_app to;
	int r = network_apply(c, app, e);

	if (r < 0)
		return r;
	if (db_app_by_id(c->db, app, &to) < 0)
		return err_set(e, ENOENT, "the app was destroyed meanwhile");
	return how == CLONE_NONE ? 0
				 : copy_volumes(c, from, &to, how == CLONE_EMPTY, s, e);
}

static int release_locked(struct deploy *d, void *arg, struct err *e)
{
	const struct db_app *from = arg;
	struct db_release live = {0};
	char description[128];
	int r = release_load(d->c, from, 0, &live, &d->image, e);

	snprintf(description, sizeof(description), "Clone of %s v%u", from->name,
		live.version);
	db_release_clear(&live);
	if (r < 0)
		return r;
	d->image.app = d->app.id;
	r = db_image_create(d->c->db, &d->image);
	if (r < 0)
		return err_sys(e, -r, "record the image");
	r = deploy_config_load(d, e);
	d->release_task = true;
	return r < 0 ? r : deploy_finish(d, deploy_release(d, description, e), e);
}

int clone_release(struct control *c, uint32_t from, uint32_t app, const char *actor,
	struct sink *s, struct err *e)
{
	struct deploy d = {.c = c, .s = s, .app.id = app, .actor = actor};
	struct db_app a;

	/* so that its layers stay until they are the new app's too */
	int r = applock_take(from, s, e);

	if (r < 0)
		return r;
	if (db_app_by_id(c->db, from, &a) < 0)
		r = err_set(e, ENOENT, "the app was destroyed meanwhile");
	else
		r = deploy_run(&d, release_locked, &a, e);
	applock_drop(from);
	return r;
}

/* In the trail of the new one; the request is in that of the first. */
static void record(struct control *c, const struct db_app *from, const struct clone *k)
{
	char detail[NAME_MAX_LEN + 16];

	snprintf(detail, sizeof(detail), "a clone of %s", from->name);
	const struct db_event made = {.actor = k->actor,
		.what = "apps:create",
		.app = k->name,
		.detail = detail,
		.outcome = "ok"};
	if (db_event_add(c->db, &made) < 0)
		log_error("the event apps:create could not be recorded");
}

static int clone_steps(struct control *c, uint32_t from, const struct clone *k,
	bool deploy, int (*made)(void *arg, uint32_t app), void *arg, uint32_t *ret_id,
	struct sink *s, struct err *e)
{
	struct db_app a, now;
	int r = clone_rows(c, from, k->name, ret_id, e);

	if (r == 0 && made && (r = made(arg, *ret_id)) < 0)
		err_sys(e, -r, "record who made it");
	if (r == 0)
		r = clone_fill(
			c, from, *ret_id, k->with_data ? CLONE_COPIES : CLONE_NONE, s, e);
	if (r < 0)
		return r;
	if (db_app_by_id(c->db, from, &a) < 0 || db_app_by_id(c->db, *ret_id, &now) < 0)
		return err_set(e, ENOENT, "the app was destroyed meanwhile");
	record(c, &a, k);
	sink_step(s, "Created %s, with the config and settings of %s", k->name, a.name);
	if (!deploy || !a.live_version) {
		sink_detail(s, "nothing runs yet: git push deploys");
		r = routes_refresh(c, e);
	} else {
		r = clone_release(c, from, *ret_id, k->actor, s, e);
	}
	return r < 0 ? r : clone_over(c, *ret_id, e);
}

int app_clone(struct control *c, uint32_t from, const struct clone *k, bool deploy,
	int (*made)(void *arg, uint32_t app), void *arg, struct sink *s, struct err *e)
{
	uint32_t app = 0;
	struct err ignored;
	struct sink quiet = vault_quiet();
	int r = clone_steps(c, from, k, deploy, made, arg, &app, s, e);

	if (r < 0 && app) {
		app_destroy(c, app, true, k->actor, &quiet, &ignored);
		sink_fail(s, "there is no %s: what it would have been is gone again",
			k->name);
	}
	return r;
}
