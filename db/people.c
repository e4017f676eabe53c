/* SSH keys and the audit trail. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

#define EVENTS_MAX 1000 /* longest list in one answer */

int db_key_add(struct db *db, struct db_key *k)
{
	uint64_t id = 0;
	int r = query_insert(db, &id,
		"INSERT INTO ssh_key(name, type, blob, fingerprint, created_us) "
		"VALUES(?, ?, ?, ?, ?)",
		"ssssU", k->name, k->type, k->blob, k->fingerprint, io_now_us());

	if (r == 0)
		k->id = (uint32_t)id;
	return r;
}

int db_key_remove(struct db *db, const char *name)
{
	return query_exec(db, "DELETE FROM ssh_key WHERE name=?", "s", name);
}

int db_key_delete(struct db *db, uint32_t id)
{
	return query_changed(query_exec(db, "DELETE FROM ssh_key WHERE id=?", "u", id));
}

#define KEY_COLUMNS "id, name, type, blob, fingerprint"

static void fill_key(struct query *q, void *element)
{
	struct db_key *k = element;

	k->id = query_u32(q, 0);
	query_text(q, 1, k->name, sizeof(k->name));
	query_text(q, 2, k->type, sizeof(k->type));
	query_text(q, 3, k->blob, sizeof(k->blob));
	query_text(q, 4, k->fingerprint, sizeof(k->fingerprint));
}

int db_key_list(struct db *db, struct db_key **ret)
{
	return query_all(db, sizeof(**ret), fill_key, (void **)ret,
		"SELECT " KEY_COLUMNS " FROM ssh_key ORDER BY name, id", "");
}

int db_key_get(struct db *db, uint32_t id, struct db_key *ret)
{
	autoquery q = QUERY_INIT;
	int r = query_first(
		&q, db, "SELECT " KEY_COLUMNS " FROM ssh_key WHERE id=?", "u", id);

	if (r < 0)
		return r;
	fill_key(&q, ret);
	return 0;
}

int db_event_add(struct db *db, const char *actor, const char *what, const char *app,
	const char *outcome)
{
	int r = query_exec(db,
		"INSERT INTO event(time_us, actor, what, app, outcome) VALUES(?, ?, ?, "
		"?, ?)",
		"Ussss", io_now_us(), actor, what, app ? app : "", outcome);

	return r < 0 ? r : 0;
}

int db_event_add_own(
	struct db *db, const char *what, const char *app, const char *outcome)
{
	int r = db_event_add(db, "berth", what, app, outcome);

	if (r == 0)
		r = query_exec(db,
			"DELETE FROM event WHERE app=?1 AND actor='berth' AND id<="
			"(SELECT id FROM event WHERE app=?1 AND actor='berth'"
			" ORDER BY id DESC LIMIT 1 OFFSET ?2)",
			"su", app, DB_OWN_EVENTS_KEPT);
	return r < 0 ? r : 0;
}

int db_event_list(struct db *db, const char *app, uint32_t limit, json_t **ret)
{
	autoquery q = QUERY_INIT;
	unsigned int most = limit && limit < EVENTS_MAX ? limit : EVENTS_MAX;
	int r = query_open(&q, db,
		"SELECT time_us, actor, what, app, outcome FROM event WHERE ?1 IS NULL "
		"OR app=?1"
		" ORDER BY id DESC LIMIT ?2",
		"su", app, most);

	if (r < 0)
		return r;
	json_t *a = json_array();
	while ((r = query_next(&q)) > 0)
		json_array_append_new(a,
			json_pack("{s:o, s:s, s:s, s:s, s:s}", "time", query_stamp(&q, 0),
				"who", query_str(&q, 1), "what", query_str(&q, 2), "app",
				query_str(&q, 3), "outcome", query_str(&q, 4)));
	if (r < 0) {
		json_decref(a);
		return r;
	}
	*ret = a;
	return 0;
}
