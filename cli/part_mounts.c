/* Where an app has volumes. */
#include "cli/part.h"

#include <stdio.h>
#include <string.h>

static void unmount(struct part *p, const char *path, const json_t *mount)
{
	part_call(p, "POST",
		json_pack("{s:s, s:s, s:b}", "app", p->app, "path", path, "restart", 0),
		true, "/v1/volumes/%s/unmount", api_word(out_member(mount, "volume")));
}

static void mount(struct part *p, const char *path, const json_t *to)
{
	json_t *type = json_object_get(to, "process-type");

	part_call(p, "POST",
		json_pack("{s:s, s:s, s:b, s:O*, s:b}", "app", p->app, "path", path,
			"read_only", json_is_true(json_object_get(to, "read-only")),
			"process_type", type, "restart", 0),
		true, "/v1/volumes/%s/mount", api_word(out_member(to, "volume")));
}

/* A volume is at one place of an app: from one that the file does not speak of it has to go. */
static void leave_other_place(struct part *p, const char *path, const json_t *to,
	const json_t *want, const json_t *have)
{
	const char *other;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)have, other, v) {
		if (json_object_get(want, other) ||
			!json_equal(json_object_get(v, "volume"),
				json_object_get(to, "volume")))
			continue;
		part_note(p, "remove", other, NULL, NULL, part_place(p, path, NULL));
		unmount(p, other, v);
	}
}

static bool is_moved(const json_t *want, const char *path, const json_t *from)
{
	const char *other;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)want, other, v)
		if (strcmp(other, path) != 0 && !is_none(v) &&
			json_equal(json_object_get(v, "volume"),
				json_object_get(from, "volume")))
			return true;
	return false;
}

/* What goes is called first: a volume can be mounted again only then. */
void plan_mounts(struct part *p, const json_t *want, const json_t *have)
{
	const char *path;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)have, path, v) {
		json_t *to = json_object_get(want, path);

		if (!(to ? !json_equal(to, v) : p->prune && !is_moved(want, path, v)))
			continue;
		if (is_none(to))
			part_note(p, "remove", path, json_object_get(v, "volume"), NULL,
				part_place(p, path, NULL));
		unmount(p, path, v);
	}
	json_object_foreach ((json_t *)(uintptr_t)want, path, v) {
		json_t *from = json_object_get(have, path);

		if (is_none(v) || (from && json_equal(from, v)))
			continue;
		leave_other_place(p, path, v, want, have);
		part_note(p, from ? "change" : "add", path,
			json_object_get(from, "volume"), json_object_get(v, "volume"),
			part_place(p, path, NULL));
		mount(p, path, v);
	}
}
