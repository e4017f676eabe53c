/* Releases and builds: what ran, what runs, and going back. */
#include "control/api/handlers.h"
#include "control/builds/work.h"
#include <errno.h>
#include <string.h>

static json_t *release_json(struct request *r, const struct db_release *l)
{
	struct db_image image;
	bool has = db_image_get(r->c->db, l->image, &image) == 0;
	bool canary = l->version == r->app.canary_version;
	json_t *o = json_pack("{s:I, s:s, s:o, s:o, s:s, s:b, s:s, s:o}", "version",
		(json_int_t)l->version, "status", canary ? "canary" : l->status,
		"created", json_stamp(l->created_us), "description",
		db_text_json(l->description), "commit", has ? image.commit : "",
		"current", l->version == r->app.live_version, "by", l->actor, "error",
		db_text_json(l->error));

	if (canary)
		json_object_set_new(o, "percent", json_integer(r->app.canary_percent));
	if (has)
		db_image_clear(&image);
	return o;
}

int releases_list(struct request *r)
{
	struct db_release *rows autofree = NULL;
	uint64_t limit;

	if (request_query_u64(r, "limit", 1, 10000, 0, &limit) < 0)
		return -1;
	int n = db_release_list(r->c->db, r->app.id, (uint32_t)limit, &rows);
	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	json_t *list = json_array();
	for (int i = 0; i < n; i++) {
		json_array_append_new(list, release_json(r, &rows[i]));
		db_release_clear(&rows[i]);
	}
	return request_reply(r, 200, list);
}

static int parse_number(struct request *r, const char *text, const char *what,
	uint64_t max, uint64_t *ret)
{
	if (*text == 'v')
		text++;
	if (num_parse_u64(text, 1, max, ret) == 0)
		return 0;
	return request_fail(
		r, FAIL_USAGE, "\"%.40s\" is not the number of a %s", text, what);
}

int release_find(struct request *r, uint32_t version, struct db_release *ret)
{
	int n = db_release_get(r->c->db, r->app.id, version, ret);

	if (n == 0)
		return 0;
	if (n != -ENOENT)
		return request_fail_db(r, n, r->app.name);
	request_fail(r, FAIL_MISSING, "%s has no release v%u", r->app.name, version);
	return request_hint(r, "list them: berth releases %s", r->app.name);
}

static json_t *layers_json(struct control *c, const json_t *ids)
{
	json_t *list = json_array(), *id;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)ids, i, id) {
		struct db_layer l;

		if (db_layer_get(c->db, (uint64_t)json_integer_value(id), &l, NULL) == 0)
			json_array_append_new(list,
				json_pack("{s:s, s:s, s:I, s:I}", "kind", l.kind,
					"digest", l.key, "size", (json_int_t)l.size_bytes,
					"id", (json_int_t)l.id));
	}
	return list;
}

static json_t *keys_of(const json_t *object)
{
	json_t *list = json_array(), *v;
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)object, key, v)
		json_array_append_new(list, json_string(key));
	return list;
}

int releases_info(struct request *r)
{
	struct db_release l;
	struct db_image image;
	uint64_t version;

	if (parse_number(r, r->args[1], "release", UINT32_MAX, &version) < 0 ||
		release_find(r, (uint32_t)version, &l) < 0)
		return -1;
	json_t *o = release_json(r, &l);
	json_object_set_new(o, "config", keys_of(l.config));
	if (db_image_get(r->c->db, l.image, &image) == 0) {
		json_object_set_new(o, "image",
			json_pack("{s:s, s:o}", "buildpack", image.pack, "layers",
				layers_json(r->c, image.layers)));
		json_object_set(o, "processes", image.processes);
		db_image_clear(&image);
	}
	db_release_clear(&l);
	return request_reply(r, 200, o);
}

int release_check_other(struct request *r, uint32_t version)
{
	struct db_release l;

	if (release_find(r, version, &l) < 0)
		return -1;
	bool failed = strcmp(l.status, "failed") == 0;
	db_release_clear(&l);
	if (failed)
		return request_fail(r, FAIL_CONFLICT, "v%u of %s failed and never served",
			version, r->app.name);
	if (version == r->app.live_version)
		return request_fail(r, FAIL_CONFLICT, "v%u is what %s runs now", version,
			r->app.name);
	return 0;
}

int rollback_check(struct request *r)
{
	uint64_t version;

	if (!r->app.live_version)
		return request_fail(r, FAIL_CONFLICT,
			"%s has no release yet: there is nothing to go back to",
			r->app.name);
	if (request_u64(r, "version", 1, UINT32_MAX, 0, &version) < 0)
		return -1;
	if (!version) {
		uint32_t previous;
		int n = db_release_previous(r->c->db, r->app.id, &previous);

		if (n == -ENOENT)
			return request_fail(r, FAIL_CONFLICT,
				"%s has no earlier release to go back to", r->app.name);
		return n < 0 ? request_fail_db(r, n, r->app.name) : 0;
	}
	return release_check_other(r, (uint32_t)version);
}

int rollback_run(struct request *r, struct sink *s, struct err *e)
{
	uint32_t version = (uint32_t)json_integer_value(request_json(r, "version"));

	return deploy_rollback(r->c, r->app.id, version,
		request_bool(r, "with_data", false), r->who.actor, s, e);
}

int builds_list(struct request *r)
{
	json_t *list = NULL;
	int n = db_build_list(r->c->db, r->app.id, &list);

	return n < 0 ? request_fail_db(r, n, r->app.name) : request_reply(r, 200, list);
}

int builds_info(struct request *r)
{
	json_t *build = NULL;
	uint64_t id;

	if (parse_number(r, r->args[1], "build", INT64_MAX, &id) < 0)
		return -1;
	int n = db_build_get(r->c->db, r->app.id, id, &build);
	if (n == -ENOENT)
		return request_fail(r, FAIL_MISSING, "%s has no build %llu", r->app.name,
			(unsigned long long)id);
	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	char *running autofree = work_output(id);
	if (running)
		json_object_set_new(build, "output", db_text_json(running));
	return request_reply(r, 200, build);
}

int builds_check_cancel(struct request *r)
{
	(void)r;
	return 0;
}

int builds_cancel(struct request *r, struct sink *s, struct err *e)
{
	uint64_t build;
	int n = work_cancel(r->app.id, &build);

	if (n == -ESRCH)
		return err_set(e, ESRCH, "no build of %s is under way", r->app.name);
	if (n < 0)
		return err_set(e, ETIMEDOUT,
			"build %llu of %s goes on: it has switched already, or does not "
			"end; see `berth builds:list %s`",
			(unsigned long long)build, r->app.name, r->app.name);
	sink_step(s, "Build %llu of %s is cancelled", (unsigned long long)build,
		r->app.name);
	return 0;
}
