/* A canary: another release beside the live one, for a share of the new clients. */
#include "control/deploy/canary.h"
#include "control/applock.h"
#include "control/deploy/release.h"
#include "control/deploy/rollout.h"
#include "control/logs/applog.h"
#include "control/settings.h"
#include <errno.h>
#include <string.h>

struct canary {
	struct control *c;
	struct db_app app;
	struct db_release release;
	struct db_image image;
	struct sink *s;
};

static void unload(struct canary *k)
{
	db_release_clear(&k->release);
	db_image_clear(&k->image);
}

static struct rollout rollout_of(const struct canary *k, uint32_t percent)
{
	return (struct rollout){.app = &k->app,
		.release = &k->release,
		.image = &k->image,
		.type = "web",
		.canary_percent = percent,
		.s = k->s};
}

static int read_app(struct canary *k, uint32_t app, struct err *e)
{
	int r = db_app_by_id(k->c->db, app, &k->app);

	if (r == -ENOENT)
		return err_set(e, ENOENT, "the app was destroyed meanwhile");
	if (r < 0)
		return err_sys(e, -r, "read the app");
	if (k->app.removing)
		return err_set(e, ENOENT, "%s is being destroyed", k->app.name);
	return 0;
}

/* The app serves, and another release may run beside the live one. */
static int check_app(const struct canary *k, uint32_t version, struct err *e)
{
	const char *name = k->app.name;

	if (!k->app.live_version)
		return err_set(
			e, EINVAL, "%s has no release yet; push to it first", name);
	if (version == k->app.live_version)
		return err_set(e, EINVAL,
			"v%u is what %s runs now; a canary is another release", version,
			name);
	if (k->app.stopped)
		return err_set(e, EINVAL, "%s is stopped; `berth ps:start %s` starts it",
			name, name);
	if (k->app.asleep)
		return err_set(e, EINVAL, "%s is asleep; `berth ps:wake %s` wakes it",
			name, name);
	if (rollout_stop_first(k->c, k->app.id, "web"))
		return err_set(e, EINVAL,
			"%s has a writable volume, which a canary would share with the "
			"live release; where the app can do that: berth ps:set %s "
			"overlap on",
			name, name);
	if (!app_quantity(k->c, k->app.id, "web"))
		return err_set(e, EINVAL,
			"%s has no web instance; `berth ps:scale %s web=1` starts one",
			name, name);
	return 0;
}

static int check_release(const struct canary *k, struct err *e)
{
	const char *status = k->release.status;

	if (strcmp(status, "failed") == 0 || strcmp(status, "pending") == 0)
		return err_set(e, EINVAL,
			"v%u %s and never served; `berth releases %s` lists the others",
			k->release.version,
			strcmp(status, "failed") == 0 ? "failed" : "is not finished",
			k->app.name);
	if (!json_object_get(k->image.processes, "web"))
		return err_set(e, EINVAL,
			"v%u has no web process, and a canary takes requests",
			k->release.version);
	return 0;
}

static int start_locked(
	struct canary *k, uint32_t app, uint32_t version, uint32_t percent, struct err *e)
{
	int r = read_app(k, app, e);

	if (r == 0)
		r = check_app(k, version, e);
	if (r == 0)
		r = release_load(k->c, &k->app, version, &k->release, &k->image, e);
	if (r == 0)
		r = check_release(k, e);
	if (r < 0)
		return r;
	struct rollout roll = rollout_of(k, percent);
	roll.commit = true;
	if (version != k->app.canary_version)
		sink_step(k->s, "Starting v%u beside v%u", version, k->app.live_version);
	r = rollout_scale(k->c, &roll, e);
	if (r < 0) {
		applog(app, "berth[deploy]", "v%u is no canary: %s", version, e->text);
		return r;
	}
	applog(app, "berth[deploy]", "canary: v%u gets %u %% of the new clients", version,
		percent);
	sink_step(k->s, "v%u gets %u %% of the new clients, v%u the others", version,
		percent, k->app.live_version);
	sink_detail(
		k->s, "all to v%u: berth rollback %s v%u", version, k->app.name, version);
	sink_detail(k->s, "none: berth releases:canary %s --off", k->app.name);
	return 0;
}

int canary_start(struct control *c, uint32_t app, uint32_t version, uint32_t percent,
	struct sink *s, struct err *e)
{
	struct canary k = {.c = c, .s = s};
	int r = applock_take(app, s, e);

	if (r < 0)
		return r;
	r = start_locked(&k, app, version, percent, e);
	applock_drop(app);
	unload(&k);
	return r;
}

static int end_locked(struct canary *k, uint32_t app, struct err *e)
{
	int r = read_app(k, app, e);

	if (r < 0)
		return r;
	if (!k->app.canary_version)
		return err_set(e, ENOENT, "%s has no canary", k->app.name);
	r = rollout_end_canary(k->c, &k->app, k->s, e);
	if (r < 0)
		return r;
	applog(app, "berth[deploy]", "canary: v%u ends", k->app.canary_version);
	sink_step(k->s, "All clients go to v%u; v%u ends", k->app.live_version,
		k->app.canary_version);
	return 0;
}

int canary_end(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	struct canary k = {.c = c, .s = s};
	int r = applock_take(app, s, e);

	if (r < 0)
		return r;
	r = end_locked(&k, app, e);
	applock_drop(app);
	return r;
}

void canary_follow(
	struct control *c, const struct db_app *a, bool restart, struct sink *s)
{
	struct canary k = {.c = c, .app = *a, .s = s};
	struct err e = {0};

	if (!a->canary_version)
		return;
	int r = release_load(c, a, a->canary_version, &k.release, &k.image, &e);
	if (r == 0) {
		struct rollout roll = rollout_of(&k, a->canary_percent);

		r = restart ? rollout_run(c, &roll, &e) : rollout_scale(c, &roll, &e);
	}
	if (r < 0)
		sink_fail(s, "the canary, v%u: %s", a->canary_version, e.text);
	unload(&k);
}
