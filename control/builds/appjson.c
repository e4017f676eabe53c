/* app.json: a table of all keys, where a mistake stands. */
#include "control/builds/appjson.h"
#include "control/cron/cron_task.h"
#include "control/member.h"
#include "lib/jtext.h"
#include "lib/name.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* ---- the keys ---- */

enum type { TEXT = 1, NUMBER = 2, FLAG = 4, OBJECT = 8, LIST = 16 };

/* * is any key, [] the items of a list. What has no row is not known. */
static const struct key {
	const char *path;
	unsigned int types;
	json_int_t min, max;
	const char *unused; /* it is taken, and does nothing: why */
} keys[] = {
	{"name", TEXT, 0, 0, NULL},
	{"description", TEXT, 0, 0, NULL},
	{"keywords", LIST, 0, 0, NULL},
	{"keywords[]", TEXT, 0, 0, NULL},
	{"website", TEXT, 0, 0, NULL},
	{"repository", TEXT, 0, 0, NULL},
	{"logo", TEXT, 0, 0, NULL},
	{"success_url", TEXT, 0, 0, NULL},
	{"image", TEXT, 0, 0, "the buildpack or Dockerfile decides"},
	{"stack", TEXT, 0, 0, "all apps are on the host's base image"},
	{"addons", LIST, 0, 0, "berth has no add-ons"},
	{"environments", OBJECT, 0, 0, "berth has no pipelines"},
	{"env", OBJECT, 0, 0, NULL},
	{"env.*", TEXT | OBJECT, 0, 0, NULL},
	{"env.*.value", TEXT, 0, 0, NULL},
	{"env.*.description", TEXT, 0, 0, NULL},
	{"env.*.required", FLAG, 0, 0, NULL},
	{"env.*.generator", TEXT, 0, 0, NULL},
	{"env.*.sync", FLAG, 0, 0, NULL},
	{"formation", OBJECT, 0, 0, NULL},
	{"formation.*", OBJECT, 0, 0, NULL},
	{"formation.*.quantity", NUMBER, 0, FORMATION_MAX, NULL},
	{"formation.*.max_parallel", NUMBER, 1, FORMATION_MAX, NULL},
	{"formation.*.size", TEXT, 0, 0, "set limits with resource:limit"},
	{"formation.*.autoscaling", OBJECT, 0, 0, "berth does not scale by itself"},
	{"formation.*.service", OBJECT, 0, 0,
		"other types are reached as network:allow says"},
	{"healthchecks", OBJECT, 0, 0, NULL},
	{"healthchecks.*", LIST, 0, 0, NULL},
	{"healthchecks.*[]", OBJECT, 0, 0, NULL},
	{"healthchecks.*[].type", TEXT, 0, 0, NULL},
	{"healthchecks.*[].name", TEXT, 0, 0, NULL},
	{"healthchecks.*[].description", TEXT, 0, 0, NULL},
	{"healthchecks.*[].path", TEXT, 0, 0, NULL},
	{"healthchecks.*[].port", NUMBER, 1, 65535, NULL},
	{"healthchecks.*[].content", TEXT, 0, 0, NULL},
	{"healthchecks.*[].command", LIST, 0, 0, NULL},
	{"healthchecks.*[].command[]", TEXT, 0, 0, NULL},
	{"healthchecks.*[].attempts", NUMBER, 1, HEALTH_ATTEMPTS_MAX, NULL},
	{"healthchecks.*[].wait", NUMBER, 0, HEALTH_WAIT_MAX, NULL},
	{"healthchecks.*[].timeout", NUMBER, 1, HEALTH_WAIT_MAX, NULL},
	{"healthchecks.*[].initialDelay", NUMBER, 0, HEALTH_WAIT_MAX, NULL},
	{"healthchecks.*[].listening", FLAG, 0, 0, "a web process must listen anyway"},
	{"healthchecks.*[].uptime", NUMBER, 0, HEALTH_WAIT_MAX,
		"berth waits for no fixed time; initialDelay does"},
	{"healthchecks.*[].scheme", TEXT, 0, 0, "checks are asked over http"},
	{"healthchecks.*[].warn", FLAG, 0, 0, "a check that fails counts"},
	{"healthchecks.*[].httpHeaders", LIST, 0, 0, "checks send none"},
	{"healthchecks.*[].onFailure", OBJECT, 0, 0, "failures are events"},
	{"cron", LIST, 0, 0, NULL},
	{"cron[]", OBJECT, 0, 0, NULL},
	{"cron[].command", TEXT, 0, 0, NULL},
	{"cron[].schedule", TEXT, 0, 0, NULL},
	{"cron[].concurrency_policy", TEXT, 0, 0, NULL},
	{"cron[].maintenance", FLAG, 0, 0, NULL},
	{"cron[].suspend", FLAG, 0, 0, NULL},
	{"cron[].timeout", TEXT | NUMBER, 1, CRON_TIMEOUT_MAX_S, NULL},
	{"scripts", OBJECT, 0, 0, NULL},
	{"scripts.predeploy", TEXT, 0, 0, NULL},
	{"scripts.postdeploy", TEXT, 0, 0, NULL},
	{"scripts.test", TEXT, 0, 0, "berth runs no tests"},
	{"scripts.test-setup", TEXT, 0, 0, "berth runs no tests"},
	{"scripts.pr-predestroy", TEXT, 0, 0, "it is not run"},
	{"scripts.dokku", OBJECT, 0, 0, NULL},
	{"scripts.dokku.predeploy", TEXT, 0, 0, NULL},
	{"scripts.dokku.postdeploy", TEXT, 0, 0, NULL},
	{"buildpacks", LIST, 0, 0, NULL},
	{"buildpacks[]", OBJECT, 0, 0, NULL},
	{"buildpacks[].url", TEXT, 0, 0, NULL},
};

