/* Who may do what: roles of members and tokens against what a route needs. */
#include "control/access/access.h"
#include "control/access/token.h"
#include "control/api/handlers.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/stamp.h"
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

#define USED_STEP_US 60000000u /* the last use of a token is known to the minute */

static const char *const names[ROLES] = {
	[ROLE_NONE] = "none",
	[ROLE_VIEW] = "view",
	[ROLE_LOGS] = "logs",
	[ROLE_DEPLOY] = "deploy",
	[ROLE_ADMIN] = "admin",
};

const char *role_name(enum role role)
{
	return role < ROLES ? names[role] : names[ROLE_NONE];
}

enum role role_parse(const char *name)
{
	for (enum role i = ROLE_VIEW; i < ROLES; i++)
		if (name && strcmp(names[i], name) == 0)
			return i;
	return ROLE_NONE;
}

/* ---- who ---- */

static int load(struct request *r, uint32_t member, const char *name)
{
	struct access *a = &r->access;

	a->member = member;
	snprintf(a->name, sizeof(a->name), "%s", name);
	a->n_grants = db_grant_list(r->c->db, member, &a->grants);
	if (a->n_grants < 0)
		return request_fail_db(r, a->n_grants, "roles");
	a->n_previews = db_preview_list(r->c->db, 0, &a->previews);
	if (a->n_previews < 0)
		return request_fail_db(r, a->n_previews, "previews");
	return 0;
}

/* A key that was removed while its connection stood ends there. */
static int open_key(struct request *r)
{
	struct db_key k;
	int n = db_key_get(r->c->db, r->who.key, &k);

	if (n == -ENOENT)
		return request_fail(r, FAIL_FORBIDDEN, "this ssh key was removed");
	return n < 0 ? request_fail_db(r, n, "ssh keys") : load(r, k.member, k.name);
}

static int find_token(struct request *r, const char *text, struct db_token *ret)
{
	uint8_t hash[DB_TOKEN_HASH];

	if (token_hash(text, hash) < 0)
		return request_fail(r, FAIL_TOKEN,
			"this is not a token of berth, or not all of it: berth_ and 72 "
			"more characters");
	int n = db_token_find(r->c->db, hash, ret);

	if (n == -ENOENT) {
		request_fail(r, FAIL_TOKEN,
			"this token is not known: it was revoked, or "
			"made elsewhere");
		return request_hint(r, "make a new one: berth tokens:create NAME");
	}
	return n < 0 ? request_fail_db(r, n, "tokens") : 0;
}

static int check_expiry(struct request *r, const struct db_token *t, uint64_t now)
{
	char stamp[STAMP_SIZE];

	if (!t->expires_us || now < t->expires_us)
		return 0;
	stamp_format(t->expires_us, stamp);
	request_fail(r, FAIL_TOKEN, "the token %s expired at %s", t->name, stamp);
	return request_hint(r, "make a new one: berth tokens:create NAME");
}

static int open_token(struct request *r, const char *text)
{
	uint64_t now = io_now_us();
	struct db_token t;

	if (find_token(r, text, &t) < 0 || check_expiry(r, &t, now) < 0)
		return -1;
	if (now - t.used_us > USED_STEP_US)
		db_token_used(r->c->db, t.id, now);
	r->who.uid = (uid_t)-1;
	r->who.key = 0;
	r->who.refused[0] = '\0';
	snprintf(r->who.actor, sizeof(r->who.actor), "%s (token %s)", t.member_name,
		t.name);
	r->access.most = t.role;
	r->access.only = t.app;
	snprintf(r->access.only_name, sizeof(r->access.only_name), "%s", t.app_name);
	r->access.token = t.id;
	return load(r, t.member, t.member_name);
}

static int open_header(struct request *r, const char *header)
{
	if (strncasecmp(header, "Bearer ", 7) != 0)
		return request_fail(r, FAIL_TOKEN,
			"Authorization must be: Bearer and a token of berth");
	const char *text = header + 7 + strspn(header + 7, " ");
	if (open_token(r, text) < 0)
		return -1;
	snprintf(r->who.bearer, sizeof(r->who.bearer), "%s", text);
	return 0;
}

int access_open(struct request *r)
{
	const char *header = MHD_lookup_connection_value(
		r->connection, MHD_HEADER_KIND, "Authorization");

	r->access = (struct access){.most = ROLE_ADMIN};
	if (r->who.bearer[0])
		return open_token(r, r->who.bearer);
	if (header)
		return open_header(r, header);
	if (r->who.remote) {
		request_fail(r, FAIL_TOKEN, "a token of berth is needed here");
		return request_hint(r,
			"Authorization: Bearer TOKEN; one is made by berth tokens:create "
			"NAME");
	}
	if (r->who.refused[0])
		return request_fail(r, FAIL_FORBIDDEN, "%s", r->who.refused);
	if (r->who.key)
		return open_key(r);
	if (r->who.uid != 0)
		return request_fail(r, FAIL_FORBIDDEN, "the connection has no identity");
	r->access.root = true;
	snprintf(r->access.name, sizeof(r->access.name), "root");
	return 0;
}

