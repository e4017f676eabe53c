/* Who changed: others keep copies of some tables and read again only what is not as it was. */
#include "db/query.h"
#include <errno.h>
#include <stdio.h>

/* The table, and the column that says whose row it is. */
static const struct {
	const char *table, *app;
} watched[] = {
	{"app", "id"},
	{"domain", "app"},
	{"setting", "app"},
	{"network_rule", "target_app"},
	{"network_name", "app"},
};

static const struct {
	const char *event, *row;
} events[] = {
	{"INSERT", "NEW"},
	{"UPDATE", "OLD"},
	{"UPDATE", "NEW"},
	{"DELETE", "OLD"},
};

static void tell(sqlite3_context *context, int n, sqlite3_value **values)
{
	struct db *db = sqlite3_user_data(context);

	(void)n;
	if (sqlite3_value_type(values[0]) != SQLITE_NULL)
		db->changed(db->changed_arg, (uint32_t)sqlite3_value_int64(values[0]));
}

static int make_trigger(struct db *db, size_t table, size_t event)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
		"CREATE TEMP TRIGGER watch_%s_%zu AFTER %s ON main.%s BEGIN SELECT "
		"tell_changed(%s.%s); END",
		watched[table].table, event, events[event].event, watched[table].table,
		events[event].row, watched[table].app);
	return query_exec(db, sql, "");
}

int db_watch(struct db *db, void (*changed)(void *arg, uint32_t app), void *arg)
{
	int r = 0;

	db->changed = changed;
	db->changed_arg = arg;
	if (sqlite3_create_function(db->handle, "tell_changed", 1,
		    SQLITE_UTF8 | SQLITE_INNOCUOUS, db, tell, NULL, NULL) != SQLITE_OK)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_LEN(watched); i++) {
		for (size_t j = 0; r >= 0 && j < ARRAY_LEN(events); j++)
			r = make_trigger(db, i, j);
	}
	return r < 0 ? r : 0;
}
