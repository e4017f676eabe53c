/* The config's past: what each release changed, and going back to the config of one. */
#include "control/api/handlers.h"
#include "control/config.h"
#include <stdio.h>
#include <string.h>

#define RELEASES_LOOKED_AT 1000 /* each may have a config of 256 KiB */

/* Keys that are set (or unset) by it. */
static json_t *keys_that(const json_t *before, const json_t *after, bool set)
{
	json_t *list = json_array(), *old;
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)before, key, old)
		if ((json_object_get(after, key) != NULL) == set)
			json_array_append_new(list, json_string(key));
	return list;
}

static json_t *values_of(const json_t *before, const json_t *after)
{
	json_t *values = json_object(), *old;
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)before, key, old)
		if (json_object_get(after, key))
			json_object_set(values, key, json_object_get(after, key));
	return values;
}

/* A row of what differs from `from` to `to`, NULL when nothing does. l NULL: not in a release yet. */
static json_t *history_row(
	const json_t *from, const json_t *to, const struct db_release *l, bool values)
{
	const struct config_change ch = {.set = (json_t *)(uintptr_t)to, .replace = "*"};
	json_t *before, *after = config_changed(from, &ch, &before), *row = NULL;

	if (json_object_size(before))
		row = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "version",
			l ? json_integer(l->version) : json_null(), "time",
			l ? json_stamp(l->created_us) : json_null(), "who",
			l ? json_string(l->actor) : json_null(), "description",
			l ? json_string(l->description) : json_null(), "set",
			keys_that(before, after, true), "unset",
			keys_that(before, after, false));
	if (row && values)
		json_object_set_new(row, "values", values_of(before, after));
	json_decref(before);
	json_decref(after);
	return row;
}

static bool served(const struct db_release *l)
{
	return strcmp(l->status, "failed") != 0 && strcmp(l->status, "pending") != 0;
}

/* rows: newest first; now: what config shows. Newest first, at most limit. */
static json_t *history(
	struct db_release *rows, int n, const json_t *now, bool values, uint64_t limit)
{
	json_t *list = json_array(), *none = json_object();
	const json_t *later = now;
	const struct db_release *l = NULL;

	/* Each release is told by what it differs in from the one before it; the first one of all from nothing. */
	const int end = n == RELEASES_LOOKED_AT ? n - 1 : n;
	for (int i = 0; i <= end && json_array_size(list) < limit; i++) {
		if (i < n && !served(&rows[i]))
			continue;
		json_t *row =
			history_row(i < n ? rows[i].config : none, later, l, values);
		if (row)
			json_array_append_new(list, row);
		l = i < n ? &rows[i] : NULL;
		later = i < n ? rows[i].config : NULL;
	}
	json_decref(none);
	return list;
}

int config_history(struct request *r)
{
	struct db_release *rows autofree = NULL;
	const char *values = request_query(r, "values");
	json_t *now = NULL;
	uint64_t limit;

	if (request_query_u64(r, "limit", 1, 10000, 100, &limit) < 0)
		return -1;
	int n = db_config_get(r->c->db, r->app.id, &now);
	if (n == 0)
		n = db_release_list(r->c->db, r->app.id, RELEASES_LOOKED_AT, &rows);
	if (n >= 0)
		request_reply(r, 200,
			history(rows, n, now, values && strcmp(values, "0") != 0, limit));
	json_decref(now);
	for (int i = 0; i < n; i++)
		db_release_clear(&rows[i]);
	return n < 0 ? request_fail_db(r, n, r->app.name) : 0;
}

int config_check_rollback(struct request *r)
{
	struct db_release l = {0};
	uint64_t version;

	if (request_u64(r, "version", 1, UINT32_MAX, 0, &version) < 0)
		return -1;
	if (release_find(r, (uint32_t)version, &l) < 0)
		return -1;
	bool ok = served(&l);
	db_release_clear(&l);
	if (ok)
		return 0;
	request_fail(r, FAIL_CONFLICT, "v%llu of %s failed: its config never held",
		(unsigned long long)version, r->app.name);
	return request_hint(
		r, "list those that did: berth config:history %s", r->app.name);
}

int config_rollback(struct request *r, struct sink *s, struct err *e)
{
	uint32_t version = (uint32_t)json_integer_value(request_json(r, "version"));
	struct db_release l = {0};
	char why[32];
	int n = db_release_get(r->c->db, r->app.id, version, &l);

	if (n < 0)
		return err_sys(e, -n, "read v%u", version);
	snprintf(why, sizeof(why), "Config of v%u: ", version);
	const struct config_change ch = {.set = l.config, .replace = "*", .why = why};
	n = config_apply(
		r->c, &r->app, &ch, request_bool(r, "restart", true), r->who.actor, s, e);
	db_release_clear(&l);
	return n;
}
