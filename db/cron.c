/* Scheduled tasks and their runs. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

static void fill_app(struct query *q, void *element)
{
	struct db_cron_app *a = element;

	a->app = query_u32(q, 0);
	a->version = query_u32(q, 1);
	a->cron = query_json(q, 2);
}

int db_cron_apps(struct db *db, struct db_cron_app **ret)
{
	return query_all(db, sizeof(**ret), fill_app, (void **)ret,
		"SELECT a.id, a.live_version, json_extract(i.checks, '$.cron') FROM app "
		"a "
		"JOIN release r ON r.app = a.id AND r.version = a.live_version "
		"JOIN image i ON i.id = r.image "
		"WHERE a.removing = 0 AND json_type(i.checks, '$.cron') = 'array' "
		"ORDER BY a.id",
		"");
}

int db_cron_task(struct db *db, uint32_t app, const char *task, struct db_cron_task *ret)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db,
		"SELECT suspended, seen_us FROM cron_task WHERE app=? AND task=?", "us",
		app, task);

	*ret = (struct db_cron_task){0};
	if (r == 0)
		*ret = (struct db_cron_task){query_u32(&q, 0) != 0, query_u64(&q, 1)};
	return r == -ENOENT ? 0 : r;
}

int db_cron_suspend(struct db *db, uint32_t app, const char *task, bool on)
{
	int r = query_exec(db,
		"INSERT INTO cron_task(app, task, suspended) VALUES(?1, ?2, ?3) "
		"ON CONFLICT DO UPDATE SET suspended=?3",
		"usu", app, task, on);

	return r < 0 ? r : 0;
}

int db_cron_seen(struct db *db, uint32_t app, const char *task, uint64_t seen_us)
{
	int r = query_exec(db,
		"INSERT INTO cron_task(app, task, seen_us) VALUES(?1, ?2, ?3) "
		"ON CONFLICT DO UPDATE SET seen_us=max(seen_us, ?3)",
		"usU", app, task, seen_us);

	return r < 0 ? r : 0;
}

int db_cron_forget(struct db *db, const json_t *tasks)
{
	char *text autofree = json_dumps(tasks, JSON_COMPACT);
	int r = query_exec(db,
		"DELETE FROM cron_task WHERE suspended=0 AND (app, task) NOT IN (SELECT "
		"json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM "
		"json_each(?))",
		"s", text);

	return r < 0 ? r : 0;
}

/* ---- runs ---- */

#define RUN_COLUMNS                                                                      \
	"id, instance, app, number, version, times, task, command, why, actor, status, " \
	"reason, ending, due_us, started_us, ended_us, limit_us"

static void fill_run(struct query *q, void *element)
{
	struct db_cron_run *r = element;

	r->id = query_u64(q, 0);
	r->instance = query_u64(q, 1);
	r->app = query_u32(q, 2);
	r->number = query_u32(q, 3);
	r->version = query_u32(q, 4);
	r->times = query_u32(q, 5);
	query_text(q, 6, r->task, sizeof(r->task));
	query_text(q, 7, r->command, sizeof(r->command));
	query_text(q, 8, r->why, sizeof(r->why));
	query_text(q, 9, r->actor, sizeof(r->actor));
	query_text(q, 10, r->status, sizeof(r->status));
	query_text(q, 11, r->reason, sizeof(r->reason));
	query_text(q, 12, r->ending, sizeof(r->ending));
	r->due_us = query_u64(q, 13);
	r->started_us = query_u64(q, 14);
	r->ended_us = query_u64(q, 15);
	r->limit_us = query_u64(q, 16);
}

/* The newest ones of each task stay; a task's id changes with its schedule, so of those without a task a few stay in all. */
static int prune(struct db *db, uint32_t app)
{
	return query_exec(db,
		"DELETE FROM cron_run WHERE app=?1 AND status<>'running' AND id IN ("
		" SELECT id FROM (SELECT c.id, row_number() OVER (PARTITION BY "
		"ifnull(t.task, '') "
		" ORDER BY c.id DESC) AS n FROM cron_run c LEFT JOIN cron_task t "
		" ON t.app=c.app AND t.task=c.task WHERE c.app=?1) WHERE n>?2)",
		"uu", app, DB_CRON_KEPT);
}

/* 1: counted on the last one. */
static int count_skipped(struct db *db, struct db_cron_run *r)
{
	return query_exec(db,
		"UPDATE cron_run SET times=times+1, ended_us=?4 WHERE status='skipped' "
		"AND "
		"reason=?3 AND id=(SELECT id FROM cron_run WHERE app=?1 AND task=?2 AND "
		"status<>'running' ORDER BY id DESC LIMIT 1)",
		"ussU", r->app, r->task, r->reason, r->due_us);
}

int db_cron_run_add(struct db *db, struct db_cron_run *r)
{
	int n = *r->status == 's' ? count_skipped(db, r) : 0;

	if (n != 0)
		return n < 0 ? n : 0;
	n = query_insert(db, &r->id,
		"INSERT INTO cron_run(app, task, command, why, actor, status, reason, "
		"number, "
		"version, due_us, started_us, ended_us, limit_us) "
		"VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"ussssssuuUUUU", r->app, r->task, r->command, r->why, r->actor, r->status,
		r->reason, r->number, r->version, r->due_us, r->started_us, r->ended_us,
		r->limit_us);
	return n < 0 ? n : prune(db, r->app) < 0 ? -EIO : 0;
}

int db_cron_run_started(struct db *db, uint64_t id, uint64_t instance, uint32_t number)
{
	return query_changed(
		query_exec(db, "UPDATE cron_run SET instance=?, number=? WHERE id=?",
			"UuU", instance, number, id));
}

int db_cron_run_ending(struct db *db, uint64_t id, const char *why)
{
	return query_changed(query_exec(db,
		"UPDATE cron_run SET ending=? WHERE id=? AND status='running'", "sU", why,
		id));
}

int db_cron_run_end(struct db *db, uint64_t id, const char *status, const char *reason,
	uint64_t time_us)
{
	return query_changed(query_exec(db,
		"UPDATE cron_run SET status=?, reason=?, ended_us=? WHERE id=? AND "
		"status IN "
		"('running', 'lost')",
		"ssUU", status, reason, time_us, id));
}

int db_cron_run_get(struct db *db, uint64_t id, struct db_cron_run *ret)
{
	return query_one(db, fill_run, ret,
		"SELECT " RUN_COLUMNS " FROM cron_run WHERE id=?", "U", id);
}

int db_cron_run_of(struct db *db, uint64_t instance, struct db_cron_run *ret)
{
	return query_one(db, fill_run, ret,
		"SELECT " RUN_COLUMNS " FROM cron_run WHERE instance=? AND status IN "
		"('running', 'lost')",
		"U", instance);
}

int db_cron_running(struct db *db, uint32_t app, struct db_cron_run **ret)
{
	return query_all(db, sizeof(**ret), fill_run, (void **)ret,
		"SELECT " RUN_COLUMNS " FROM cron_run WHERE status='running' AND "
		"(?1=0 OR app=?1) ORDER BY id",
		"u", app);
}

int db_cron_history(struct db *db, uint32_t app, const char *task, uint32_t limit,
	struct db_cron_run **ret)
{
	return query_all(db, sizeof(**ret), fill_run, (void **)ret,
		"SELECT " RUN_COLUMNS
		" FROM cron_run WHERE app=?1 AND (?2='' OR task=?2) "
		"ORDER BY id DESC LIMIT ?3",
		"usu", app, task ? task : "", limit);
}