void access_close(struct access *a)
{
	free(a->grants);
	free(a->previews);
	a->grants = NULL;
	a->previews = NULL;
}

/* ---- what ---- */

static enum role lower(enum role a, enum role b)
{
	return a < b ? a : b;
}

/* Of the member, whatever the token is for. */
static enum role own_role(const struct access *a, uint32_t app)
{
	enum role best = ROLE_NONE;

	if (a->root)
		return ROLE_ADMIN;
	for (int i = 0; i < a->n_grants; i++)
		if ((a->grants[i].app == 0 || a->grants[i].app == app) &&
			a->grants[i].role > best)
			best = a->grants[i].role;
	return best;
}

static uint32_t parent_of(const struct access *a, uint32_t app)
{
	for (int i = 0; i < a->n_previews; i++)
		if (a->previews[i].app == app)
			return a->previews[i].parent;
	return 0;
}

enum role access_role(const struct access *a, uint32_t app)
{
	uint32_t parent = app && a->n_previews > 0 ? parent_of(a, app) : 0;
	enum role own;

	if (a->only && a->only != app && a->only != parent)
		return ROLE_NONE;
	own = own_role(a, app);
	if (parent && own_role(a, parent) > own)
		own = own_role(a, parent);
	return lower(a->most, own);
}

enum role access_anywhere(const struct access *a)
{
	enum role best = access_role(a, a->only);

	for (int i = 0; i < a->n_grants; i++) {
		enum role role = access_role(a, a->grants[i].app);

		if (role > best)
			best = role;
	}
	return best;
}

static enum role unmounted(struct control *c, const struct access *a, uint64_t volume)
{
	uint32_t maker = 0;

	if (!a->only && a->member && db_volume_maker(c->db, volume, &maker) == 0 &&
		maker == a->member)
		return a->most;
	return access_role(a, 0);
}

enum role access_volume(
	struct control *c, const struct access *a, uint64_t volume, bool seen)
{
	struct db_mount *rows autofree = NULL;
	enum role least = ROLE_ADMIN, best = access_role(a, 0);
	bool mounted = false;

	if (best == ROLE_ADMIN || (seen && best >= ROLE_VIEW))
		return best;
	int n = db_mount_list(c->db, 0, &rows);
	for (int i = 0; i < n; i++) {
		if (rows[i].volume != volume)
			continue;
		enum role role = access_role(a, rows[i].app);

		mounted = true;
		least = lower(least, role);
		best = role > best ? role : best;
	}
	if (n < 0)
		return ROLE_NONE;
	return !mounted ? unmounted(c, a, volume) : seen ? best : least;
}

bool access_creates(struct control *c, const struct access *a)
{
	if (access_role(a, 0) == ROLE_ADMIN)
		return true;
	return a->member && !a->only && a->most == ROLE_ADMIN &&
	       settings_is_on(c, 0, "apps", "members-create", false);
}

int access_made(struct control *c, struct access *a, uint32_t app)
{
	struct db_grant *rows;
	int n = a->member ? db_grant_put(c->db, a->member, app, ROLE_ADMIN) : 0;

	if (n < 0 || !a->member)
		return n;
	n = db_grant_list(c->db, a->member, &rows);
	if (n < 0)
		return n;
	free(a->grants);
	a->grants = rows;
	a->n_grants = n;
	return 0;
}

/* ---- routes ---- */

enum scope { SCOPE_HOST, SCOPE_APP, SCOPE_VOLUME };

static enum scope scope_of(const struct route *row)
{
	if (row->flags & ROUTE_APP)
		return SCOPE_APP;
	return strncmp(row->path, "/v1/volumes/V", 13) == 0 ? SCOPE_VOLUME : SCOPE_HOST;
}

/* What is read below these holds secrets, or what programs wrote. */
static enum role least_to_read(const char *path)
{
	if (strstr(path, "/config") || strstr(path, "/drains"))
		return ROLE_DEPLOY;
	return strstr(path, "/logs") ? ROLE_LOGS : ROLE_VIEW;
}

enum role access_route_role(const struct route *row)
{
	if (row->role)
		return row->role;
	if (strcmp(row->method, "GET") == 0)
		return least_to_read(row->path);
	return scope_of(row) == SCOPE_HOST ? ROLE_ADMIN : ROLE_DEPLOY;
}

/* on: what the role is missing on; target: the same, as words of access:add; own: the role of a token's member, if more than
 * the token's. */
static int refuse(struct request *r, const char *on, const char *target, enum role need,
	enum role has, enum role own)
{
	request_fail(r, FAIL_FORBIDDEN,
		"%s may not do this: it needs the role %s on %s, and there is %s%s",
		r->who.actor, role_name(need), on, has ? "only " : "", role_name(has));
	if (own >= need)
		return request_hint(r,
			"%s may, but this token is for less: berth tokens:create NAME "
			"--role %s",
			r->access.name, role_name(need));
	return request_hint(r, "an admin can allow it: berth access:add %s %s %s", target,
		r->access.name, role_name(need));
}

