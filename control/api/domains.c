/* Domains: the hostnames of an app, and the global ones that give every app a default
 * hostname. */
#include "control/api/handlers.h"
#include "control/api/view.h"
#include "control/certs/acme.h"
#include "control/certs/certs.h"
#include "control/network/own_host.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define DOMAINS_MAX 200 /* of one app */

static int show(struct request *r, uint32_t app)
{
	json_t *domains = NULL, *global = NULL;
	int n = db_domain_list(r->c->db, 0, &global);

	if (n < 0)
		return request_fail_db(r, n, "domains");
	if (!app) {
		domains = json_array();
	} else {
		n = db_domain_list(r->c->db, app, &domains);
		if (n < 0) {
			json_decref(global);
			return request_fail_db(r, n, r->app.name);
		}
	}
	json_t *o = json_pack("{s:o, s:o}", "domains", domains, "global", global);
	if (o && app)
		json_object_set_new(o, "hostnames", view_hostnames(r->c, &r->app));
	return request_reply(r, 200, o);
}

int domains_show(struct request *r)
{
	return show(r, r->app.id);
}

int domains_show_global(struct request *r)
{
	return show(r, 0);
}

/* Lower case, without the dot that ends an absolute name. 0 or -1. */
static int normalise(
	struct request *r, const json_t *v, bool global, char out[HOST_MAX_LEN + 1])
{
	const char *name = json_string_value(v);
	size_t len = name ? strlen(name) : 0;

	if (len && name[len - 1] == '.')
		len--;
	if (!name || len > HOST_MAX_LEN || !len)
		return request_fail(
			r, FAIL_USAGE, "\"%.80s\" is not a hostname", name ? name : "");
	for (size_t i = 0; i < len; i++)
		out[i] = (char)tolower((unsigned char)name[i]);
	out[len] = '\0';
	if (!name_host_valid(out) || (global && out[0] == '*'))
		return request_fail(r, FAIL_USAGE,
			"\"%.253s\" is not a hostname: labels of letters, digits and "
			"hyphens with dots between%s",
			name, global ? "" : ", or *. and such a name");
	return 0;
}

/* Whether name is the default hostname (APP.suffix) of another app. */
static bool is_default_of(struct request *r, uint32_t app, const char *name,
	const char *suffix, struct db_app *other)
{
	size_t len = strlen(name), tail = strlen(suffix);
	char label[HOST_MAX_LEN + 1];

	if (len <= tail + 1 || name[len - tail - 1] != '.' ||
		strcmp(name + len - tail, suffix) != 0)
		return false;
	memcpy(label, name, len - tail - 1);
	label[len - tail - 1] = '\0';
	return db_app_by_name(r->c->db, label, other) == 0 && other->id != app;
}

static int check_defaults(struct request *r, uint32_t app, const char *name)
{
	json_t *global = NULL, *v;
	struct db_app other;
	bool taken = false;
	size_t i;
	int n = db_domain_list(r->c->db, 0, &global);

	if (n < 0)
		return request_fail_db(r, n, name);
	json_array_foreach (global, i, v)
		taken = taken ||
			is_default_of(r, app, name, json_string_value(v), &other);
	if (!json_array_size(global))
		taken = is_default_of(r, app, name, "localhost", &other);
	json_decref(global);
	if (taken)
		return request_fail(r, FAIL_CONFLICT,
			"%s is the default hostname of the app %s", name, other.name);
	return 0;
}

