/* The host: version, status, stacks. */
#include "control/api/api.h"
#include "control/api/handlers.h"
#include "control/api/openapi.h"
#include "control/images/rebase.h"
#include "control/run/fleet.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>

int host_version(struct request *r)
{
	return request_reply(r, 200, json_pack("{s:s}", "version", API_VERSION));
}

int host_openapi(struct request *r)
{
	return request_reply(r, 200, openapi_make());
}

/* Of the apps that may be seen: instances that are about to start, and that crashed. */
static void count_members(struct request *r, int *starting, int *crashed)
{
	struct member *m autofree = NULL;
	struct control *c = r->c;
	int n = fleet_list_all(c, 0, &m);

	*starting = *crashed = 0;
	for (int i = 0; i < n; i++) {
		if (access_role(&r->access, m[i].app) < ROLE_VIEW)
			continue;
		*starting += m[i].state == MEMBER_STARTING ||
			     m[i].state == MEMBER_QUEUED ||
			     m[i].state == MEMBER_RESTARTING;
		*crashed += m[i].state == MEMBER_CRASHED && fleet_wanted(c, &m[i]);
	}
}

int host_status(struct request *r)
{
	int starting, crashed;
	struct db_app *apps autofree = NULL;
	struct db_instance *instances autofree = NULL;
	uint64_t free_bytes = 0, total_bytes = 0;
	int n_apps = db_app_list(r->c->db, &apps);
	int n_instances = db_instance_list(r->c->db, 0, false, &instances);

	if (n_apps < 0 || n_instances < 0)
		return request_fail_db(r, n_apps < 0 ? n_apps : n_instances, "status");
	count_members(r, &starting, &crashed);
	for (int i = n_instances; i-- > 0;)
		n_instances -= access_role(&r->access, instances[i].app) < ROLE_VIEW;
	for (int i = n_apps; i-- > 0;)
		n_apps -= access_role(&r->access, apps[i].id) < ROLE_VIEW;
	if (disk_free(r->c, &free_bytes, &total_bytes) < 0)
		free_bytes = total_bytes = 0;
	return request_reply(r, 200,
		json_pack("{s:s, s:i, s:i, s:i, s:i, s:{s:I, s:I}, s:I}", "version",
			API_VERSION, "apps", n_apps, "instances", n_instances, "starting",
			starting, "crashed", crashed, "disk", "free",
			(json_int_t)free_bytes, "total", (json_int_t)total_bytes,
			"uptime_s",
			(json_int_t)((io_mono_ns() - r->c->started_ns) / 1000000000)));
}

/* A stack's name is in what its step said; without one, what it is called is its key. */
static json_t *stack_json(struct control *c, const struct db_layer *l)
{
	struct db_layer again;
	json_t *meta = NULL;
	const char *name;

	if (db_layer_get(c->db, l->id, &again, &meta) < 0)
		return NULL;
	name = json_string_value(json_object_get(meta, "name"));
	json_t *o = json_pack("{s:s, s:s, s:o, s:I, s:b, s:I}", "name",
		name ? name : l->key, "digest", l->key, "created",
		json_stamp(l->created_us), "size", (json_int_t)l->size_bytes, "current",
		!strchr(l->key, '@'), "id", (json_int_t)l->id);
	json_decref(meta);
	return o;
}

int stacks_list(struct request *r)
{
	struct db_layer *layers autofree = NULL;
	int n = db_layer_list(r->c->db, &layers);
	json_t *list = json_array();

	if (n < 0) {
		json_decref(list);
		return request_fail_db(r, n, "stacks");
	}
	for (int i = 0; i < n; i++) {
		if (layers[i].ready && strcmp(layers[i].kind, "stack") == 0)
			json_array_append_new(list, stack_json(r->c, &layers[i]));
	}
	return request_reply(r, 200, list);
}

int stacks_check(struct request *r)
{
	const char *name = request_string(r, "name");

	if (strcmp(name, "debian-12") == 0)
		return 0;
	return request_fail(r, FAIL_USAGE,
		"there is no stack named \"%.80s\"; known: debian-12", name);
}

int stacks_create(struct request *r, struct sink *s, struct err *e)
{
	return stack_create(r->c, request_string(r, "name"),
		json_is_true(request_json(r, "update")), s, e);
}

/* ---- which app is on which base ---- */

static json_t *report_row(struct request *r, const struct db_app *a, uint64_t newest,
	const json_t *newest_meta)
{
	struct db_release live = {0};
	struct db_image image = {0};
	struct db_layer base = {0};
	json_t *meta = NULL, *o = NULL;
	uint64_t id;

	if (a->live_version &&
		db_release_get(r->c->db, a->id, a->live_version, &live) == 0 &&
		db_image_get(r->c->db, live.image, &image) == 0) {
		bool on = rebase_base(r->c, &image, &id, &meta) == 0 &&
			  db_layer_get(r->c->db, id, &base, NULL) == 0;
		o = json_pack("{s:s, s:O?, s:o, s:b, s:o}", "app", a->name, "stack",
			json_object_get(meta, "name"), "base",
			on ? json_stamp(base.created_us) : json_null(), "current",
			on && id == newest, "behind",
			on && id != newest && json_object_get(meta, "packages")
				? stack_changes(meta, newest_meta)
				: json_array());
	}
	json_decref(meta);
	db_image_clear(&image);
	db_release_clear(&live);
	return o;
}

int stacks_report(struct request *r)
{
	struct db_app *apps autofree = NULL;
	json_t *list = json_array(), *meta = NULL;
	uint64_t newest = 0;
	int n = db_app_list(r->c->db, &apps);

	if (n < 0) {
		json_decref(list);
		return request_fail_db(r, n, "stacks");
	}
	db_layer_find(r->c->db, "stack", "debian-12", &newest, &meta);
	for (int i = 0; i < n; i++) {
		json_t *row = report_row(r, &apps[i], newest, meta);

		if (row)
			json_array_append_new(list, row);
	}
	json_decref(meta);
	return request_reply(r, 200, list);
}
