/* Config: what an app's processes find in their environment. A change is a release. */
#include "control/config.h"
#include "control/api/handlers.h"
#include "lib/base64.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

int config_show(struct request *r)
{
	json_t *config = NULL;
	int n = db_config_get(r->c->db, r->app.id, &config);

	return n < 0 ? request_fail_db(r, n, r->app.name) : request_reply(r, 200, config);
}

/* Bytes of a value: text, or {"base64": "..."}; -1 when it is neither or holds a NUL. */
static int value_size(const json_t *v, size_t *ret)
{
	autobuf bytes = BUF_INIT;
	const json_t *b = json_object_get(v, "base64");

	if (json_is_string(v)) {
		*ret = json_string_length(v);
		return strlen(json_string_value(v)) == *ret ? 0 : -1;
	}
	if (!json_is_string(b) || json_object_size(v) != 1 ||
		base64_decode(json_string_value(b), json_string_length(b), &bytes) < 0)
		return -1;
	*ret = bytes.len;
	return bytes.len && memchr(bytes.data, 0, bytes.len) ? -1 : 0;
}

static int check_key(struct request *r, const char *key)
{
	if (!config_key_valid(key))
		return request_fail(r, FAIL_USAGE,
			"\"%.80s\" is not a valid config name: letters, digits and "
			"underscores, not beginning with a digit, at most 255 "
			"characters; "
			"before it perhaps a process type and a slash",
			key);
	if (strcmp(config_key_name(key), "PORT") != 0)
		return 0;
	request_fail(r, FAIL_USAGE,
		"PORT cannot be set: berth tells the app which port to use");
	return request_hint(
		r, "to name another port: berth ports:set %s web 3000", r->app.name);
}

static int check_set(struct request *r)
{
	const char *key;
	json_t *v;
	size_t size;

	json_object_foreach (request_json(r, "set"), key, v) {
		if (check_key(r, key) < 0)
			return -1;
		if (value_size(v, &size) < 0)
			return request_fail(r, FAIL_USAGE,
				"the value of %s must be text (or {\"base64\": ...}) "
				"without NUL bytes",
				key);
		if (size > CONFIG_VALUE_MAX)
			return request_fail(r, FAIL_USAGE,
				"the value of %s has %zu bytes; at most %zu are possible",
				key, size, CONFIG_VALUE_MAX);
	}
	return 0;
}

static int check_unset(struct request *r)
{
	json_t *v;
	size_t i;

	json_array_foreach (request_json(r, "unset"), i, v) {
		const char *key = json_string_value(v);

		if (!key || !config_key_valid(key))
			return request_fail(
				r, FAIL_USAGE, "unset must be a list of config names");
		if (json_object_get(request_json(r, "set"), key))
			return request_fail(
				r, FAIL_USAGE, "%s is both set and unset", key);
	}
	return 0;
}

static int check_replace(struct request *r)
{
	const char *scope = request_string(r, "replace");

	if (!scope || !*scope || strcmp(scope, "*") == 0 || name_type_valid(scope))
		return 0;
	return request_fail(r, FAIL_USAGE,
		"replace must be a process type, \"\" for what all types have, or \"*\"");
}

static struct config_change change_of(struct request *r)
{
	return (struct config_change){.set = request_json(r, "set"),
		.unset = request_json(r, "unset"),
		.replace = request_string(r, "replace")};
}

int config_check(struct request *r)
{
	json_t *config = NULL, *before;

	if (check_set(r) < 0 || check_unset(r) < 0 || check_replace(r) < 0)
		return -1;
	int n = db_config_get(r->c->db, r->app.id, &config);
	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	const struct config_change ch = change_of(r);
	json_t *after = config_changed(config, &ch, &before);
	size_t total = config_size(after);
	json_decref(after);
	json_decref(before);
	json_decref(config);
	if (total > CONFIG_MAX)
		return request_fail(r, FAIL_USAGE,
			"the config would have %zu bytes in all; at most %zu are "
			"possible",
			total, CONFIG_MAX);
	return 0;
}

int config_change(struct request *r, struct sink *s, struct err *e)
{
	const struct config_change ch = change_of(r);

	return config_apply(
		r->c, &r->app, &ch, request_bool(r, "restart", true), r->who.actor, s, e);
}
