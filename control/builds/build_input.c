/* What an app's owner lets its builds see. */
#include "control/builds/build_input.h"
#include "control/config.h"
#include "control/settings.h"
#include "lib/name.h"
#include <stdio.h>
#include <string.h>

json_t *build_args(struct control *c, uint32_t app)
{
	json_t *all = NULL, *args = json_object(), *value;
	char id[16];
	const char *key;

	if (db_setting_topic(c->db, "builds", app, &all) < 0) {
		json_decref(args);
		return NULL;
	}
	snprintf(id, sizeof(id), "%u", app);
	json_object_foreach (json_object_get(all, id), key, value)
		if (strncmp(key, BUILD_ARG, strlen(BUILD_ARG)) == 0)
			json_object_set(args, key + strlen(BUILD_ARG), value);
	json_decref(all);
	return args;
}

/* The next name of the list; false at its end. */
static bool next_name(const char **at, char name[256])
{
	size_t n = strcspn(*at, ",");

	if (!**at)
		return false;
	snprintf(name, 256, "%.*s", (int)n, *at);
	*at += n + ((*at)[n] == ',');
	return true;
}

bool build_config_valid(const char *text)
{
	char name[256];

	if (!*text || text[strlen(text) - 1] == ',')
		return false;
	for (const char *at = text; next_name(&at, name);)
		if (!name_key_valid(name))
			return false;
	return true;
}

json_t *build_config(struct control *c, uint32_t app, const json_t *config)
{
	char *text autofree = setting_text(c, app, "builds", "config");
	json_t *seen = json_object(), *own = config_of_type(config, NULL);
	char name[256];

	if (!text || strcmp(text, "all") == 0)
		json_object_update(seen, own);
	else if (strcmp(text, "none") != 0)
		for (const char *at = text; next_name(&at, name);)
			json_object_set(seen, name, json_object_get(own, name));
	json_decref(own);
	return seen;
}
