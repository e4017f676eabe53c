/* Layers: found by key, made once, removed when nothing uses them. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

int db_layer_find(struct db *db, const char *kind, const char *key, uint64_t *ret_id,
	json_t **ret_meta)
{
	uint64_t id;
	{
		autoquery q = QUERY_INIT;
		int r = query_first(&q, db,
			"SELECT id, meta FROM layer WHERE kind=? AND key=? AND ready=1",
			"ss", kind, key);

		if (r < 0)
			return r;
		id = query_u64(&q, 0);
		if (ret_meta)
			*ret_meta = query_json(&q, 1);
	}
	/* Being used keeps it from the next cleaning; a failure to note that is no reason
	 * to build again. */
	query_exec(db,
		"UPDATE layer SET used_us=?1 WHERE id=?2 OR id IN (SELECT j.value FROM "
		"layer l, json_each(l.meta, '$.below') j WHERE l.id=?2)",
		"UU", io_now_us(), id);
	*ret_id = id;
	return 0;
}

int db_layer_begin(
	struct db *db, const char *kind, const char *key, uint32_t app, uint64_t *ret_id)
{
	uint64_t now = io_now_us();

	return query_insert(db, ret_id,
		"INSERT INTO layer(kind, key, app, created_us, used_us) VALUES(?, ?, ?, "
		"?, ?)",
		"ssuUU", kind, key, app, now, now);
}

int db_layer_ready(struct db *db, uint64_t id, const json_t *meta, uint64_t size_bytes)
{
	char *text autofree = meta ? json_dumps(meta, JSON_COMPACT) : NULL;

	if (meta && !text)
		return -ENOMEM;
	return query_changed(query_exec(db,
		"UPDATE layer SET ready=1, meta=?, size_bytes=?, used_us=? WHERE id=?",
		"sUUU", text ? text : "{}", size_bytes, io_now_us(), id));
}

/* A name is one row's: the earlier ones have their number behind it, and go when no image is on them. */
static int replace_rows(struct db *db, const char *name, uint64_t id)
{
	int r = query_exec(db,
		"UPDATE layer SET key=key||'@'||id, used_us=? WHERE kind='stack' AND "
		"key=? AND id<>?",
		"UsU", io_now_us(), name, id);

	return r < 0 ? r
		     : query_changed(query_exec(db,
			       "UPDATE layer SET key=? WHERE kind='stack' AND id=? AND "
			       "ready=1",
			       "sU", name, id));
}

int db_stack_replace(struct db *db, const char *name, uint64_t id)
{
	int r = db_begin(db);

	if (r < 0)
		return r;
	r = replace_rows(db, name, id);
	int ended = db_end(db, r >= 0);
	return r < 0 ? r : ended;
}

int db_layer_set_size(struct db *db, uint64_t id, uint64_t size_bytes)
{
	return query_exec(
		db, "UPDATE layer SET size_bytes=? WHERE id=?", "UU", size_bytes, id);
}

int db_layer_set_app(struct db *db, uint64_t id, uint32_t app)
{
	return query_changed(
		query_exec(db, "UPDATE layer SET app = ? WHERE id = ?", "uU", app, id));
}

int db_layer_set_digest(struct db *db, uint64_t id, const char *digest)
{
	return query_changed(
		query_exec(db, "UPDATE layer SET digest=? WHERE id=?", "sU", digest, id));
}

int db_layer_set_blob(struct db *db, uint64_t id, const char *blob, uint64_t size)
{
	return query_changed(
		query_exec(db, "UPDATE layer SET blob=?, blob_size=? WHERE id=?", "sUU",
			blob, size, id));
}

int db_layer_delete(struct db *db, uint64_t id)
{
	return query_changed(query_exec(db, "DELETE FROM layer WHERE id=?", "U", id));
}

int db_layer_delete_lost(struct db *db, uint64_t id)
{
	return query_changed(query_exec(db,
		"DELETE FROM layer WHERE id=?1 OR (kind='source' AND ?1 IN (SELECT "
		"j.value FROM json_each(meta, '$.below') j))",
		"U", id));
}

int db_layer_give_up(struct db *db, uint64_t id)
{
	return query_changed(query_exec(db,
		"UPDATE layer SET kind='lost', key=key||'@'||id WHERE (id=?1 AND "
		"kind<>'lost') OR (kind='source' AND ?1 IN (SELECT j.value FROM "
		"json_each(meta, '$.below') j))",
		"U", id));
}

int db_layer_delete_unused(struct db *db, uint64_t id, uint64_t older_than_us)
{
	return query_changed(query_exec(db, "DELETE FROM layer WHERE id=? AND used_us<?",
		"UU", id, older_than_us));
}

#define LAYER_COLUMNS                                                                    \
	"id, kind, key, app, ready, size_bytes, created_us, used_us, digest, blob, "     \
	"blob_size"

static void fill_layer(struct query *q, void *element)
{
	struct db_layer *l = element;

	l->id = query_u64(q, 0);
	query_text(q, 1, l->kind, sizeof(l->kind));
	query_text(q, 2, l->key, sizeof(l->key));
	l->app = query_u32(q, 3);
	l->ready = query_u32(q, 4) != 0;
	l->size_bytes = query_u64(q, 5);
	l->created_us = query_u64(q, 6);
	l->used_us = query_u64(q, 7);
	query_text(q, 8, l->digest, sizeof(l->digest));
	query_text(q, 9, l->blob, sizeof(l->blob));
	l->blob_size = query_u64(q, 10);
}

int db_layer_get(struct db *db, uint64_t id, struct db_layer *ret, json_t **ret_meta)
{
	autoquery q = QUERY_INIT;
	int r = query_first(
		&q, db, "SELECT " LAYER_COLUMNS ", meta FROM layer WHERE id=?", "U", id);

	if (r < 0)
		return r;
	fill_layer(&q, ret);
	if (ret_meta)
		*ret_meta = query_json(&q, 11);
	return 0;
}

int db_layer_list(struct db *db, struct db_layer **ret)
{
	return query_all(db, sizeof(**ret), fill_layer, (void **)ret,
		"SELECT " LAYER_COLUMNS " FROM layer ORDER BY id", "");
}