static const struct key *find_key(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(keys[i].path, path) == 0)
			return &keys[i];
	return NULL;
}

static unsigned int type_of(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_STRING:
		return TEXT;
	case JSON_INTEGER:
		return NUMBER;
	case JSON_TRUE:
	case JSON_FALSE:
		return FLAG;
	case JSON_OBJECT:
		return OBJECT;
	case JSON_ARRAY:
		return LIST;
	case JSON_REAL:
	case JSON_NULL:
		break;
	}
	return 0;
}

static void type_names(unsigned int types, char *out, size_t size)
{
	static const char *const names[] = {"text", "a whole number", "true or false",
		"an object {...}", "a list [...]"};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) && n < size; i++)
		if (types >> i & 1)
			n += (size_t)snprintf(
				out + n, size - n, "%s%s", n ? " or " : "", names[i]);
}

/* ---- where something stands ---- */

#define DEPTH_MAX 6

struct place {
	const char *key; /* NULL: the index counts */
	size_t index;
};

struct walk {
	const char *text;
	json_t *warnings;
	struct err *e;
	struct place at[DEPTH_MAX];
	unsigned int depth;
};

static const char *skip_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static const char *skip_string(const char *p)
{
	for (p++; *p && *p != '"'; p++)
		if (*p == '\\' && p[1])
			p++;
	return *p ? p + 1 : p;
}

/* Of a text that was parsed already: to behind the value. */
static const char *skip_value(const char *p)
{
	int depth = 0;

	do {
		if (*p == '"') {
			p = skip_string(p);
		} else {
			depth += *p == '{' || *p == '[';
			depth -= *p == '}' || *p == ']';
			p++;
		}
	} while (*p && (depth > 0 || !strchr(",]} \t\r\n", *p)));
	return p;
}

/* The member of the object or list at p; NULL: not found, as when its name is written with escapes. */
static const char *enter(const char *p, const struct place *want)
{
	size_t i = 0, len = want->key ? strlen(want->key) : 0;

	for (p = skip_space(p + 1); *p && *p != '}' && *p != ']'; i++) {
		bool found = !want->key && i == want->index;

		if (want->key) {
			found = *p == '"' && strncmp(p + 1, want->key, len) == 0 &&
				p[len + 1] == '"';
			p = skip_space(skip_string(p));
			p = skip_space(p + (*p == ':'));
		}
		if (found)
			return p;
		p = skip_space(skip_value(p));
		p = skip_space(p + (*p == ','));
	}
	return NULL;
}

static void position(const struct walk *w, int *ret_line, int *ret_column)
{
	const char *p = skip_space(w->text), *next;

	for (unsigned int i = 0; i < w->depth && (next = enter(p, &w->at[i])); i++)
		p = next;
	*ret_line = *ret_column = 1;
	for (const char *c = w->text; c < p; c++) {
		*ret_column = *c == '\n' ? 1 : *ret_column + 1;
		*ret_line += *c == '\n';
	}
}

