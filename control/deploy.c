/* Releases: from a push, a config change or a rollback to what serves. */
#include "control/applock.h"
#include "control/applog.h"
#include "control/build.h"
#include "control/docker.h"
#include "control/images.h"
#include "control/own_start.h"
#include "control/rebase.h"
#include "control/release.h"
#include "control/retention.h"
#include "control/rollout.h"
#include "control/work.h"
#include "lib/io.h"
#include "lib/log.h"
#include "receiver/source.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ZERO_OID "0000000000000000000000000000000000000000"
#define DISK_RESERVE                                                                     \
	(16u << 20) /* scratch image, database log, routing: what a deploy writes beside its layers */

/* ---- one release ---- */

struct deploy {
	struct control *c;
	struct db_app app;
	struct db_image image;
	struct db_release release;
	struct sink *s;
	bool skip_checks, release_task;
	uint64_t began_ns, built_ns;
};

static double seconds(uint64_t from_ns, uint64_t to_ns)
{
	return (double)(to_ns - from_ns) / 1e9;
}

/* What the layers of the live release took that only its app has: about what the next ones will. */
static uint64_t last_size(struct control *c, const struct db_app *a)
{
	struct db_release live = {0};
	struct db_image image = {0};
	uint64_t sum = 0;
	size_t i;
	json_t *id;

	if (a->live_version &&
		db_release_get(c->db, a->id, a->live_version, &live) == 0 &&
		db_image_get(c->db, live.image, &image) == 0) {
		json_array_foreach (image.layers, i, id) {
			struct db_layer l;
			if (db_layer_get(c->db, (uint64_t)json_integer_value(id), &l,
				    NULL) == 0 &&
				(strcmp(l.kind, "source") == 0 || l.app == a->id))
				sum += l.size_bytes;
		}
	}
	db_image_clear(&image);
	db_release_clear(&live);
	return sum;
}

/*
 * A deploy that runs out of disk half way leaves an instance that cannot write beside records that could not be written.
 * When it gets tight, what nothing needs goes first.
 */
static int check_space(struct deploy *d, struct err *e)
{
	struct control *c = d->c;
	uint64_t left, total, needed = last_size(c, &d->app) + DISK_RESERVE;

	if (disk_free(c, &left, &total) < 0 || left >= needed)
		return 0;
	retention_now(c);
	if (disk_free(c, &left, &total) < 0 || left >= needed)
		return 0;
	if (left >= DISK_RESERVE) {
		sink_fail(d->s,
			"the disk is nearly full: %llu MB are free in %s, and the last "
			"build of %s took %llu MB; `berth images:prune` frees what "
			"nothing needs",
			(unsigned long long)(left >> 20), c->state, d->app.name,
			(unsigned long long)((needed - DISK_RESERVE) >> 20));
		return 0;
	}
	return err_set(e, ENOSPC,
		"No space left on device: %u kB are free in %s, a deploy needs %u MB",
		(unsigned int)(left >> 10), c->state, DISK_RESERVE >> 20);
}

static int begin(struct deploy *d, uint32_t app, struct err *e)
{
	int r = db_app_by_id(d->c->db, app, &d->app);

	d->began_ns = d->built_ns = io_mono_ns();
	if (r == -ENOENT)
		return err_set(e, ENOENT, "the app was destroyed meanwhile");
	if (r < 0)
		return err_sys(e, -r, "read the app");
	if (d->app.removing)
		return err_set(e, ENOENT, "%s is being destroyed", d->app.name);
	return check_space(d, e);
}

