/* Images and releases; db_release_switch is the commit point of every deploy. */
#include "db/secret.h"
#include "lib/io.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

void db_image_clear(struct db_image *i)
{
	json_decref(i->layers);
	json_decref(i->processes);
	json_decref(i->env);
	json_decref(i->checks);
	json_decref(i->config);
	i->layers = i->processes = i->env = i->checks = i->config = NULL;
}

/* The JSON text of v, or of the empty value when there is none. NULL: out of memory. */
static char *dump(const json_t *v, const char *empty)
{
	char *text = v ? json_dumps(v, JSON_COMPACT) : NULL;

	if (!v && asprintf(&text, "%s", empty) < 0)
		return NULL;
	return text;
}

int db_image_create(struct db *db, struct db_image *i)
{
	char *layers autofree = dump(i->layers, "[]");
	char *processes autofree = dump(i->processes, "{}");
	char *env autofree = dump(i->env, "{}");
	char *checks autofree = dump(i->checks, "{}");
	char *config autofree = dump(i->config, "{}");

	if (!layers || !processes || !env || !checks || !config)
		return -ENOMEM;
	i->created_us = io_now_us();
	int r = query_insert(db, &i->id,
		"INSERT INTO image(app, layers, processes, env, pack, profile_d, checks, "
		"commit_id, created_us, config)"
		" VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"ussssussUs", i->app, layers, processes, env, i->pack, i->profile_d,
		checks, i->commit, i->created_us, config);
	return r == -EBUSY ? -ENOENT : r;
}

int db_image_get(struct db *db, uint64_t id, struct db_image *ret)
{
	autoquery q = QUERY_INIT;
	struct db_image i = {.id = id};
	int r = query_first(&q, db,
		"SELECT app, layers, processes, env, pack, profile_d, checks, commit_id, "
		"created_us, config "
		"FROM image WHERE id=?",
		"U", id);

	if (r < 0)
		return r;
	i.app = query_u32(&q, 0);
	i.layers = query_json(&q, 1);
	i.processes = query_json(&q, 2);
	i.env = query_json(&q, 3);
	query_text(&q, 4, i.pack, sizeof(i.pack));
	i.profile_d = query_u32(&q, 5) != 0;
	i.checks = query_json(&q, 6);
	query_text(&q, 7, i.commit, sizeof(i.commit));
	i.created_us = query_u64(&q, 8);
	i.config = query_json(&q, 9);
	if (!i.layers || !i.processes || !i.env || !i.checks || !i.config) {
		db_image_clear(&i);
		return -EIO;
	}
	*ret = i;
	return 0;
}

void db_release_clear(struct db_release *r)
{
	json_decref(r->config);
	r->config = NULL;
}

static struct secret_place config_place(uint32_t app, uint32_t version)
{
	return secret_place("release/%u/%u", app, version);
}

static int insert_release(struct db *db, struct db_release *r, const char *config)
{
	autobuf sealed = BUF_INIT;

	{
		autoquery q = QUERY_INIT;
		int n = query_open(&q, db,
			"UPDATE app SET last_version=last_version+1 WHERE id=? RETURNING "
			"last_version",
			"u", r->app);

		if (n < 0)
			return n;
		n = query_next(&q);
		if (n <= 0)
			return n < 0 ? n : -ENOENT;
		r->version = query_u32(&q, 0);
		n = query_next(&q); /* an UPDATE with RETURNING is only done after its
				       last row */
		if (n < 0)
			return n;
	}
	r->created_us = io_now_us();
	snprintf(r->status, sizeof(r->status), "pending");
	const struct secret_place p = config_place(r->app, r->version);
	int n = secret_seal(db, &p, config, strlen(config), &sealed);
	if (n < 0)
		return n;
	return query_exec(db,
		"INSERT INTO release(app, version, image, config, status, description, "
		"actor, created_us)"
		" VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
		"uuUbsssU", r->app, r->version, r->image, (const void *)sealed.data,
		sealed.len, r->status, r->description, r->actor, r->created_us);
}

int db_release_create(struct db *db, struct db_release *r)
{
	/* in the order of db_config_get, whatever became of it since */
	char *config autofree =
		r->config ? json_dumps(r->config, JSON_COMPACT | JSON_SORT_KEYS)
			  : strdup("{}");
	int n = config ? db_begin(db) : -ENOMEM;

	if (n < 0)
		return n;
	n = insert_release(db, r, config);
	explicit_bzero(config, strlen(config));
	int ended = db_end(db, n >= 0);
	return n == -EBUSY ? -ENOENT : n < 0 ? n : ended;
}

#define RELEASE_COLUMNS                                                                  \
	"r.app, r.version, r.image, r.config, r.status, r.description, r.actor, "        \
	"r.error, "                                                                      \
	"r.created_us"

static void fill_release(struct query *q, void *element)
{
	struct db_release *r = element;

	r->app = query_u32(q, 0);
	r->version = query_u32(q, 1);
	r->image = query_u64(q, 2);
	const struct secret_place p = config_place(r->app, r->version);
	r->config = secret_json(q, 3, &p);
	query_text(q, 4, r->status, sizeof(r->status));
	query_text(q, 5, r->description, sizeof(r->description));
	query_text(q, 6, r->actor, sizeof(r->actor));
	query_text(q, 7, r->error, sizeof(r->error));
	r->created_us = query_u64(q, 8);
}

