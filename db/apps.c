/* Apps, their formation and their resource limits. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

#define APP_COLUMNS                                                                      \
	"id, name, deploy_branch, locked, stopped, removing, live_version, "             \
	"last_version, "                                                                 \
	"created_us, asleep, asleep_us, asleep_why, canary_version, canary_percent, "    \
	"canary_key"

#define REMOVING_WITH_VOLUMES 2 /* of the column removing; 1: they stay */

static void fill_app(struct query *q, void *element)
{
	struct db_app *a = element;

	a->id = query_u32(q, 0);
	query_text(q, 1, a->name, sizeof(a->name));
	query_text(q, 2, a->deploy_branch, sizeof(a->deploy_branch));
	a->locked = query_u32(q, 3) != 0;
	a->stopped = query_u32(q, 4) != 0;
	a->removing = query_u32(q, 5) != 0;
	a->removing_volumes = query_u32(q, 5) == REMOVING_WITH_VOLUMES;
	a->live_version = query_u32(q, 6);
	a->last_version = query_u32(q, 7);
	a->created_us = query_u64(q, 8);
	a->asleep = (enum db_asleep)query_u32(q, 9);
	a->asleep_us = query_u64(q, 10);
	query_text(q, 11, a->asleep_why, sizeof(a->asleep_why));
	a->canary_version = query_u32(q, 12);
	a->canary_percent = query_u32(q, 13);
	a->canary_key = query_u64(q, 14);
}

static int is_promised(struct db *db, const char *name)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db, "SELECT 1 FROM app WHERE rename_to=?", "s", name);

	return r == -ENOENT ? 0 : r < 0 ? r : -EEXIST;
}

int db_app_create(struct db *db, const char *name, uint32_t *ret_id)
{
	uint64_t id = 0;
	int r = db_begin(db);

	if (r < 0)
		return r;
	r = is_promised(db, name);
	if (r == 0)
		r = query_insert(db, &id,
			"INSERT INTO app(name, created_us) VALUES(?, ?)", "sU", name,
			io_now_us());
	int ended = db_end(db, r == 0);
	if (r < 0 || ended < 0)
		return r < 0 ? r : ended;
	*ret_id = (uint32_t)id;
	return 0;
}

int db_app_by_name(struct db *db, const char *name, struct db_app *ret)
{
	return query_one(db, fill_app, ret,
		"SELECT " APP_COLUMNS " FROM app WHERE name=?", "s", name);
}

int db_app_by_id(struct db *db, uint32_t id, struct db_app *ret)
{
	return query_one(
		db, fill_app, ret, "SELECT " APP_COLUMNS " FROM app WHERE id=?", "u", id);
}

int db_app_list(struct db *db, struct db_app **ret)
{
	return query_all(db, sizeof(**ret), fill_app, (void **)ret,
		"SELECT " APP_COLUMNS " FROM app ORDER BY name", "");
}

int db_app_set_branch(struct db *db, uint32_t id, const char *branch)
{
	return query_changed(query_exec(
		db, "UPDATE app SET deploy_branch=? WHERE id=?", "su", branch, id));
}

int db_app_set_locked(struct db *db, uint32_t id, bool on)
{
	return query_changed(
		query_exec(db, "UPDATE app SET locked=? WHERE id=?", "uu", on, id));
}

int db_app_set_stopped(struct db *db, uint32_t id, bool on)
{
	return query_changed(
		query_exec(db, "UPDATE app SET stopped=? WHERE id=?", "uu", on, id));
}

int db_app_set_removing(struct db *db, uint32_t id, bool with_volumes)
{
	return query_changed(query_exec(db, "UPDATE app SET removing=? WHERE id=?", "uu",
		with_volumes ? REMOVING_WITH_VOLUMES : 1, id));
}

int db_app_set_asleep(struct db *db, uint32_t id, enum db_asleep how, const char *why)
{
	return query_changed(query_exec(db,
		"UPDATE app SET asleep=?, asleep_us=?, asleep_why=? WHERE id=?", "uUsu",
		how, how ? io_now_us() : 0, why, id));
}

int db_app_set_canary(struct db *db, uint32_t id, uint32_t version, uint32_t percent)
{
	return query_changed(query_exec(db,
		"UPDATE app SET canary_key=CASE ?1 WHEN 0 THEN 0 WHEN canary_version "
		"THEN "
		"canary_key ELSE random()|1 END, canary_version=?1, canary_percent=?2 "
		"WHERE id=?3",
		"uuu", version, percent, id));
}

