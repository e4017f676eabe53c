/* SSH keys. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

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
