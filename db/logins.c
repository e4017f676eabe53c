/* Logins at registries of images. */
#include "db/secret.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>

void db_login_clear(struct db_login *l)
{
	if (l->password)
		explicit_bzero(l->password, strlen(l->password));
	free(l->password);
	*l = (struct db_login){0};
}

int db_login_put(struct db *db, const char *host, const char *user, const char *password)
{
	const struct secret_place p = secret_place("login/%s", host);
	autobuf sealed = BUF_INIT;
	int r = secret_seal(db, &p, password, strlen(password), &sealed);

	if (r < 0)
		return r;
	return query_changed(query_exec(db,
		"INSERT OR REPLACE INTO login(host, user, password, created_us) "
		"VALUES(?, ?, ?, ?)",
		"ssbU", host, user, (const void *)sealed.data, sealed.len, io_now_us()));
}

static char *open_password(struct query *q, int column, const char *host)
{
	const struct secret_place p = secret_place("login/%s", host);
	autobuf text = BUF_INIT;

	if (secret_open(q->db, &p, sqlite3_column_blob(q->stmt, column),
		    (size_t)sqlite3_column_bytes(q->stmt, column), &text) < 0)
		return NULL;
	return buf_take(&text);
}

int db_login_get(struct db *db, const char *host, struct db_login *ret)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db,
		"SELECT host, user, created_us, password FROM login WHERE host=?", "s",
		host);

	if (r < 0)
		return r;
	*ret = (struct db_login){.created_us = query_u64(&q, 2)};
	query_text(&q, 0, ret->host, sizeof(ret->host));
	query_text(&q, 1, ret->user, sizeof(ret->user));
	ret->password = open_password(&q, 3, host);
	return ret->password ? 0 : -EBADMSG;
}

static void fill(struct query *q, void *element)
{
	struct db_login *l = element;

	query_text(q, 0, l->host, sizeof(l->host));
	query_text(q, 1, l->user, sizeof(l->user));
	l->created_us = query_u64(q, 2);
}

int db_login_list(struct db *db, struct db_login **ret)
{
	return query_all(db, sizeof(**ret), fill, (void **)ret,
		"SELECT host, user, created_us FROM login ORDER BY host", "");
}

int db_login_remove(struct db *db, const char *host)
{
	return query_changed(query_exec(db, "DELETE FROM login WHERE host=?", "s", host));
}
