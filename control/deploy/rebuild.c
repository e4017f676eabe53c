/* The live release's commit once more: built without cached layers, or on a newer base image. */
#include "control/builds/build.h"
#include "control/data/space.h"
#include "control/deploy/deploy.h"
#include "control/deploy/release.h"
#include "control/images/rebase.h"
#include "lib/io.h"
#include "receiver/source.h"
#include <errno.h>
#include <string.h>

static int rebuild_act(struct deploy *d, void *commit, struct err *e)
{
	int r = deploy_build(d, commit, true, e);

	d->release_task = true;
	return r < 0 ? r : deploy_release(d, "Rebuild", e);
}

/* The image of the live release. db_image_clear in any case. */
static int live_image(struct deploy *d, struct db_image *ret, struct err *e)
{
	struct db_release live = {0};
	int r = db_release_get(d->c->db, d->app.id, 0, &live);

	if (r == 0)
		r = db_image_get(d->c->db, live.image, ret);
	db_release_clear(&live);
	return r < 0 ? err_sys(e, -r, "read the release") : 0;
}

static int rebuild_locked(struct deploy *d, void *arg, struct err *e)
{
	struct db_image old = {0};

	(void)arg;
	if (!d->app.live_version)
		return err_set(e, ENOENT, "%s has no release to rebuild; push first",
			d->app.name);
	int r = live_image(d, &old, e);
	if (r == 0)
		r = deploy_config_load(d, e);
	if (r == 0 && !old.commit[0])
		r = err_set(e, EINVAL,
			"%s runs an image that was not built here: `berth git:from-image "
			"%s "
			"NAME` deploys another",
			d->app.name, d->app.name);
	if (r == 0)
		r = deploy_work(d, "rebuild", old.commit, rebuild_act, old.commit, e);
	db_image_clear(&old);
	return r;
}

int deploy_rebuild(
	struct control *c, uint32_t app, const char *actor, struct sink *s, struct err *e)
{
	struct deploy d = {.c = c, .s = s, .app.id = app, .actor = actor};

	return deploy_run(&d, rebuild_locked, NULL, e);
}

/* ---- another base image ---- */

struct moving {
	struct db_image old;
	uint64_t base, next;
};

/* As it is where that can be, else built again on the newest base: what did not change is there already, but the packages above it. */
static int move(struct deploy *d, const struct moving *m, struct err *e)
{
	struct err why = {0};
	int r = space_for(d->c, SPACE_RELEASE, "a rebase", d->app.id, d->s, e);

	if (r < 0)
		return r;
	r = rebase_image(d->c, &m->old, m->base, m->next, d->s, &d->image, &why);

	if (r == 0 && (r = db_image_create(d->c->db, &d->image)) < 0)
		return err_sys(e, -r, "record the image");
	if (r != -EEXIST)
		return r < 0 ? err_set(e, -r, "%s", why.text) : 0;
	db_image_clear(&d->image);
	if (strspn(m->old.commit, "0123456789abcdef") != GIT_OID_HEXSZ)
		return err_set(e, EEXIST, "its image cannot move: %s", why.text);
	sink_detail(d->s, "%s: building it again", why.text);
	return deploy_build(d, m->old.commit, false, e);
}

static int rebase_act(struct deploy *d, void *arg, struct err *e)
{
	sink_step(d->s, "Moving %s onto the newest base image", d->app.name);
	int r = move(d, arg, e);

	d->built_ns = io_mono_ns();
	return r < 0 ? r : deploy_release(d, "Rebase", e);
}

static int find_bases(struct deploy *d, struct moving *m, struct err *e)
{
	struct db_release live = {0};
	int r = stack_layer(d->c, &m->next, e);

	if (r == 0)
		r = release_load(d->c, &d->app, 0, &live, &m->old, e);
	db_release_clear(&live);
	if (r == 0)
		r = deploy_config_load(d, e);
	if (r == 0 && rebase_base(d->c, &m->old, &m->base, NULL) < 0)
		return err_set(e, EINVAL,
			"the image of %s is not on a base image of this host",
			d->app.name);
	return r;
}

static int rebase_locked(struct deploy *d, void *arg, struct err *e)
{
	struct moving m = {0};

	(void)arg;
	if (!d->app.live_version)
		return err_set(
			e, ENOENT, "%s has no release to move; push first", d->app.name);
	int r = find_bases(d, &m, e);
	if (r == 0 && m.base == m.next)
		sink_step(d->s, "%s is on the newest base image already", d->app.name);
	else if (r == 0)
		r = deploy_work(d, "rebase", m.old.commit, rebase_act, &m, e);
	db_image_clear(&m.old);
	return r;
}

int deploy_rebase(
	struct control *c, uint32_t app, const char *actor, struct sink *s, struct err *e)
{
	struct deploy d = {.c = c, .s = s, .app.id = app, .actor = actor};

	return deploy_run(&d, rebase_locked, NULL, e);
}
