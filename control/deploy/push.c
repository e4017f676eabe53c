/* A push: which refs deploy, what its options change, and the release of its commit. */
#include "control/builds/appjson.h"
#include "control/builds/build.h"
#include "control/config.h"
#include "control/deploy/deploy.h"
#include "control/deploy/preview.h"
#include "control/deploy/push_options.h"
#include "control/deploy/rollout.h"
#include "control/repos.h"
#include "receiver/source.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ZERO_OID "0000000000000000000000000000000000000000"

struct pushing {
	struct deploy d;
	const struct push *p;
	const char *branch;	 /* of refs/heads/ */
	json_int_t last_before;	 /* the newest push when this one came */
	bool is_preview, is_new; /* d.app is one; this push makes it */
};

static bool is_zero(const char *oid)
{
	return strcmp(oid, ZERO_OID) == 0;
}

/* 1: deploy, perhaps as a preview. 0: stored only, said so. -errno: refused. */
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
		return preview_branch_gone(p->d.c, a, p->branch, p->d.actor, p->d.s, e);
	p->is_preview = !deploys && preview_enabled(p->d.c, a);
	if (!deploys && !p->is_preview) {
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

/* Where the repository has that ref; zeros when it has none. */
static int ref_now(struct control *c, const struct db_app *app, const char *ref,
	char ret[GIT_OID_HEXSZ + 1], struct err *e)
{
	git_repository *repo = NULL;
	git_reference *found = NULL;
	char path[PATH_MAX];

	repo_path(c, app, path);
	memcpy(ret, ZERO_OID, sizeof(ZERO_OID));
	int r = source_open(path, &repo, e);
	if (r < 0)
		return r;
	if (git_reference_lookup(&found, repo, ref) == 0 && git_reference_target(found))
		git_oid_tostr(ret, GIT_OID_HEXSZ + 1, git_reference_target(found));
	git_reference_free(found);
	git_repository_free(repo);
	return 0;
}

bool deploy_ref_behind(struct control *c, const struct db_app *app, struct db_pushed *ret)
{
	struct db_pushed *list autofree = NULL;
	int n = db_pushed_list(c->db, app->id, &list);
	char now[GIT_OID_HEXSZ + 1];
	struct err e = {0};

	for (int i = 0; i < n; i++) {
		*ret = list[i];
		if (ref_now(c, app, ret->ref, now, &e) == 0 && strcmp(now, ret->old) == 0)
			return true;
	}
	return false;
}

/*
 * After waiting: git would refuse the ref anyway, so nothing is built for it. A push that ended while we waited moves its
 * ref a moment after its hook returned, so its build counts as well as the ref.
 */
static int still_current(struct pushing *p, struct err *e)
{
	char now[GIT_OID_HEXSZ + 1], pushed[GIT_OID_HEXSZ + 1];
	int r = ref_now(p->d.c, &p->d.app, p->p->ref, now, e);

	if (r < 0)
		return r;
	if (last_push(p, pushed) != p->last_before)
		memcpy(now, pushed, sizeof(now));
	if (strcmp(now, p->p->old_oid) != 0)
		return err_set(e, ESTALE,
			"%s moved to %.7s meanwhile; fetch and push again", p->branch,
			now);
	return 0;
}

/* config.KEY=VALUE options. */
static int option_config(struct pushing *p, struct err *e)
{
	json_t *set = push_options_config(p->p->options);
	int r = set ? deploy_config_set(&p->d, &(struct config_change){.set = set}, e)
		    : 0;

	json_decref(set);
	return r;
}

static void say_set(struct pushing *p, const json_t *names)
{
	autobuf text = BUF_INIT;
	const json_t *name;
	size_t i;

	json_array_foreach (names, i, name)
		buf_addf(&text, "%s%s", i ? ", " : "", json_string_value(name));
	if (text.len)
		sink_step(p->d.s, "Config from app.json: %s", text.data);
}

/* What app.json's env gives, after the push's own options. */
static int add_env(struct pushing *p, const json_t *app_json, struct err *e)
{
	json_t *config = json_copy(p->d.release.config), *names;
	int r = appjson_env(app_json, !p->d.app.live_version, config, &names, e);

	if (r == 0 && json_array_size(names)) {
		say_set(p, names);
		r = deploy_config_set(&p->d, &(struct config_change){.set = config}, e);
	} else if (r == -ENOKEY) {
		char missing[ERR_TEXT_MAX];

		snprintf(missing, sizeof(missing), "%.400s", e->text);
		err_set(e, ENOKEY,
			"app.json requires config that is not set: %s; `berth config:set "
			"%s %.*s=VALUE`",
			missing, p->d.app.name, (int)strcspn(missing, ","), missing);
	}
	if (r != -ENOKEY)
		json_decref(names);
	json_decref(config);
	return r;
}

static int env_config(struct pushing *p, struct err *e)
{
	struct build_request req = {.app = &p->d.app, .commit = p->p->new_oid};
	json_t *app_json;
	int r = build_app_json(p->d.c, &req, &app_json, e);

	if (r == 0)
		r = add_env(p, app_json, e);
	json_decref(app_json);
	return r;
}

static void apply_formation(struct pushing *p)
{
	const char *type;
	json_t *row;

	/* app.json's formation counts on the first release only: later, ps:scale is the owner's word. A preview has its
	 * parent's. */
	if (p->d.app.live_version || p->is_preview)
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
	int r = deploy_config_load(d, e);

	if (r == 0)
		r = option_config(p, e);
	if (r == 0)
		r = env_config(p, e);
	if (r < 0)
		return r;
	return deploy_build(
		d, p->p->new_oid, push_option(p->p->options, "no-cache") != NULL, e);
}

/* The release serves: a script that fails takes nothing back. */
static void after_release(struct pushing *p, enum script which, const char *name)
{
	const char *script = appjson_script(p->d.image.checks, which);
	struct rollout roll = {.app = &p->d.app,
		.release = &p->d.release,
		.image = &p->d.image,
		.s = p->d.s};
	struct err e = {0};

	if (!script)
		return;
	sink_step(p->d.s, "Running %s: %.200s", name, script);
	if (rollout_task(p->d.c, &roll, "postdeploy", script, &e) == 0)
		return;
	sink_fail(p->d.s, "%s failed: %s; v%u serves all the same", name, e.text,
		p->d.release.version);
	db_event_add_own(p->d.c->db, "postdeploy:failed", p->d.app.name, e.text);
}

static int push_release(struct pushing *p, struct err *e)
{
	char description[256], release[REPO_RELEASE_REF], ref[128];
	const char *message = push_option(p->p->options, "message");
	bool first = !p->d.app.live_version;

	if (db_pushed_set(
		    p->d.c->db, p->d.app.id, p->p->ref, p->p->old_oid, p->p->new_oid) < 0)
		return err_set(e, EIO, "cannot record the push");
	apply_formation(p);
	deploy_set_stopped(&p->d, false);
	p->d.skip_checks = push_option(p->p->options, "skip-checks") != NULL;
	p->d.release_task = true;
	if (message)
		snprintf(description, sizeof(description), "%.200s", message);
	else
		snprintf(description, sizeof(description), "Deploy %.7s", p->p->new_oid);
	int r = deploy_release(&p->d, description, e);
	if (r < 0)
		return r;
	repo_release_ref(release, p->is_preview ? p->d.app.id : 0, p->d.release.version);
	snprintf(ref, sizeof(ref), "%s %s", release, p->p->new_oid);
	p->d.s->write(p->d.s, 'r', ref);
	if (first)
		after_release(p, SCRIPT_FIRST, "scripts.postdeploy");
	after_release(p, SCRIPT_POSTDEPLOY, "scripts.dokku.postdeploy");
	return 0;
}

static int push_act(struct deploy *d, void *arg, struct err *e)
{
	struct pushing *p = arg;
	int r = push_build(p, e);

	if (r == 0)
		r = push_release(p, e);
	if (r == 0 && p->is_preview)
		db_preview_pushed(d->c->db, d->app.id);
	return r;
}

static int push_locked(struct deploy *d, void *arg, struct err *e)
{
	struct pushing *p = arg;
	int r = still_current(p, e);

	return r < 0 ? r : deploy_work(d, "push", p->p->new_oid, push_act, p, e);
}

static int push_run(struct pushing *p, struct err *e)
{
	char commit[GIT_OID_HEXSZ + 1];

	p->last_before = last_push(p, commit);
	return deploy_run(&p->d, push_locked, p, e);
}

static int push_preview(struct pushing *p, struct err *e)
{
	struct db_app parent = p->d.app;
	int r = preview_get(
		p->d.c, &parent, p->branch, p->d.actor, p->d.s, &p->d.app, &p->is_new, e);

	if (r < 0)
		return r;
	struct db_app preview = p->d.app;
	r = push_run(p, e);
	if (r < 0)
		preview_failed(p->d.c, &preview, p->is_new);
	return r;
}

int deploy_push(struct control *c, const char *app, const struct push *push,
	struct sink *s, struct err *e)
{
	struct pushing p = {.d = {.c = c, .s = s, .actor = push->actor}, .p = push};
	int r = db_app_by_name(c->db, app, &p.d.app);

	if (r < 0)
		return err_set(e, -r, "no app %s", app);
	if (p.d.app.locked)
		return err_set(
			e, EPERM, "%s is locked; `berth apps:unlock %s`", app, app);
	r = ref_rule(&p, e);
	if (r > 0 && push_option(push->options, "no-deploy")) {
		sink_detail(s, "stored, not deployed (no-deploy)");
		r = 0;
	}
	if (r == 0)
		(void)db_pushed_forget(c->db, p.d.app.id, push->ref);
	if (r <= 0)
		return r;
	return p.is_preview ? push_preview(&p, e) : push_run(&p, e);
}
