/* git push -o KEY[=VALUE]: the options of a push. */
#include "control/deploy/push_options.h"
#include "control/config.h"
#include <errno.h>
#include <string.h>

#define CONFIG "config."
#define MESSAGE_MAX 1024u /* a release shows the first 200 */

enum takes { NOTHING, TEXT };

static const struct {
	const char *name;
	enum takes takes;
} options_known[] = {
	{"no-cache", NOTHING},
	{"no-deploy", NOTHING},
	{"skip-checks", NOTHING},
	{"message", TEXT},
};

static bool is_config(const char *key)
{
	return strncmp(key, CONFIG, strlen(CONFIG)) == 0;
}

static int check_config(const char *key, const char *value, struct err *e)
{
	if (!config_key_valid(key))
		return err_set(e, EINVAL,
			"push option " CONFIG "%.80s: no valid name: letters, digits and "
			"underscores, not beginning with a digit",
			key);
	if (strcmp(config_key_name(key), "PORT") == 0)
		return err_set(e, EINVAL,
			"push option " CONFIG "PORT: berth tells the app which port to "
			"use");
	if (strlen(value) > CONFIG_VALUE_MAX)
		return err_set(e, EINVAL,
			"push option " CONFIG "%s: at most %zu bytes are possible", key,
			CONFIG_VALUE_MAX);
	return 0;
}

static int check_text(const char *key, const char *value, struct err *e)
{
	if (!*value || strlen(value) > MESSAGE_MAX)
		return err_set(e, EINVAL,
			"push option %s: 1 to %u bytes of text: -o %s=TEXT", key,
			MESSAGE_MAX, key);
	for (; *value; value++)
		if (((unsigned char)*value < ' ' && *value != '\t') || *value == 0x7f)
			return err_set(e, EINVAL,
				"push option %s: it holds a control character", key);
	return 0;
}

static int check(const char *key, const char *value, struct err *e)
{
	if (is_config(key))
		return check_config(key + strlen(CONFIG), value, e);
	for (size_t i = 0; i < ARRAY_LEN(options_known); i++) {
		if (strcmp(options_known[i].name, key) != 0)
			continue;
		if (options_known[i].takes == TEXT)
			return check_text(key, value, e);
		return *value ? err_set(e, EINVAL, "push option %s takes no value: -o %s",
					key, key)
			      : 0;
	}
	return err_set(e, EINVAL,
		"there is no push option %.80s, but no-cache, no-deploy, skip-checks, "
		"config.KEY=VALUE and message=TEXT",
		key);
}

int push_options_check(const json_t *options, struct err *e)
{
	const char *key;
	json_t *v;
	int r = 0;

	json_object_foreach ((json_t *)(uintptr_t)options, key, v)
		if (r == 0)
			r = check(key, json_string_value(v), e);
	return r;
}

const char *push_option(const json_t *options, const char *key)
{
	return json_string_value(json_object_get(options, key));
}

json_t *push_options_config(const json_t *options)
{
	json_t *config = NULL, *v;
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)options, key, v)
		if (is_config(key)) {
			config = config ? config : json_object();
			json_object_set(config, key + strlen(CONFIG), v);
		}
	return config;
}
