/* The host: version, status, events, stacks. */
#include "control/api.h"
#include "control/api_handlers.h"
#include "control/fleet.h"
#include "lib/io.h"
#include <errno.h>
#include <string.h>

int host_version(struct request *r)
{
	return request_reply(r, 200, json_pack("{s:s}", "version", API_VERSION));
}

/* Of all apps: instances that are about to start, and that crashed. */
static void count_members(struct control *c, int *starting, int *crashed)
{
	struct member *m autofree = NULL;
	int n = fleet_list_all(c, 0, &m);

	*starting = *crashed = 0;
	for (int i = 0; i < n; i++) {
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
	count_members(r->c, &starting, &crashed);
	if (disk_free(r->c, &free_bytes, &total_bytes) < 0)
		free_bytes = total_bytes = 0;
	return request_reply(r, 200,
		json_pack("{s:s, s:i, s:i, s:i, s:i, s:{s:I, s:I}, s:I}", "version",
			API_VERSION, "apps", n_apps, "instances", n_instances, "starting",
			starting, "crashed", crashed, "disk", "free",
			(json_int_t)free_bytes, "total", (json_int_t)total_bytes,
			"uptime_s",
			(json_int_t)((io_now_us() - r->c->started_us) / 1000000)));
}

int host_events(struct request *r)
{
	json_t *list = NULL;
	uint64_t limit;

	if (request_query_u64(r, "limit", 1, 1000, 100, &limit) < 0)
		return -1;
	int n = db_event_list(r->c->db, request_query(r, "app"), (uint32_t)limit, &list);
	return n < 0 ? request_fail_db(r, n, "events") : request_reply(r, 200, list);
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
	json_t *o = json_pack("{s:s, s:s, s:o, s:I}", "name", name ? name : l->key,
		"digest", l->key, "created", json_stamp(l->created_us), "size",
		(json_int_t)l->size_bytes);
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
	return stack_create(r->c, request_string(r, "name"), s, e);
}
