/* What an app, or the host beside its apps, is set to: in the form of the file of `berth apply` (docs/APPLY.md). */
#include "control/api/handlers.h"
#include "control/builds/packs.h"
#include "control/limits.h"
#include "control/network/net_target.h"
#include "control/settings.h"
#include "lib/drain_url.h"
#include <stdio.h>
#include <string.h>

/* A part that could not be read makes the whole fail: what is not told would be taken for
 * not being there. */
static void put(struct request *r, json_t *o, const char *key, int n, json_t *v)
{
	if (n < 0) {
		json_decref(v);
		request_fail_db(r, n, key);
	} else {
		json_object_set_new(o, key, v ? v : json_null());
	}
}

static json_t *flag(bool on)
{
	return on ? json_true() : NULL;
}

static json_t *word(const char *s)
{
	return *s ? json_string(s) : NULL;
}

/* Of one app, 0: of all apps together; passwords are starred. */
static int drains(struct request *r, uint32_t app, json_t **ret)
{
	struct db_drain *rows autofree = NULL;
	int n = db_drain_list(r->c->db, &rows);

	*ret = json_array();
	for (int i = 0; i < n; i++) {
		char shown[DRAIN_URL_MAX] = "";
		struct drain_url u;

		if (rows[i].app != app || drain_url_parse(rows[i].url, &u, NULL) < 0)
			continue;
		drain_url_show(&u, shown);
		json_array_append_new(
			*ret, json_pack("{s:s, s:o*, s:o*, s:o*}", "url", shown, "gzip",
				      flag(rows[i].flags & DRAIN_GZIP), "insecure",
				      flag(rows[i].flags & DRAIN_INSECURE), "own-ca",
				      flag(rows[i].has_ca)));
	}
	return n;
}

/* ---- an app ---- */

static int mounts(struct request *r, json_t **ret)
{
	struct db_mount *rows autofree = NULL;
	int n = db_mount_list(r->c->db, r->app.id, &rows);

	*ret = json_object();
	for (int i = 0; i < n; i++)
		json_object_set_new(*ret, rows[i].path,
			json_pack("{s:s, s:o*, s:o*}", "volume", rows[i].volume_name,
				"read-only", flag(rows[i].read_only), "process-type",
				word(rows[i].type)));
	return n;
}

static json_t *limits_of(const struct db_resource *row)
{
	struct db_resource set = *row;
	json_t *o = json_object();

	for (size_t i = 0; i < LIMIT_ROWS; i++) {
		uint64_t n = *limit_set(&set, &limit_rows[i]);
		char key[32];

		snprintf(key, sizeof(key), "%s", limit_rows[i].key);
		for (char *s = key; *s; s++)
			*s = *s == '_' ? '-' : *s;
		if (n)
			json_object_set_new(o, key, json_integer((json_int_t)n));
	}
	return o;
}

/* What holds for the app as a whole is of the type "*". */
static int resources(struct request *r, json_t **ret)
{
	json_t *types = NULL, *v;
	size_t i;
	int n = db_resource_types(r->c->db, r->app.id, &types);

	*ret = json_object();
	json_array_foreach (types, i, v) {
		const char *type = json_string_value(v);
		struct db_resource row;

		if (n >= 0)
			n = db_resource_get(r->c->db, r->app.id, type, &row);
		json_t *limits = n >= 0 ? limits_of(&row) : NULL;

		if (json_object_size(limits))
			json_object_set(*ret, *type ? type : "*", limits);
		json_decref(limits);
	}
	json_decref(types);
	return n;
}

static json_t *rule_of(struct request *r, const struct db_net_rule *rule)
{
	char target[NET_TEXT_MAX], ports[16];
	struct db_app other = {0};

	if (rule->target_app)
		db_app_by_id(r->c->db, rule->target_app, &other);
	net_target_text(rule, other.name, target);
	net_ports_text(rule, ports);
	return json_pack("{s:s, s:o*, s:o*, s:o*}", rule->allow ? "allow" : "deny",
		target, "ports", word(ports), "protocol", word(net_protocol_text(rule)),
		"builds", flag(rule->builds));
}

static int network(struct request *r, json_t **ret)
{
	struct db_net_rule *rules autofree = NULL;
	int n = db_net_rule_list(r->c->db, r->app.id, &rules);

	*ret = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(*ret, rule_of(r, &rules[i]));
	return n;
}

