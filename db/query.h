/* Inside db/: one query, from the lock to the last row. */
#ifndef DB_QUERY_H
#define DB_QUERY_H

#include "db/db.h"
#include <pthread.h>
#include <sqlite3.h>

struct db {
	sqlite3 *handle;
	uint8_t key[DB_KEY_SIZE]; /* of the secrets (db/secret.h) */
	pthread_mutex_t lock; /* recursive: a transaction holds it over several queries */
	unsigned int depth;   /* of transactions; inner ones are savepoints */
	void (*changed)(void *arg, uint32_t app); /* db_watch */
	void *changed_arg;
	pthread_mutex_t watchers_lock;	     /* the innermost */
	int watchers[DB_EVENT_WATCHERS_MAX]; /* eventfds */
	unsigned int n_watchers;
};

struct query {
	struct db *db;
	sqlite3_stmt *stmt;
};
#define QUERY_INIT                                                                       \
	{                                                                                \
		NULL, NULL                                                               \
	}
#define autoquery __attribute__((cleanup(query_close))) struct query

/*
 * Takes the lock and prepares. binds has one letter a parameter: 'u' unsigned int or
 * bool, 'U' uint64_t, 's' string (NULL binds NULL), 'b' const void * and size_t. Bound
 * memory must live until query_close.
 */
int query_open(struct query *q, struct db *db, const char *sql, const char *binds, ...);
/* As query_open, and goes to the first row: 0, -ENOENT when there is none, or -errno. */
int query_first(struct query *q, struct db *db, const char *sql, const char *binds, ...);
/* 1: a row, 0: no more, -errno. */
int query_next(struct query *q);
/* Releases the lock; NULL-safe, twice is fine. */
void query_close(struct query *q);

uint32_t query_u32(struct query *q, int column);
uint64_t query_u64(struct query *q, int column);
/* Cuts what does not fit. */
void query_text(struct query *q, int column, char *out, size_t size);
/* Valid until the next call on q. "" for NULL. */
const char *query_str(struct query *q, int column);
/* New reference; NULL when the text is not JSON. */
json_t *query_json(struct query *q, int column);
/* A JSON string of an RFC 3339 time; JSON null for 0. */
json_t *query_stamp(struct query *q, int column);

/* Runs a statement without rows; the number of rows it changed, or -errno (-EEXIST,
 * -EBUSY: see query.c). */
int query_exec(struct db *db, const char *sql, const char *binds, ...);
/* As query_exec, and the new row's id. */
int query_insert(
	struct db *db, uint64_t *ret_id, const char *sql, const char *binds, ...);
/* The mounts of the app (0: of all) are those of the new release, or as they were. >= 0 or -errno. (db/volumes.c) */
int mounts_settle(struct db *db, uint32_t app, bool live);
/* 0 when at least one row changed, -ENOENT when none, or the error. */
int query_changed(int changes);

typedef void (*query_fill)(struct query *q, void *element); /* may not fail */
/* The first row of a query, alone. 0, -ENOENT when there is none, or -errno. */
int query_one(struct db *db, query_fill fill, void *ret, const char *sql,
	const char *binds, ...);
/*
 * Every row of a query in one allocation of elements of the given size. Count or -errno.
 */
void query_fill_u32(struct query *q, void *element); /* of queries with one column */
int query_all(struct db *db, size_t element_size, query_fill fill, void **ret,
	const char *sql, const char *binds, ...);

/*
 * Every row of a query in JSON: add puts one into to, a new list or object, which is taken over and becomes *ret; may not
 * fail. 0 or -errno.
 */
typedef void (*query_add)(struct query *q, json_t *to);
void query_add_text(struct query *q, json_t *list); /* of queries with one column */
int query_gather(struct db *db, json_t *to, query_add add, json_t **ret, const char *sql,
	const char *binds, ...);

#endif