/* Bytes of a name that are shown: no half character. */
static int shown(const char *key)
{
	return (int)jtext_utf8(key, strnlen(key, 60));
}

/* "formation.web.quantity", "cron[1].schedule"; pattern: "formation.*.quantity". */
static void path_of(const struct walk *w, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (unsigned int i = 0; i < w->depth && n < size; i++)
		n += (size_t)(w->at[i].key ? snprintf(out + n, size - n, "%s%.*s",
						     n ? "." : "", shown(w->at[i].key),
						     w->at[i].key)
					   : snprintf(out + n, size - n, "[%zu]",
						     w->at[i].index));
}

static int wrong(struct walk *w, const char *fmt, ...) PRINTF(2, 3);
static int wrong(struct walk *w, const char *fmt, ...)
{
	char path[256], why[512];
	int line, column;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	path_of(w, path, sizeof(path));
	position(w, &line, &column);
	return err_set(w->e, EINVAL, "app.json line %d, column %d: %s%s%s", line, column,
		path, path[0] ? " " : "", why);
}

static void warn(struct walk *w, const char *what)
{
	char path[256];
	int line, column;

	path_of(w, path, sizeof(path));
	position(w, &line, &column);
	if (w->warnings)
		json_array_append_new(w->warnings,
			json_sprintf("app.json line %d: %s %s", line, path, what));
}

/* ---- the walk ---- */

static int check_value(struct walk *w, const json_t *v, const struct key *k)
{
	char types[96];

	if (!(type_of(v) & k->types)) {
		type_names(k->types, types, sizeof(types));
		return wrong(w, "is not %s", types);
	}
	if (json_is_string(v) && strlen(json_string_value(v)) != json_string_length(v))
		return wrong(w, "holds a NUL character");
	if (json_is_integer(v) &&
		(json_integer_value(v) < k->min || json_integer_value(v) > k->max))
		return wrong(w, "is no number from %lld to %lld", (long long)k->min,
			(long long)k->max);
	return 0;
}

static int walk(struct walk *w, const json_t *v, const char *pattern);

/* The row of a member: of its own name, else of any. */
static const struct key *key_of(const char *pattern, const char *name, char out[128])
{
	snprintf(out, 128, "%.64s%s%.40s", pattern, *pattern ? "." : "", name);
	const struct key *k = strpbrk(name, ".[*") ? NULL : find_key(out);
	if (k)
		return k;
	snprintf(out, 128, "%.64s%s*", pattern, *pattern ? "." : "");
	return find_key(out);
}

static int step(struct walk *w, const json_t *v, const struct key *k, struct place at)
{
	w->at[w->depth++] = at;
	int r = 0;
	if (!k) {
		warn(w, "is not known: passed over");
	} else {
		r = check_value(w, v, k);
		if (r == 0 && k->unused) {
			char why[160];

			snprintf(why, sizeof(why), "is not used: %s", k->unused);
			warn(w, why);
		} else if (r == 0) {
			r = walk(w, v, k->path);
		}
	}
	w->depth--;
	return r;
}

/* As deep as the table is: four levels. */
static int walk(struct walk *w, const json_t *v, const char *pattern)
{
	char path[128];
	const char *name;
	json_t *item;
	size_t i;
	int r = 0;

	if (json_is_object(v)) {
		json_object_foreach ((json_t *)(uintptr_t)v, name, item)
			if (r == 0)
				r = step(w, item, key_of(pattern, name, path),
					(struct place){name, 0});
	} else if (json_is_array(v)) {
		snprintf(path, sizeof(path), "%.64s[]", pattern);
		json_array_foreach (v, i, item)
			if (r == 0)
				r = step(
					w, item, find_key(path), (struct place){NULL, i});
	}
	return r;
}

/* ---- what a table does not say ---- */

/* With the place below the one where the walk is. */
static int wrong_at(struct walk *w, struct place at, const char *why)
{
	w->at[w->depth++] = at;
	int r = wrong(w, "%s", why);
	w->depth--;
	return r;
}
#define KEY(k)                                                                           \
	(struct place)                                                                   \
	{                                                                                \
		k, 0                                                                     \
	}

