/* Apps that are previews of another one's branches. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

#define COLUMNS "app, parent, branch, pushed_us"

static void fill(struct query *q, void *element)
{
	struct db_preview *p = element;

	p->app = query_u32(q, 0);
	p->parent = query_u32(q, 1);
	query_text(q, 2, p->branch, sizeof(p->branch));
	p->pushed_us = query_u64(q, 3);
}

int db_preview_add(struct db *db, uint32_t app, uint32_t parent, const char *branch)
{
	int r = query_exec(db,
		"INSERT INTO preview(app, parent, branch, pushed_us) VALUES(?, ?, ?, ?)",
		"uusU", app, parent, branch, io_now_us());

	return r < 0 ? r : 0;
}

int db_preview_pushed(struct db *db, uint32_t app)
{
	return query_changed(query_exec(db, "UPDATE preview SET pushed_us=? WHERE app=?",
		"Uu", io_now_us(), app));
}

static int one(struct query *q, int r, struct db_preview *ret)
{
	if (r == 0)
		fill(q, ret);
	return r;
}

int db_preview_get(struct db *db, uint32_t app, struct db_preview *ret)
{
	autoquery q = QUERY_INIT;

	return one(&q,
		query_first(
			&q, db, "SELECT " COLUMNS " FROM preview WHERE app=?", "u", app),
		ret);
}

int db_preview_find(
	struct db *db, uint32_t parent, const char *branch, struct db_preview *ret)
{
	autoquery q = QUERY_INIT;

	return one(&q,
		query_first(&q, db,
			"SELECT " COLUMNS " FROM preview WHERE parent=? AND branch=?",
			"us", parent, branch),
		ret);
}

int db_preview_list(struct db *db, uint32_t parent, struct db_preview **ret)
{
	return query_all(db, sizeof(**ret), fill, (void **)ret,
		"SELECT " COLUMNS
		" FROM preview WHERE ?1=0 OR parent=?1 ORDER BY parent, "
		"branch",
		"u", parent);
}
