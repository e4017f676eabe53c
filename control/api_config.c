/* Config: what an app's processes find in their environment. A change is a release. */
#include "control/api_handlers.h"
#include "lib/base64.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX ((size_t)64 << 10)
#define CONFIG_MAX ((size_t)256 << 10)
#define KEY_MAX_LEN 255

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

static int check_set(struct request *r)
{
	const char *key;
	json_t *v;
	size_t size;

	json_object_foreach (request_json(r, "set"), key, v) {
		if (!name_key_valid(key))
			return request_fail(r, FAIL_USAGE,
				"\"%.80s\" is not a valid config name: letters, digits "
				"and underscores, not"
				" beginning with a digit, at most %d characters",
				key, KEY_MAX_LEN);
		if (strcmp(key, "PORT") == 0) {
			request_fail(r, FAIL_USAGE,
				"PORT cannot be set: berth tells the app which port to "
				"use");
			return request_hint(r,
				"to name another port: berth ports:set %s web 3000",
				r->app.name);
		}
		if (value_size(v, &size) < 0)
			return request_fail(r, FAIL_USAGE,
				"the value of %s must be text (or {\"base64\": ...}) "
				"without NUL bytes",
				key);
		if (size > VALUE_MAX)
			return request_fail(r, FAIL_USAGE,
				"the value of %s has %zu bytes; at most %zu are possible",
				key, size, VALUE_MAX);
	}
	return 0;
}

static int check_unset(struct request *r)
{
	json_t *v;
	size_t i;

	json_array_foreach (request_json(r, "unset"), i, v) {
		const char *key = json_string_value(v);

		if (!key || !name_key_valid(key))
			return request_fail(
				r, FAIL_USAGE, "unset must be a list of config names");
		if (json_object_get(request_json(r, "set"), key))
			return request_fail(
				r, FAIL_USAGE, "%s is both set and unset", key);
	}
	return 0;
}

static size_t total_size(const json_t *config)
{
	size_t total = 0, size = 0;
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)config, key, v) {
		if (value_size(v, &size) == 0)
			total += strlen(key) + size + 2;
	}
	return total;
}

/* Changes config in place; what differed before goes to undo (JSON null: was absent).
 * True when anything did. */
static bool merge(json_t *config, json_t *set, json_t *unset, json_t *undo)
{
	const char *key;
	json_t *v;
	size_t i;

	json_object_foreach (set, key, v) {
		json_t *old = json_object_get(config, key);

		if (old && json_equal(old, v))
			continue;
		json_object_set_new(undo, key, old ? json_incref(old) : json_null());
		json_object_set(config, key, v);
	}
	json_array_foreach (unset, i, v) {
		json_t *old = json_object_get(config, json_string_value(v));

		if (!old)
			continue;
		json_object_set(undo, json_string_value(v), old);
		json_object_del(config, json_string_value(v));
	}
	return json_object_size(undo) > 0;
}

int config_check(struct request *r)
{
	json_t *config = NULL;

	if (check_set(r) < 0 || check_unset(r) < 0)
		return -1;
	int n = db_config_get(r->c->db, r->app.id, &config);
	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	json_t *undo = json_object();
	merge(config, request_json(r, "set"), request_json(r, "unset"), undo);
	size_t total = total_size(config);
	json_decref(undo);
	json_decref(config);
	if (total > CONFIG_MAX)
		return request_fail(r, FAIL_USAGE,
			"the config would have %zu bytes in all; at most %zu are "
			"possible",
			total, CONFIG_MAX);
	return 0;
}

/* Reads, changes and writes in one transaction: two changes at once both count. *ret_undo
 * is empty without change. */
static int store(struct request *r, json_t *set, json_t *unset, json_t **ret_undo)
{
	json_t *config = NULL, *undo = json_object();
	int n = db_begin(r->c->db);

	if (n < 0) {
		json_decref(undo);
		return n;
	}
	n = db_config_get(r->c->db, r->app.id, &config);
	if (n == 0 && merge(config, set, unset, undo))
		n = db_config_put(r->c->db, r->app.id, config);
	json_decref(config);
	int ended = db_end(r->c->db, n == 0);
	if (n == 0)
		n = ended;
	if (n < 0)
		json_decref(undo);
	else
		*ret_undo = undo;
	return n;
}

/* Puts back what the change replaced, where nobody changed it again meanwhile. */
static void take_back(struct request *r, json_t *undo)
{
	json_t *config = NULL, *set = request_json(r, "set"), *old;
	const char *key;
	int n = db_begin(r->c->db);

	if (n < 0)
		return;
	n = db_config_get(r->c->db, r->app.id, &config);
	json_object_foreach (undo, key, old) {
		json_t *mine = json_object_get(set, key),
		       *now = json_object_get(config, key);

		if (mine ? !now || !json_equal(now, mine) : now != NULL)
			continue;
		if (json_is_null(old))
			json_object_del(config, key);
		else
			json_object_set(config, key, old);
	}
	if (n == 0)
		n = db_config_put(r->c->db, r->app.id, config);
	json_decref(config);
	db_end(r->c->db, n == 0);
}

/* "Set A, B; unset C": names only, values are nobody's business. */
static void describe(struct request *r, json_t *undo, char *out, size_t size)
{
	const char *key;
	json_t *old;
	size_t len = 0;

	for (int pass = 0; pass < 2; pass++) {
		bool first = true;

		json_object_foreach (undo, key, old) {
			bool is_set =
				json_object_get(request_json(r, "set"), key) != NULL;

			if (is_set != (pass == 0))
				continue;
			int n = snprintf(out + len, size - len, "%s%s",
				!first	    ? ", "
				: pass == 0 ? "Set "
				: len	    ? "; unset "
					    : "Unset ",
				key);
			if (n < 0 || (size_t)n >= size - len)
				return; /* cut: the list is long enough to be understood
					 */
			len += (size_t)n;
			first = false;
		}
	}
}

int config_change(struct request *r, struct sink *s, struct err *e)
{
	char description[200] = "";
	json_t *undo = NULL;
	int n = store(r, request_json(r, "set"), request_json(r, "unset"), &undo);

	if (n < 0)
		return err_sys(
			e, -n, "the config of %s could not be stored", r->app.name);
	if (!json_object_size(undo)) {
		sink_line(s, "no change");
	} else if (!request_bool(r, "restart", true)) {
		sink_line(s, "Config stored; it takes effect with the next release");
	} else if (!r->app.live_version) {
		sink_line(s, "Config stored; it takes effect with the first deploy");
	} else {
		describe(r, undo, description, sizeof(description));
		n = deploy_config(r->c, r->app.id, description, r->who.actor, s, e);
		if (n < 0)
			take_back(r, undo);
	}
	json_decref(undo);
	return n;
}
