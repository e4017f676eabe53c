/* Apps: list, create, report, destroy, lock. */
#include "control/api/handlers.h"
#include "control/api/view.h"
#include "control/settings.h"
#include <errno.h>
#include <string.h>

/* The name of the app whose branch made it; NULL: it is no preview. */
static json_t *preview_of(uint32_t app, const struct db_preview *rows, int n)
{
	for (int i = 0; i < n; i++)
		if (rows[i].app == app)
			return json_string(rows[i].parent_name);
	return NULL;
}

int apps_list(struct request *r)
{
	struct db_preview *previews autofree = NULL;
	struct db_app *apps autofree = NULL;
	struct db_instance *rows autofree = NULL;
	int n = db_app_list(r->c->db, &apps);
	int n_rows = db_instance_list(r->c->db, 0, false, &rows);
	int n_previews = db_preview_list(r->c->db, 0, &previews);

	if (n < 0 || n_rows < 0 || n_previews < 0)
		return request_fail_db(r,
			n < 0	     ? n
			: n_rows < 0 ? n_rows
				     : n_previews,
			"apps");
	json_t *list = json_array();
	for (int i = 0; i < n; i++) {
		const struct db_app *a = &apps[i];
		json_t *release =
			a->live_version ? json_integer(a->live_version) : json_null();

		json_array_append_new(
			list, json_pack("{s:s, s:o, s:s, s:o, s:i, s:o*}", "name",
				      a->name, "release", release, "state",
				      view_state(r->c, a, rows, n_rows), "url",
				      view_url(r->c, a), "instances",
				      (int)view_running(a, rows, n_rows), "preview_of",
				      preview_of(a->id, previews, n_previews)));
	}
	return request_reply(r, 200, list);
}

static json_t *git_remote(const char *app)
{
	const char *user = getenv("BERTH_SSH_USER");
	char host[HOST_MAX_LEN + 1] = "";

	gethostname(host, sizeof(host) - 1);
	return json_sprintf("%s@%s:%s", user && *user ? user : "berth",
		host[0] ? host : "localhost", app);
}

static int make(struct request *r, void *arg UNUSED)
{
	const char *name = request_string(r, "name");
	uint32_t id;
	int n = db_app_create(r->c->db, name, &id);

	if (n == -EEXIST)
		return request_fail(
			r, FAIL_CONFLICT, "there is already an app named %s", name);
	if (n < 0 || (n = access_made(r->c, &r->access, id)) < 0 ||
		(n = db_app_by_id(r->c->db, id, &r->app)) < 0)
		return request_fail_db(r, n, name);
	return 0;
}

int apps_create(struct request *r)
{
	const char *name = request_string(r, "name");

	if (request_name(r, "app", name) < 0)
		return -1;
	if (!access_creates(r->c, &r->access))
		return access_need(r, NULL, ROLE_ADMIN);
	if (request_whole(r, name, make, NULL) < 0)
		return -1;
	return request_reply(r, 201,
		json_pack("{s:s, s:o, s:o}", "name", name, "url", view_url(r->c, &r->app),
			"git", git_remote(name)));
}

static json_t *quantities(struct control *c, uint32_t app)
{
	json_t *processes = view_processes(c, app), *o = json_object(), *command;
	const char *type;

	json_object_foreach (processes, type, command) {
		if (strcmp(type, "release") != 0)
			json_object_set_new(
				o, type, json_integer(app_quantity(c, app, type)));
	}
	json_decref(processes);
	return o;
}

static json_t *mounts(struct control *c, uint32_t app)
{
	struct db_mount *rows autofree = NULL;
	int n = db_mount_list(c->db, app, &rows);
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:b}", "name", rows[i].volume_name, "path",
				rows[i].path, "read_only", rows[i].read_only));
	return list;
}

int apps_report(struct request *r)
{
	struct db_instance *rows autofree = NULL;
	const struct db_app *a = &r->app;
	int n = db_instance_list(r->c->db, a->id, false, &rows);

	if (n < 0)
		return request_fail_db(r, n, a->name);
	json_t *o = json_pack("{s:s, s:I, s:o, s:s, s:o, s:o, s:o, s:o, s:b, s:b, s:i}",
		"name", a->name, "id", (json_int_t)a->id, "created",
		json_stamp(a->created_us), "state", view_state(r->c, a, rows, n),
		"release", a->live_version ? json_integer(a->live_version) : json_null(),
		"url", view_url(r->c, a), "git", git_remote(a->name), "deploy_branch",
		a->deploy_branch[0] ? json_string(a->deploy_branch) : json_null(),
		"locked", a->locked, "stopped", a->stopped, "instances",
		(int)view_running(a, rows, n));
	if (!o)
		return request_reply(r, 200, NULL);
	json_object_set_new(o, "canary",
		a->canary_version
			? json_sprintf("v%u, %u%%", a->canary_version, a->canary_percent)
			: json_null());
	json_object_set_new(o, "maintenance",
		json_boolean(
			settings_is_on(r->c, a->id, "maintenance", "enabled", false)));
	json_object_set_new(o, "domains", view_hostnames(r->c, a));
	json_object_set_new(o, "processes", quantities(r->c, a->id));
	json_object_set_new(o, "volumes", mounts(r->c, a->id));
	return request_reply(r, 200, o);
}

struct destroy {
	bool with_volumes;
};

int apps_check_destroy(struct request *r)
{
	const char *confirm = request_query(r, "confirm"),
		   *volumes = request_query(r, "volumes");

	if (volumes && strcmp(volumes, "keep") != 0 && strcmp(volumes, "destroy") != 0)
		return request_fail(r, FAIL_USAGE, "volumes must be keep or destroy");
	if (!confirm || strcmp(confirm, r->app.name) != 0) {
		request_fail(r, FAIL_USAGE,
			"destroying %s must be confirmed with its name", r->app.name);
		return request_hint(r, "berth apps:destroy %s --force", r->app.name);
	}
	/* The query belongs to the connection's thread; the operation runs in another. */
	struct destroy *d = calloc(1, sizeof(*d));
	if (!d)
		return request_fail(r, FAIL_BERTH, "out of memory");
	d->with_volumes = volumes && strcmp(volumes, "destroy") == 0;
	r->data = d;
	r->data_free = free;
	return 0;
}

int apps_destroy(struct request *r, struct sink *s, struct err *e)
{
	const struct destroy *d = r->data;

	return app_destroy(r->c, r->app.id, d->with_volumes, r->who.actor, s, e);
}

static int set_locked(struct request *r, bool on)
{
	int n = db_app_set_locked(r->c->db, r->app.id, on);

	return n < 0 ? request_fail_db(r, n, r->app.name) : 0;
}

int apps_lock(struct request *r)
{
	return set_locked(r, true);
}

int apps_unlock(struct request *r)
{
	return set_locked(r, false);
}
