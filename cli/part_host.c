/* Volumes and members. */
#include "cli/part.h"

#include <stdio.h>
#include <string.h>

static void volume_setting(
	struct part *p, const char *name, const char *key, const json_t *v)
{
	part_call(p, "POST",
		json_pack("{s:s, s:o}", "key", key, "value", json_string(out_value(v))),
		false, "/v1/volumes/%s/settings", api_word(name));
}

static void plan_volume(
	struct part *p, const char *name, const json_t *want, const json_t *have)
{
	json_t *size = json_object_get(want, "size"), *v;
	const char *key;

	if (!have) {
		part_note(p, "add", name, NULL, NULL, part_place(p, name, NULL));
		part_call(p, "POST",
			json_pack("{s:s, s:O*}", "name", name, "size",
				is_none(size) ? NULL : size),
			false, "/v1/volumes");
	}
	json_object_foreach ((json_t *)(uintptr_t)want, key, v) {
		bool is_size = strcmp(key, "size") == 0;
		json_t *old = json_object_get(have, key);
		char what[128];

		if (is_none(v) || (is_size && !have) || (old && json_equal(v, old)))
			continue;
		snprintf(what, sizeof(what), "%s %s", name, key);
		part_note(p, have ? "change" : "add", what, old, v,
			part_place(p, name, key));
		if (is_size)
			part_call(p, "POST", json_pack("{s:O}", "size", v), false,
				"/v1/volumes/%s/resize", api_word(name));
		else
			volume_setting(p, name, key, v);
	}
}

void plan_volumes(struct part *p, const json_t *want, const json_t *have)
{
	const char *name;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)want, name, v)
		plan_volume(p, name, v, json_object_get(have, name));
}

static void plan_keys(
	struct part *p, const char *name, const json_t *want, const json_t *have)
{
	json_t *v;
	bool surplus = false;
	size_t i;

	json_array_foreach (have, i, v)
		surplus |= p->prune && want && !list_holds(want, v);
	if (surplus) { /* there is no taking one alone */
		part_note(p, "remove", "keys that the file does not name", NULL, NULL,
			part_place(p, name, "keys"));
		part_call(p, "DELETE", NULL, false, "/v1/ssh-keys/%s", api_word(name));
	}
	json_array_foreach (want, i, v) {
		bool there = list_holds(have, v);
		char what[160];

		snprintf(what, sizeof(what), "%s key %.24s…", name, json_string_value(v));
		if (!there)
			part_note(
				p, "add", what, NULL, NULL, part_place(p, name, "keys"));
		if (!there || surplus)
			part_call(p, "POST",
				json_pack("{s:s, s:O}", "name", name, "key", v), false,
				"/v1/ssh-keys");
	}
}

static void plan_role(
	struct part *p, const char *name, const json_t *want, const json_t *have)
{
	json_t *to = json_object_get(want, "role"), *from = json_object_get(have, "role");

	if (!to || (is_none(to) ? is_none(from) : from && json_equal(from, to)))
		return;
	part_note(p,
		is_none(to)	? "remove"
		: is_none(from) ? "add"
				: "change",
		name, from, to, part_place(p, name, "role"));
	if (is_none(to))
		part_call(p, "DELETE", NULL, false, "/v1/access/%s", api_word(name));
	else
		part_call(p, "POST", json_pack("{s:s, s:O}", "member", name, "role", to),
			false, "/v1/access");
}

static void member_each(
	struct part *p, const char *name, json_t *from, json_t *to, void *arg)
{
	(void)arg;
	if (!to) {
		part_note(p, "remove", name, NULL, NULL, part_place(p, NULL, NULL));
		part_call(p, "DELETE", NULL, false, "/v1/members/%s", api_word(name));
		return;
	}
	if (!from) {
		part_note(p, "add", name, NULL, NULL, part_place(p, name, NULL));
		part_call(p, "POST", json_pack("{s:s}", "name", name), false,
			"/v1/members");
	}
	plan_keys(p, name, json_object_get(to, "keys"), json_object_get(from, "keys"));
	plan_role(p, name, to, from);
}

void plan_members(struct part *p, const json_t *want, const json_t *have)
{
	part_differ(p, want, have, member_each, NULL);
}
