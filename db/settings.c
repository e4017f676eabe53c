/* Settings (topic, key) of an app or of all, and domains. */
#include "db/query.h"
#include <errno.h>
#include <string.h>

int db_setting_get(
	struct db *db, uint32_t app, const char *topic, const char *key, char **ret)
{
	autoquery q = QUERY_INIT;
	int r = query_open(&q, db,
		"SELECT value FROM setting WHERE app=? AND topic=? AND key=?", "uss", app,
		topic, key);

	if (r < 0)
		return r;
	r = query_next(&q);
	if (r < 0)
		return r;
	char *value = NULL;
	if (r > 0) {
		value = strdup(query_str(&q, 0));
		if (!value)
			return -ENOMEM;
	}
	*ret = value;
	return 0;
}

/* The object of an app's id in all, made when there is none. */
static json_t *object_of(json_t *all, const char *id)
{
	json_t *o = json_object_get(all, id);

	if (!o && json_object_set_new(all, id, json_object()) == 0)
		o = json_object_get(all, id);
	return o;
}

static void add_setting(struct query *q, json_t *all)
{
	char id[16];

	query_text(q, 0, id, sizeof(id));
	json_object_set_new(
		object_of(all, id), query_str(q, 1), json_string(query_str(q, 2)));
}

int db_setting_topic(struct db *db, const char *topic, uint32_t app, json_t **ret)
{
	return query_gather(db, json_object(), add_setting, ret,
		app ? "SELECT CAST(app AS TEXT), key, value FROM setting WHERE topic=? "
		      "AND app IN (0, ?)"
		    : "SELECT CAST(app AS TEXT), key, value FROM setting WHERE topic=?",
		app ? "su" : "s", topic, app);
}

int db_setting_set(struct db *db, uint32_t app, const char *topic, const char *key,
	const char *value)
{
	int r;

	if (value)
		r = query_exec(db,
			"INSERT OR REPLACE INTO setting(app, topic, key, value) "
			"VALUES(?, ?, ?, ?)",
			"usss", app, topic, key, value);
	else
		r = query_exec(db,
			"DELETE FROM setting WHERE app=? AND topic=? AND key=?", "uss",
			app, topic, key);
	return r < 0 ? r : 0;
}

int db_domain_list(struct db *db, uint32_t app, json_t **ret)
{
	return query_gather(db, json_array(), query_add_text, ret,
		"SELECT name FROM domain WHERE app=? ORDER BY name", "u", app);
}

static void fill_domain(struct query *q, void *element)
{
	struct db_domain *d = element;

	d->app = query_u32(q, 0);
	query_text(q, 1, d->name, sizeof(d->name));
}

int db_domain_all(struct db *db, uint32_t app, struct db_domain **ret)
{
	return query_all(db, sizeof(**ret), fill_domain, (void **)ret,
		app ? "SELECT app, name FROM domain WHERE app IN (0, ?) ORDER BY app, "
		      "name"
		    : "SELECT app, name FROM domain ORDER BY app, name",
		app ? "u" : "", app);
}

const struct db_domain *db_domain_part(
	const struct db_domain *list, int n, uint32_t app, int *ret_n)
{
	int low = 0, high = n, end;

	while (low < high) {
		int mid = low + (high - low) / 2;

		if (list[mid].app < app)
			low = mid + 1;
		else
			high = mid;
	}
	for (end = low; end < n && list[end].app == app;)
		end++;
	*ret_n = end - low;
	return list + low;
}

/* A name that the app has already is no conflict: adding is idempotent. */
int db_domain_add(struct db *db, uint32_t app, const char *name)
{
	int r = query_exec(db,
		"INSERT INTO domain(name, app) VALUES(?, ?) ON CONFLICT(name, app) DO "
		"NOTHING",
		"su", name, app);

	return r < 0 ? r : 0;
}

int db_domain_remove(struct db *db, uint32_t app, const char *name)
{
	return query_changed(query_exec(
		db, "DELETE FROM domain WHERE name=? AND app=?", "su", name, app));
}

int db_domain_owner(struct db *db, const char *name, uint32_t *ret_app)
{
	autoquery q = QUERY_INIT;
	int r = query_first(
		&q, db, "SELECT app FROM domain WHERE name=? AND app<>0", "s", name);

	if (r < 0)
		return r;
	*ret_app = query_u32(&q, 0);
	return 0;
}
