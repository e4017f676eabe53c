/* SSH keys. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

static int add_member(struct db *db, const char *name, uint32_t *ret_id)
{
	struct db_member m;
	int r = db_member_by_name(db, name, &m);

	if (r != -ENOENT) {
		*ret_id = r < 0 ? 0 : m.id;
		return r;
	}
	r = db_member_add(db, name, ret_id);
	return r < 0 ? r : db_grant_put(db, *ret_id, 0, ROLE_ADMIN);
}

int db_key_add(struct db *db, struct db_key *k)
{
	uint64_t id = 0;
	int r = db_begin(db);

	if (r < 0)
		return r;
	r = add_member(db, k->name, &k->member);
	if (r == 0)
		r = query_insert(db, &id,
			"INSERT INTO ssh_key(member, type, blob, fingerprint, "
			"created_us) VALUES(?, ?, ?, ?, ?)",
			"usssU", k->member, k->type, k->blob, k->fingerprint,
			io_now_us());
	int ended = db_end(db, r == 0);

	if (r == 0 && ended == 0)
		k->id = (uint32_t)id;
	return r < 0 ? r : ended;
}

int db_key_remove(struct db *db, const char *name)
{
	return query_exec(db,
		"DELETE FROM ssh_key WHERE member=(SELECT id FROM member WHERE name=?)",
		"s", name);
}

int db_key_delete(struct db *db, uint32_t id)
{
	return query_changed(query_exec(db, "DELETE FROM ssh_key WHERE id=?", "u", id));
}

#define KEY_ROWS                                                                         \
	"SELECT k.id, m.name, type, blob, fingerprint, m.id FROM ssh_key k JOIN member " \
	"m ON m.id=k.member "

static void fill_key(struct query *q, void *element)
{
	struct db_key *k = element;

	k->id = query_u32(q, 0);
	query_text(q, 1, k->name, sizeof(k->name));
	query_text(q, 2, k->type, sizeof(k->type));
	query_text(q, 3, k->blob, sizeof(k->blob));
	query_text(q, 4, k->fingerprint, sizeof(k->fingerprint));
	k->member = query_u32(q, 5);
}

int db_key_list(struct db *db, struct db_key **ret)
{
	return query_all(db, sizeof(**ret), fill_key, (void **)ret,
		KEY_ROWS "ORDER BY m.name, k.id", "");
}

int db_key_get(struct db *db, uint32_t id, struct db_key *ret)
{
	return query_one(db, fill_key, ret, KEY_ROWS "WHERE k.id=?", "u", id);
}