static bool is_one_of(const json_t *v, const char *const *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!v || strcmp(json_string_value(v), words[i]) == 0)
			return true;
	return false;
}

/* Only web listens where berth knows it, and only web waits for its checks before it gets requests. */
static int check_other_type(struct walk *w, const json_t *check)
{
	const char *type = json_string_value(json_object_get(check, "type"));

	if (!type || strcmp(type, "liveness") != 0)
		warn(w, "is not used: startup checks are for web");
	else if (!json_object_get(check, "command") && !json_object_get(check, "port"))
		return wrong(
			w, "has neither a command nor a port: only web listens on PORT");
	return 0;
}

/* A path goes into a request line as it is. */
static int check_health(struct walk *w, const json_t *check, bool web)
{
	static const char *const types[] = {"startup", "liveness", "readiness"};
	const char *path = json_string_value(json_object_get(check, "path"));
	const json_t *command = json_object_get(check, "command"),
		     *type = json_object_get(check, "type");

	if (!is_one_of(type, types, ARRAY_LEN(types)))
		return wrong_at(w, KEY("type"), "is none of startup, liveness");
	if (type && strcmp(json_string_value(type), "readiness") == 0)
		warn(w, "is not used: an instance that does not answer is known to the "
			"router");
	if (path && (path[0] != '/' || strlen(path) > 255 || strpbrk(path, " \t\r\n")))
		return wrong_at(w, KEY("path"),
			"is no path that begins with / and holds no blank");
	if (command && (path || !json_array_size(command)))
		return wrong_at(w, KEY("command"),
			path ? "stands beside path: a check has one of them"
			     : "is empty");
	if (json_object_get(check, "content") && !path)
		return wrong_at(w, KEY("content"), "stands without path");
	return web ? 0 : check_other_type(w, check);
}

static int check_healthchecks(struct walk *w, const json_t *all)
{
	const char *type;
	json_t *checks, *check;
	size_t i;
	int r = 0;

	w->at[w->depth++] = KEY("healthchecks");
	json_object_foreach ((json_t *)(uintptr_t)all, type, checks) {
		w->at[w->depth++] = KEY(type);
		if (r == 0 && json_array_size(checks) > HEALTH_CHECKS_MAX)
			r = wrong(w, "has more than %u checks", HEALTH_CHECKS_MAX);
		json_array_foreach (checks, i, check) {
			w->at[w->depth++] = (struct place){NULL, i};
			if (r == 0)
				r = check_health(w, check, strcmp(type, "web") == 0);
			w->depth--;
		}
		w->depth--;
	}
	w->depth--;
	return r;
}

static int check_cron(struct walk *w, const json_t *list)
{
	char ids[CRON_TASKS_MAX][DB_CRON_ID];
	json_t *row;
	size_t i;
	int r = 0;

	w->at[w->depth++] = KEY("cron");
	if (json_array_size(list) > CRON_TASKS_MAX)
		r = wrong(w, "has more than %u tasks", CRON_TASKS_MAX);
	json_array_foreach (list, i, row) {
		struct cron_task t;
		struct err why = {0};

		if (r < 0)
			break;
		w->at[w->depth++] = (struct place){NULL, i};
		if (cron_task_read(row, &t, &why) < 0)
			r = wrong(w, "%s", why.text);
		for (size_t k = 0; r == 0 && k < i; k++)
			if (strcmp(ids[k], t.id) == 0)
				r = wrong(w, "is the same as cron[%zu]", k);
		if (r == 0)
			memcpy(ids[i], t.id, DB_CRON_ID);
		w->depth--;
	}
	w->depth--;
	return r;
}

static int check_variable(struct walk *w, const char *name, const json_t *v)
{
	static const char *const generators[] = {"secret"};

	if (!name_key_valid(name) || strcmp(name, "PORT") == 0)
		return wrong(w, "is no name of a config variable that can be set");
	if (json_is_object(v) && !is_one_of(json_object_get(v, "generator"), generators,
					 ARRAY_LEN(generators)))
		return wrong_at(
			w, KEY("generator"), "is not secret, the only one there is");
	return 0;
}

