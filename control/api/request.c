/* What every handler needs: failing with a good sentence, reading checked input,
 * answering. */
#include "control/api/request.h"
#include "control/nearest.h"
#include "lib/jtext.h"
#include "lib/stamp.h"
#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	unsigned int status;
	int exit;
	const char *code;
} kinds[FAIL_KINDS] = {
	[FAIL_USAGE] = {400, 2, "usage"},
	[FAIL_NO_APP] = {404, 20, "no-such-app"},
	[FAIL_MISSING] = {404, 1, "not-found"},
	[FAIL_METHOD] = {405, 2, "method"},
	[FAIL_CONFLICT] = {409, 1, "conflict"},
	[FAIL_LOCKED] = {409, 1, "locked"},
	[FAIL_FORBIDDEN] = {403, 1, "forbidden"},
	[FAIL_TOKEN] = {401, 1, "token"},
	[FAIL_BUSY] = {429, 1, "busy"},
	[FAIL_TOO_LARGE] = {413, 2, "too-large"},
	[FAIL_BERTH] = {500, 1, "internal"},
	[FAIL_START] = {500, 125, "start"},
};

/* JSON has no other text; what is quoted may be cut within a character, or hold any bytes. */
static void keep_utf8(char *text)
{
	size_t len = strlen(text), n;

	while ((n = jtext_utf8(text, len)) < len)
		memmove(text + n, text + n + 1, len-- - n);
}

int request_fail(struct request *r, enum fail kind, const char *fmt, ...)
{
	va_list ap;

	r->failure.set = true;
	r->failure.kind = kind;
	va_start(ap, fmt);
	vsnprintf(r->failure.text, sizeof(r->failure.text), fmt, ap);
	va_end(ap);
	keep_utf8(r->failure.text);
	return -1;
}

int request_hint(struct request *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->failure.hint, sizeof(r->failure.hint), fmt, ap);
	va_end(ap);
	keep_utf8(r->failure.hint);
	return -1;
}

int request_fail_db(struct request *r, int code, const char *what)
{
	if (code != -ENOSPC)
		return request_fail(r, FAIL_BERTH, "%s: the database refused: %s", what,
			strerror(-code));
	request_fail(r, FAIL_BERTH, "%s: the disk is full; nothing was changed", what);
	return request_hint(r, "free some space below the state folder, then try again");
}

int request_whole(struct request *r, const char *what,
	int (*change)(struct request *r, void *arg), void *arg)
{
	int n = db_begin(r->c->db);

	if (n < 0)
		return request_fail_db(r, n, what);
	int changed = change(r, arg);
	n = db_end(r->c->db, changed >= 0);
	return changed >= 0 && n < 0 ? request_fail_db(r, n, what) : changed;
}

int request_name(struct request *r, const char *noun, const char *name)
{
	if (name_valid(name))
		return 0;
	return request_fail(r, FAIL_USAGE,
		"\"%.80s\" is not a valid %s name: lower-case letters, digits and "
		"hyphens, beginning with a"
		" letter or digit, at most %d characters",
		name, noun, NAME_MAX_LEN);
}

/* A former name, to who may see the app. */
static bool hint_renamed(struct request *r, const char *name)
{
	struct db_app a;

	if (db_app_by_former_name(r->c->db, name, &a) < 0 ||
		access_role(&r->access, a.id) < ROLE_VIEW)
		return false;
	request_hint(r,
		"it is called %s now; in a checkout: git remote set-url berth "
		"berth@HOST:%s",
		a.name, a.name);
	return true;
}

static void hint_nearest(struct request *r, const char *name)
{
	struct db_app *apps autofree = NULL;
	int n = db_app_list(r->c->db, &apps);
	const char *best = NULL;
	unsigned int best_distance =
		3; /* two letters wrong is a slip, more is another name */

	for (int i = 0; i < n; i++) {
		unsigned int d = nearest_distance(name, apps[i].name);

		if (access_role(&r->access, apps[i].id) < ROLE_VIEW)
			continue;
		if (d < best_distance) {
			best = apps[i].name;
			best_distance = d;
		}
	}
	if (best)
		request_hint(r, "did you mean %s?", best);
	else if (n == 0)
		request_hint(r,
			"there are no apps yet; create one: berth apps:create %.63s",
			name);
	else
		request_hint(r, "list the apps: berth apps:list");
}

int request_app(struct request *r, const char *name, struct db_app *ret)
{
	if (request_name(r, "app", name) < 0)
		return -1;
	int n = db_app_by_name(r->c->db, name, ret);
	if (n == 0 && access_role(&r->access, ret->id) >= ROLE_VIEW)
		return 0;
	*ret = (struct db_app){0}; /* the audit trail of an unseen app stays clean */
	if (n < 0 && n != -ENOENT)
		return request_fail_db(r, n, name);
	request_fail(r, FAIL_NO_APP, "there is no app named %s", name);
	if (!hint_renamed(r, name))
		hint_nearest(r, name);
	return -1;
}

