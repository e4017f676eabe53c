/* Where logs are sent. */
#include "db/secret.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>

static struct secret_place place_of(uint64_t id)
{
	return secret_place("drain/%llu", (unsigned long long)id);
}

static void fill(struct query *q, void *element)
{
	struct db_drain *d = element;

	d->id = query_u64(q, 0);
	d->app = query_u32(q, 1);
	query_text(q, 2, d->app_name, sizeof(d->app_name));
	d->flags = query_u32(q, 3);
	d->has_ca = query_u32(q, 4) != 0;
	d->created_us = query_u64(q, 5);

	const struct secret_place p = place_of(d->id);
	autobuf url = {.max = sizeof(d->url)};
	if (secret_open(q->db, &p, sqlite3_column_blob(q->stmt, 6),
		    (size_t)sqlite3_column_bytes(q->stmt, 6), &url) == 0 &&
		url.len < sizeof(d->url))
		memcpy(d->url, url.data, url.len);
	if (url.data)
		explicit_bzero(url.data, url.len);
}

int db_drain_list(struct db *db, struct db_drain **ret)
{
	return query_all(db, sizeof(**ret), fill, (void **)ret,
		"SELECT d.id, ifnull(d.app, 0), ifnull(a.name, ''), d.flags, d.ca<>'', "
		"d.created_us, d.url FROM drain d LEFT JOIN app a ON a.id=d.app ORDER BY "
		"d.id",
		"");
}

/* What is sealed differs each time: no index finds it. */
static int check_new(struct db *db, const struct db_drain *d)
{
	struct db_drain *rows autofree = NULL;
	int n = db_drain_list(db, &rows);
	int r = n < 0 ? n : 0;

	for (int i = 0; i < n; i++) {
		if (rows[i].app == d->app && strcmp(rows[i].url, d->url) == 0)
			r = -EEXIST;
		explicit_bzero(rows[i].url, sizeof(rows[i].url));
	}
	return r;
}

static int insert(
	struct db *db, const struct db_drain *d, const char *ca, uint64_t *ret_id)
{
	autobuf sealed = BUF_INIT;
	int r = query_insert(db, ret_id,
		"INSERT INTO drain(app, url, flags, ca, created_us) "
		"VALUES(nullif(?, 0), '', ?, ?, ?)",
		"uusU", d->app, d->flags, ca, io_now_us());

	if (r < 0)
		return r;
	const struct secret_place p = place_of(*ret_id);
	r = secret_seal(db, &p, d->url, strlen(d->url), &sealed);
	return r < 0 ? r
		     : query_changed(query_exec(db, "UPDATE drain SET url=? WHERE id=?",
			       "bU", (const void *)sealed.data, sealed.len, *ret_id));
}

int db_drain_add(
	struct db *db, const struct db_drain *d, const char *ca, uint64_t *ret_id)
{
	int r = db_begin(db);

	if (r < 0)
		return r;
	r = check_new(db, d);
	if (r == 0)
		r = insert(db, d, ca, ret_id);
	int end = db_end(db, r == 0);
	return r < 0 ? r : end;
}

char *db_drain_ca(struct db *db, uint64_t id)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db, "SELECT ca FROM drain WHERE id=?", "U", id);

	return strdup(r < 0 ? "" : query_str(&q, 0));
}

int db_drain_remove(struct db *db, uint64_t id)
{
	return query_changed(query_exec(db, "DELETE FROM drain WHERE id=?", "U", id));
}