int db_release_get(struct db *db, uint32_t app, uint32_t version, struct db_release *ret)
{
	int r = query_one(db, fill_release, ret,
		"SELECT " RELEASE_COLUMNS
		" FROM release r JOIN app a ON a.id=r.app WHERE r.app=?"
		" AND r.version=CASE WHEN ?2=0 THEN a.live_version ELSE ?2 END",
		"uu", app, version);

	return r < 0 ? r : ret->config ? 0 : -EBADMSG;
}

int db_release_list(struct db *db, uint32_t app, uint32_t limit, struct db_release **ret)
{
	return query_all(db, sizeof(**ret), fill_release, (void **)ret,
		"SELECT " RELEASE_COLUMNS
		" FROM release r WHERE r.app=? ORDER BY r.version DESC"
		" LIMIT CASE WHEN ?2=0 THEN -1 ELSE ?2 END",
		"uu", app, limit);
}

static int switch_rows(struct db *db, uint32_t app, uint32_t version)
{
	int r = query_exec(db,
		"UPDATE release SET status='superseded' WHERE app=? AND status='live' "
		"AND version<>?",
		"uu", app, version);

	if (r >= 0)
		r = query_changed(query_exec(db,
			"UPDATE release SET status='live', error='' WHERE app=? AND "
			"version=?",
			"uu", app, version));
	if (r >= 0)
		r = query_changed(query_exec(db,
			"UPDATE app SET live_version=?, canary_version=0, "
			"canary_percent=0, "
			"canary_key=0 WHERE id=?",
			"uu", version, app));
	return r < 0 ? r : mounts_settle(db, app, true);
}

int db_release_switch(struct db *db, uint32_t app, uint32_t version)
{
	int r = db_begin(db);

	if (r < 0)
		return r;
	r = switch_rows(db, app, version);
	int ended = db_end(db, r >= 0);
	return r < 0 ? r : ended;
}

int db_release_fail(struct db *db, uint32_t app, uint32_t version, const char *error)
{
	return query_changed(query_exec(db,
		"UPDATE release SET status='failed', error=? WHERE app=? AND version=?",
		"suu", error, app, version));
}

int db_release_previous(struct db *db, uint32_t app, uint32_t *ret_version)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db,
		"SELECT max(r.version) FROM release r JOIN app a ON a.id=r.app"
		" WHERE r.app=? AND r.status='superseded' AND r.version<a.live_version",
		"u", app);

	if (r < 0)
		return r;
	if (!query_u32(&q, 0))
		return -ENOENT;
	*ret_version = query_u32(&q, 0);
	return 0;
}

static int fail_pending(struct db *db, const char *error)
{
	int r = query_exec(db,
		"INSERT INTO event(time_us, actor, what, app, detail, outcome, of_app)"
		" SELECT ?, r.actor, 'deploy', a.name, 'v' || r.version, 'failed: ' || "
		"?, a.id"
		" FROM release r JOIN app a ON a.id=r.app WHERE r.status='pending'",
		"Us", io_now_us(), error);

	return r < 0 ? r
		     : query_exec(db,
			       "UPDATE release SET status='failed', error=? WHERE "
			       "status='pending'",
			       "s", error);
}

int db_release_fail_pending(struct db *db, const char *error)
{
	int r = db_begin(db);

	if (r < 0)
		return r;
	r = fail_pending(db, error);
	int settled = r < 0 ? r : mounts_settle(db, 0, false);
	int ended = db_end(db, settled >= 0);
	return settled < 0 ? settled : ended < 0 ? ended : r;
}

int db_pushed_set(
	struct db *db, uint32_t app, const char *ref, const char *old, const char *new)
{
	return query_exec(db,
		"INSERT OR REPLACE INTO pushed(app, version, ref, old, new) VALUES(?, "
		"(SELECT COALESCE(MAX(version), 0) + 1 FROM release WHERE app=?), ?, ?, "
		"?)",
		"uusss", app, app, ref, old, new);
}

static void fill_pushed(struct query *q, void *element)
{
	struct db_pushed *p = element;

	p->app = query_u32(q, 0);
	p->version = query_u32(q, 1);
	query_text(q, 2, p->ref, sizeof(p->ref));
	query_text(q, 3, p->old, sizeof(p->old));
	query_text(q, 4, p->new, sizeof(p->new));
}

int db_pushed_list(struct db *db, uint32_t app, struct db_pushed **ret)
{
	return query_all(db, sizeof(**ret), fill_pushed, (void **)ret,
		"SELECT p.app, p.version, p.ref, p.old, p.new FROM pushed p"
		" JOIN release r ON r.app=p.app AND r.version=p.version JOIN image i ON "
		"i.id=r.image"
		" WHERE (p.app=?1 OR p.app IN (SELECT app FROM preview WHERE parent=?1))"
		" AND r.status IN ('live', 'superseded') AND i.commit_id=p.new",
		"u", app);
}

int db_pushed_forget(struct db *db, uint32_t app, const char *ref)
{
	return query_exec(db,
		"DELETE FROM pushed WHERE ref=?2 AND (app=?1 OR app IN (SELECT app FROM "
		"preview WHERE parent=?1))",
		"us", app, ref);
}

static void fill_checks(struct query *q, void *element)
{
	struct db_checks_app *a = element;

	a->app = query_u32(q, 0);
	a->checks = query_json(q, 1);
}

int db_liveness_apps(struct db *db, struct db_checks_app **ret)
{
	return query_all(db, sizeof(**ret), fill_checks, (void **)ret,
		"SELECT a.id, i.checks FROM app a JOIN release r ON r.app = a.id AND "
		"r.version = a.live_version JOIN image i ON i.id = r.image "
		"WHERE a.removing = 0 AND a.stopped = 0 AND instr(i.checks, "
		"'liveness') > 0",
		"");
}
