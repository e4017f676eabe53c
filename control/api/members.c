/* Members, and the roles that they have on apps and on the host. */
#include "control/api/api.h"
#include "control/api/handlers.h"
#include <errno.h>
#include <string.h>

int member_find(struct request *r, const char *name, struct db_member *ret)
{
	int n = db_member_by_name(r->c->db, name, ret);

	if (n == 0)
		return 0;
	if (n != -ENOENT)
		return request_fail_db(r, n, "members");
	request_fail(r, FAIL_MISSING, "there is no member named %.80s", name);
	return request_hint(r, "an admin adds one: berth members:add %.63s KEY-FILE",
		name_valid(name) ? name : "NAME");
}

int member_role(struct request *r, enum role fallback, enum role *ret)
{
	const char *text = request_string(r, "role");

	*ret = text ? role_parse(text) : fallback;
	if (!text || *ret)
		return 0;
	return request_fail(r, FAIL_USAGE,
		"\"%.40s\" is not a role: view, logs, deploy or admin", text);
}

/* ---- members ---- */

static json_t *member_json(
	const struct db_member *m, const struct db_grant *grants, int n)
{
	json_t *apps = json_object(), *role = json_null();

	for (int i = 0; i < n; i++) {
		json_t *word = json_string(role_name(grants[i].role));

		if (grants[i].member != m->id)
			json_decref(word);
		else if (grants[i].app)
			json_object_set_new(apps, grants[i].app_name, word);
		else
			role = word;
	}
	return json_pack("{s:s, s:o, s:o, s:I, s:o}", "name", m->name, "role", role,
		"apps", apps, "keys", (json_int_t)m->keys, "created",
		json_stamp(m->created_us));
}

int members_list(struct request *r)
{
	struct db_member *rows autofree = NULL;
	struct db_grant *grants autofree = NULL;
	int n = db_member_list(r->c->db, &rows);
	int n_grants = db_grant_list(r->c->db, 0, &grants);

	if (n < 0 || n_grants < 0)
		return request_fail_db(r, n < 0 ? n : n_grants, "members");
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(list, member_json(&rows[i], grants, n_grants));
	return request_reply(r, 200, list);
}

/* The app of the field, 0 without one. */
static int read_app(struct request *r, uint32_t *ret)
{
	const char *name = request_string(r, "app");
	struct db_app app = {0};

	if (name && request_app(r, name, &app) < 0)
		return -1;
	*ret = app.id;
	return 0;
}

/* What a new member gets; undone by its end when one part fails. */
static int equip(
	struct request *r, uint32_t id, const char *name, uint32_t app, enum role role)
{
	const char *text = request_string(r, "key");
	struct db_key k;
	int n = role ? db_grant_put(r->c->db, id, app, role) : 0;

	if (n < 0)
		return request_fail_db(r, n, name);
	return text ? key_put(r, name, text, &k) : 0;
}

int members_add(struct request *r)
{
	const char *name = request_string(r, "name");
	uint32_t id = 0, app = 0;
	enum role role;

	if (request_name(r, "member", name) < 0 || read_app(r, &app) < 0 ||
		member_role(r, ROLE_NONE, &role) < 0)
		return -1;
	if (app && !role)
		return request_fail(r, FAIL_USAGE,
			"which role on the app? view, logs, deploy or admin");
	int n = db_member_add(r->c->db, name, &id);
	if (n == -EEXIST) {
		request_fail(
			r, FAIL_CONFLICT, "there is already a member named %s", name);
		return request_hint(r,
			"another key: berth ssh-keys:add %s; another role: berth "
			"access:add APP %s ROLE",
			name, name);
	}
	if (n < 0)
		return request_fail_db(r, n, name);
	if (equip(r, id, name, app, role) < 0) {
		db_member_remove(r->c->db, id);
		return -1;
	}
	return request_reply(r, 201,
		json_pack("{s:s, s:s, s:s?, s:b}", "name", name, "role", role_name(role),
			"app", request_string(r, "app"), "key",
			request_string(r, "key") != NULL));
}

