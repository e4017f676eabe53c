/* Snapshots of volumes. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

#define COLUMNS                                                                          \
	"id, volume, IFNULL(app, 0), release, created_us, files, bytes, added_bytes, "   \
	"pause_us, why, message, ready"

int db_snapshot_begin(struct db *db, struct db_snapshot *s)
{
	s->created_us = io_now_us();
	int r = query_insert(db, &s->id,
		"INSERT INTO snapshot(volume, app, release, created_us, why, message) "
		"VALUES(?, NULLIF(?, 0), ?, ?, ?, ?)",
		"UuuUss", s->volume, s->app, s->release, s->created_us, s->why,
		s->message);
	return r == -EBUSY ? -ENOENT : r;
}

int db_snapshot_ready(struct db *db, const struct db_snapshot *s)
{
	return query_changed(query_exec(db,
		"UPDATE snapshot SET ready=1, files=?, bytes=?, added_bytes=?, "
		"pause_us=? "
		"WHERE id=?",
		"UUUUU", s->files, s->bytes, s->added_bytes, s->pause_us, s->id));
}

int db_snapshot_tie(struct db *db, uint64_t id, uint32_t app, uint32_t release)
{
	return query_changed(
		query_exec(db, "UPDATE snapshot SET app=?, release=? WHERE id=?", "uuU",
			app, release, id));
}

int db_snapshot_delete(struct db *db, uint64_t id)
{
	return query_changed(query_exec(db, "DELETE FROM snapshot WHERE id=?", "U", id));
}

static void fill(struct query *q, void *element)
{
	struct db_snapshot *s = element;

	s->id = query_u64(q, 0);
	s->volume = query_u64(q, 1);
	s->app = query_u32(q, 2);
	s->release = query_u32(q, 3);
	s->created_us = query_u64(q, 4);
	s->files = query_u64(q, 5);
	s->bytes = query_u64(q, 6);
	s->added_bytes = query_u64(q, 7);
	s->pause_us = query_u64(q, 8);
	query_text(q, 9, s->why, sizeof(s->why));
	query_text(q, 10, s->message, sizeof(s->message));
	s->ready = query_u32(q, 11) != 0;
}

int db_snapshot_list(struct db *db, uint64_t volume, struct db_snapshot **ret)
{
	return query_all(db, sizeof(**ret), fill, (void **)ret,
		"SELECT " COLUMNS
		" FROM snapshot WHERE volume=? AND ready=1 ORDER BY id DESC",
		"U", volume);
}

int db_snapshot_get(struct db *db, uint64_t volume, uint64_t id, struct db_snapshot *ret)
{
	return query_one(db, fill, ret,
		"SELECT " COLUMNS " FROM snapshot WHERE id=? AND volume=? AND ready=1",
		"UU", id, volume);
}

int db_snapshot_of_release(struct db *db, uint64_t volume, uint32_t app, uint32_t release,
	struct db_snapshot *ret)
{
	return query_one(db, fill, ret,
		"SELECT " COLUMNS " FROM snapshot WHERE volume=? AND app=? AND "
		"release=? AND ready=1 "
		"ORDER BY id DESC LIMIT 1",
		"Uuu", volume, app, release);
}

static void fill_id(struct query *q, void *element)
{
	*(uint64_t *)element = query_u64(q, 0);
}

static const uint64_t day_us = UINT64_C(86400) * 1000000;

/* Of each kept release only the newest snapshot counts: it is the one that a rollback takes. One that is being exported goes by itself. */
int db_snapshot_surplus(struct db *db, uint64_t volume, uint64_t now_us, uint64_t **ret)
{
	struct db_volume_snapshots set;
	int r = db_volume_snapshots(db, volume, &set);

	if (r < 0)
		return r;
	uint64_t age = set.keep_days * day_us;
	return query_all(db, sizeof(**ret), fill_id, (void **)ret,
		"SELECT s.id FROM snapshot s WHERE s.volume=?1 AND s.ready=1 AND "
		"s.why<>'export' AND "
		"s.created_us<?3 AND s.id NOT IN (SELECT id FROM snapshot WHERE "
		"volume=?1 "
		"AND ready=1 AND why<>'export' ORDER BY id DESC LIMIT ?2) AND s.id NOT "
		"IN (SELECT "
		"MAX(t.id) "
		"FROM snapshot t WHERE t.volume=?1 AND t.ready=1 AND t.release>0 AND "
		"t.app IS NOT NULL AND (SELECT COUNT(*) FROM release l WHERE l.app=t.app "
		"AND l.version>t.release AND l.status<>'failed')<?4 "
		"GROUP BY t.app, t.release) AND s.id NOT IN (SELECT undo FROM "
		"volume_snapshots)",
		"UuUu", volume, set.keep, now_us > age ? now_us - age : 0,
		DB_RELEASES_KEPT);
}

int db_snapshot_drop_unready(struct db *db, uint64_t before_us)
{
	return query_exec(db,
		"DELETE FROM snapshot WHERE (ready=0 OR why='export') AND created_us<?",
		"U", before_us);
}

int db_volume_snapshots(struct db *db, uint64_t volume, struct db_volume_snapshots *ret)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db,
		"SELECT keep, keep_days, automatic, undo FROM volume_snapshots WHERE "
		"volume=?",
		"U", volume);

	*ret = (struct db_volume_snapshots){.keep = DB_SNAPSHOTS_KEPT, .automatic = true};
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	*ret = (struct db_volume_snapshots){.keep = query_u32(&q, 0),
		.keep_days = query_u32(&q, 1),
		.automatic = query_u32(&q, 2) != 0,
		.undo = query_u64(&q, 3)};
	return 0;
}

int db_volume_set_snapshots(
	struct db *db, uint64_t volume, const struct db_volume_snapshots *s)
{
	int r = query_exec(db,
		"INSERT INTO volume_snapshots(volume, keep, keep_days, automatic) "
		"VALUES(?, ?, ?, ?) ON CONFLICT(volume) DO UPDATE SET "
		"keep=excluded.keep, keep_days=excluded.keep_days, "
		"automatic=excluded.automatic",
		"Uuuu", volume, s->keep, s->keep_days, s->automatic);

	return r < 0 ? r : 0;
}

int db_volume_set_undo(struct db *db, uint64_t volume, uint64_t undo)
{
	int r = query_exec(db,
		"INSERT INTO volume_snapshots(volume, undo) VALUES(?, ?) "
		"ON CONFLICT(volume) DO UPDATE SET undo=excluded.undo",
		"UU", volume, undo);

	return r < 0 ? r : 0;
}

int db_volume_undone(struct db *db, uint64_t **ret)
{
	return query_all(db, sizeof(**ret), fill_id, (void **)ret,
		"SELECT volume FROM volume_snapshots WHERE undo<>0", "");
}
