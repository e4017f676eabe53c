/* Previews of branches. */
#include "control/deploy/preview.h"
#include "control/applock.h"
#include "control/cron/cron.h"
#include "control/data/snapshot_step.h"
#include "control/deploy/clone.h"
#include "control/logs/applog.h"
#include "control/settings.h"
#include "control/thread.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/stamp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOOK_S 30
#define STACK_BYTES ((size_t)512 << 10)

void preview_name(const char *parent, const char *branch, char out[NAME_MAX_LEN + 1])
{
	char clean[256 + NAME_MAX_LEN];
	size_t n = (size_t)snprintf(clean, sizeof(clean), "%s-", parent);

	for (const char *s = branch; *s && n + 1 < sizeof(clean); s++) {
		bool upper = *s >= 'A' && *s <= 'Z';
		bool fine = upper || (*s >= 'a' && *s <= 'z') || (*s >= '0' && *s <= '9');

		if (fine)
			clean[n++] = (char)(upper ? *s - 'A' + 'a' : *s);
		else if (clean[n - 1] != '-')
			clean[n++] = '-';
	}
	while (n > 0 && clean[n - 1] == '-')
		n--;
	clean[n] = '\0';
	if (n <= NAME_MAX_LEN && n > strlen(parent))
		snprintf(out, NAME_MAX_LEN + 1, "%.63s", clean);
	else
		name_with_hash(clean, branch, out);
}

bool preview_enabled(struct control *c, const struct db_app *parent)
{
	char *text autofree = setting_text(c, parent->id, PREVIEW_TOPIC, "enabled");

	return text && strcmp(text, "on") == 0;
}

uint64_t preview_expires_s(struct control *c, uint32_t parent)
{
	char *text autofree = setting_text(c, parent, PREVIEW_TOPIC, "expires");
	uint64_t s = 0;

	return span_parse(text ? text : PREVIEW_EXPIRES, &s) == 0 ? s : 0;
}

static enum clone_data data_of(struct control *c, uint32_t parent)
{
	char *text autofree = setting_text(c, parent, PREVIEW_TOPIC, "volumes");

	return text && strcmp(text, "copy") == 0 ? CLONE_COPIES : CLONE_EMPTY;
}

static int refuse_taken(struct control *c, const struct db_app *parent,
	const char *branch, const char *name, struct err *e)
{
	struct db_preview p;
	struct db_app other;

	if (db_app_by_name(c->db, name, &other) < 0)
		return 0;
	if (db_preview_get(c->db, other.id, &p) == 0 && p.parent == parent->id)
		return err_set(e, EEXIST,
			"the preview of %s would be called %s, and that is the one of "
			"%s: push it under another name",
			branch, name, p.branch);
	return err_set(e, EEXIST,
		"the preview of %s would be called %s, and there is an app of that name: "
		"push the branch under another name",
		branch, name);
}

static int check_limit(struct control *c, const struct db_app *parent, struct err *e)
{
	struct db_preview *rows autofree = NULL;
	uint64_t most = setting_u64(c, parent->id, PREVIEW_TOPIC, "limit", PREVIEW_LIMIT);
	int n = db_preview_list(c->db, parent->id, &rows);

	if (n < 0)
		return err_sys(e, -n, "list the previews");
	if ((uint64_t)n < most)
		return 0;
	return err_set(e, EDQUOT,
		"%s has %d previews, which is its limit: delete a branch (git push "
		"--delete), or `berth previews:set %s limit %d`",
		parent->name, n, parent->name, n + 10);
}

/* Among its config, so that builds and release tasks see it too. */
static int set_branch(struct control *c, uint32_t app, const char *branch)
{
	json_t *config = NULL;
	int r = db_config_get(c->db, app, &config);

	if (r >= 0)
		r = json_object_set_new(config, "BERTH_PREVIEW", json_string(branch)) < 0
			    ? -EINVAL
			    : db_config_put(c->db, app, config);
	json_decref(config);
	return r;
}

/* The rows, with the parent's lock: it is not destroyed meanwhile. */
static int make_rows(struct control *c, const struct db_app *parent, const char *branch,
	const char *name, uint32_t *ret_id, struct err *e)
{
	struct db_app now;
	int r;

	if (db_app_by_id(c->db, parent->id, &now) < 0 || now.removing)
		return err_set(e, ENOENT, "%s is being destroyed", parent->name);
	if ((r = refuse_taken(c, parent, branch, name, e)) < 0 ||
		(r = check_limit(c, parent, e)) < 0 ||
		(r = clone_rows(c, parent->id, name, ret_id, e)) < 0)
		return r;
	r = db_preview_add(c->db, *ret_id, parent->id, branch);
	if (r >= 0)
		r = set_branch(c, *ret_id, branch);
	/* what its parent does at night is not done twice */
	if (r >= 0)
		r = db_setting_set(c->db, *ret_id, CRON_TOPIC, "enabled", "off");
	if (r < 0) {
		db_app_delete(c->db, *ret_id);
		return err_sys(e, -r, "record the preview");
	}
	return 0;
}

static void record(struct control *c, const char *actor, const char *what,
	const struct db_app *parent, const char *name, const char *branch)
{
	char detail[NAME_MAX_LEN + 280];

	snprintf(detail, sizeof(detail), "%s of %s", name, branch);
	const struct db_event made = {.actor = actor,
		.what = what,
		.app = parent->name,
		.detail = detail,
		.outcome = "ok"};
	if (db_event_add(c->db, &made) < 0)
		log_error("the event %s could not be recorded", what);
}

