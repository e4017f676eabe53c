/* An app as several handlers show it. */
#include "control/api/view.h"
#include "control/run/fleet.h"
#include "control/run/restart.h"
#include "control/settings.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_member(const struct db_app *a, const struct db_instance *i)
{
	return i->app == a->id && strcmp(i->kind, "app") == 0;
}

unsigned int view_running(const struct db_app *a, const struct db_instance *rows, int n)
{
	unsigned int running = 0;

	for (int i = 0; i < n; i++)
		running +=
			is_member(a, &rows[i]) && strcmp(rows[i].state, "running") == 0;
	return running;
}

/* Whether the formation wants any instance at all. */
static bool wants_instances(struct control *c, const struct db_app *a)
{
	json_t *processes = view_processes(c, a->id);
	const char *type;
	json_t *command;
	bool wanted = false;

	json_object_foreach (processes, type, command) {
		if (strcmp(type, "release") != 0 && app_quantity(c, a->id, type) > 0)
			wanted = true;
	}
	json_decref(processes);
	return wanted;
}

/* What those that do not run are about, the most hopeful first. */
static const char *waiting_state(struct control *c, uint32_t app)
{
	static const enum member_state order[] = {MEMBER_QUEUED, MEMBER_RESTARTING,
		MEMBER_BACKOFF, MEMBER_CRASHED, MEMBER_ENDED};
	struct member *m autofree = NULL;
	int n = fleet_list_all(c, app, &m);

	for (size_t o = 0; o < ARRAY_LEN(order); o++) {
		for (int i = 0; i < n; i++) {
			if (m[i].state == order[o] && fleet_wanted(c, &m[i]))
				return member_state_name(order[o]);
		}
	}
	return NULL;
}

const char *view_state(
	struct control *c, const struct db_app *a, const struct db_instance *rows, int n)
{
	if (a->removing)
		return "removing";
	if (a->asleep)
		return a->asleep == DB_ASLEEP_FROZEN ? "frozen" : "asleep";
	if (view_running(a, rows, n))
		return "running";
	if (a->stopped)
		return "stopped";
	for (int i = 0; i < n; i++) {
		if (is_member(a, &rows[i]) && strcmp(rows[i].state, "starting") == 0)
			return "starting";
	}
	if (!a->live_version)
		return "created";
	const char *waiting = waiting_state(c, a->id);
	if (waiting)
		return waiting;
	return wants_instances(c, a) ? "crashed" : "idle";
}

json_t *view_hostnames(struct control *c, const struct db_app *a)
{
	json_t *names = NULL, *global = NULL, *domain;
	size_t i;

	if (db_domain_list(c->db, a->id, &names) < 0 ||
		db_domain_list(c->db, 0, &global) < 0) {
		json_decref(names);
		return NULL;
	}
	json_array_foreach (global, i, domain)
		json_array_append_new(
			names, json_sprintf("%s.%s", a->name, json_string_value(domain)));
	if (!json_array_size(global))
		json_array_append_new(names, json_sprintf("%s.localhost", a->name));
	json_decref(global);
	return names;
}

json_t *view_processes(struct control *c, uint32_t app)
{
	struct db_release release;
	struct db_image image;
	int r = db_release_get(c->db, app, 0, &release);

	if (r == -ENOENT)
		return json_object();
	if (r < 0)
		return NULL;
	r = db_image_get(c->db, release.image, &image);
	db_release_clear(&release);
	if (r < 0)
		return NULL;
	json_t *processes = json_incref(image.processes);
	db_image_clear(&image);
	return processes;
}

void view_type_names(const json_t *processes, char *out, size_t size)
{
	const char *type;
	json_t *command;
	size_t len = 0;

	out[0] = '\0';
	json_object_foreach ((json_t *)(uintptr_t)processes, type, command) {
		int n = snprintf(out + len, size - len, "%s%s", len ? ", " : "", type);

		if (n < 0 || (size_t)n >= size - len)
			return;
		len += (size_t)n;
	}
}

json_t *view_url(struct control *c, const struct db_app *a)
{
	char url[HOST_MAX_LEN + 32] = "";

	app_url(c, a, url, sizeof(url));
	return json_string(url);
}
