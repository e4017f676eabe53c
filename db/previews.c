/* Apps that are previews of another one's branches. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>

#define PREVIEWS                                                                         \
	"SELECT p.app, p.parent, p.branch, p.pushed_us, a.name, b.name FROM preview p "  \
	"JOIN app a ON a.id=p.app JOIN app b ON b.id=p.parent "

static void fill(struct query *q, void *element)
{
	struct db_preview *p = element;

	p->app = query_u32(q, 0);
	p->parent = query_u32(q, 1);
	query_text(q, 2, p->branch, sizeof(p->branch));
	p->pushed_us = query_u64(q, 3);
	query_text(q, 4, p->app_name, sizeof(p->app_name));
	query_text(q, 5, p->parent_name, sizeof(p->parent_name));
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

	return one(&q, query_first(&q, db, PREVIEWS "WHERE p.app=?", "u", app), ret);
}

int db_preview_find(
	struct db *db, uint32_t parent, const char *branch, struct db_preview *ret)
{
	autoquery q = QUERY_INIT;

	return one(&q,
		query_first(&q, db, PREVIEWS "WHERE p.parent=? AND p.branch=?", "us",
			parent, branch),
		ret);
}

int db_preview_list(struct db *db, uint32_t parent, struct db_preview **ret)
{
	return query_all(db, sizeof(**ret), fill, (void **)ret,
		PREVIEWS "WHERE ?1=0 OR p.parent=?1 ORDER BY p.parent, p.branch", "u",
		parent);
}