/* 1: another push made it while this one waited, *ret_other. */
static int make(struct control *c, const struct db_app *parent, const char *branch,
	const char *actor, struct sink *s, struct db_app *ret,
	struct db_preview *ret_other, struct err *e)
{
	char name[NAME_MAX_LEN + 1];
	uint32_t id = 0;
	int r = applock_take(parent->id, s, e);

	if (r < 0)
		return r;
	preview_name(parent->name, branch, name);
	r = db_preview_find(c->db, parent->id, branch, ret_other) == 0
		    ? 1
		    : make_rows(c, parent, branch, name, &id, e);
	applock_drop(parent->id);
	if (r != 0)
		return r;
	sink_step(s, "Preview %s of %s", name, branch);
	record(c, actor, "previews:create", parent, name, branch);
	r = clone_fill(c, parent->id, id, data_of(c, parent->id), s, e);
	if (r == 0)
		r = clone_over(c, id, e);
	if (db_app_by_id(c->db, id, ret) < 0 && r == 0)
		r = err_set(e, ENOENT, "%s is gone already", name);
	if (r < 0) {
		ret->id = id;
		preview_failed(c, ret, true);
	}
	return r;
}

int preview_get(struct control *c, const struct db_app *parent, const char *branch,
	const char *actor, struct sink *s, struct db_app *ret, bool *ret_new,
	struct err *e)
{
	struct db_preview p;
	int r = 1;

	*ret_new = db_preview_find(c->db, parent->id, branch, &p) < 0;
	if (*ret_new)
		r = make(c, parent, branch, actor, s, ret, &p, e);
	if (r <= 0)
		return r;
	*ret_new = false;
	if (db_app_by_id(c->db, p.app, ret) < 0 || ret->removing)
		return err_set(e, EAGAIN, "the preview of %s is being destroyed", branch);
	if (ret->locked)
		return err_set(e, EPERM, "%s is locked; `berth apps:unlock %s`",
			ret->name, ret->name);
	return 0;
}

void preview_failed(struct control *c, const struct db_app *preview, bool is_new)
{
	struct sink quiet = vault_quiet();
	struct err e;

	if (is_new && app_destroy(c, preview->id, true, "berth", &quiet, &e) < 0)
		log_warn("%s: %s", preview->name, e.text);
}

/* ---- the end ---- */

static int destroy(struct control *c, const struct db_preview *p, const char *actor,
	const char *why, struct sink *s, struct err *e)
{
	struct db_app parent, a;
	int r = db_app_by_id(c->db, p->app, &a);

	if (r < 0)
		return 0;
	bool told = db_app_by_id(c->db, p->parent, &parent) == 0;
	r = app_destroy(c, p->app, true, actor, s, e);
	if (r < 0 || !told)
		return r == -ENOENT ? 0 : r;
	record(c, actor, "previews:destroy", &parent, a.name, p->branch);
	applog(parent.id, "berth[deploy]", "preview %s of %s is gone: %s", a.name,
		p->branch, why);
	return 0;
}

int preview_branch_gone(struct control *c, const struct db_app *parent,
	const char *branch, const char *actor, struct sink *s, struct err *e)
{
	struct db_preview p;

	if (db_preview_find(c->db, parent->id, branch, &p) < 0)
		return 0;
	return destroy(c, &p, actor, "its branch was deleted", s, e);
}

int preview_destroy_all(struct control *c, uint32_t parent, const char *actor,
	struct sink *s, struct err *e)
{
	struct db_preview *rows autofree = NULL;
	int n = db_preview_list(c->db, parent, &rows), r = 0;

	for (int i = 0; r == 0 && i < n; i++)
		r = destroy(c, &rows[i], actor, "its parent is destroyed", s, e);
	return n < 0 ? err_sys(e, -n, "list the previews") : r;
}

/* One without a release was being made when berth ended; its branch was refused. */
static bool is_cut_off(struct control *c, const struct db_preview *p)
{
	struct db_app a;

	return db_app_by_id(c->db, p->app, &a) == 0 && !a.live_version;
}

/* A push to it is under way, or just done: what was read of it may be old. */
static bool is_pushed(struct control *c, struct db_preview *p)
{
	if (!applock_try(p->app))
		return true;
	applock_drop(p->app);
	return db_preview_get(c->db, p->app, p) < 0;
}

void previews_look(struct control *c, bool first)
{
	struct db_preview *rows autofree = NULL;
	struct sink quiet = vault_quiet();
	struct err e;
	int n = db_preview_list(c->db, 0, &rows);

	for (int i = 0; i < n; i++) {
		if (is_pushed(c, &rows[i]))
			continue;
		uint64_t s = preview_expires_s(c, rows[i].parent);
		bool over = s && io_now_us() > rows[i].pushed_us + s * 1000000;
		bool cut = first && is_cut_off(c, &rows[i]);

		if (!over && !cut)
			continue;
		if (destroy(c, &rows[i], "berth",
			    cut ? "its first push was interrupted"
				: "nothing was pushed to its branch for too long",
			    &quiet, &e) < 0)
			log_warn("the preview of %s stays for now: %s", rows[i].branch,
				e.text);
	}
}

/* One a program, as the apps that they are of. */
static struct pace pace = PACE_INIT;

static void *look_main(void *arg)
{
	for (bool first = true;; first = false) {
		previews_look(arg, first);
		pace_wait(&pace, LOOK_S);
	}
	return NULL;
}

int previews_run(struct control *c)
{
	return thread_detached(look_main, c, STACK_BYTES);
}

void previews_soon(void)
{
	pace_now(&pace);
}
