/* What is to be done so that the host is as its file says, section by section. */
#include "cli/plan.h"
#include "cli/part.h"

#include <stdio.h>
#include <string.h>

/* The last one makes the release of all, unless the config's does. */
static void restart_last(const struct part *mounts)
{
	size_t n = json_array_size(mounts->calls);

	if (n)
		json_object_set(
			json_object_get(json_array_get(mounts->calls, n - 1), "body"),
			"restart", json_true());
}

struct section {
	const char *name;
	void (*plan)(struct part *p, const json_t *want, const json_t *have);
};

static const struct section host_sections[] = {
	{"settings", plan_settings},
	{"domains", plan_domains},
	{"members", plan_members},
	{"volumes", plan_volumes},
	{"drains", plan_drains},
};

/* Hostnames before settings that name one; what several instances may share before how many there are; the config last of
 * what makes a release. */
static const struct section app_sections[] = {
	{"domains", plan_domains},
	{"settings", plan_settings},
	{"resources", plan_resources},
	{"buildpacks", plan_buildpacks},
	{"formation", plan_formation},
	{"network", plan_network},
	{"mounts", plan_mounts},
	{"config", plan_config},
	{"drains", plan_drains},
	{"access", plan_access},
	{"tls", plan_tls},
};

static int plan_host(struct cli *c, const struct hostfile *f, bool prune, json_t *steps)
{
	json_t *have = NULL;
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(host_sections) && r == 0; i++) {
		const struct section *s = &host_sections[i];
		json_t *want = json_object_get(f->root, s->name);
		struct part p;

		if (!want)
			continue;
		if (!have && (r = api_json(c, "GET", NULL, &have, "/v1/state")))
			break;
		p = part_begin(NULL, s->name, prune);
		s->plan(&p, want, json_object_get(have, s->name));
		part_finish(&p, steps);
	}
	json_decref(have);
	return r;
}

/* An unlocked app can be changed; a locked one is locked at the end. */
static void plan_lock(
	const char *app, const json_t *want, const json_t *have, bool on, json_t *steps)
{
	struct part p = part_begin(app, "locked", false);
	json_t *locked = json_object_get(want, "locked");

	if (locked && json_is_true(locked) == on)
		plan_locked(&p, locked, json_object_get(have, "locked"));
	part_finish(&p, steps);
}

static void plan_app(const char *app, const json_t *want, const json_t *have, bool prune,
	json_t *steps)
{
	struct part parts[ARRAY_LEN(app_sections)], *mounts = NULL;
	bool releases = false;

	plan_lock(app, want, have, false, steps);
	for (size_t i = 0; i < ARRAY_LEN(app_sections); i++) {
		const struct section *s = &app_sections[i];
		json_t *section = json_object_get(want, s->name);

		parts[i] = part_begin(app, s->name, prune);
		if (section)
			s->plan(&parts[i], section, json_object_get(have, s->name));
		if (s->plan == plan_mounts)
			mounts = &parts[i];
		releases |= s->plan == plan_config && json_array_size(parts[i].changes);
	}
	if (!releases)
		restart_last(mounts);
	for (size_t i = 0; i < ARRAY_LEN(app_sections); i++)
		part_finish(&parts[i], steps);
	plan_lock(app, want, have, true, steps);
}

static void create(const char *app, json_t *steps)
{
	struct part p = part_begin(app, "app", false);

	part_note(&p, "add", app, NULL, NULL, json_pack("[s, s]", "apps", app));
	part_call(&p, "POST", json_pack("{s:s}", "name", app), false, "/v1/apps");
	part_finish(&p, steps);
}

static void destroy(const char *app, json_t *steps)
{
	struct part p = part_begin(app, "app", true);

	part_note(&p, "remove", app, NULL, NULL, json_pack("[s]", "apps"));
	part_call(&p, "DELETE", NULL, true, "/v1/apps/%s?confirm=%s&volumes=keep", app,
		app);
	part_finish(&p, steps);
}

/* Apps by name -> what they are set to; {} of those that are not there yet. */
static int read_apps(struct cli *c, const json_t *want, json_t *list, json_t **ret)
{
	json_t *have = json_object(), *v, *state;
	const char *app;
	size_t i;
	int r = 0;

	json_array_foreach (list, i, v) {
		const char *name = out_member(v, "name");

		if (r || !json_object_get(want, name))
			continue;
		r = api_json(c, "GET", NULL, &state, "/v1/apps/%s/state", name);
		if (r == 0)
			json_object_set_new(have, name, state);
	}
	json_object_foreach ((json_t *)(uintptr_t)want, app, v)
		if (!json_object_get(have, app))
			json_object_set_new(have, app, json_null());
	*ret = have;
	return r;
}

/* All are there before one is told of another. */
static int plan_apps(struct cli *c, const json_t *want, bool prune, json_t *steps)
{
	json_t *list = NULL, *have = NULL, *v;
	const char *app;
	size_t i;
	int r = api_json(c, "GET", NULL, &list, "/v1/apps");

	if (r == 0)
		r = read_apps(c, want, list, &have);
	if (r)
		return r;
	json_object_foreach ((json_t *)(uintptr_t)want, app, v)
		if (json_is_null(json_object_get(have, app)))
			create(app, steps);
	json_object_foreach ((json_t *)(uintptr_t)want, app, v)
		plan_app(app, v, json_object_get(have, app), prune, steps);
	json_array_foreach (list, i, v)
		if (prune && !json_object_get(v, "preview_of") &&
			!json_object_get(want, out_member(v, "name")))
			destroy(out_member(v, "name"), steps);
	json_decref(list);
	json_decref(have);
	return 0;
}

int plan_make(struct cli *c, const struct hostfile *f, bool prune, json_t **ret)
{
	json_t *steps = json_array(), *apps = json_object_get(f->root, "apps");
	int r = plan_host(c, f, prune, steps);

	if (r == 0 && apps)
		r = plan_apps(c, apps, prune, steps);
	if (r == 0)
		*ret = steps;
	else
		json_decref(steps);
	return r;
}

size_t plan_count(const json_t *steps, const char *kind)
{
	json_t *step, *change;
	size_t i, j, n = 0;

	json_array_foreach (steps, i, step)
		json_array_foreach (json_object_get(step, "changes"), j, change)
			n += !kind || strcmp(out_member(change, "change"), kind) == 0;
	return n;
}
