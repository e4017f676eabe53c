/* Instances: what runs and what ran. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>
#include <stdio.h>

int db_instance_create(struct db *db, struct db_instance *i)
{
	if (!i->started_us)
		i->started_us = io_now_us();
	snprintf(i->state, sizeof(i->state), "starting");
	return query_insert(db, &i->id,
		"INSERT INTO instance(app, kind, type, number, version, state, restarts, "
		"started_us, command, actor, detached)"
		" VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"ussuusuUssu", i->app, i->kind, i->type, i->number, i->version, i->state,
		i->restarts, i->started_us, i->command, i->actor, i->detached);
}

int db_instance_state(struct db *db, uint64_t id, const char *state)
{
	/* An exit that was recorded is final: a late "running" must not bring the row
	 * back. */
	return query_changed(query_exec(db,
		"UPDATE instance SET state=? WHERE id=? AND state<>'exited'", "sU", state,
		id));
}

int db_instance_exit(struct db *db, uint64_t id, const char *reason, uint64_t time_us)
{
	return query_changed(query_exec(db,
		"UPDATE instance SET state='exited', reason=?, exited_us=? WHERE id=?",
		"sUU", reason, time_us ? time_us : io_now_us(), id));
}

int db_instance_set_final(struct db *db, uint64_t id)
{
	return query_changed(
		query_exec(db, "UPDATE instance SET final=1 WHERE id=?", "U", id));
}

int db_instance_oom(struct db *db, uint64_t id, uint32_t kills)
{
	return query_exec(db,
		"UPDATE instance SET oom_kills=?1 WHERE id=?2 AND oom_kills<?1", "uU",
		kills, id);
}

#define INSTANCE_COLUMNS                                                                 \
	"id, app, number, version, restarts, kind, type, state, reason, started_us, "    \
	"exited_us, final, oom_kills, command, actor, detached"

static void fill_instance(struct query *q, void *element)
{
	struct db_instance *i = element;

	i->id = query_u64(q, 0);
	i->app = query_u32(q, 1);
	i->number = query_u32(q, 2);
	i->version = query_u32(q, 3);
	i->restarts = query_u32(q, 4);
	query_text(q, 5, i->kind, sizeof(i->kind));
	query_text(q, 6, i->type, sizeof(i->type));
	query_text(q, 7, i->state, sizeof(i->state));
	query_text(q, 8, i->reason, sizeof(i->reason));
	i->started_us = query_u64(q, 9);
	i->exited_us = query_u64(q, 10);
	i->final = query_u32(q, 11) != 0;
	i->oom_kills = query_u32(q, 12);
	query_text(q, 13, i->command, sizeof(i->command));
	query_text(q, 14, i->actor, sizeof(i->actor));
	i->detached = query_u32(q, 15) != 0;
}

int db_instance_get(struct db *db, uint64_t id, struct db_instance *ret)
{
	return query_one(db, fill_instance, ret,
		"SELECT " INSTANCE_COLUMNS " FROM instance WHERE id=?", "U", id);
}

int db_instance_last(struct db *db, uint32_t app, const char *type, uint32_t number,
	uint32_t version, struct db_instance *ret)
{
	return query_one(db, fill_instance, ret,
		"SELECT " INSTANCE_COLUMNS " FROM instance WHERE app=? AND kind='app'"
		" AND type=? AND number=? AND version=? ORDER BY id DESC LIMIT 1",
		"usuu", app, type, number, version);
}

int db_instance_list(
	struct db *db, uint32_t app, bool with_exited, struct db_instance **ret)
{
	return query_all(db, sizeof(**ret), fill_instance, (void **)ret,
		"SELECT " INSTANCE_COLUMNS " FROM instance WHERE (?1=0 OR app=?1)"
		" AND (?2 OR state<>'exited') ORDER BY app, kind, type, number, id",
		"uu", app, with_exited);
}

int db_instance_delete(struct db *db, uint64_t id)
{
	return query_changed(query_exec(db, "DELETE FROM instance WHERE id=?", "U", id));
}

int db_instance_prune(struct db *db)
{
	int r = query_exec(db,
		"DELETE FROM instance WHERE id IN (SELECT id FROM ("
		" SELECT id, row_number() OVER (PARTITION BY app ORDER BY id DESC) AS n"
		" FROM instance WHERE state='exited') WHERE n>50)",
		"");

	return r < 0 ? r : 0;
}
