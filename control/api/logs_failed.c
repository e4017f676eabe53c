/* GET logs/failed: the last deploys that failed, why, and what their instances or their build said. */
#include "control/api/handlers.h"
#include "control/logs/logs.h"
#include "lib/stamp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEPLOYS_DEFAULT 1
#define DEPLOYS_MAX 50
#define LINES 100 /* of each: the last ones */

static json_t *split(const char *text, size_t len, size_t most)
{
	json_t *lines = json_array();

	for (const char *end = text + len, *nl; text < end; text = nl + 1) {
		nl = memchr(text, '\n', (size_t)(end - text));
		if (!nl)
			nl = end;
		json_array_append_new(lines, json_stringn(text, (size_t)(nl - text)));
		if (json_array_size(lines) > most)
			json_array_remove(lines, 0);
	}
	return lines;
}

/* What instances of the release wrote, however often they were started. */
static json_t *release_lines(struct control *c, uint32_t app, uint32_t version)
{
	struct logs_query q = {.lines = LINES, .release = version};
	autobuf text = BUF_INIT;
	char folder[512], part[8192];
	ssize_t n;

	snprintf(folder, sizeof(folder), "%s/logs/%u", c->state, app);
	struct logs *l = logs_open(folder, &q);
	while (l && (n = logs_read(l, part, sizeof(part))) > 0)
		buf_add(&text, part, (size_t)n);
	logs_close(l);
	return split(text.data ? text.data : "", text.len, LINES);
}

/* No release came of it, or none of its instances said anything: the end of what was printed. */
static json_t *build_lines(struct control *c, uint32_t app, uint64_t id)
{
	json_t *build = NULL, *lines;

	if (db_build_get(c->db, app, id, &build) < 0)
		return json_array();
	const char *output = json_string_value(json_object_get(build, "output"));

	lines = split(output ? output : "", output ? strlen(output) : 0, LINES);
	json_decref(build);
	return lines;
}

static json_t *deploy_json(struct control *c, const struct db_app *a, const json_t *build)
{
	uint32_t version =
		(uint32_t)json_integer_value(json_object_get(build, "release"));
	uint64_t id = (uint64_t)json_integer_value(json_object_get(build, "id"));
	struct db_release release = {0};
	json_t *o = json_deep_copy(build), *lines = NULL;

	json_object_set_new(o, "app", json_string(a->name));
	if (version && db_release_get(c->db, a->id, version, &release) == 0) {
		json_object_set_new(o, "reason", json_string(release.error));
		db_release_clear(&release);
		lines = release_lines(c, a->id, version);
	}
	if (!json_array_size(lines)) {
		json_decref(lines);
		lines = build_lines(c, a->id, id);
	}
	json_object_set_new(o, "lines", lines);
	return o;
}

static int add_app(struct control *c, const struct db_app *a, uint32_t most, json_t *out)
{
	json_t *builds = NULL, *build;
	size_t i;
	int r = db_build_list_failed(c->db, a->id, most, &builds);

	json_array_foreach (builds, i, build)
		json_array_append_new(out, deploy_json(c, a, build));
	json_decref(builds);
	return r;
}

/* Of these apps. */
static int answer(struct request *r, const struct db_app *apps, int n_apps)
{
	json_t *out;
	uint64_t most;
	int n = 0;

	if (request_query_u64(r, "n", 1, DEPLOYS_MAX, DEPLOYS_DEFAULT, &most) < 0)
		return -1;
	out = json_array();
	for (int i = 0; n >= 0 && i < n_apps; i++)
		n = add_app(r->c, &apps[i], (uint32_t)most, out);
	if (n >= 0)
		return request_reply(r, 200, out);
	json_decref(out);
	return request_fail_db(r, n, "builds");
}

int logs_failed(struct request *r)
{
	return answer(r, &r->app, 1);
}

int logs_failed_all(struct request *r)
{
	struct db_app *apps autofree = NULL;
	int n = db_app_list(r->c->db, &apps);

	return n < 0 ? request_fail_db(r, n, "apps") : answer(r, apps, n);
}
