/* Members, the roles they were given, and the hashes of their tokens. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

/* ---- members ---- */

int db_member_add(struct db *db, const char *name, uint32_t *ret_id)
{
	uint64_t id = 0;
	int r = query_insert(db, &id, "INSERT INTO member(name, created_us) VALUES(?, ?)",
		"sU", name, io_now_us());

	if (r == 0)
		*ret_id = (uint32_t)id;
	return r;
}

#define MEMBER_ROWS                                                                      \
	"SELECT id, name, created_us, (SELECT count(*) FROM ssh_key k WHERE "            \
	"k.member=m.id) FROM member m "

static void fill_member(struct query *q, void *element)
{
	struct db_member *m = element;

	m->id = query_u32(q, 0);
	query_text(q, 1, m->name, sizeof(m->name));
	m->created_us = query_u64(q, 2);
	m->keys = query_u32(q, 3);
}

int db_member_by_name(struct db *db, const char *name, struct db_member *ret)
{
	return query_one(db, fill_member, ret, MEMBER_ROWS "WHERE name=?", "s", name);
}

int db_member_remove(struct db *db, uint32_t id)
{
	return query_changed(query_exec(db, "DELETE FROM member WHERE id=?", "u", id));
}

int db_member_list(struct db *db, struct db_member **ret)
{
	return query_all(db, sizeof(**ret), fill_member, (void **)ret,
		MEMBER_ROWS "ORDER BY name", "");
}

/* ---- roles ---- */

int db_grant_put(struct db *db, uint32_t member, uint32_t app, enum role role)
{
	int r = query_exec(db,
		"INSERT INTO access(member, app, role) VALUES(?, ?, ?) "
		"ON CONFLICT(member, app) DO UPDATE SET role=excluded.role",
		"uuu", member, app, (unsigned int)role);

	return r < 0 ? r : 0;
}

int db_grant_remove(struct db *db, uint32_t member, uint32_t app)
{
	return query_changed(query_exec(
		db, "DELETE FROM access WHERE member=? AND app=?", "uu", member, app));
}

static void fill_grant(struct query *q, void *element)
{
	struct db_grant *g = element;

	g->member = query_u32(q, 0);
	g->app = query_u32(q, 1);
	g->role = query_u32(q, 2);
	query_text(q, 3, g->member_name, sizeof(g->member_name));
	query_text(q, 4, g->app_name, sizeof(g->app_name));
}

int db_grant_list(struct db *db, uint32_t member, struct db_grant **ret)
{
	return query_all(db, sizeof(**ret), fill_grant, (void **)ret,
		"SELECT x.member, x.app, x.role, m.name, ifnull(a.name, '') "
		"FROM access x JOIN member m ON m.id=x.member "
		"LEFT JOIN app a ON a.id=x.app WHERE ?1=0 OR x.member=?1 "
		"ORDER BY m.name, a.name",
		"u", member);
}

int db_admins_beside(struct db *db, uint32_t member)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db,
		"SELECT count(*) FROM access x WHERE app=0 AND role=? AND member<>? AND "
		"EXISTS (SELECT 1 FROM ssh_key k WHERE k.member=x.member)",
		"uu", (unsigned int)ROLE_ADMIN, member);

	return r < 0 ? r : (int)query_u32(&q, 0);
}

/* ---- tokens ---- */

int db_token_add(
	struct db *db, struct db_token *t, const uint8_t hash[static DB_TOKEN_HASH])
{
	t->created_us = io_now_us();
	return query_insert(db, &t->id,
		"INSERT INTO token(name, member, app, role, hash, created_us, "
		"expires_us) "
		"VALUES(?, ?, ?, ?, ?, ?, ?)",
		"suuubUU", t->name, t->member, t->app, (unsigned int)t->role, hash,
		(size_t)DB_TOKEN_HASH, t->created_us, t->expires_us);
}

#define TOKEN_ROWS                                                                       \
	"SELECT t.id, t.member, t.app, t.role, t.created_us, t.expires_us, t.used_us, "  \
	"t.name, m.name, ifnull(a.name, '') FROM token t JOIN member m ON "              \
	"m.id=t.member "                                                                 \
	"LEFT JOIN app a ON a.id=t.app "

static void fill_token(struct query *q, void *element)
{
	struct db_token *t = element;

	t->id = query_u64(q, 0);
	t->member = query_u32(q, 1);
	t->app = query_u32(q, 2);
	t->role = query_u32(q, 3);
	t->created_us = query_u64(q, 4);
	t->expires_us = query_u64(q, 5);
	t->used_us = query_u64(q, 6);
	query_text(q, 7, t->name, sizeof(t->name));
	query_text(q, 8, t->member_name, sizeof(t->member_name));
	query_text(q, 9, t->app_name, sizeof(t->app_name));
}

int db_token_find(
	struct db *db, const uint8_t hash[static DB_TOKEN_HASH], struct db_token *ret)
{
	return query_one(db, fill_token, ret, TOKEN_ROWS "WHERE t.hash=?", "b", hash,
		(size_t)DB_TOKEN_HASH);
}

int db_token_get(struct db *db, uint64_t id, struct db_token *ret)
{
	return query_one(db, fill_token, ret, TOKEN_ROWS "WHERE t.id=?", "U", id);
}

int db_token_used(struct db *db, uint64_t id, uint64_t when_us)
{
	return query_changed(query_exec(
		db, "UPDATE token SET used_us=? WHERE id=?", "UU", when_us, id));
}

int db_token_remove(struct db *db, uint64_t id)
{
	return query_changed(query_exec(db, "DELETE FROM token WHERE id=?", "U", id));
}

int db_token_list(struct db *db, struct db_token **ret)
{
	return query_all(db, sizeof(**ret), fill_token, (void **)ret,
		TOKEN_ROWS "ORDER BY m.name, t.name", "");
}

/* ---- volumes ---- */

int db_volume_set_maker(struct db *db, uint64_t volume, uint32_t member)
{
	int r = query_exec(db, "INSERT INTO volume_maker(volume, member) VALUES(?, ?)",
		"Uu", volume, member);

	return r < 0 ? r : 0;
}

int db_volume_maker(struct db *db, uint64_t volume, uint32_t *ret)
{
	autoquery q = QUERY_INIT;
	int r = query_first(
		&q, db, "SELECT member FROM volume_maker WHERE volume=?", "U", volume);

	*ret = r == 0 ? query_u32(&q, 0) : 0;
	return r == -ENOENT ? 0 : r;
}
