/* Buildpacks: which an app names, and what the running commit would be built by. */
#include "control/api/handlers.h"
#include "control/builds/build.h"
#include "control/builds/packs.h"
#include <errno.h>
#include <string.h>

/* Between scheme and host of an address stands who asks for it, and what opens it; or it is asked for in the query. */
static json_t *without_login(const char *s)
{
	const char *from = strstr(s, "://");

	if (!from)
		return json_string(s);
	from += 3;
	const char *end = from + strcspn(from, "?#"), *tag = strchr(end, '#');
	const char *login = memrchr(from, '@', (size_t)(end - from));
	const char *shown = login ? login : from;
	return json_sprintf("%.*s%s%.*s%s%s", (int)(from - s), s, login ? "*" : "",
		(int)(end - shown), shown, *end == '?' ? "?*" : "", tag ? tag : "");
}

/* Reports are for more people than secrets are. */
static void hide_secrets(json_t *list, json_t *config)
{
	const json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		json_array_set_new(list, i, without_login(json_string_value(v)));
	json_object_del(config, "BUILDPACK_URL");
}

static int show(struct request *r)
{
	json_t *list = NULL, *config = NULL;
	int n = packs_read(r->c, r->app.id, &list);

	if (n == 0 && (n = db_config_get(r->c->db, r->app.id, &config)) < 0)
		json_decref(list);
	if (n < 0)
		return request_fail_db(r, n, "buildpacks");
	if (access_role(&r->access, r->app.id) < ROLE_DEPLOY)
		hide_secrets(list, config);
	json_t *url = json_incref(json_object_get(config, "BUILDPACK_URL"));
	json_decref(config);
	return request_reply(r, 200,
		json_pack("{s:o, s:o*}", "buildpacks", list, "BUILDPACK_URL", url));
}

int buildpacks_show(struct request *r)
{
	return show(r);
}

static size_t position(const json_t *list, const char *s)
{
	const json_t *v;
	size_t i;

	json_array_foreach (list, i, v)
		if (strcmp(json_string_value(v), s) == 0)
			return i;
	return SIZE_MAX;
}

static int put(struct request *r, json_t *list, const json_t *v, size_t at)
{
	struct err e = {0};
	const char *s = json_string_value(v);

	if (!s || strlen(s) != json_string_length(v))
		return request_fail(r, FAIL_USAGE, "a buildpack must be text");
	if (packs_check(s, &e) < 0)
		return request_fail(r, FAIL_USAGE, "%s", e.text);
	if (position(list, s) != SIZE_MAX)
		return request_fail(r, FAIL_CONFLICT, "%s is there already", s);
	if (json_array_size(list) >= PACKS_LIST_MAX)
		return request_fail(r, FAIL_USAGE, "at most %d buildpacks are possible",
			PACKS_LIST_MAX);
	json_array_insert(list, at < json_array_size(list) ? at : json_array_size(list),
		(json_t *)(uintptr_t)v);
	return 0;
}

static int drop(struct request *r, json_t *list, const json_t *v)
{
	const char *s = json_string_value(v);
	size_t at = s ? position(list, s) : SIZE_MAX;

	if (at == SIZE_MAX)
		return request_fail(r, FAIL_MISSING, "%.80s is no buildpack of this app",
			s ? s : "that");
	json_array_remove(list, at);
	return 0;
}

/* index counts from 1, as people do; 0: at the end. */
static int change(struct request *r, json_t *list)
{
	int64_t index = json_integer_value(request_json(r, "index"));
	const json_t *v;
	size_t i;

	if (index < 0 || index > PACKS_LIST_MAX)
		return request_fail(
			r, FAIL_USAGE, "the place must be 1 to %d", PACKS_LIST_MAX);
	if (request_bool(r, "clear", false) || request_json(r, "set"))
		json_array_clear(list);
	json_array_foreach (request_json(r, "set"), i, v)
		if (put(r, list, v, SIZE_MAX) < 0)
			return -1;
	json_array_foreach (request_json(r, "remove"), i, v)
		if (drop(r, list, v) < 0)
			return -1;
	json_array_foreach (request_json(r, "add"), i, v)
		if (put(r, list, v, index ? (size_t)index - 1 + i : SIZE_MAX) < 0)
			return -1;
	return 0;
}

int buildpacks_change(struct request *r)
{
	json_t *list = NULL;
	int n = packs_read(r->c, r->app.id, &list);

	if (n < 0)
		return request_fail_db(r, n, "buildpacks");
	n = change(r, list);
	if (n == 0 && (n = packs_write(r->c, r->app.id, list)) < 0)
		n = request_fail_db(r, n, "buildpacks");
	json_decref(list);
	return n < 0 ? n : show(r);
}

int buildpacks_detect_check(struct request *r UNUSED)
{
	return 0;
}

int buildpacks_detect(struct request *r, struct sink *s, struct err *e)
{
	struct db_release live = {0};
	struct db_image image = {0};
	json_t *config = NULL;
	int n = r->app.live_version ? db_release_get(r->c->db, r->app.id, 0, &live)
				    : -ENOENT;

	if (n == -ENOENT)
		return err_set(e, ENOENT, "%s has no release to look at; push first",
			r->app.name);
	if (n == 0)
		n = db_image_get(r->c->db, live.image, &image);
	if (n == 0)
		n = db_config_get(r->c->db, r->app.id, &config);
	if (n < 0)
		err_sys(e, -n, "read the release");
	struct build_request b = {
		.app = &r->app, .commit = image.commit, .config = config};
	if (n == 0)
		n = build_detect(r->c, &b, s, e);
	json_decref(config);
	db_image_clear(&image);
	db_release_clear(&live);
	return n;
}
