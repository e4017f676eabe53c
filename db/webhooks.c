/* Who is told of what happens, and what is being told. */
#include "db/secret.h"
#include "lib/io.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct secret_place place_of(uint64_t id)
{
	return secret_place("webhook/%llu", (unsigned long long)id);
}

static void fill(struct query *q, void *element)
{
	struct db_webhook *h = element;

	h->id = query_u64(q, 0);
	h->app = query_u32(q, 1);
	query_text(q, 2, h->app_name, sizeof(h->app_name));
	h->events = query_u32(q, 3);
	h->local = query_u32(q, 4) != 0;
	h->created_us = query_u64(q, 5);

	const struct secret_place p = place_of(h->id);
	json_t *target = secret_json(q, 6, &p);
	const char *url = json_string_value(json_object_get(target, "url"));
	const char *secret = json_string_value(json_object_get(target, "secret"));

	snprintf(h->url, sizeof(h->url), "%s", url ? url : "");
	snprintf(h->secret, sizeof(h->secret), "%s", secret ? secret : "");
	json_decref(target);
}

#define HOOKS                                                                            \
	"SELECT w.id, ifnull(w.app, 0), ifnull(a.name, ''), w.events, w.local, "         \
	"w.created_us, w.target FROM webhook w LEFT JOIN app a ON a.id=w.app "

int db_webhook_list(struct db *db, struct db_webhook **ret)
{
	return query_all(
		db, sizeof(**ret), fill, (void **)ret, HOOKS "ORDER BY w.id", "");
}

int db_webhook_get(struct db *db, uint64_t id, struct db_webhook *ret)
{
	return query_one(db, fill, ret, HOOKS "WHERE w.id=?", "U", id);
}

static int insert(struct db *db, struct db_webhook *h)
{
	autobuf sealed = BUF_INIT;
	json_t *target = json_pack("{s:s, s:s}", "url", h->url, "secret", h->secret);
	char *text = target ? json_dumps(target, JSON_COMPACT) : NULL;
	int r = text ? query_insert(db, &h->id,
			       "INSERT INTO webhook(app, target, events, local, "
			       "created_us) "
			       "VALUES(nullif(?, 0), '', ?, ?, ?)",
			       "uuuU", h->app, h->events, h->local, io_now_us())
		     : -EINVAL;

	const struct secret_place p = place_of(h->id);
	if (r == 0)
		r = secret_seal(db, &p, text, strlen(text), &sealed);
	if (r == 0)
		r = query_changed(query_exec(db, "UPDATE webhook SET target=? WHERE id=?",
			"bU", (const void *)sealed.data, sealed.len, h->id));
	if (text)
		explicit_bzero(text, strlen(text));
	free(text);
	json_decref(target);
	return r;
}

int db_webhook_add(struct db *db, struct db_webhook *h)
{
	int r = db_begin(db);

	if (r < 0)
		return r;
	r = insert(db, h);
	int ended = db_end(db, r == 0);
	return r < 0 ? r : ended;
}

int db_webhook_remove(struct db *db, uint64_t id)
{
	return query_changed(query_exec(db, "DELETE FROM webhook WHERE id=?", "U", id));
}

/* ---- deliveries ---- */

static void fill_delivery(struct query *q, void *element)
{
	struct db_delivery *d = element;

	d->id = query_u64(q, 0);
	d->webhook = query_u64(q, 1);
	query_text(q, 2, d->event, sizeof(d->event));
	query_text(q, 3, d->body, sizeof(d->body));
	d->created_us = query_u64(q, 4);
	d->attempts = query_u32(q, 5);
	d->next_us = query_u64(q, 6);
	d->status = query_u32(q, 7);
	query_text(q, 8, d->error, sizeof(d->error));
	d->done_us = query_u64(q, 9);
}

#define DELIVERIES                                                                       \
	"SELECT id, webhook, event, body, created_us, attempts, next_us, status, "       \
	"error, done_us FROM webhook_delivery "

/* Those that are done and many; and of a receiver that takes none, the oldest. */
static int prune(struct db *db, uint64_t webhook)
{
	int r = query_exec(db,
		"DELETE FROM webhook_delivery WHERE webhook=?1 AND next_us=0 AND id<="
		"(SELECT id FROM webhook_delivery WHERE webhook=?1 AND next_us=0"
		" ORDER BY id DESC LIMIT 1 OFFSET ?2)",
		"Uu", webhook, DB_DELIVERIES_KEPT);

	if (r >= 0)
		r = query_exec(db,
			"UPDATE webhook_delivery SET next_us=0, done_us=?3, "
			"error='given up: too many wait' WHERE webhook=?1 AND next_us>0 "
			"AND id<=(SELECT id FROM webhook_delivery WHERE webhook=?1 AND "
			"next_us>0 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
			"UuU", webhook, DB_DELIVERIES_WAITING, io_now_us());
	return r;
}

int db_delivery_add(struct db *db, uint64_t webhook, const char *event, const char *body,
	uint64_t *ret_id)
{
	int r = query_insert(db, ret_id,
		"INSERT INTO webhook_delivery(webhook, event, body, created_us, next_us) "
		"VALUES(?1, ?2, ?3, ?4, ?4)",
		"UssU", webhook, event, body, io_now_us());

	if (r == 0)
		r = prune(db, webhook);
	return r < 0 ? r : 0;
}

int db_delivery_due(struct db *db, uint64_t now_us, struct db_delivery **ret)
{
	return query_all(db, sizeof(**ret), fill_delivery, (void **)ret,
		DELIVERIES "WHERE next_us>0 AND next_us<=? ORDER BY next_us LIMIT 16",
		"U", now_us);
}

int db_delivery_next(struct db *db, uint64_t *ret_us)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db,
		"SELECT ifnull(min(next_us), 0) FROM webhook_delivery WHERE next_us>0",
		"");

	*ret_us = r == 0 ? query_u64(&q, 0) : 0;
	return r;
}

int db_delivery_get(struct db *db, uint64_t id, struct db_delivery *ret)
{
	return query_one(db, fill_delivery, ret, DELIVERIES "WHERE id=?", "U", id);
}

int db_delivery_put(struct db *db, const struct db_delivery *d)
{
	int r = query_changed(query_exec(db,
		"UPDATE webhook_delivery SET attempts=?, next_us=?, status=?, error=?, "
		"done_us=? WHERE id=?",
		"uUusUU", d->attempts, d->next_us, d->status, d->error, d->done_us,
		d->id));

	if (r == 0 && !d->next_us)
		r = prune(db, d->webhook);
	return r < 0 ? r : 0;
}

int db_delivery_list(struct db *db, uint64_t webhook, struct db_delivery **ret)
{
	return query_all(db, sizeof(**ret), fill_delivery, (void **)ret,
		DELIVERIES "WHERE webhook=? ORDER BY id DESC LIMIT 20", "U", webhook);
}
