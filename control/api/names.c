/* Apps under another name, apps made of others, previews. */
#include "control/api/handlers.h"
#include "control/api/view.h"
#include "control/deploy/clone.h"
#include "control/deploy/preview.h"
#include "control/deploy/rename.h"
#include <errno.h>
#include <stdio.h>

static int check_free(struct request *r, const char *name)
{
	struct db_app other;

	if (request_name(r, "app", name) < 0)
		return -1;
	int n = db_app_by_name(r->c->db, name, &other);
	if (n == 0)
		return request_fail(
			r, FAIL_CONFLICT, "there is already an app named %s", name);
	return n == -ENOENT ? 0 : request_fail_db(r, n, name);
}

int apps_check_rename(struct request *r)
{
	struct db_preview p;
	struct err e = {0};

	if (check_free(r, request_string(r, "name")) < 0)
		return -1;
	if (db_preview_get(r->c->db, r->app.id, &p) == 0)
		return request_fail(r, FAIL_CONFLICT,
			"%s is a preview: it is called after its branch", r->app.name);
	int n = rename_check_hosts(r->c, &r->app, request_string(r, "name"), &e);
	if (n < 0)
		return request_fail(
			r, n == -EEXIST ? FAIL_CONFLICT : FAIL_BERTH, "%s", e.text);
	return 0;
}

int apps_rename(struct request *r, struct sink *s, struct err *e)
{
	const char *name = request_string(r, "name");
	int n = app_rename(r->c, r->app.id, name, s, e);

	if (n < 0)
		return n;
	/* the trail has it among the app's, by its new name */
	json_object_set_new(r->body, "was", json_string(r->app.name));
	snprintf(r->app.name, sizeof(r->app.name), "%s", name);
	return n;
}

int apps_check_clone(struct request *r)
{
	if (check_free(r, request_string(r, "name")) < 0)
		return -1;
	return access_creates(r->c, &r->access) ? 0 : access_need(r, NULL, ROLE_ADMIN);
}

static int clone_made(void *arg, uint32_t app)
{
	struct request *r = arg;

	return access_made(r->c, &r->access, app);
}

int apps_clone(struct request *r, struct sink *s, struct err *e)
{
	const struct clone k = {.name = request_string(r, "name"),
		.actor = r->who.actor,
		.with_data = request_bool(r, "with_data", false)};

	return app_clone(r->c, r->app.id, &k, request_bool(r, "deploy", true), clone_made,
		r, s, e);
}

/* ---- previews ---- */

static json_t *preview_json(
	struct request *r, const struct db_preview *p, uint64_t span_s)
{
	struct db_instance *rows autofree = NULL;
	struct db_app a;
	int n = db_app_by_id(r->c->db, p->app, &a);

	if (n == 0)
		n = db_instance_list(r->c->db, a.id, false, &rows);
	if (n < 0)
		return NULL;
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "app", a.name, "branch",
		p->branch, "state", view_state(r->c, &a, rows, n), "release",
		a.live_version ? json_integer(a.live_version) : json_null(), "url",
		view_url(r->c, &a), "pushed", json_stamp(p->pushed_us), "expires",
		json_stamp(span_s ? p->pushed_us + span_s * 1000000 : 0));
}

int previews_list(struct request *r)
{
	struct db_preview *rows autofree = NULL;
	uint64_t span_s = preview_expires_s(r->c, r->app.id);
	int n = db_preview_list(r->c->db, r->app.id, &rows);
	json_t *list = json_array();

	for (int i = 0; i < n; i++) {
		json_t *row = preview_json(r, &rows[i], span_s);

		if (row) /* else it is gone by now */
			json_array_append_new(list, row);
	}
	if (n < 0) {
		json_decref(list);
		return request_fail_db(r, n, r->app.name);
	}
	return request_reply(r, 200, list);
}
