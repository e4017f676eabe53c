/* Images by name: what was tagged or imported. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

void db_tag_clear(struct db_tag *t)
{
	json_decref(t->layers);
	json_decref(t->config);
	t->layers = t->config = NULL;
}

int db_tag_put(struct db *db, const struct db_tag *t)
{
	char *layers autofree = json_dumps(t->layers, JSON_COMPACT);
	char *config autofree = json_dumps(t->config, JSON_COMPACT | JSON_SORT_KEYS);

	if (!layers || !config)
		return -ENOMEM;
	return query_changed(query_exec(db,
		"INSERT OR REPLACE INTO tag(name, layers, config, created_us) "
		"VALUES(?, ?, ?, ?)",
		"sssU", t->name, layers, config, io_now_us()));
}

static void fill_tag(struct query *q, void *element)
{
	struct db_tag *t = element;

	query_text(q, 0, t->name, sizeof(t->name));
	t->layers = query_json(q, 1);
	t->config = query_json(q, 2);
	t->created_us = query_u64(q, 3);
}

int db_tag_get(struct db *db, const char *name, struct db_tag *ret)
{
	autoquery q = QUERY_INIT;
	struct db_tag t = {0};
	int r = query_first(&q, db,
		"SELECT name, layers, config, created_us FROM tag WHERE name=?", "s",
		name);

	if (r < 0)
		return r;
	fill_tag(&q, &t);
	if (!t.layers || !t.config) {
		db_tag_clear(&t);
		return -EIO;
	}
	*ret = t;
	return 0;
}

int db_tag_list(struct db *db, struct db_tag **ret)
{
	return query_all(db, sizeof(**ret), fill_tag, (void **)ret,
		"SELECT name, layers, config, created_us FROM tag ORDER BY name", "");
}

int db_tag_remove(struct db *db, const char *name)
{
	return query_changed(query_exec(db, "DELETE FROM tag WHERE name=?", "s", name));
}

bool db_layer_tagged(struct db *db, uint64_t id)
{
	autoquery q = QUERY_INIT;

	return query_first(&q, db,
		       "SELECT 1 FROM tag t, json_each(t.layers) j WHERE j.value=?", "U",
		       id) != -ENOENT;
}