static void end(struct deploy *d)
{
	db_image_clear(&d->image);
	db_release_clear(&d->release);
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

static void still_serving(struct deploy *d)
{
	struct db_app now;

	if (db_app_by_id(d->c->db, d->app.id, &now) == 0 && now.asleep)
		sink_fail(d->s, "%s sleeps, at v%u", d->app.name, d->app.live_version);
	else if (d->app.live_version && !d->app.stopped)
		sink_fail(d->s, "v%u is still serving", d->app.live_version);
	else if (!d->app.live_version)
		sink_fail(d->s, "nothing is serving yet");
	else
		sink_fail(d->s, "%s stays stopped, at v%u", d->app.name,
			d->app.live_version);
}

/* Image and config are filled in: gives the number, rolls out, records how it went. */
static int release_and_roll(
	struct deploy *d, const char *description, const char *actor, struct err *e)
{
	struct db_release *rel = &d->release;

	rel->app = d->app.id;
	rel->image = d->image.id;
	snprintf(rel->description, sizeof(rel->description), "%s", description);
	snprintf(rel->actor, sizeof(rel->actor), "%s", actor);
	int r = db_release_create(d->c->db, rel);
	if (r < 0)
		return err_sys(e, -r, "record the release");
	struct rollout roll = {.app = &d->app,
		.release = rel,
		.image = &d->image,
		.commit = true,
		.release_task = d->release_task,
		.skip_checks = d->skip_checks,
		.s = d->s};
	applog(d->app.id, "berth[deploy]", "v%u: %s by %s", rel->version,
		rel->description, actor);
	r = rollout_run(d->c, &roll, e);
	if (r < 0) {
		db_release_fail(d->c->db, d->app.id, rel->version, e->text);
		applog(d->app.id, "berth[deploy]", "v%u failed: %s", rel->version,
			e->text);
		return r;
	}
	applog(d->app.id, "berth[deploy]", "v%u serves", rel->version);
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

/* ---- push ---- */

struct pushing {
	struct deploy d;
	const struct push *p;
	const char *branch;    /* of refs/heads/ */
	json_t *config_before; /* when push options changed it, else NULL */
};

static bool is_zero(const char *oid)
{
	return strcmp(oid, ZERO_OID) == 0;
}

/* 1: deploy. 0: stored only, said so. -errno: refused. */
static int ref_rule(struct pushing *p, struct err *e)
{
	const char *ref = p->p->ref;
	struct db_app *a = &p->d.app;

	if (strncmp(ref, "refs/tags/", 10) == 0) {
		sink_detail(p->d.s, "%s is stored; tags do not deploy", ref + 10);
		return 0;
	}
	if (strncmp(ref, "refs/heads/", 11) != 0)
		return err_set(e, EPERM, "%s: only branches and tags can be pushed", ref);
	p->branch = ref + 11;
	bool main = strcmp(p->branch, "main") == 0 || strcmp(p->branch, "master") == 0;
	if (!a->deploy_branch[0] && main && !is_zero(p->p->new_oid)) {
		snprintf(a->deploy_branch, sizeof(a->deploy_branch), "%s", p->branch);
		db_app_set_branch(p->d.c->db, a->id, p->branch);
	}
	bool deploys = strcmp(p->branch, a->deploy_branch) == 0;
	if (deploys && is_zero(p->p->new_oid))
		return err_set(e, EPERM,
			"%s is the branch that deploys: it cannot be deleted", p->branch);
	if (is_zero(p->p->new_oid))
		return 0;
	if (!deploys) {
		sink_fail(p->d.s,
			"%s is stored, not deployed: %s deploys (`berth git:set %s "
			"deploy-branch %s`, or push "
			"`%s:%s`)",
			p->branch,
			a->deploy_branch[0] ? a->deploy_branch : "main or master",
			a->name, p->branch, p->branch,
			a->deploy_branch[0] ? a->deploy_branch : "main");
		return 0;
	}
	return 1;
}

/* The newest push that went through: its build's id, and its commit. 0: none yet. */
static json_int_t last_push(struct pushing *p, char commit[GIT_OID_HEXSZ + 1])
{
	json_t *builds = NULL;
	const json_t *b;
	json_int_t id = 0;
	size_t i;

	if (db_build_list(p->d.c->db, p->d.app.id, &builds) < 0)
		return 0;
	json_array_foreach (builds, i, b) {
		const char *status = json_string_value(json_object_get(b, "status"));
		const char *of = json_string_value(json_object_get(b, "commit"));
		const char *what = json_string_value(json_object_get(b, "what"));
		if (!status || !of || !what || strcmp(status, "succeeded") != 0 ||
			strcmp(what, "push") != 0)
			continue;
		id = json_integer_value(json_object_get(b, "id"));
		snprintf(commit, GIT_OID_HEXSZ + 1, "%s", of);
		break;
	}
	json_decref(builds);
	return id;
}

/*
 * After waiting: git would refuse the ref anyway, so nothing is built for it. A push that ended while we waited moves its
 * ref a moment after its hook returned, so its build counts as well as the ref.
 */
static int still_current(struct pushing *p, json_int_t last_before, struct err *e)
{
	git_repository *repo = NULL;
	git_reference *ref = NULL;
	char path[PATH_MAX], now[GIT_OID_HEXSZ + 1] = ZERO_OID;

	snprintf(path, sizeof(path), "%s/repos/%s.git", p->d.c->state, p->d.app.name);
	int r = source_open(path, &repo, e);
	if (r < 0)
		return r;
	if (git_reference_lookup(&ref, repo, p->p->ref) == 0 && git_reference_target(ref))
		git_oid_tostr(now, sizeof(now), git_reference_target(ref));
	git_reference_free(ref);
	git_repository_free(repo);
	char pushed[GIT_OID_HEXSZ + 1];
	if (last_push(p, pushed) != last_before)
		memcpy(now, pushed, sizeof(now));
	if (strcmp(now, p->p->old_oid) != 0)
		return err_set(e, ESTALE,
			"%s moved to %.7s meanwhile; fetch and push again", p->branch,
			now);
	return 0;
}

static const char *option(const struct push *p, const char *key)
{
	return json_string_value(json_object_get(p->options, key));
}

/* config.KEY=VALUE options become config with this release. */
static int option_config(struct pushing *p, json_t *config, struct err *e)
{
	const char *key;
	json_t *value, *before = json_deep_copy(config);
	bool any = false;

	json_object_foreach ((json_t *)(uintptr_t)p->p->options, key, value) {
		if (strncmp(key, "config.", 7) != 0)
			continue;
		if (!name_key_valid(key + 7) || strcmp(key + 7, "PORT") == 0) {
			json_decref(before);
			return err_set(
				e, EINVAL, "push option %s: no valid config key", key);
		}
		json_object_set(config, key + 7, value);
		any = true;
	}
	if (!any) {
		json_decref(before);
		return 0;
	}
	p->config_before = before;
	return db_config_put(p->d.c->db, p->d.app.id, config);
}

static void apply_formation(struct pushing *p)
{
	const char *type;
	json_t *row;

	/* app.json's formation counts on the first release only: later, ps:scale is the owner's word. */
	if (p->d.app.live_version)
		return;
	json_object_foreach (json_object_get(p->d.image.checks, "formation"), type, row) {
		const json_t *n = json_object_get(row, "quantity");
		if (json_is_integer(n) && name_type_valid(type))
			db_formation_set(p->d.c->db, p->d.app.id, type,
				(uint32_t)json_integer_value(n));
	}
}

static int push_build(struct pushing *p, struct err *e)
{
	struct deploy *d = &p->d;
	int r = db_config_get(d->c->db, d->app.id, &d->release.config);

	if (r >= 0)
		r = option_config(p, d->release.config, e);
	if (r < 0)
		return err_sys(e, -r, "the app's config");
	struct build_request req = {.app = &d->app,
		.commit = p->p->new_oid,
		.config = d->release.config,
		.no_cache = option(p->p, "no-cache") != NULL};
	r = build_image(d->c, &req, d->s, &d->image, e);
	d->built_ns = io_mono_ns();
	return r;
}

/* What a push that failed had changed beside the code. */
static void push_undo(struct pushing *p, bool was_stopped)
{
	if (p->config_before)
		db_config_put(p->d.c->db, p->d.app.id, p->config_before);
	if (was_stopped && db_app_set_stopped(p->d.c->db, p->d.app.id, true) == 0)
		p->d.app.stopped = true;
}

static int push_deploy(struct pushing *p, struct err *e)
{
	char description[256];
	const char *message = option(p->p, "message");
	bool was_stopped = p->d.app.stopped;

	int r = push_build(p, e);
	if (r < 0) {
		push_undo(p, false);
		return r;
	}
	apply_formation(p);
	if (p->d.app.stopped && db_app_set_stopped(p->d.c->db, p->d.app.id, false) == 0)
		p->d.app.stopped = false;
	p->d.skip_checks = option(p->p, "skip-checks") != NULL;
	p->d.release_task = true;
	if (message)
		snprintf(description, sizeof(description), "%.200s", message);
	else
		snprintf(description, sizeof(description), "Deploy %.7s", p->p->new_oid);
	r = release_and_roll(&p->d, description, p->p->actor, e);
	if (r == 0) {
		char ref[128];
		snprintf(ref, sizeof(ref), "refs/berth/releases/%u %s",
			p->d.release.version, p->p->new_oid);
		p->d.s->write(p->d.s, 'r', ref);
		print_released(&p->d);
	} else {
		push_undo(p, was_stopped);
	}
	return r;
}

/* One build from its row to what it printed: what is between begin_work and end_work is seen and can be cancelled. */
static int begin_work(struct deploy *d, struct work *w, const char *what,
	const char *commit, const char *actor, struct err *e)
{
	uint64_t build;
	int r = db_build_create(d->c->db, d->app.id, what, commit, actor, &build);

	if (r < 0)
		return err_sys(e, -r, "record the build");
	work_open(w, d->s, d->app.id, build);
	d->s = &w->sink;
	return 0;
}

static void end_work(struct deploy *d, struct work *w, int status)
{
	const char *how = status == 0		 ? "succeeded"
			  : status == -ECANCELED ? "cancelled"
						 : "failed";

	d->s = w->to;
	db_build_finish(d->c->db, w->build, how, d->release.version,
		w->output.data ? w->output.data : "");
	work_close(w);
	buf_free(&w->output);
}

static int push_locked(struct pushing *p, json_int_t last_before, struct err *e)
{
	struct work work;
	int r = begin(
		&p->d, p->d.app.id, e); /* again: it may have changed while we waited */

	if (r == 0)
		r = still_current(p, last_before, e);
	if (r < 0)
		return r;
	r = begin_work(&p->d, &work, "push", p->p->new_oid, p->p->actor, e);
	if (r < 0)
		return r;
	r = push_deploy(p, e);
	if (r < 0) {
		sink_fail(p->d.s, "%s", e->text);
		still_serving(&p->d);
	}
	end_work(&p->d, &work, r);
	e->told = r < 0;
	return r;
}

int deploy_push(struct control *c, const char *app, const struct push *push,
	struct sink *s, struct err *e)
{
	struct pushing p = {.d = {.c = c, .s = s}, .p = push};
	int r = db_app_by_name(c->db, app, &p.d.app);

	if (r < 0)
		return err_set(e, -r, "no app %s", app);
	if (p.d.app.locked)
		return err_set(
			e, EPERM, "%s is locked; `berth apps:unlock %s`", app, app);
	r = ref_rule(&p, e);
	if (r <= 0)
		return r;
	if (option(push, "no-deploy")) {
		sink_detail(s, "stored, not deployed (no-deploy)");
		return 0;
	}
	char commit[GIT_OID_HEXSZ + 1];
	json_int_t last_before = last_push(&p, commit);
	r = applock_take(p.d.app.id, s, e);
	if (r < 0)
		return r;
	uint32_t id =
		p.d.app.id; /* of the lock: reading an app that is gone clears the rest */
	r = push_locked(&p, last_before, e);
	applock_drop(id);
	json_decref(p.config_before);
	end(&p.d);
	return r;
}

/* ---- config, rollback, rebuild ---- */

static int finish_change(struct deploy *d, int r, struct err *e)
{
	if (r == 0) {
		print_released(d);
		return 0;
	}
	sink_fail(d->s, "%s", e->text);
	still_serving(d);
	e->told = true;
	return r;
}

static int config_locked(
	struct deploy *d, const char *description, const char *actor, struct err *e)
{
	struct db_release live = {0};
	int r = begin(d, d->app.id, e);

	if (r == 0 && !d->app.live_version)
		return 0; /* used by the first release */
	if (r == 0)
		r = release_load(d->c, &d->app, 0, &live, &d->image, e);
	if (r == 0 && (r = db_config_get(d->c->db, d->app.id, &d->release.config)) < 0)
		err_sys(e, -r, "read the config");
	if (r == 0) {
		r = release_and_roll(d, description, actor, e);
		r = finish_change(d, r, e);
	}
	/* A change that does not start is refused like a push: what config shows is what serves. */
	if (r < 0 &&
		(live.config || db_release_get(d->c->db, d->app.id, 0, &live) == 0) &&
		db_config_put(d->c->db, d->app.id, live.config) >= 0)
		sink_fail(d->s, "the config is as it was in v%u", live.version);
	db_release_clear(&live);
	return r;
}

int deploy_config(struct control *c, uint32_t app, const char *description,
	const char *actor, struct sink *s, struct err *e)
{
	struct deploy d = {.c = c, .s = s, .app.id = app};
	int r = applock_take(app, s, e);

	if (r < 0)
		return r;
	r = config_locked(&d, description, actor, e);
	applock_drop(app);
	end(&d);
	return r;
}

static int rollback_locked(
	struct deploy *d, uint32_t version, const char *actor, struct err *e)
{
	struct db_release from = {0};
	char description[64];
	int r = begin(d, d->app.id, e);

	if (r == 0 && version == 0) {
		r = db_release_previous(d->c->db, d->app.id, &version);
		if (r < 0)
			return err_set(e, ENOENT,
				"%s has no earlier release to go back to", d->app.name);
	}
	if (r == 0 && version == d->app.live_version)
		return err_set(e, EINVAL, "v%u is the release that serves", version);
	if (r == 0)
		r = release_load(d->c, &d->app, version, &from, &d->image, e);
	if (r == 0 && strcmp(from.status, "failed") == 0)
		r = err_set(e, EINVAL,
			"v%u failed and never served; `berth releases %s` lists the "
			"others",
			version, d->app.name);
	if (r == 0) {
		d->release.config = json_deep_copy(from.config);
		snprintf(description, sizeof(description), "Rollback to v%u", version);
		r = finish_change(d, release_and_roll(d, description, actor, e), e);
		/* The config goes back too: what serves is what config shows. */
		if (r == 0)
			db_config_put(d->c->db, d->app.id, d->release.config);
	}
	db_release_clear(&from);
	return r;
}

int deploy_rollback(struct control *c, uint32_t app, uint32_t version, const char *actor,
	struct sink *s, struct err *e)
{
	struct deploy d = {.c = c, .s = s, .app.id = app};
	int r = applock_take(app, s, e);

	if (r < 0)
		return r;
	r = rollback_locked(&d, version, actor, e);
	applock_drop(app);
	end(&d);
	return r;
}

static int rebuild_locked(struct deploy *d, const char *actor, struct err *e)
{
	struct db_release live = {0};
	struct db_image old = {0};
	struct work work;
	int r = begin(d, d->app.id, e);

	if (r == 0 && !d->app.live_version)
		return err_set(e, ENOENT, "%s has no release to rebuild; push first",
			d->app.name);
	if (r == 0 && (r = db_release_get(d->c->db, d->app.id, 0, &live)) == 0)
		r = db_image_get(d->c->db, live.image, &old);
	if (r == 0)
		r = db_config_get(d->c->db, d->app.id, &d->release.config);
	if (r < 0) {
		db_release_clear(&live);
		return err_sys(e, -r, "read the release");
	}
	if (!old.commit[0]) {
		db_image_clear(&old);
		db_release_clear(&live);
		return err_set(e, EINVAL,
			"%s runs an image that was not built here: `berth git:from-image "
			"%s "
			"NAME` deploys another",
			d->app.name, d->app.name);
	}
	struct build_request req = {.app = &d->app,
		.commit = old.commit,
		.config = d->release.config,
		.no_cache = true};
	r = begin_work(d, &work, "rebuild", old.commit, actor, e);
	if (r == 0) {
		r = build_image(d->c, &req, d->s, &d->image, e);
		d->built_ns = io_mono_ns();
		d->release_task = true;
		if (r == 0)
			r = release_and_roll(d, "Rebuild", actor, e);
		r = finish_change(d, r, e);
		end_work(d, &work, r);
	}
	db_image_clear(&old);
	db_release_clear(&live);
	return r;
}

int deploy_rebuild(
	struct control *c, uint32_t app, const char *actor, struct sink *s, struct err *e)
{
	struct deploy d = {.c = c, .s = s, .app.id = app};
	int r = applock_take(app, s, e);

	if (r < 0)
		return r;
	r = rebuild_locked(&d, actor, e);
	applock_drop(app);
	end(&d);
	return r;
}

/* ---- another base image ---- */

/* Builds the image's commit on the newest base: what did not change is there already, but the packages above it. */
static int build_again(struct deploy *d, const struct db_image *old, struct err *e)
{
	struct build_request req = {
		.app = &d->app, .commit = old->commit, .config = d->release.config};

	return build_image(d->c, &req, d->s, &d->image, e);
}

static int move(struct deploy *d, const struct db_image *old, uint64_t base,
	uint64_t next, struct err *e)
{
	struct err why = {0};
	int r = rebase_image(d->c, old, base, next, d->s, &d->image, &why);

	if (r == 0 && (r = db_image_create(d->c->db, &d->image)) < 0)
		return err_sys(e, -r, "record the image");
	if (r != -EEXIST)
		return r < 0 ? err_set(e, -r, "%s", why.text) : 0;
	db_image_clear(&d->image);
	if (strspn(old->commit, "0123456789abcdef") != GIT_OID_HEXSZ)
		return err_set(e, EEXIST, "its image cannot move: %s", why.text);
	sink_detail(d->s, "%s: building it again", why.text);
	return build_again(d, old, e);
}

static int rebase_to(struct deploy *d, const struct db_image *old, uint64_t base,
	uint64_t next, const char *actor, struct err *e)
{
	struct work work;
	int r = begin_work(d, &work, "rebase", old->commit, actor, e);

	if (r < 0)
		return r;
	sink_step(d->s, "Moving %s onto the newest base image", d->app.name);
	r = move(d, old, base, next, e);
	d->built_ns = io_mono_ns();
	if (r == 0)
		r = release_and_roll(d, "Rebase", actor, e);
	r = finish_change(d, r, e);
	end_work(d, &work, r);
	return r;
}

static int rebase_locked(struct deploy *d, const char *actor, struct err *e)
{
	struct db_release live = {0};
	struct db_image old = {0};
	uint64_t base, next;
	int r = begin(d, d->app.id, e);

	if (r == 0 && !d->app.live_version)
		return err_set(
			e, ENOENT, "%s has no release to move; push first", d->app.name);
	if (r == 0)
		r = stack_layer(d->c, &next, e);
	if (r == 0)
		r = release_load(d->c, &d->app, 0, &live, &old, e);
	if (r == 0 && (r = db_config_get(d->c->db, d->app.id, &d->release.config)) < 0)
		err_sys(e, -r, "read the config");
	if (r == 0 && rebase_base(d->c, &old, &base, NULL) < 0)
		r = err_set(e, EINVAL,
			"the image of %s is not on a base image of this host",
			d->app.name);
	if (r == 0 && base == next)
		sink_step(d->s, "%s is on the newest base image already", d->app.name);
	else if (r == 0)
		r = rebase_to(d, &old, base, next, actor, e);
	db_image_clear(&old);
	db_release_clear(&live);
	return r;
}

int deploy_rebase(
	struct control *c, uint32_t app, const char *actor, struct sink *s, struct err *e)
{
	struct deploy d = {.c = c, .s = s, .app.id = app};
	int r = applock_take(app, s, e);

	if (r < 0)
		return r;
	r = rebase_locked(&d, actor, e);
	applock_drop(app);
	end(&d);
	return r;
}

/* ---- images that come as such ---- */

/* The other process types of an image that berth once exported. */
static json_t *labelled_processes(const json_t *config)
{
	const char *text = json_string_value(
		json_object_get(json_object_get(config, "Labels"), "berth.processes"));
	json_t *all = text ? json_loads(text, 0, NULL) : NULL, *v;
	json_t *kept = json_object();
	const char *type;

	json_object_foreach (all, type, v)
		if (json_is_string(v) && name_type_valid(type) &&
			strcmp(type, "web") != 0)
			json_object_set(kept, type, v);
	json_decref(all);
	return kept;
}

static int fill_image(struct deploy *d, const char *reference, struct err *e)
{
	struct db_image *image = &d->image;
	json_t *found = NULL, *processes, *layers = NULL, *config = NULL;
	int r = image_base(d->c, reference, &layers, &config, e);

	if (r < 0)
		return r;
	image->app = d->app.id;
	image->layers = layers;
	image->config = json_deep_copy(config);
	image->checks = json_object();
	snprintf(image->pack, sizeof(image->pack), "image");
	json_decref(config);
	processes = labelled_processes(image->config);
	r = docker_find_user(d->c, d->app.id, image->layers, image->config, d->s, e);
	if (r == 0)
		r = own_start_processes(image->config, processes, &found, e);
	json_decref(processes);
	if (r < 0)
		return r;
	image->processes = json_incref(json_object_get(found, "processes"));
	image->env = json_incref(json_object_get(found, "env"));
	json_decref(found);
	r = db_image_create(d->c->db, image);
	return r < 0 ? err_sys(e, -r, "record the image") : 0;
}

static int image_deploy(
	struct deploy *d, const char *reference, const char *actor, struct err *e)
{
	char description[256];
	int r = fill_image(d, reference, e);

	d->built_ns = io_mono_ns();
	if (r < 0)
		return r;
	if (d->app.stopped && db_app_set_stopped(d->c->db, d->app.id, false) == 0)
		d->app.stopped = false;
	snprintf(description, sizeof(description), "Image %.200s", reference);
	d->release_task = true;
	return release_and_roll(d, description, actor, e);
}

static int image_locked(
	struct deploy *d, const char *reference, const char *actor, struct err *e)
{
	struct work work;
	int r = begin(d, d->app.id, e);

	if (r == 0 && (r = db_config_get(d->c->db, d->app.id, &d->release.config)) < 0)
		return err_sys(e, -r, "read the config");
	if (r == 0)
		r = begin_work(d, &work, "image", "", actor, e);
	if (r < 0)
		return r;
	r = finish_change(d, image_deploy(d, reference, actor, e), e);
	end_work(d, &work, r);
	return r;
}

int deploy_image(struct control *c, uint32_t app, const char *reference,
	const char *actor, struct sink *s, struct err *e)
{
	struct deploy d = {.c = c, .s = s, .app.id = app};
	int r = applock_take(app, s, e);

	if (r < 0)
		return r;
	r = image_locked(&d, reference, actor, e);
	applock_drop(app);
	end(&d);
	return r;
}
