/* Sections that are objects, and those that say yes or no. */
#include "cli/part.h"

#include <stdio.h>
#include <string.h>

static void config_each(
	struct part *p, const char *key, json_t *from, json_t *to, void *body)
{
	part_note(p, part_kind(from, to), key, NULL, NULL, part_place(p, key, NULL));
	if (to)
		json_object_set(json_object_get(body, "set"), key, to);
	else
		json_array_append_new(json_object_get(body, "unset"), json_string(key));
}

void plan_config(struct part *p, const json_t *want, const json_t *have)
{
	json_t *body = json_pack("{s:{}, s:[], s:b}", "set", "unset", "restart", 1);

	part_differ(p, want, have, config_each, body);
	part_call(p, "PATCH", body, true, "config");
}

struct topic {
	const char *name;
	json_t *body;
};

static bool same_user(const json_t *from, const json_t *to)
{
	const char *kept = json_string_value(from), *given = json_string_value(to);
	size_t len = kept ? strlen(kept) : 0;

	return kept && given && strncmp(kept, given, len) == 0 && given[len] == ':';
}

static void setting_each(
	struct part *p, const char *key, json_t *from, json_t *to, void *arg)
{
	const struct topic *t = arg;
	bool secret = strcmp(key, "auth") == 0 || strncmp(key, "build-arg.", 10) == 0;
	char what[128];

	/* Of a password the API tells nothing: its user is what can be compared. */
	if (strcmp(key, "auth") == 0 && same_user(from, to))
		return;
	snprintf(what, sizeof(what), "%s %s", t->name, key);
	part_note(p, part_kind(from, to), what, secret ? NULL : from, secret ? NULL : to,
		part_place(p, t->name, key));
	json_object_set(t->body, key, to ? to : json_null());
}

void plan_settings(struct part *p, const json_t *want, const json_t *have)
{
	json_t *topics = json_object(), *v;
	const char *name;

	json_object_update(topics, (json_t *)(uintptr_t)want);
	if (p->prune)
		json_object_update(topics, (json_t *)(uintptr_t)have);
	json_object_foreach (topics, name, v) {
		struct topic t = {.name = name, .body = json_object()};

		part_differ(p, json_object_get(want, name), json_object_get(have, name),
			setting_each, &t);
		if (json_object_size(t.body))
			part_call(p, "PUT", json_incref(t.body), false,
				p->app ? "settings/%s" : "/v1/settings/%s",
				api_word(name));
		json_decref(t.body);
	}
	json_decref(topics);
}

/* "1.5" of processors, "256M", or a count. */
static json_t *limit_text(const char *key, const json_t *v)
{
	if (is_none(v))
		return NULL;
	if (strcmp(key, "cpu") == 0)
		return json_sprintf("%g", (double)json_integer_value(v) / 1000);
	return json_string(strcmp(key, "pids") == 0 || strcmp(key, "nofile") == 0
				   ? out_value(v)
				   : out_size(v));
}

static void limit_each(
	struct part *p, const char *key, json_t *from, json_t *to, void *arg)
{
	const struct topic *t = arg;
	json_t *was = limit_text(key, from), *is = limit_text(key, to);
	char what[128], field[32];

	snprintf(what, sizeof(what), "%s %s", t->name, key);
	part_note(p, part_kind(from, to), what, was, is, part_place(p, t->name, key));
	json_decref(was);
	json_decref(is);
	snprintf(field, sizeof(field), "%s", key);
	for (char *s = field; *s; s++)
		*s = *s == '-' ? '_' : *s;
	json_object_set_new(t->body, field, to ? json_incref(to) : json_integer(0));
}

void plan_resources(struct part *p, const json_t *want, const json_t *have)
{
	json_t *types = json_object(), *v;
	const char *type;

	json_object_update(types, (json_t *)(uintptr_t)want);
	if (p->prune)
		json_object_update(types, (json_t *)(uintptr_t)have);
	json_object_foreach (types, type, v) {
		struct topic t = {.name = type, .body = json_object()};

		part_differ(p, json_object_get(want, type), json_object_get(have, type),
			limit_each, &t);
		if (json_object_size(t.body)) {
			if (strcmp(type, "*") != 0)
				json_object_set_new(t.body, "process", json_string(type));
			part_call(p, "PUT", json_incref(t.body), true, "resources");
		}
		json_decref(t.body);
	}
	json_decref(types);
}

static void quantity_each(
	struct part *p, const char *type, json_t *from, json_t *to, void *formation)
{
	/* What is not named any more is as many as of a new app. */
	json_t *least = json_integer(strcmp(type, "web") == 0);

	if (to || !json_equal(from, least)) {
		part_note(p, part_kind(from, to), type, from, to,
			part_place(p, type, NULL));
		json_object_set(formation, type, to ? to : least);
	}
	json_decref(least);
}

void plan_formation(struct part *p, const json_t *want, const json_t *have)
{
	json_t *formation = json_object();

	part_differ(p, want, have, quantity_each, formation);
	part_call(p, "POST", json_pack("{s:o}", "formation", formation), true, "scale");
}

static void access_each(
	struct part *p, const char *member, json_t *from, json_t *to, void *arg)
{
	(void)arg;
	part_note(p, part_kind(from, to), member, from, to, part_place(p, member, NULL));
	if (to)
		part_call(p, "POST",
			json_pack("{s:s, s:O}", "member", member, "role", to), false,
			"access");
	else
		part_call(p, "DELETE", NULL, false, "access/%s", api_word(member));
}

void plan_access(struct part *p, const json_t *want, const json_t *have)
{
	part_differ(p, want, have, access_each, NULL);
}

/* ---- yes or no ---- */

static void plan_flag(struct part *p, const json_t *want, const json_t *have,
	const char *on, const char *off, bool stream)
{
	if (json_is_true(want) == json_is_true(have))
		return;
	part_note(p, "change", json_is_true(want) ? "on" : "off", NULL, NULL,
		part_place(p, NULL, NULL));
	part_call(p, "POST", NULL, stream && json_is_true(want), "%s",
		json_is_true(want) ? on : off);
}

void plan_tls(struct part *p, const json_t *want, const json_t *have)
{
	plan_flag(p, want, have, "tls/enable", "tls/disable", true);
}

void plan_locked(struct part *p, const json_t *want, const json_t *have)
{
	plan_flag(p, want, have, "lock", "unlock", false);
}
