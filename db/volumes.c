/* Volumes and where they are mounted. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

#define VOLUME "SELECT id, name, created_us, whole, size_bytes FROM volume "

int db_volume_create(
	struct db *db, const char *name, uint64_t size_bytes, uint64_t *ret_id)
{
	return query_insert(db, ret_id,
		"INSERT INTO volume(name, created_us, whole, size_bytes)"
		" VALUES(?, ?, 0, ?)",
		"sUU", name, io_now_us(), size_bytes);
}

int db_volume_resize(struct db *db, uint64_t id, uint64_t size_bytes)
{
	return query_changed(query_exec(
		db, "UPDATE volume SET size_bytes=? WHERE id=?", "UU", size_bytes, id));
}

static void fill_volume(struct query *q, void *element)
{
	struct db_volume *v = element;

	v->id = query_u64(q, 0);
	query_text(q, 1, v->name, sizeof(v->name));
	v->created_us = query_u64(q, 2);
	v->whole = query_u32(q, 3) != 0;
	v->size_bytes = query_u64(q, 4);
}

int db_volume_by_name(struct db *db, const char *name, struct db_volume *ret)
{
	return query_one(db, fill_volume, ret, VOLUME "WHERE name=?", "s", name);
}

int db_volume_by_id(struct db *db, uint64_t id, struct db_volume *ret)
{
	return query_one(db, fill_volume, ret, VOLUME "WHERE id=?", "U", id);
}

int db_volume_list(struct db *db, struct db_volume **ret)
{
	return query_all(
		db, sizeof(**ret), fill_volume, (void **)ret, VOLUME "ORDER BY name", "");
}

/* The foreign key of volume_mount is what refuses with -EBUSY. */
int db_volume_delete(struct db *db, uint64_t id)
{
	return query_changed(query_exec(db, "DELETE FROM volume WHERE id=?", "U", id));
}

int db_volume_set_whole(struct db *db, uint64_t id, bool whole)
{
	int r = query_changed(query_exec(db,
		"UPDATE volume SET whole=?2 WHERE id=?1 AND NOT EXISTS"
		" (SELECT 1 FROM volume_mount WHERE volume=?1)",
		"Uu", id, whole));

	return r == -ENOENT ? -EBUSY : r;
}

static void fill_mount(struct query *q, void *element)
{
	struct db_mount *m = element;

	m->volume = query_u64(q, 0);
	query_text(q, 1, m->volume_name, sizeof(m->volume_name));
	m->app = query_u32(q, 2);
	query_text(q, 3, m->path, sizeof(m->path));
	m->read_only = query_u32(q, 4) != 0;
	m->pending = query_u32(q, 5);
	query_text(q, 6, m->type, sizeof(m->type));
}

int db_mount_list(struct db *db, uint32_t app, struct db_mount **ret)
{
	return query_all(db, sizeof(**ret), fill_mount, (void **)ret,
		"SELECT m.volume, v.name, m.app, m.path, m.read_only, m.pending,"
		" m.type FROM "
		"volume_mount m"
		" JOIN volume v ON v.id=m.volume WHERE ?1=0 OR m.app=?1 ORDER BY m.app, "
		"m.path",
		"u", app);
}

int db_mount_add(struct db *db, const struct db_mount *m)
{
	return query_changed(query_exec(db,
		"INSERT INTO volume_mount(volume, app, path, read_only, pending, type)"
		" SELECT id, ?, ?, ?, ?, ? FROM volume WHERE id=? AND whole",
		"usuusU", m->app, m->path, m->read_only, m->pending, m->type, m->volume));
}

int db_mount_remove(struct db *db, uint32_t app, uint64_t volume)
{
	return query_changed(query_exec(db,
		"DELETE FROM volume_mount WHERE app=? AND volume=?", "uU", app, volume));
}

int db_mount_set_pending(
	struct db *db, uint32_t app, uint64_t volume, enum db_pending pending)
{
	return query_changed(query_exec(db,
		"UPDATE volume_mount SET pending=? WHERE app=? AND volume=?", "uuU",
		pending, app, volume));
}

int mounts_settle(struct db *db, uint32_t app, bool live)
{
	int r = query_exec(db,
		"DELETE FROM volume_mount WHERE pending=?2 AND (?1=0 OR app=?1)", "uu",
		app, live ? DB_GOES : DB_COMES);

	return r < 0 ? r
		     : query_exec(db,
			       "UPDATE volume_mount SET pending=0 WHERE ?1=0 OR app=?1",
			       "u", app);
}
