/* Prepares, binds, steps and maps SQLite's errors; the one place that speaks its C
 * interface. */
#include "db/query.h"
#include "lib/log.h"
#include "lib/stamp.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>

/* SQLite's answer as -errno: only what callers act on is told apart, the rest is logged
 * and -EIO. */
static int map_error(struct db *db, const char *sql)
{
	switch (sqlite3_extended_errcode(db->handle)) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
		return -EEXIST;
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return -EBUSY;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		log_error("database: the disk is full");
		return -ENOSPC;
	default:
		log_error("database: %s (%d): %.80s", sqlite3_errmsg(db->handle),
			sqlite3_extended_errcode(db->handle), sql);
		return -EIO;
	}
}

static int bind_all(sqlite3_stmt *stmt, const char *binds, va_list ap)
{
	for (int i = 0; binds[i]; i++) {
		const void *data;
		int rc = SQLITE_MISUSE;

		switch (binds[i]) {
		case 'u':
			rc = sqlite3_bind_int64(stmt, i + 1, va_arg(ap, unsigned int));
			break;
		case 'U':
			rc = sqlite3_bind_int64(
				stmt, i + 1, (sqlite3_int64)va_arg(ap, uint64_t));
			break;
		case 's':
			rc = sqlite3_bind_text(
				stmt, i + 1, va_arg(ap, const char *), -1, SQLITE_STATIC);
			break;
		case 'b':
			data = va_arg(ap, const void *);
			rc = sqlite3_bind_blob64(
				stmt, i + 1, data, va_arg(ap, size_t), SQLITE_STATIC);
			break;
		default:
			break;
		}
		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

static int open_va(
	struct query *q, struct db *db, const char *sql, const char *binds, va_list ap)
{
	pthread_mutex_lock(&db->lock);
	q->db = db;
	q->stmt = NULL;
	if (sqlite3_prepare_v2(db->handle, sql, -1, &q->stmt, NULL) != SQLITE_OK ||
		bind_all(q->stmt, binds, ap) != SQLITE_OK) {
		int r = map_error(db, sql);

		query_close(q);
		return r;
	}
	return 0;
}

int query_open(struct query *q, struct db *db, const char *sql, const char *binds, ...)
{
	va_list ap;

	va_start(ap, binds);
	int r = open_va(q, db, sql, binds, ap);
	va_end(ap);
	return r;
}

int query_first(struct query *q, struct db *db, const char *sql, const char *binds, ...)
{
	va_list ap;

	va_start(ap, binds);
	int r = open_va(q, db, sql, binds, ap);
	va_end(ap);
	if (r < 0)
		return r;
	r = query_next(q);
	return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}

int query_one(struct db *db, query_fill fill, void *ret, const char *sql,
	const char *binds, ...)
{
	autoquery q = QUERY_INIT;
	va_list ap;

	va_start(ap, binds);
	int r = open_va(&q, db, sql, binds, ap);
	va_end(ap);
	if (r == 0)
		r = query_next(&q);
	if (r > 0)
		fill(&q, ret);
	return r < 0 ? r : r > 0 ? 0 : -ENOENT;
}

int query_next(struct query *q)
{
	switch (sqlite3_step(q->stmt)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return map_error(q->db, sqlite3_sql(q->stmt));
	}
}

void query_close(struct query *q)
{
	if (!q->db)
		return;
	sqlite3_finalize(q->stmt);
	pthread_mutex_unlock(&q->db->lock);
	q->db = NULL;
	q->stmt = NULL;
}

uint32_t query_u32(struct query *q, int column)
{
	return (uint32_t)sqlite3_column_int64(q->stmt, column);
}

uint64_t query_u64(struct query *q, int column)
{
	return (uint64_t)sqlite3_column_int64(q->stmt, column);
}

const char *query_str(struct query *q, int column)
{
	const unsigned char *s = sqlite3_column_text(q->stmt, column);

	return s ? (const char *)s : "";
}

void query_text(struct query *q, int column, char *out, size_t size)
{
	const char *s = query_str(q, column);
	size_t len = strnlen(s, size - 1);

	memcpy(out, s, len);
	memset(out + len, 0, size - len);
}

json_t *query_json(struct query *q, int column)
{
	return json_loads(query_str(q, column), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

json_t *query_stamp(struct query *q, int column)
{
	char text[STAMP_SIZE];
	uint64_t us = query_u64(q, column);

	if (!us)
		return json_null();
	stamp_format(us, text);
	return json_string(text);
}

static int exec_va(
	struct db *db, uint64_t *ret_id, const char *sql, const char *binds, va_list ap)
{
	autoquery q = QUERY_INIT;
	int r = open_va(&q, db, sql, binds, ap);

	if (r < 0)
		return r;
	r = query_next(&q);
	if (r < 0)
		return r;
	if (ret_id)
		*ret_id = (uint64_t)sqlite3_last_insert_rowid(db->handle);
	return sqlite3_changes(db->handle);
}

int query_exec(struct db *db, const char *sql, const char *binds, ...)
{
	va_list ap;

	va_start(ap, binds);
	int r = exec_va(db, NULL, sql, binds, ap);
	va_end(ap);
	return r;
}

int query_insert(struct db *db, uint64_t *ret_id, const char *sql, const char *binds, ...)
{
	va_list ap;

	va_start(ap, binds);
	int r = exec_va(db, ret_id, sql, binds, ap);
	va_end(ap);
	return r < 0 ? r : 0;
}

int query_changed(int changes)
{
	return changes < 0 ? changes : changes == 0 ? -ENOENT : 0;
}

static int read_all(struct query *q, size_t element_size, query_fill fill, void **ret)
{
	char *rows autofree = NULL;
	size_t n = 0, cap = 0;
	int r;

	while ((r = query_next(q)) > 0) {
		if (n == cap) {
			size_t more = cap ? cap * 2 : 16;
			char *grown = reallocarray(rows, more, element_size);

			if (!grown)
				return -ENOMEM;
			rows = grown;
			cap = more;
		}
		memset(rows + n * element_size, 0, element_size);
		fill(q, rows + n * element_size);
		n++;
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(rows);
	return (int)n;
}

void query_fill_u32(struct query *q, void *element)
{
	*(uint32_t *)element = query_u32(q, 0);
}

int query_all(struct db *db, size_t element_size, query_fill fill, void **ret,
	const char *sql, const char *binds, ...)
{
	autoquery q = QUERY_INIT;
	va_list ap;

	va_start(ap, binds);
	int r = open_va(&q, db, sql, binds, ap);
	va_end(ap);
	return r < 0 ? r : read_all(&q, element_size, fill, ret);
}

void query_add_text(struct query *q, json_t *list)
{
	json_array_append_new(list, json_string(query_str(q, 0)));
}

int query_gather(struct db *db, json_t *to, query_add add, json_t **ret, const char *sql,
	const char *binds, ...)
{
	autoquery q = QUERY_INIT;
	va_list ap;

	va_start(ap, binds);
	int r = to ? open_va(&q, db, sql, binds, ap) : -ENOMEM;
	va_end(ap);
	while (r >= 0 && (r = query_next(&q)) > 0)
		add(&q, to);
	if (r < 0) {
		json_decref(to);
		return r;
	}
	*ret = to;
	return 0;
}