int request_unlocked(struct request *r, const struct db_app *app)
{
	if (app->removing)
		return request_fail(r, FAIL_CONFLICT, "%s is being destroyed", app->name);
	if (!app->locked)
		return 0;
	request_fail(r, FAIL_LOCKED, "%s is locked: it takes no new release", app->name);
	return request_hint(r, "unlock it: berth apps:unlock %s", app->name);
}

const char *request_query(struct request *r, const char *name)
{
	return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

int request_query_u64(struct request *r, const char *name, uint64_t min, uint64_t max,
	uint64_t fallback, uint64_t *ret)
{
	const char *text = request_query(r, name);

	*ret = fallback;
	if (!text || num_parse_u64(text, min, max, ret) == 0)
		return 0;
	return request_fail(r, FAIL_USAGE, "%s must be a whole number from %llu to %llu",
		name, (unsigned long long)min, (unsigned long long)max);
}

json_t *request_json(struct request *r, const char *name)
{
	json_t *v = json_object_get(r->body, name);

	return json_is_null(v) ? NULL : v;
}

const char *request_string(struct request *r, const char *name)
{
	return json_string_value(json_object_get(r->body, name));
}

bool request_bool(struct request *r, const char *name, bool fallback)
{
	json_t *v = request_json(r, name);

	return v ? json_is_true(v) : fallback;
}

int request_u64(struct request *r, const char *name, uint64_t min, uint64_t max,
	uint64_t fallback, uint64_t *ret)
{
	json_t *v = request_json(r, name);
	json_int_t n = json_integer_value(v);

	*ret = fallback;
	if (!v)
		return 0;
	if (n < 0 || (uint64_t)n < min || (uint64_t)n > max)
		return request_fail(r, FAIL_USAGE,
			"%s must be a whole number from %llu to %llu", name,
			(unsigned long long)min, (unsigned long long)max);
	*ret = (uint64_t)n;
	return 0;
}

int request_reply(struct request *r, unsigned int status, json_t *v)
{
	if (!v)
		return request_fail(r, FAIL_BERTH, "out of memory");
	json_decref(r->reply);
	r->reply = v;
	r->status = status;
	return 0;
}

static bool has_type(const json_t *v, enum field_type type)
{
	switch (type) {
	case FIELD_STRING:
		/* A NUL inside would cut the value silently wherever C strings are used.
		 */
		return json_is_string(v) &&
		       strlen(json_string_value(v)) == json_string_length(v);
	case FIELD_BOOL:
		return json_is_boolean(v);
	case FIELD_INT:
		return json_is_integer(v);
	case FIELD_OBJECT:
		return json_is_object(v);
	case FIELD_ARRAY:
		return json_is_array(v);
	}
	return false;
}

static const char *const type_names[] = {
	"text without NUL", "true or false", "a whole number", "an object", "a list"};

static const struct field *find_field(const struct field *f, const char *name)
{
	for (; f && f->name; f++) {
		if (strcmp(f->name, name) == 0)
			return f;
	}
	return NULL;
}

int request_check_body(struct request *r)
{
	const struct field *fields = r->route->fields;
	const char *name;
	json_t *v;

	if (r->route->flags & ROUTE_ANY_FIELD)
		return 0;
	json_object_foreach (r->body, name, v) {
		const struct field *f = find_field(fields, name);

		if (!f)
			return request_fail(
				r, FAIL_USAGE, "unknown field \"%.80s\"", name);
		if (!json_is_null(v) && !has_type(v, f->type))
			return request_fail(r, FAIL_USAGE, "%s must be %s", name,
				type_names[f->type]);
	}
	for (const struct field *f = fields; f && f->name; f++) {
		if (f->required && !request_json(r, f->name))
			return request_fail(r, FAIL_USAGE, "%s is missing", f->name);
	}
	return 0;
}

char *request_failure_text(const struct request *r, unsigned int *ret_status)
{
	const struct failure *f = &r->failure;
	json_t *o = json_pack("{s:{s:s, s:s, s:i}}", "error", "code", kinds[f->kind].code,
		"message", f->text, "exit", kinds[f->kind].exit);

	*ret_status = kinds[f->kind].status;
	if (f->hint[0])
		json_object_set_new(
			json_object_get(o, "error"), "hint", json_string(f->hint));
	char *text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

json_t *json_stamp(uint64_t time_us)
{
	char text[STAMP_SIZE];

	if (!time_us)
		return json_null();
	stamp_format(time_us, text);
	return json_string(text);
}