static int add(struct request *r, uint32_t app, const char *name)
{
	uint32_t owner = 0;
	struct db_app other;

	if (!app && strlen(name) > HOST_MAX_LEN - NAME_MAX_LEN - 1)
		return request_fail(r, FAIL_USAGE,
			"\"%.80s...\" is too long for a global domain: with the name of "
			"an app before it a hostname has %d characters at most, so it "
			"may have %d",
			name, HOST_MAX_LEN, HOST_MAX_LEN - NAME_MAX_LEN - 1);
	if (app && check_defaults(r, app, name) < 0)
		return -1;
	if (app && own_host_is(r->c, name))
		return request_fail(r, FAIL_CONFLICT,
			"%s is the hostname of the API (apps:set --global " OWN_HOST_KEY
			")",
			name);
	int n = db_domain_add(r->c->db, app, name);

	if (n != -EEXIST)
		return n < 0 ? request_fail_db(r, n, name) : 0;
	if (db_domain_owner(r->c->db, name, &owner) < 0 ||
		db_app_by_id(r->c->db, owner, &other) < 0)
		return request_fail(r, FAIL_CONFLICT, "%s belongs to another app", name);
	request_fail(r, FAIL_CONFLICT, "%s belongs to the app %s", name, other.name);
	return request_hint(
		r, "remove it there first: berth domains:remove %s %s", other.name, name);
}

static int remove_one(struct request *r, uint32_t app, const char *name)
{
	int n = db_domain_remove(r->c->db, app, name);

	if (n == -ENOENT)
		return request_fail(r, FAIL_MISSING, "%s is no %s", name,
			app ? "domain of this app" : "global domain");
	return n < 0 ? request_fail_db(r, n, name) : 0;
}

static int each(struct request *r, uint32_t app, const char *field,
	int (*act)(struct request *, uint32_t, const char *))
{
	char name[HOST_MAX_LEN + 1];
	json_t *v;
	size_t i;

	json_array_foreach (request_json(r, field), i, v) {
		if (normalise(r, v, app == 0, name) < 0 || act(r, app, name) < 0)
			return -1;
	}
	return 0;
}

static int clear(struct request *r, uint32_t app)
{
	json_t *list = NULL, *v;
	size_t i;
	int n = db_domain_list(r->c->db, app, &list);

	if (n < 0)
		return request_fail_db(r, n, "domains");
	json_array_foreach (list, i, v)
		db_domain_remove(r->c->db, app, json_string_value(v));
	json_decref(list);
	return 0;
}

static int check_count(struct request *r, uint32_t app)
{
	json_t *list = NULL;
	int n = db_domain_list(r->c->db, app, &list);

	if (n < 0)
		return request_fail_db(r, n, "domains");
	size_t count = json_array_size(list);
	json_decref(list);
	if (count > DOMAINS_MAX)
		return request_fail(r, FAIL_USAGE,
			"that would make %zu domains; at most %d are possible", count,
			DOMAINS_MAX);
	return 0;
}

/* Other hostnames may be served by other certificates, where there are any. */
static int refresh(struct control *c, uint32_t app, struct err *e)
{
	struct db_cert *list = NULL;
	int n = db_cert_list(c->db, app, &list);

	db_cert_free(list, n);
	return n ? certs_came(c, e) : routes_refresh(c, e);
}

static int change(struct request *r, uint32_t app)
{
	struct err e = {0};
	int n = db_begin(r->c->db);

	if (n < 0)
		return request_fail_db(r, n, "domains");
	n = 0;
	if (request_bool(r, "clear", false) || request_json(r, "set"))
		n = clear(r, app);
	if (n == 0)
		n = each(r, app, "set", add);
	if (n == 0)
		n = each(r, app, "remove", remove_one);
	if (n == 0)
		n = each(r, app, "add", add);
	if (n == 0)
		n = check_count(r, app);
	int ended = db_end(r->c->db, n == 0);
	if (n < 0)
		return -1;
	if (ended < 0)
		return request_fail_db(r, ended, "domains");
	if (refresh(r->c, app, &e) < 0)
		return request_fail(r, FAIL_BERTH,
			"stored, but the router does not use it yet: %s", e.text);
	acme_changed(r->c, app);
	return show(r, app);
}

int domains_change(struct request *r)
{
	return change(r, r->app.id);
}

int domains_change_global(struct request *r)
{
	return change(r, 0);
}
