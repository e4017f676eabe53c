/* Another name for an app. */
#include "control/deploy/rename.h"
#include "control/applock.h"
#include "control/engine.h"
#include "control/logs/drains.h"
#include "control/network/network.h"
#include "lib/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int move_repository(
	struct control *c, const char *from, const char *to, struct err *e)
{
	struct msg_rename m = {.from = ""};

	snprintf(m.from, sizeof(m.from), "%s", from);
	snprintf(m.to, sizeof(m.to), "%s", to);
	int r = engine_call(c->engine, MSG_REPO_RENAME, &m, sizeof(m), NULL, 0, NULL);
	if (r == -ECONNRESET) /* berthd started anew: it may be done already */
		r = engine_call(c->engine, MSG_REPO_RENAME, &m, sizeof(m), NULL, 0, NULL);
	if (r == -EBUSY)
		return err_set(e, EBUSY,
			"something is pushed to %s just now: try again when that is done",
			from);
	if (r == -EEXIST)
		return err_set(e, EEXIST,
			"there is a repository named %s already, of a push that made no "
			"app; "
			"take another name",
			to);
	return r < 0 ? err_sys(e, -r, "move the repository") : 0;
}

static int check_host(struct control *c, const struct db_app *a, const char *to,
	const char *suffix, struct err *e)
{
	char host[HOST_MAX_LEN + NAME_MAX_LEN + 2];
	struct db_app other;
	uint32_t owner;

	snprintf(host, sizeof(host), "%s.%s", to, suffix);
	if (db_domain_owner(c->db, host, &owner) < 0 || owner == a->id ||
		db_app_by_id(c->db, owner, &other) < 0)
		return 0;
	return err_set(e, EEXIST,
		"%s would be its hostname, and is a domain of the app %s: take another "
		"name",
		host, other.name);
}

int rename_check_hosts(
	struct control *c, const struct db_app *a, const char *to, struct err *e)
{
	json_t *global = NULL, *v;
	size_t i;
	int r = db_domain_list(c->db, 0, &global);

	if (r < 0)
		return err_sys(e, -r, "list the domains");
	r = json_array_size(global) ? 0 : check_host(c, a, to, "localhost", e);
	json_array_foreach (global, i, v)
		if (r == 0)
			r = check_host(c, a, to, json_string_value(v), e);
	json_decref(global);
	return r;
}

/* The row still has the name from before: so does the repository, or else the next start completes what it finds. */
static int take_back(
	struct control *c, const struct db_app *a, const char *to, struct err *e)
{
	const struct err why = *e;

	if (move_repository(c, to, a->name, e) == 0) {
		db_app_rename_cancel(c->db, a->id);
		return err_set(e, why.code, "%s", why.text);
	}
	const struct err stays = *e;
	return err_set(e, why.code,
		"%.200s; and the repository stays %s.git: %.200s. Before anybody pushes "
		"to %s: systemctl restart berthd, which completes the rename",
		why.text, to, stays.text, a->name);
}

/* From rename_to in its row to the end. */
static int finish(
	struct control *c, const struct db_app *a, const char *to, struct err *e)
{
	int r = move_repository(c, a->name, to, e);

	if (r < 0) {
		db_app_rename_cancel(c->db, a->id);
		return r;
	}
	r = db_app_rename_end(c->db, a->id);
	if (r < 0) {
		err_sys(e, -r, "record the new name");
		return take_back(c, a, to, e);
	}
	r = db_settle(c->db);
	return r < 0 ? err_sys(e, -r, "record the new name") : 0;
}

static bool is_under(const char *host, const char *name)
{
	size_t n = strlen(name);

	return strncmp(host, name, n) == 0 && host[n] == '.';
}

/* A canonical name that is no more would send everybody to nobody. */
static void drop_canonical(struct control *c, const struct db_app *a, struct sink *s)
{
	char *host autofree = NULL;
	uint32_t owner;

	if (db_setting_get(c->db, a->id, "http", "canonical", &host) < 0 || !host ||
		!is_under(host, a->name))
		return;
	if (db_domain_owner(c->db, host, &owner) == 0 && owner == a->id)
		return;
	db_setting_set(c->db, a->id, "http", "canonical", NULL);
	sink_fail(s, "%s is not its name any more: `http:set canonical` is unset", host);
}

/* Those who may call it find it under its new name. */
static void tell_callers(struct control *c, uint32_t app, struct sink *s)
{
	uint32_t *callers autofree = NULL;
	int n = network_callers(c, app, false, &callers);
	struct err e;

	for (int i = 0; i < n; i++)
		if (network_apply(c, callers[i], &e) < 0)
			sink_fail(s, "%s", e.text);
}

static int rename_locked(struct control *c, const struct db_app *a, const char *to,
	struct sink *s, struct err *e)
{
	struct db_app now = *a;
	struct err table;
	char url[HOST_MAX_LEN + 64];
	int r = rename_check_hosts(c, a, to, e);

	if (r < 0)
		return r;
	r = db_app_rename_begin(c->db, a->id, to);
	if (r < 0)
		return r == -ENOENT ? err_set(e, EEXIST,
					      "there is already an app named %s", to)
				    : err_sys(e, -r, "record the new name");
	r = finish(c, a, to, e);
	if (r < 0)
		return r;
	drop_canonical(c, a, s);
	snprintf(now.name, sizeof(now.name), "%s", to);
	if (routes_refresh(c, &table) < 0)
		sink_fail(s, "%s", table.text);
	tell_callers(c, a->id, s);
	drains_renamed(c);
	app_url(c, &now, url, sizeof(url));
	sink_step(s, "%s is %s now", a->name, to);
	sink_detail(s, "%s", url);
	if (a->live_version)
		sink_detail(s, "BERTH_APP is %s in what starts from now on", to);
	return 0;
}

int app_rename(
	struct control *c, uint32_t app, const char *to, struct sink *s, struct err *e)
{
	struct db_app a;
	int r = applock_take(app, s, e);

	if (r < 0)
		return r;
	r = db_app_by_id(c->db, app, &a);
	if (r < 0)
		err_set(e, ENOENT, "the app was destroyed meanwhile");
	else if (a.removing)
		r = err_set(e, ENOENT, "%s is being destroyed", a.name);
	else if (strcmp(a.name, to) == 0)
		r = err_set(e, EINVAL, "%s has that name", to);
	else
		r = rename_locked(c, &a, to, s, e);
	applock_drop(app);
	return r;
}

void rename_recover(struct control *c)
{
	uint32_t *apps autofree = NULL;
	char to[NAME_MAX_LEN + 1];
	struct db_app a;
	struct err e;
	int n = db_app_list_renaming(c->db, &apps);

	for (int i = 0; i < n; i++) {
		if (db_app_by_id(c->db, apps[i], &a) < 0 ||
			db_app_renaming(c->db, apps[i], to) <= 0)
			continue;
		if (finish(c, &a, to, &e) < 0)
			log_warn("%s keeps its name: %s", a.name, e.text);
		else
			log_info("%s is %s now", a.name, to);
	}
}