static int check_env(struct walk *w, const json_t *env)
{
	const char *name;
	json_t *v;
	int r = 0;

	w->at[w->depth++] = KEY("env");
	json_object_foreach ((json_t *)(uintptr_t)env, name, v) {
		w->at[w->depth++] = KEY(name);
		if (r == 0)
			r = check_variable(w, name, v);
		w->depth--;
	}
	w->depth--;
	return r;
}

static int check_formation(struct walk *w, const json_t *formation)
{
	const char *type;
	json_t *row;
	int r = 0;

	w->at[w->depth++] = KEY("formation");
	json_object_foreach ((json_t *)(uintptr_t)formation, type, row) {
		if (r == 0 && !name_type_valid(type))
			r = wrong_at(w, KEY(type), "is no process type");
	}
	w->depth--;
	return r;
}

static int check_all(struct walk *w, const json_t *o)
{
	int r = walk(w, o, "");

	if (r == 0)
		r = check_env(w, json_object_get(o, "env"));
	if (r == 0)
		r = check_formation(w, json_object_get(o, "formation"));
	if (r == 0)
		r = check_healthchecks(w, json_object_get(o, "healthchecks"));
	if (r == 0)
		r = check_cron(w, json_object_get(o, "cron"));
	return r;
}

int appjson_parse(const char *text, json_t **ret, json_t *warnings, struct err *e)
{
	char *copy autofree = strdup(text);
	json_error_t je;

	if (!copy)
		return err_set(e, ENOMEM, "out of memory");
	jtext_blank_comments(copy);
	json_t *o = json_loads(copy, JSON_REJECT_DUPLICATES, &je);
	if (!o)
		return err_set(e, EINVAL, "app.json line %d, column %d: %s", je.line,
			je.column, je.text);
	struct walk w = {.text = copy, .warnings = warnings, .e = e};
	int r = json_is_object(o) ? check_all(&w, o)
				  : err_set(e, EINVAL, "app.json is not an object");
	if (r < 0) {
		json_decref(o);
		return r;
	}
	*ret = o;
	return 0;
}

/* ---- env ---- */

/* As Heroku's: 32 bytes in hex. */
static json_t *make_secret(void)
{
	uint8_t bytes[32];
	char text[65];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return NULL;
	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(text + i * 2, 3, "%02x", bytes[i]);
	return json_string(text);
}

/* The value that the variable gets now, or NULL: as it is. */
static json_t *value_now(const json_t *v, bool first, const json_t *before)
{
	const json_t *value = json_is_string(v) ? v : json_object_get(v, "value");
	bool sync = json_is_true(json_object_get(v, "sync"));

	if (value && (sync || (first && !before)))
		return json_equal(value, before) ? NULL
						 : json_string(json_string_value(value));
	if (!value && !before && json_object_get(v, "generator"))
		return make_secret();
	return NULL;
}

int appjson_env(const json_t *app_json, bool first, json_t *config, json_t **ret_set,
	struct err *e)
{
	autobuf missing = BUF_INIT;
	const char *name;
	json_t *v;

	*ret_set = json_array();
	json_object_foreach (json_object_get(app_json, "env"), name, v) {
		json_t *now = value_now(v, first, json_object_get(config, name));

		if (now) {
			json_object_set_new(config, name, now);
			json_array_append_new(*ret_set, json_string(name));
		}
		if (json_is_true(json_object_get(v, "required")) &&
			!json_object_get(config, name))
			buf_addf(&missing, "%s%s", missing.len ? ", " : "", name);
	}
	if (!missing.len)
		return 0;
	json_decref(*ret_set);
	*ret_set = NULL;
	return err_set(e, ENOKEY, "%s", missing.data);
}

/* ---- scripts ---- */

const char *appjson_script(const json_t *app_json, enum script which)
{
	const json_t *scripts = json_object_get(app_json, "scripts"),
		     *dokku = json_object_get(scripts, "dokku");
	const json_t *found = NULL;

	switch (which) {
	case SCRIPT_PREDEPLOY:
		found = json_object_get(dokku, "predeploy");
		found = found ? found : json_object_get(scripts, "predeploy");
		break;
	case SCRIPT_POSTDEPLOY:
		found = json_object_get(dokku, "postdeploy");
		break;
	case SCRIPT_FIRST:
		found = json_object_get(scripts, "postdeploy");
		break;
	}
	const char *text = json_string_value(found);
	return text && *text ? text : NULL;
}
