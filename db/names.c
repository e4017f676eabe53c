/* How apps get another name, and what their former ones lead to. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

#define FORMER_US (30 * UINT64_C(86400) * 1000000)

int db_app_rename_begin(struct db *db, uint32_t id, const char *to)
{
	return query_changed(query_exec(db,
		"UPDATE app SET rename_to=?1 WHERE id=?2 AND NOT EXISTS "
		"(SELECT 1 FROM app WHERE name=?1 OR rename_to=?1)",
		"su", to, id));
}

int db_app_rename_cancel(struct db *db, uint32_t id)
{
	return query_changed(
		query_exec(db, "UPDATE app SET rename_to='' WHERE id=?", "u", id));
}

/* Its events follow it: whoever has the former name next must not read them; nor serve the API's certificates. */
static int end_rows(struct db *db, uint32_t id)
{
	static const char *const sql[] = {
		"DELETE FROM former_name WHERE name=(SELECT rename_to FROM app WHERE "
		"id=?1) OR until_us<?2",
		"INSERT OR REPLACE INTO former_name(name, app, until_us) SELECT name, "
		"id, ?2+?3 FROM app WHERE id=?1",
		"UPDATE event SET app=(SELECT rename_to FROM app WHERE id=?1) WHERE "
		"of_app=(SELECT id FROM app WHERE id=?1) AND ?2 AND ?3",
		"UPDATE setting SET value=(SELECT rename_to FROM app WHERE id=?1) WHERE "
		"app=0 AND topic='apps' AND key='api-certs' AND value=(SELECT name FROM "
		"app WHERE id=?1) AND ?2 AND ?3",
		"UPDATE app SET name=rename_to, rename_to='' WHERE id=?1 AND "
		"rename_to<>'' AND ?2 AND ?3",
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(sql); i++)
		r = i == 0 ? query_exec(db, sql[i], "uU", id, io_now_us())
			   : query_exec(db, sql[i], "uUU", id, io_now_us(), FORMER_US);
	return r < 0 ? r : query_changed(r);
}

int db_app_rename_end(struct db *db, uint32_t id)
{
	int r = db_begin(db);

	if (r < 0)
		return r;
	r = end_rows(db, id);
	int ended = db_end(db, r >= 0);
	return r < 0 ? r : ended;
}

int db_app_list_renaming(struct db *db, uint32_t **ret)
{
	return query_all(db, sizeof(**ret), query_fill_u32, (void **)ret,
		"SELECT id FROM app WHERE rename_to<>''", "");
}

int db_app_renaming(struct db *db, uint32_t id, char to[NAME_MAX_LEN + 1])
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db, "SELECT rename_to FROM app WHERE id=?", "u", id);

	if (r < 0)
		return r;
	query_text(&q, 0, to, NAME_MAX_LEN + 1);
	return *to != '\0';
}

int db_app_by_former_name(struct db *db, const char *name, struct db_app *ret)
{
	uint32_t id = 0;
	{
		autoquery q = QUERY_INIT;
		int r = query_first(&q, db,
			"SELECT app FROM former_name WHERE name=? AND until_us>=?", "sU",
			name, io_now_us());

		if (r < 0)
			return r;
		id = query_u32(&q, 0);
	}
	return db_app_by_id(db, id, ret);
}

/* ---- what an app is set to ---- */

static int columns_of(struct db *db, const char *table, char out[1024])
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db,
		"SELECT group_concat('\"' || name || '\"') FROM pragma_table_info(?) "
		"WHERE "
		"name NOT IN ('app', 'id')",
		"s", table);

	if (r == 0)
		query_text(&q, 0, out, 1024);
	return r;
}

int db_app_copy_settings(struct db *db, uint32_t from, uint32_t to)
{
	static const char *const tables[] = {
		"formation", "resource", "setting", "network_rule"};
	char columns[1024], sql[2600];
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(tables); i++) {
		if ((r = columns_of(db, tables[i], columns)) < 0)
			return r;
		snprintf(sql, sizeof(sql),
			"INSERT INTO %s (app, %s) SELECT ?, %s FROM %s WHERE app=?",
			tables[i], columns, columns, tables[i]);
		r = query_exec(db, sql, "uu", to, from);
	}
	if (r >= 0)
		r = query_exec(db,
			"DELETE FROM setting WHERE app=? AND (topic='previews' OR "
			"(topic='http' AND key='canonical'))",
			"u", to);
	return r < 0 ? r : 0;
}