/* Two admins who remove each other at once: one of them stays. So below, wherever access_check_last is asked. */
static int remove_member(struct request *r, void *arg)
{
	struct db_member *m = arg;

	if (member_find(r, r->args[0], m) < 0 || access_check_last(r, m->id) < 0)
		return -1;
	int n = db_member_remove(r->c->db, m->id);
	return n < 0 ? request_fail_db(r, n, m->name) : 0;
}

int members_remove(struct request *r)
{
	struct db_member m;
	struct err e = {0};

	if (request_whole(r, r->args[0], remove_member, &m) < 0)
		return -1;
	api_recheck(r);
	/* The rows are gone whatever happens: start-up writes the file again. */
	if (keys_write(r->c, &e) < 0)
		return request_fail(r, FAIL_BERTH,
			"%s is removed, but sshd's list of keys is not: %s", m.name,
			e.text);
	return 0;
}

/* ---- roles ---- */

static json_t *grant_json(const struct db_grant *g)
{
	return json_pack("{s:s, s:o, s:s}", "member", g->member_name, "app",
		g->app ? json_string(g->app_name) : json_null(), "role",
		role_name(g->role));
}

/* Of an app: who has a role on it or on all. Else: one's own, and those on what one may see. */
static bool shown(const struct request *r, const struct db_grant *g)
{
	if (r->app.id)
		return g->app == r->app.id || g->app == 0;
	return (g->member == r->access.member && !r->access.token) ||
	       access_role(&r->access, g->app) >= ROLE_VIEW;
}

int access_list(struct request *r)
{
	struct db_grant *rows autofree = NULL;
	int n = db_grant_list(r->c->db, 0, &rows);

	if (n < 0)
		return request_fail_db(r, n, "roles");
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		if (shown(r, &rows[i]))
			json_array_append_new(list, grant_json(&rows[i]));
	return request_reply(r, 200, list);
}

/* Taking the role for all apps from an admin, or lowering it. */
static int check_lowered(struct request *r, uint32_t member, enum role role)
{
	return r->app.id || role == ROLE_ADMIN ? 0 : access_check_last(r, member);
}

struct grant {
	struct db_member to;
	enum role role;
};

static int put_grant(struct request *r, void *arg)
{
	struct grant *g = arg;

	if (member_find(r, request_string(r, "member"), &g->to) < 0 ||
		check_lowered(r, g->to.id, g->role) < 0)
		return -1;
	int n = db_grant_put(r->c->db, g->to.id, r->app.id, g->role);
	return n < 0 ? request_fail_db(r, n, g->to.name) : 0;
}

int access_add(struct request *r)
{
	struct grant g = {0};

	if (member_role(r, ROLE_NONE, &g.role) < 0 ||
		request_whole(r, "roles", put_grant, &g) < 0)
		return -1;
	api_recheck(r);
	return request_reply(r, 200,
		json_pack("{s:s, s:o, s:s}", "member", g.to.name, "app",
			r->app.id ? json_string(r->app.name) : json_null(), "role",
			role_name(g.role)));
}

static int remove_grant(struct request *r, void *arg UNUSED)
{
	const char *name = r->args[r->app.id ? 1 : 0];
	struct db_member m;

	if (member_find(r, name, &m) < 0 || check_lowered(r, m.id, ROLE_NONE) < 0)
		return -1;
	int n = db_grant_remove(r->c->db, m.id, r->app.id);
	if (n == -ENOENT) {
		request_fail(r, FAIL_MISSING, "%s has no role of its own on %s", m.name,
			r->app.id ? r->app.name : "all apps");
		return request_hint(r, "berth access:list shows all roles");
	}
	return n < 0 ? request_fail_db(r, n, m.name) : 0;
}

int access_remove(struct request *r)
{
	if (request_whole(r, "roles", remove_grant, NULL) < 0)
		return -1;
	api_recheck(r);
	return 0;
}
