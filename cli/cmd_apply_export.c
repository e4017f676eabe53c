/* apply:export: what a host or an app is set to, as a file that apply takes. */
#include "cli/cli.h"
#include "lib/name.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static json_t *size_text(const json_t *bytes)
{
	char text[24];

	num_write_size((uint64_t)json_integer_value(bytes), text);
	return json_string(text);
}

/* Numbers of the API as the file has them. */
static void write_limits(json_t *types)
{
	const char *type, *key;
	json_t *limits, *v;
	void *next;

	json_object_foreach (types, type, limits)
		json_object_foreach_safe (limits, next, key, v) {
			bool count =
				strcmp(key, "pids") == 0 || strcmp(key, "nofile") == 0;

			if (strcmp(key, "cpu") == 0)
				json_object_set_new(limits, key,
					json_real((double)json_integer_value(v) / 1000));
			else if (!count)
				json_object_set_new(limits, key, size_text(v));
		}
}

/* BLOG_LOG_LEVEL, for {"env": …}; BLOG_LOG_LEVEL_2 where names has it already: of a/X and A_X it is the same. */
static json_t *env_name(const char *app, const char *key, json_t *names)
{
	autobuf b = BUF_INIT;
	size_t len;

	buf_addf(&b, "%s_%s", app, key);
	for (char *s = b.data; s && *s; s++)
		*s = isalnum((unsigned char)*s) ? (char)toupper((unsigned char)*s) : '_';
	len = b.len;
	for (int n = 2; json_object_get(names, b.data); n++) {
		b.len = len;
		buf_addf(&b, "_%d", n);
	}
	json_object_set_new(names, b.data, json_true());
	return json_pack("{s:s}", "env", b.data);
}

static void hide_values(const char *app, json_t *config, json_t *names)
{
	const char *key;
	void *next;
	json_t *v;

	json_object_foreach_safe (config, next, key, v)
		json_object_set_new(config, key, env_name(app, key, names));
}

/* What the API does not tell whole cannot be written: said, and left out. */
static void drop_secrets(const char *app, json_t *state)
{
	json_t *http = json_object_get(json_object_get(state, "settings"), "http"),
	       *drains = json_object_get(state, "drains");
	const char *whose = app ? app : "the host";

	if (json_object_get(http, "auth"))
		say("%s: http auth is left out: only its user is known", whose);
	json_object_del(http, "auth");
	for (size_t i = json_array_size(drains); i-- > 0;) {
		json_t *drain = json_array_get(drains, i);

		if (!strstr(out_member(drain, "url"), "***") &&
			!json_object_get(drain, "own-ca"))
			continue;
		say("%s: the drain %s is left out: its secrets and its authority are not "
		    "shown",
			whose, out_member(drain, "url"));
		json_array_remove(drains, i);
	}
}

static bool is_empty(const json_t *v)
{
	return json_is_null(v) || json_is_false(v) ||
	       (json_is_object(v) && !json_object_size(v)) ||
	       (json_is_array(v) && !json_array_size(v));
}

/* What says nothing goes: sections, and topics of settings. */
static void drop_empty(json_t *state)
{
	json_t *settings = json_object_get(state, "settings"), *v;
	const char *key;
	void *next;

	json_object_foreach_safe (settings, next, key, v)
		if (is_empty(v))
			json_object_del(settings, key);
	json_object_foreach_safe (state, next, key, v)
		if (is_empty(v))
			json_object_del(state, key);
}

/* names: of the environment, as they are taken. */
static int export_app(struct cli *c, const char *app, json_t *apps, json_t *names)
{
	json_t *state;
	int r = api_json(c, "GET", NULL, &state, "/v1/apps/%s/state", app);

	if (r)
		return r;
	write_limits(json_object_get(state, "resources"));
	if (!c->options[OPT_VALUES])
		hide_values(app, json_object_get(state, "config"), names);
	drop_secrets(app, state);
	drop_empty(state);
	json_object_set_new(apps, app, state);
	return 0;
}

static int export_host(struct cli *c, json_t **ret, json_t *apps, json_t *names)
{
	json_t *list, *v;
	size_t i;
	int r = api_json(c, "GET", NULL, ret, "/v1/state");

	if (r == 0)
		r = api_json(c, "GET", NULL, &list, "/v1/apps");
	if (r)
		return r;
	drop_secrets(NULL, *ret);
	drop_empty(*ret);
	json_array_foreach (list, i, v)
		if (r == 0 && !json_object_get(v, "preview_of"))
			r = export_app(c, out_member(v, "name"), apps, names);
	return r;
}

int cmd_apply_export(struct cli *c)
{
	json_t *state = json_object(), *apps = json_object(), *names = json_object();
	int r = c->app ? export_app(c, c->app, apps, names)
		       : export_host(c, &state, apps, names);

	if (r)
		return r;
	json_object_set_new(state, "apps", apps);
	out_json(state);
	json_decref(names);
	return 0;
}