int access_need(struct request *r, const struct db_app *app, enum role role)
{
	uint32_t id = app ? app->id : 0;
	enum role has = access_role(&r->access, id), own = own_role(&r->access, id);

	if (has >= role)
		return 0;
	return app ? refuse(r, app->name, app->name, role, has, own)
		   : refuse(r, "all apps and the host", "--global", role, has, own);
}

static int check_app(struct request *r, const char *name)
{
	if (request_app(r, name, &r->app) < 0)
		return -1;
	return access_need(r, &r->app, access_route_role(r->route));
}

static int check_volume(struct request *r)
{
	enum role need = access_route_role(r->route), has;
	struct db_volume v;
	int n = db_volume_by_name(r->c->db, r->args[0], &v);

	if (n < 0 && n != -ENOENT)
		return request_fail_db(r, n, r->args[0]);
	if (n == 0 && access_volume(r->c, &r->access, v.id, true) >= ROLE_VIEW) {
		has = access_volume(r->c, &r->access, v.id, false);
		if (has >= need)
			return 0;
		request_fail(r, FAIL_FORBIDDEN,
			"%s may not do this: it needs the role %s on every app that "
			"mounts %s",
			r->who.actor, role_name(need), v.name);
		return request_hint(r, "berth volumes:list shows them");
	}
	if (access_role(&r->access, 0) >= need)
		return 0; /* the handler says that there is none */
	request_fail(r, FAIL_MISSING, "there is no volume named %.80s", r->args[0]);
	return request_hint(r, "list the volumes: berth volumes:list");
}

static int check_host(struct request *r)
{
	enum role need = access_route_role(r->route);

	if (!(r->route->flags & ROUTE_ANYWHERE))
		return access_need(r, NULL, need);
	enum role has = access_anywhere(&r->access);

	return has >= need ? 0 : refuse(r, "any app", "APP", need, has, ROLE_NONE);
}

int access_check(struct request *r)
{
	if (r->route->flags & ROUTE_ANYONE)
		return 0;
	switch (scope_of(r->route)) {
	case SCOPE_APP:
		return check_app(r, r->args[0]);
	case SCOPE_VOLUME:
		return check_volume(r);
	case SCOPE_HOST:
		break;
	}
	return check_host(r);
}

enum role access_needed(const struct request *r)
{
	const unsigned int flags = r->route->flags;

	if (flags & (ROUTE_ANYONE | ROUTE_ANYWHERE) || scope_of(r->route) == SCOPE_VOLUME)
		return ROLE_NONE;
	return access_route_role(r->route);
}

int access_check_body(struct request *r)
{
	if (!(r->route->flags & ROUTE_BODY_APP))
		return 0;
	return check_app(r, request_string(r, "app"));
}

int access_check_last(struct request *r, uint32_t member)
{
	struct db_grant *rows autofree = NULL;
	int n = r->access.root ? 0 : db_grant_list(r->c->db, member, &rows);
	bool is_admin = false;

	for (int i = 0; i < n; i++)
		is_admin |= rows[i].app == 0 && rows[i].role == ROLE_ADMIN;
	if (n < 0)
		return request_fail_db(r, n, "roles");
	if (!is_admin || (n = db_admins_beside(r->c->db, member)) > 0)
		return 0;
	if (n < 0)
		return request_fail_db(r, n, "roles");
	request_fail(r, FAIL_CONFLICT,
		"this is the last admin with a key: without it only root could manage "
		"berth");
	return request_hint(
		r, "make another one first: berth access:add --global NAME admin");
}

/* ---- answers ---- */

static const char *parent_name(const struct access *a, const char *app)
{
	for (int i = 0; app && i < a->n_previews; i++)
		if (strcmp(a->previews[i].app_name, app) == 0)
			return a->previews[i].parent_name;
	return NULL;
}

static bool may_see_own(const struct access *a, const char *app)
{
	if (a->only)
		return app && strcmp(a->only_name, app) == 0 &&
		       access_role(a, a->only) >= ROLE_VIEW;
	for (int i = 0; app && *app && i < a->n_grants; i++)
		if (strcmp(a->grants[i].app_name, app) == 0 &&
			access_role(a, a->grants[i].app) >= ROLE_VIEW)
			return true;
	return false;
}

static bool may_see(const struct access *a, const char *app)
{
	return may_see_own(a, app) || may_see_own(a, parent_name(a, app));
}

void access_filter(struct request *r)
{
	const struct access *a = &r->access;
	json_t *list =
		json_is_object(r->reply) ? json_object_get(r->reply, "apps") : r->reply;

	if (!r->route->of || access_role(a, 0) >= ROLE_VIEW)
		return;
	for (size_t i = json_array_size(list); i-- > 0;) {
		json_t *app = json_object_get(json_array_get(list, i), r->route->of);

		if (!may_see(a, json_string_value(app)))
			json_array_remove(list, i);
	}
}
