/* Builds: what was asked, how it ended, what it printed. */
#include "db/query.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>

#define BUILDS_KEPT 100 /* of each app; the output of one may be megabytes */

int db_build_create(struct db *db, uint32_t app, const char *what, const char *commit,
	const char *actor, uint64_t *ret_id)
{
	int r = query_insert(db, ret_id,
		"INSERT INTO build(app, what, commit_id, status, actor, created_us) "
		"VALUES(?, ?, ?, 'running', ?, ?)",
		"usssU", app, what, commit, actor, io_now_us());

	if (r == -EBUSY)
		return -ENOENT;
	if (r == 0)
		query_exec(db,
			"DELETE FROM build WHERE app=?1 AND id NOT IN"
			" (SELECT id FROM build WHERE app=?1 ORDER BY id DESC LIMIT ?2)",
			"uu", app, (unsigned int)BUILDS_KEPT);
	return r;
}

int db_build_finish(struct db *db, uint64_t id, const char *status, uint32_t version,
	const char *output)
{
	return query_changed(query_exec(db,
		"UPDATE build SET status=?, version=?, finished_us=?, output=? WHERE "
		"id=?",
		"suUsU", status, version, io_now_us(), output ? output : "", id));
}

#define BUILD_COLUMNS                                                                    \
	"id, commit_id, status, version, actor, created_us, finished_us, what"

static json_t *build_json(struct query *q)
{
	uint64_t created = query_u64(q, 5), finished = query_u64(q, 6);
	json_t *o = json_pack("{s:I, s:s, s:s, s:s, s:s, s:o}", "id",
		(json_int_t)query_u64(q, 0), "what", query_str(q, 7), "commit",
		query_str(q, 1), "status", query_str(q, 2), "by", query_str(q, 4),
		"created", query_stamp(q, 5));

	if (!o)
		return NULL;
	json_object_set_new(o, "release",
		query_u32(q, 3) ? json_integer(query_u32(q, 3)) : json_null());
	json_object_set_new(o, "seconds",
		finished > created ? json_real((double)(finished - created) / 1e6)
				   : json_null());
	return o;
}

static void add_build(struct query *q, json_t *list)
{
	json_array_append_new(list, build_json(q));
}

int db_build_list(struct db *db, uint32_t app, json_t **ret)
{
	return query_gather(db, json_array(), add_build, ret,
		"SELECT " BUILD_COLUMNS
		" FROM build WHERE app=? ORDER BY id DESC LIMIT 50",
		"u", app);
}

int db_build_list_failed(struct db *db, uint32_t app, uint32_t most, json_t **ret)
{
	return query_gather(db, json_array(), add_build, ret,
		"SELECT " BUILD_COLUMNS
		" FROM build WHERE app=? AND status='failed' ORDER BY id DESC LIMIT ?",
		"uu", app, most);
}

json_t *db_text_json(const char *text)
{
	json_t *v = json_string(text);

	if (v)
		return v;
	char *copy autofree = strdup(text);
	for (char *c = copy; c && *c; c++) {
		if (*c & 0x80)
			*c = '?';
	}
	return json_string(copy ? copy : "");
}

int db_build_get(struct db *db, uint32_t app, uint64_t id, json_t **ret)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db,
		"SELECT " BUILD_COLUMNS ", output FROM build WHERE app=? AND id=?", "uU",
		app, id);

	if (r < 0)
		return r;
	json_t *o = build_json(&q);
	if (!o)
		return -ENOMEM;
	json_object_set_new(o, "output", db_text_json(query_str(&q, 8)));
	*ret = o;
	return 0;
}

int db_build_fail_running(struct db *db)
{
	int r = query_exec(db,
		"UPDATE build SET status='failed', finished_us=? WHERE status='running'",
		"U", io_now_us());

	return r < 0 ? r : 0;
}

int db_build_oldest(struct db *db, uint64_t *ret_created_us)
{
	autoquery q = QUERY_INIT;
	int r = query_first(&q, db,
		"SELECT ifnull(min(created_us), 0) FROM build WHERE status='running'",
		"");

	if (r == 0)
		*ret_created_us = query_u64(&q, 0);
	return r;
}
