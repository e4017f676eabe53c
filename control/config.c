/* An app's config: which values are whose, and what a change makes of it. */
#include "control/config.h"
#include "lib/base64.h"
#include "lib/log.h"
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

/* What a change made of it. */
struct changed {
	json_t *before, *after;
};

/* Reads, changes and writes in one transaction: two changes at once both count. With a release to come, a start that finds it
 * unfinished puts the config back. */
static int store(struct control *c, uint32_t app, const struct config_change *ch,
	bool releases, struct changed *ret)
{
	json_t *config = NULL;
	int n = db_begin(c->db);

	if (n < 0)
		return n;
	n = db_config_get(c->db, app, &config);
	if (n == 0) {
		ret->after = config_changed(config, ch, &ret->before);
		if (json_object_size(ret->before))
			n = db_config_put(c->db, app, ret->after);
		if (n == 0 && releases && json_object_size(ret->before))
			n = db_app_config_begin(c->db, app);
	}
	json_decref(config);
	int ended = db_end(c->db, n == 0);
	return n < 0 ? n : ended;
}

/* Puts back what the change replaced, where nobody changed it again meanwhile. */
static void take_back(struct control *c, uint32_t app, const struct changed *ch)
{
	json_t *config = NULL, *old;
	const char *key;
	int n = db_begin(c->db);

	if (n < 0)
		return;
	n = db_config_get(c->db, app, &config);
	json_object_foreach (ch->before, key, old) {
		json_t *mine = json_object_get(ch->after, key),
		       *now = json_object_get(config, key);

		if (mine ? !now || !json_equal(now, mine) : now != NULL)
			continue;
		if (json_is_null(old))
			json_object_del(config, key);
		else
			json_object_set(config, key, old);
	}
	if (n == 0)
		n = db_config_put(c->db, app, config);
	if (n == 0)
		n = db_app_config_end(c->db, app);
	json_decref(config);
	db_end(c->db, n == 0);
}

static int release(struct control *c, const struct db_app *app,
	const struct changed *changed, const struct config_change *ch, const char *actor,
	struct sink *s, struct err *e)
{
	char keys[200], description[256];

	config_describe(changed->before, changed->after, keys, sizeof(keys));
	snprintf(description, sizeof(description), "%s%s", ch->why ? ch->why : "", keys);
	if (ch->replace)
		sink_step(s, "%s", keys);
	int r = deploy_config(c, app->id, description, actor, s, e);
	if (r < 0)
		take_back(c, app->id, changed);
	else if (db_app_config_end(c->db, app->id) < 0)
		log_warn(
			"%s: its config is looked at again at the next start", app->name);
	return r;
}

int config_apply(struct control *c, const struct db_app *app,
	const struct config_change *ch, bool restart, const char *actor, struct sink *s,
	struct err *e)
{
	struct changed changed = {0};
	int r = store(c, app->id, ch, restart && app->live_version, &changed);

	if (r < 0)
		err_sys(e, -r, "the config of %s could not be stored", app->name);
	else if (!json_object_size(changed.before))
		sink_line(s, "no change");
	else if (!restart)
		sink_line(s, "Config stored; it takes effect with the next release");
	else if (!app->live_version)
		sink_line(s, "Config stored; it takes effect with the first deploy");
	else
		r = release(c, app, &changed, ch, actor, s, e);
	json_decref(changed.before);
	json_decref(changed.after);
	return r;
}