/* Its own volumes: nobody can mount them from here on, and the next start removes them at the latest. */
static int unmake_volumes(struct db *db, uint32_t id)
{
	return query_exec(db,
		"UPDATE volume SET whole=0 WHERE id IN (SELECT volume FROM volume_mount "
		"WHERE app=?1) AND id NOT IN (SELECT volume FROM volume_mount WHERE "
		"app<>?1)",
		"u", id);
}

/* Tables without a foreign key to app (their app may be 0) are emptied here; the rest
 * cascades. */
static int delete_app(struct db *db, uint32_t id, bool with_volumes)
{
	static const char *const sql[] = {
		"DELETE FROM domain WHERE app=?",
		"DELETE FROM setting WHERE app=?",
		/* who is called so next has no certificates for the API */
		"DELETE FROM setting WHERE app=0 AND topic='apps' AND key='api-certs' "
		"AND value=(SELECT name FROM app WHERE id=?)",
		"DELETE FROM instance WHERE app=?",
		/* Releases name images without cascade, so they go first. */
		"DELETE FROM release WHERE app=?",
	};
	int r = db_begin(db);

	if (r < 0)
		return r;
	if (with_volumes)
		r = unmake_volumes(db, id);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(sql); i++)
		r = query_exec(db, sql[i], "u", id);
	if (r >= 0)
		r = query_changed(query_exec(db, "DELETE FROM app WHERE id=?", "u", id));
	int ended = db_end(db, r == 0);
	return r < 0 ? r : ended;
}

int db_app_delete(struct db *db, uint32_t id)
{
	return delete_app(db, id, false);
}

int db_app_delete_with_volumes(struct db *db, uint32_t id)
{
	return delete_app(db, id, true);
}

static void add_quantity(struct query *q, json_t *formation)
{
	json_object_set_new(formation, query_str(q, 0), json_integer(query_u32(q, 1)));
}

int db_formation_get(struct db *db, uint32_t app, json_t **ret)
{
	return query_gather(db, json_object(), add_quantity, ret,
		"SELECT type, quantity FROM formation WHERE app=?", "u", app);
}

int db_formation_set(struct db *db, uint32_t app, const char *type, uint32_t quantity)
{
	int r = query_exec(db,
		"INSERT OR REPLACE INTO formation(app, type, quantity) VALUES(?, ?, ?)",
		"usu", app, type, quantity);

	return r == -EBUSY ? -ENOENT : r < 0 ? r : 0;
}

#define RESOURCE_COLUMNS                                                                 \
	"memory_bytes, cpu_millis, pids, nofile, scratch_bytes, io_read_bytes, "         \
	"io_write_bytes"

int db_resource_get(
	struct db *db, uint32_t app, const char *type, struct db_resource *ret)
{
	autoquery q = QUERY_INIT;
	struct db_resource found = {0};
	int r = query_open(&q, db,
		"SELECT " RESOURCE_COLUMNS " FROM resource WHERE app=? AND type=?", "us",
		app, type);

	if (r < 0)
		return r;
	r = query_next(&q);
	if (r < 0)
		return r;
	if (r > 0)
		found = (struct db_resource){.memory_bytes = query_u64(&q, 0),
			.cpu_millis = query_u64(&q, 1),
			.pids = query_u64(&q, 2),
			.nofile = query_u64(&q, 3),
			.scratch_bytes = query_u64(&q, 4),
			.io_read_bytes = query_u64(&q, 5),
			.io_write_bytes = query_u64(&q, 6)};
	*ret = found;
	return 0;
}

int db_resource_set(
	struct db *db, uint32_t app, const char *type, const struct db_resource *r)
{
	int n = query_exec(db,
		"INSERT OR REPLACE INTO resource(app, type, " RESOURCE_COLUMNS
		") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"usUUUUUUU", app, type, r->memory_bytes, r->cpu_millis, r->pids,
		r->nofile, r->scratch_bytes, r->io_read_bytes, r->io_write_bytes);

	return n == -EBUSY ? -ENOENT : n < 0 ? n : 0;
}

int db_resource_clear(struct db *db, uint32_t app, const char *type)
{
	int r = query_exec(
		db, "DELETE FROM resource WHERE app=? AND type=?", "us", app, type);

	return r < 0 ? r : 0;
}

int db_resource_types(struct db *db, uint32_t app, json_t **ret)
{
	return query_gather(db, json_array(), query_add_text, ret,
		"SELECT type FROM resource WHERE app=? ORDER BY type", "u", app);
}
