/* The audit trail: who did what, when, and how it ended. Only ever added to; the oldest go. */
#include "db/query.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <sys/eventfd.h>

#define EVENTS_MAX 1000 /* longest list in one answer */
#define PRUNE_EACH 64	/* how many come between two looks at what may go */
#define DAY_US ((uint64_t)86400 * 1000000)

/* ---- followers ---- */

int db_event_watch(struct db *db)
{
	int fd autoclose = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return -errno;
	pthread_mutex_lock(&db->watchers_lock);
	bool room = db->n_watchers < DB_EVENT_WATCHERS_MAX;
	if (room)
		db->watchers[db->n_watchers++] = fd;
	pthread_mutex_unlock(&db->watchers_lock);
	return room ? TAKE_FD(fd) : -EBUSY;
}

void db_event_unwatch(struct db *db, int fd)
{
	pthread_mutex_lock(&db->watchers_lock);
	for (unsigned int i = 0; i < db->n_watchers; i++)
		if (db->watchers[i] == fd)
			db->watchers[i] = db->watchers[--db->n_watchers];
	pthread_mutex_unlock(&db->watchers_lock);
	close(fd);
}

/* Who reads now waits for the end of the transaction that this is part of. */
static void tell_watchers(struct db *db)
{
	pthread_mutex_lock(&db->watchers_lock);
	for (unsigned int i = 0; i < db->n_watchers; i++)
		(void)eventfd_write(db->watchers[i], 1);
	pthread_mutex_unlock(&db->watchers_lock);
}

/* ---- adding ---- */

static void prune(struct db *db, uint64_t newest)
{
	if (query_exec(db, "DELETE FROM event WHERE id<=?1 OR time_us<?2", "UU",
		    newest > DB_EVENTS_KEPT ? newest - DB_EVENTS_KEPT : 0,
		    io_now_us() - DB_EVENTS_DAYS * DAY_US) < 0)
		log_warn("old events could not be removed");
}

int db_event_add(struct db *db, const struct db_event *e)
{
	uint64_t id = 0;
	int r = query_insert(db, &id,
		"INSERT INTO event(time_us, actor, what, app, detail, outcome, of_app) "
		"VALUES(?1, ?2, ?3, ?4, ?5, ?6, (SELECT id FROM app WHERE name=?4))",
		"Usssss", io_now_us(), e->actor, e->what, e->app ? e->app : "",
		e->detail ? e->detail : "", e->outcome);

	if (r < 0)
		return r;
	if (id % PRUNE_EACH == 0)
		prune(db, id);
	tell_watchers(db);
	return 0;
}

int db_event_add_own(
	struct db *db, const char *what, const char *app, const char *outcome)
{
	const struct db_event e = {
		.actor = "berth", .what = what, .app = app, .outcome = outcome};
	int r = db_event_add(db, &e);

	if (r == 0)
		r = query_exec(db,
			"DELETE FROM event WHERE app=?1 AND actor='berth' AND id<="
			"(SELECT id FROM event WHERE app=?1 AND actor='berth'"
			" ORDER BY id DESC LIMIT 1 OFFSET ?2)",
			"su", app, DB_OWN_EVENTS_KEPT);
	return r < 0 ? r : 0;
}

/* ---- reading ---- */

static void add_event(struct query *q, json_t *list)
{
	json_array_append_new(
		list, json_pack("{s:I, s:o, s:s, s:s, s:s, s:o, s:o}", "id",
			      (json_int_t)query_u64(q, 0), "time", query_stamp(q, 1),
			      "who", query_str(q, 2), "what", query_str(q, 3), "app",
			      query_str(q, 4), "detail", db_text_json(query_str(q, 5)),
			      "outcome", db_text_json(query_str(q, 6))));
}

/* A name is not an app: another one may have had it before. */
#define EVENT_ROWS                                                                       \
	"SELECT id, time_us, actor, what, app, detail, outcome FROM event WHERE "        \
	"(?1 IS NULL OR app=?1) AND time_us>=?2 AND id>?3 AND (?5 IS NULL OR of_app IN " \
	"(SELECT value FROM json_each(?5)))"

int db_event_list(struct db *db, const struct db_event_query *want, json_t **ret)
{
	unsigned int most =
		want->limit && want->limit < EVENTS_MAX ? want->limit : EVENTS_MAX;

	return query_gather(db, json_array(), add_event, ret,
		want->rising ? EVENT_ROWS " ORDER BY id LIMIT ?4"
			     : EVENT_ROWS " ORDER BY id DESC LIMIT ?4",
		"sUUus", want->app, want->since_us, want->after, most, want->apps);
}
