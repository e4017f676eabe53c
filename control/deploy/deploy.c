/* The frame of a deploy: lock, build, release, and how it went. */
#include "control/deploy/deploy.h"
#include "control/applock.h"
#include "control/builds/build.h"
#include "control/builds/work.h"
#include "control/config.h"
#include "control/data/retention.h"
#include "control/data/space.h"
#include "control/deploy/rollout.h"
#include "control/logs/applog.h"
#include "control/logs/webhooks.h"
#include "lib/io.h"
#include "lib/jtext.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- under the lock ---- */

static int begin(struct deploy *d, struct err *e)
{
	int r = db_app_by_id(d->c->db, d->app.id, &d->app);

	d->began_ns = d->built_ns = io_mono_ns();
	if (r == -ENOENT)
		return err_set(e, ENOENT, "the app was destroyed meanwhile");
	if (r < 0)
		return err_sys(e, -r, "read the app");
	if (d->app.removing)
		return err_set(e, ENOENT, "%s is being destroyed", d->app.name);
	return space_for_release(d->c, d->s, e);
}

int deploy_run(struct deploy *d, int (*act)(struct deploy *d, void *arg, struct err *e),
	void *arg, struct err *e)
{
	uint32_t app = d->app.id; /* reading an app that is gone clears it */
	int r = applock_take(app, d->s, e);

	if (r < 0)
		return r;
	r = begin(d, e);
	if (r == 0)
		r = act(d, arg, e);
	applock_drop(app);
	json_decref(d->config_before);
	d->config_before = NULL;
	db_image_clear(&d->image);
	db_release_clear(&d->release);
	return r;
}

int deploy_config_load(struct deploy *d, struct err *e)
{
	int r = db_config_get(d->c->db, d->app.id, &d->release.config);

	return r < 0 ? err_sys(e, -r, "read the config") : 0;
}

int deploy_config_set(struct deploy *d, const struct config_change *ch, struct err *e)
{
	json_t *before, *after = config_changed(d->release.config, ch, &before);
	size_t size = config_size(after);

	if (size > CONFIG_MAX) {
		json_decref(before);
		json_decref(after);
		return err_set(e, E2BIG,
			"the config would have %zu bytes in all; at most %zu are "
			"possible",
			size, CONFIG_MAX);
	}
	json_decref(d->release.config);
	d->release.config = after;
	if (d->config_before)
		json_object_update_missing(d->config_before, before);
	else
		d->config_before = json_incref(before);
	json_decref(before);
	return 0;
}

void deploy_set_stopped(struct deploy *d, bool stopped)
{
	d->app.stopped = stopped;
}

/* ---- how it went ---- */

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
	return (double)(to_ns - from_ns) / 1e9;
}

static void print_released(struct deploy *d)
{
	uint64_t now = io_mono_ns();
	char url[HOST_MAX_LEN + 64];

	app_url(d->c, &d->app, url, sizeof(url));
	if (d->built_ns > d->began_ns)
		sink_step(d->s, "Released v%u (build %.1fs, start %.1fs, total %.1fs)",
			d->release.version, seconds(d->began_ns, d->built_ns),
			seconds(d->built_ns, now), seconds(d->began_ns, now));
	else
		sink_step(d->s, "Released v%u (start %.1fs)", d->release.version,
			seconds(d->built_ns, now));
	sink_detail(d->s, "%s", url);
}

/* As it is now: what failed may have stopped it, with a volume that could not be put back. */
static void still_serving(struct deploy *d)
{
	struct db_app now = d->app;

	db_app_by_id(d->c->db, d->app.id, &now);
	if (now.asleep)
		sink_fail(d->s, "%s sleeps, at v%u", now.name, now.live_version);
	else if (!now.live_version)
		sink_fail(d->s, "nothing is serving yet");
	else if (now.stopped)
		sink_fail(d->s, "%s stays stopped, at v%u", now.name, now.live_version);
	else
		sink_fail(d->s, "v%u is still serving", now.live_version);
}

static const char *outcome(int status)
{
	if (status == -ECANCELED)
		return "cancelled";
	return status == 0 ? "succeeded" : "failed";
}

