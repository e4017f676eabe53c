/* An app's config: which values are whose, and what a change makes of it. */
#include "control/config.h"
#include "lib/base64.h"
#include "lib/name.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *config_key_name(const char *key)
{
	const char *slash = strchr(key, '/');

	return slash ? slash + 1 : key;
}

bool config_key_valid(const char *key)
{
	char type[32];
	const char *name = config_key_name(key);

	if (name == key)
		return name_key_valid(key);
	if ((size_t)(name - key) > sizeof(type))
		return false;
	snprintf(type, sizeof(type), "%.*s", (int)(name - key - 1), key);
	return name_type_valid(type) && name_key_valid(name);
}

/* Is it the app's own (""), of the type, or any ("*")? */
static bool in_scope(const char *key, const char *scope)
{
	size_t len = (size_t)(config_key_name(key) - key);

	if (strcmp(scope, "*") == 0)
		return true;
	return len ? strlen(scope) == len - 1 && memcmp(key, scope, len - 1) == 0
		   : !*scope;
}

json_t *config_of_type(const json_t *config, const char *type)
{
	const char *const scopes[] = {"", type};
	json_t *seen = json_object(), *v;
	const char *key;

	for (size_t i = 0; i < ARRAY_LEN(scopes); i++)
		json_object_foreach ((json_t *)(uintptr_t)config, key, v)
			if (scopes[i] && in_scope(key, scopes[i]))
				json_object_set(seen, config_key_name(key), v);
	return seen;
}

size_t config_size(const json_t *config)
{
	const char *key;
	size_t total = 0;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)config, key, v) {
		const json_t *coded = json_object_get(v, "base64");

		total += strlen(key) + (coded ? json_string_length(coded) / 4 * 3
					      : json_string_length(v));
	}
	return total;
}

/* ---- a change ---- */

static void put(json_t *after, json_t *before, const char *key, json_t *v)
{
	json_t *old = json_object_get(after, key);

	if (v ? old && json_equal(old, v) : !old)
		return;
	json_object_set_new(before, key, old ? json_incref(old) : json_null());
	if (v)
		json_object_set(after, key, v);
	else
		json_object_del(after, key);
}

json_t *config_changed(
	const json_t *config, const struct config_change *ch, json_t **ret_before)
{
	json_t *after = json_copy((json_t *)(uintptr_t)config), *before = json_object();
	const char *key;
	json_t *v;
	size_t i;

	json_object_foreach ((json_t *)(uintptr_t)config, key, v)
		if (ch->replace && in_scope(key, ch->replace) &&
			!json_object_get(ch->set, key))
			put(after, before, key, NULL);
	json_object_foreach (ch->set, key, v)
		put(after, before, key, v);
	json_array_foreach (ch->unset, i, v)
		put(after, before, json_string_value(v), NULL);
	*ret_before = before;
	return after;
}

void config_describe(const json_t *before, const json_t *after, char *out, size_t size)
{
	static const char *const verbs[2][2] = {{"Unset ", "; unset "}, {"Set ", "Set "}};
	const char *key;
	json_t *old;
	size_t len = 0;

	*out = '\0';
	for (int set = 1; set >= 0; set--) {
		bool first = true;

		json_object_foreach ((json_t *)(uintptr_t)before, key, old) {
			if ((json_object_get(after, key) != NULL) != set)
				continue;
			int n = snprintf(out + len, size - len, "%s%s",
				first ? verbs[set][len > 0] : ", ", key);
			if (n < 0 || (size_t)n >= size - len)
				return;
			len += (size_t)n;
			first = false;
		}
	}
}

void config_merge(json_t *config, const json_t *before, const json_t *after)
{
	const char *key;
	json_t *old;

	json_object_foreach ((json_t *)(uintptr_t)before, key, old) {
		json_t *now = json_object_get(config, key),
		       *v = json_object_get(after, key);

		if (json_is_null(old) ? now != NULL : !now || !json_equal(now, old))
			continue;
		if (v)
			json_object_set(config, key, v);
		else
			json_object_del(config, key);
	}
}

int config_settle(
	struct control *c, uint32_t app, const json_t *before, const json_t *after)
{
	json_t *config = NULL;
	int n = db_begin(c->db);

	if (n < 0)
		return n;
	n = db_config_get(c->db, app, &config);
	if (n == 0 && json_object_size(before)) {
		config_merge(config, before, after);
		n = db_config_put(c->db, app, config);
	}
	json_decref(config);
	int ended = db_end(c->db, n == 0);
	return n < 0 ? n : ended;
}

/* Reads, changes and writes in one transaction: two changes at once both count. 1: it is another now. */
static int store(struct control *c, uint32_t app, const struct config_change *ch)
{
	json_t *config = NULL, *before = NULL, *after = NULL;
	int n = db_begin(c->db);

	if (n < 0)
		return n;
	n = db_config_get(c->db, app, &config);
	if (n == 0) {
		after = config_changed(config, ch, &before);
		if (json_object_size(before))
			n = db_config_put(c->db, app, after);
	}
	int changed = json_object_size(before) > 0;
	json_decref(config);
	json_decref(before);
	json_decref(after);
	int ended = db_end(c->db, n == 0);
	if (n == 0)
		n = ended;
	return n < 0 ? n : changed;
}

int config_apply(struct control *c, const struct db_app *app,
	const struct config_change *ch, bool restart, const char *actor, struct sink *s,
	struct err *e)
{
	if (restart && app->live_version)
		return deploy_config_change(c, app->id, ch, actor, s, e);
	int r = store(c, app->id, ch);
	if (r < 0)
		return err_sys(e, -r, "the config of %s could not be stored", app->name);
	if (r == 0)
		sink_line(s, "no change");
	else
		sink_line(s, "Config stored; it takes effect with the %s",
			restart ? "first deploy" : "next release");
	return 0;
}
