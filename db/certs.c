/* Certificates of apps, and the state of automatic ones. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CERT_COLUMNS                                                                     \
	"SELECT app, name, key_file, names, from_us, until_us, created_us, chain FROM "  \
	"certificate "

static void fill_cert(struct query *q, void *element)
{
	struct db_cert *c = element;

	c->app = query_u32(q, 0);
	query_text(q, 1, c->name, sizeof(c->name));
	query_text(q, 2, c->key_file, sizeof(c->key_file));
	c->names = query_json(q, 3);
	c->from_us = query_u64(q, 4);
	c->until_us = query_u64(q, 5);
	c->created_us = query_u64(q, 6);
	c->chain = strdup(query_str(q, 7));
}

void db_cert_clear(struct db_cert *c)
{
	json_decref(c->names);
	free(c->chain);
	*c = (struct db_cert){0};
}

void db_cert_free(struct db_cert *list, int n)
{
	for (int i = 0; list && i < n; i++)
		db_cert_clear(&list[i]);
	free(list);
}

int db_cert_list(struct db *db, uint32_t app, struct db_cert **ret)
{
	return query_all(db, sizeof(**ret), fill_cert, (void **)ret,
		CERT_COLUMNS "WHERE ?1=0 OR app=?1 ORDER BY app, name", "u", app);
}

int db_cert_get(struct db *db, uint32_t app, const char *name, struct db_cert *ret)
{
	autoquery q = QUERY_INIT;
	int r = query_first(
		&q, db, CERT_COLUMNS "WHERE app=? AND name=?", "us", app, name);

	if (r < 0)
		return r;
	*ret = (struct db_cert){0};
	fill_cert(&q, ret);
	return 0;
}

int db_cert_put(struct db *db, const struct db_cert *c)
{
	char *names autofree = json_dumps(c->names, JSON_COMPACT);

	if (!names)
		return -ENOMEM;
	int n = query_exec(db,
		"INSERT OR REPLACE INTO certificate(app, name, key_file, chain, names, "
		"from_us, until_us, created_us) VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
		"ussssUUU", c->app, c->name, c->key_file, c->chain, names, c->from_us,
		c->until_us, io_now_us());
	return n == -EBUSY ? -ENOENT : n < 0 ? n : 0;
}

int db_cert_delete(struct db *db, uint32_t app, const char *name)
{
	return query_changed(query_exec(
		db, "DELETE FROM certificate WHERE app=? AND name=?", "us", app, name));
}

/* ---- automatic ones ---- */

static void fill_acme(struct query *q, void *element)
{
	struct db_acme *a = element;

	a->app = query_u32(q, 0);
	a->forced = query_u32(q, 1) != 0;
	a->failures = query_u32(q, 2);
	a->tried_us = query_u64(q, 3);
	a->after_us = query_u64(q, 4);
	query_text(q, 5, a->error, sizeof(a->error));
}

int db_acme_list(struct db *db, uint32_t app, struct db_acme **ret)
{
	return query_all(db, sizeof(**ret), fill_acme, (void **)ret,
		"SELECT app, forced, failures, tried_us, after_us, error FROM acme WHERE "
		"?1=0 OR app=?1 ORDER BY app",
		"u", app);
}

int db_acme_get(struct db *db, uint32_t app, struct db_acme *ret)
{
	struct db_acme *list autofree = NULL;
	int n = db_acme_list(db, app, &list);

	if (n <= 0)
		return n < 0 ? n : -ENOENT;
	*ret = list[0];
	return 0;
}

int db_acme_enable(struct db *db, uint32_t app)
{
	int n = query_exec(db,
		"INSERT INTO acme(app) VALUES(?) ON CONFLICT(app) DO NOTHING", "u", app);

	return n == -EBUSY ? -ENOENT : n;
}

int db_acme_disable(struct db *db, uint32_t app)
{
	return query_changed(query_exec(db, "DELETE FROM acme WHERE app=?", "u", app));
}

int db_acme_save(struct db *db, const struct db_acme *a)
{
	return query_changed(query_exec(db,
		"UPDATE acme SET forced=?, failures=?, tried_us=?, after_us=?, error=? "
		"WHERE app=?",
		"uuUUsu", (unsigned int)a->forced, a->failures, a->tried_us, a->after_us,
		a->error, a->app));
}

int db_order_begin(struct db *db, uint32_t app, const char *names, uint64_t time_us,
	uint64_t *ret_id)
{
	return query_insert(db, ret_id,
		"INSERT INTO acme_order(app, names, time_us) VALUES(?, ?, ?)", "usU", app,
		names, time_us);
}

int db_order_issued(struct db *db, uint64_t id)
{
	return query_changed(
		query_exec(db, "UPDATE acme_order SET issued=1 WHERE id=?", "U", id));
}

int db_order_prune(struct db *db, uint64_t before_us)
{
	return query_exec(db, "DELETE FROM acme_order WHERE time_us<?", "U", before_us);
}

int db_order_time(struct db *db, enum db_orders which, uint32_t app, const char *names,
	uint32_t nth, uint64_t *ret_us)
{
	static const char *const conditions[] = {[ORDERS_ALL] = "1",
		[ORDERS_REFUSED] = "app=?1 AND issued=0",
		[ORDERS_ISSUED] = "names=?2 AND issued=1"};
	autoquery q = QUERY_INIT;
	char sql[200];

	snprintf(sql, sizeof(sql),
		"SELECT time_us FROM acme_order WHERE ?1=?1 AND ?2=?2 AND %s ORDER BY "
		"time_us DESC LIMIT 1 OFFSET ?3",
		conditions[which]);
	int r = query_open(&q, db, sql, "usu", app, names, nth - 1);
	if (r < 0)
		return r;
	r = query_next(&q);
	if (r < 0)
		return r;
	*ret_us = r > 0 ? query_u64(&q, 0) : 0;
	return 0;
}