static void tell_webhooks(struct deploy *d, int r, const struct err *e)
{
	char url[HOST_MAX_LEN + 64];
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "result", outcome(r), "commit",
		d->image.commit, "by", d->actor, "description", d->release.description);

	if (d->release.version)
		json_object_set_new(o, "release", json_integer(d->release.version));
	if (r < 0)
		json_object_set_new(o, "error", db_text_json(e->text));
	app_url(d->c, &d->app, url, sizeof(url));
	json_object_set_new(o, "url", json_string(url));
	webhooks_emit(d->c, d->app.id, HOOK_DEPLOY, o);
}

int deploy_finish(struct deploy *d, int r, struct err *e)
{
	tell_webhooks(d, r, e);
	if (r == 0) {
		print_released(d);
		return 0;
	}
	sink_fail(d->s, "%s", e->text);
	still_serving(d);
	e->told = true;
	return r;
}

/* ---- a build, a release ---- */

int deploy_work(struct deploy *d, const char *what, const char *commit,
	int (*act)(struct deploy *d, void *arg, struct err *e), void *arg, struct err *e)
{
	struct work w;
	uint64_t build;
	int r = db_build_create(d->c->db, d->app.id, what, commit, d->actor, &build);

	if (r < 0)
		return err_sys(e, -r, "record the build");
	work_open(&w, d->s, d->app.id, build);
	d->s = &w.sink;
	r = deploy_finish(d, act(d, arg, e), e);
	d->s = w.to;
	db_build_finish(d->c->db, build, outcome(r), d->release.version,
		w.output.data ? w.output.data : "");
	work_close(&w);
	buf_free(&w.output);
	return r;
}

int deploy_build(struct deploy *d, const char *commit, bool no_cache, struct err *e)
{
	struct build_request req = {.app = &d->app,
		.commit = commit,
		.config = d->release.config,
		.no_cache = no_cache};
	int r = space_for_build(d->c, &d->app, commit, d->s, e);

	if (r == 0)
		r = build_image(d->c, &req, d->s, &d->image, e);
	d->built_ns = io_mono_ns();
	return r;
}

#define MAKE_ANEW "`berth ps:rebuild %s` makes them anew"

static int begin_settle(struct deploy *d, struct err *e)
{
	return retention_begin_settle(d->c, d->image.layers) == -EIO
		       ? err_set(e, EIO,
				 "its layers could not be written to disk; " MAKE_ANEW,
				 d->app.name)
		       : 0;
}

static void settle(struct deploy *d)
{
	int r = retention_settle(d->c, d->image.layers);

	if (r == -EIO)
		sink_fail(d->s,
			"its layers could not be written to disk and will be gone after "
			"the next boot; " MAKE_ANEW,
			d->app.name);
	else if (r < 0)
		sink_fail(d->s, "its layers are not all on disk yet: after a power cut "
				"now, the app would need another push");
}

int deploy_release(struct deploy *d, const char *description, struct err *e)
{
	struct db_release *rel = &d->release;

	rel->app = d->app.id;
	rel->image = d->image.id;
	/* it may be cut within a character */
	snprintf(rel->description, sizeof(rel->description), "%.*s",
		(int)jtext_utf8(description, strlen(description)), description);
	snprintf(rel->actor, sizeof(rel->actor), "%s", d->actor);
	int r = db_release_create(d->c->db, rel);
	if (r < 0)
		return err_sys(e, -r, "record the release");
	struct rollout roll = {.app = &d->app,
		.release = rel,
		.image = &d->image,
		.commit = true,
		.release_task = d->release_task,
		.skip_checks = d->skip_checks,
		.data_version = d->data_version,
		.config_before = d->config_before,
		.s = d->s};
	applog(d->app.id, "berth[deploy]", "v%u: %s by %s", rel->version,
		rel->description, d->actor);
	r = begin_settle(d, e);
	if (r == 0)
		r = rollout_run(d->c, &roll, e);
	if (r < 0) {
		db_release_fail(d->c->db, d->app.id, rel->version, e->text);
		applog(d->app.id, "berth[deploy]", "v%u failed: %s", rel->version,
			e->text);
		return r;
	}
	applog(d->app.id, "berth[deploy]", "v%u serves", rel->version);
	settle(d);
	if (d->app.canary_version) {
		applog(d->app.id, "berth[deploy]", "canary: v%u ends",
			d->app.canary_version);
		sink_detail(d->s, "the canary, v%u, ends", d->app.canary_version);
		db_event_add_own(d->c->db, "releases:canary-off", d->app.name,
			"another release went live");
	}
	retention_soon(d->c);
	return 0;
}