/* Roles on the app itself; those on all apps are their member's. */
static int roles(struct request *r, json_t **ret)
{
	struct db_grant *rows autofree = NULL;
	int n = db_grant_list(r->c->db, 0, &rows);

	*ret = json_object();
	for (int i = 0; i < n; i++)
		if (rows[i].app == r->app.id)
			json_object_set_new(*ret, rows[i].member_name,
				json_string(role_name(rows[i].role)));
	return n;
}

int state_show_app(struct request *r)
{
	json_t *o = json_object(), *v = NULL;
	struct db *db = r->c->db;
	uint32_t app = r->app.id;
	struct db_acme acme;
	int n;

	n = settings_state(r, app, &v);
	put(r, o, "settings", n, v);
	v = NULL, n = resources(r, &v);
	put(r, o, "resources", n, v);
	v = NULL, n = db_domain_list(db, app, &v);
	put(r, o, "domains", n, v);
	v = NULL, n = packs_read(r->c, app, &v);
	put(r, o, "buildpacks", n, v);
	v = NULL, n = db_formation_get(db, app, &v);
	put(r, o, "formation", n, v);
	v = NULL, n = network(r, &v);
	put(r, o, "network", n, v);
	v = NULL, n = mounts(r, &v);
	put(r, o, "mounts", n, v);
	v = NULL, n = db_config_get(db, app, &v);
	put(r, o, "config", n, v);
	v = NULL, n = drains(r, app, &v);
	put(r, o, "drains", n, v);
	v = NULL, n = roles(r, &v);
	put(r, o, "access", n, v);
	put(r, o, "tls", 0, json_boolean(db_acme_get(db, app, &acme) == 0));
	put(r, o, "locked", 0, json_boolean(r->app.locked));
	if (!r->failure.set)
		return request_reply(r, 200, o);
	json_decref(o);
	return -1;
}

/* ---- the host ---- */

static json_t *keys_of(const struct db_key *keys, int n, uint32_t member)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		if (keys[i].member == member)
			json_array_append_new(
				list, json_sprintf("%s %s", keys[i].type, keys[i].blob));
	return list;
}

static const char *global_role(const struct db_grant *rows, int n, uint32_t member)
{
	for (int i = 0; i < n; i++)
		if (rows[i].member == member && rows[i].app == 0)
			return role_name(rows[i].role);
	return "";
}

static int members(struct request *r, json_t **ret)
{
	struct db_member *rows autofree = NULL;
	struct db_grant *grants autofree = NULL;
	struct db_key *keys autofree = NULL;
	int n = db_member_list(r->c->db, &rows);
	int n_grants = db_grant_list(r->c->db, 0, &grants);
	int n_keys = db_key_list(r->c->db, &keys);

	*ret = json_object();
	for (int i = 0; i < n; i++)
		json_object_set_new(*ret, rows[i].name,
			json_pack("{s:o*, s:o}", "role",
				word(global_role(grants, n_grants, rows[i].id)), "keys",
				keys_of(keys, n_keys, rows[i].id)));
	return n < 0 ? n : n_grants < 0 ? n_grants : n_keys;
}

static json_t *volume_of(
	const struct db_volume *v, const struct db_volume_snapshots *snapshots)
{
	char size[24] = "";

	if (v->size_bytes)
		num_write_size(v->size_bytes, size);
	return json_pack("{s:o*, s:I, s:I, s:s}", "size", word(size), "keep",
		(json_int_t)snapshots->keep, "keep-days",
		(json_int_t)snapshots->keep_days, "snapshots",
		snapshots->automatic ? "on" : "off");
}

static int volumes(struct request *r, json_t **ret)
{
	struct db_volume *rows autofree = NULL;
	int n = db_volume_list(r->c->db, &rows);

	*ret = json_object();
	for (int i = 0; i < n; i++) {
		struct db_volume_snapshots snapshots;
		int got = db_volume_snapshots(r->c->db, rows[i].id, &snapshots);

		if (got < 0)
			return got;
		json_object_set_new(*ret, rows[i].name, volume_of(&rows[i], &snapshots));
	}
	return n;
}

int state_show(struct request *r)
{
	json_t *o = json_object(), *v = NULL;
	int n;

	n = settings_state(r, 0, &v);
	put(r, o, "settings", n, v);
	v = NULL, n = db_domain_list(r->c->db, 0, &v);
	put(r, o, "domains", n, v);
	v = NULL, n = drains(r, 0, &v);
	put(r, o, "drains", n, v);
	v = NULL, n = members(r, &v);
	put(r, o, "members", n, v);
	v = NULL, n = volumes(r, &v);
	put(r, o, "volumes", n, v);
	if (!r->failure.set)
		return request_reply(r, 200, o);
	json_decref(o);
	return -1;
}
