/* Images on another base: layers are mounted, not copied, so it costs one small layer. */
#include "control/images/rebase.h"
#include "control/builds/key.h"
#include "control/builds/layers.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MERGED "/tmp/merged" /* buildpacks/image/image_steps.c reads them there */
#define OTHER "/tmp/other"

static uint64_t layer_at(const json_t *layers, size_t i)
{
	return (uint64_t)json_integer_value(json_array_get(layers, i));
}

static bool is_kind(struct control *c, uint64_t id, const char *kind)
{
	struct db_layer l;

	return db_layer_get(c->db, id, &l, NULL) == 0 && strcmp(l.kind, kind) == 0;
}

int rebase_base(
	struct control *c, const struct db_image *i, uint64_t *ret_id, json_t **ret_meta)
{
	struct db_layer l;
	json_t *meta = NULL;

	*ret_id = layer_at(i->layers, 0);
	if (db_layer_get(c->db, *ret_id, &l, &meta) < 0 || strcmp(l.kind, "stack") != 0) {
		json_decref(meta);
		return -ENOENT;
	}
	if (ret_meta)
		*ret_meta = meta;
	else
		json_decref(meta);
	return 0;
}

/* The layer that says what is installed. 1: none is needed. */
static int status_layer(struct control *c, const struct db_image *old, uint64_t base,
	uint64_t next, struct sink *s, uint64_t *ret, struct err *e)
{
	size_t n = json_array_size(old->layers);
	struct msg_mount mounts[2] = {
		{.id = MERGED_ID(1, n), .kind = MOUNT_MERGED, .path = MERGED},
		{.id = base, .kind = MOUNT_LAYER, .path = OTHER}};
	json_t *root = json_pack("[I]", (json_int_t)next), *said = NULL;
	struct step st = {.app = STEP_NO_APP,
		.command = "rebase",
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_NO_NET,
		.quick = true,
		.stdin_fd = -1,
		.layers = root,
		.others = old->layers,
		.mounts = mounts,
		.n_mounts = 2};
	char name[65];
	struct key k;

	key_begin(&k, "rebase-1");
	key_addu(&k, next);
	for (size_t i = 0; i < n; i++)
		key_addu(&k, layer_at(old->layers, i));
	key_end(&k, name);
	int r = n + 1 > PROTO_LAYERS_MAX
			? err_set(e, E2BIG, "more than %d layers", PROTO_LAYERS_MAX - 1)
			: layer_get(c, "rebase", name, 0, &st, s, ret, &said, e);
	const char *why = json_string_value(json_object_get(said, "hindrance"));
	if (r >= 0)
		r = why ? err_set(e, EEXIST, "%s", why)
			: json_is_true(json_object_get(said, "same"));
	json_decref(said);
	json_decref(root);
	return r;
}

int rebase_image(struct control *c, const struct db_image *old, uint64_t base,
	uint64_t next, struct sink *s, struct db_image *ret, struct err *e)
{
	uint64_t status = 0;
	int r = status_layer(c, old, base, next, s, &status, e);

	*ret = (struct db_image){0};
	if (r < 0)
		return r;
	*ret = *old;
	ret->id = 0;
	ret->layers = json_pack("[I]", (json_int_t)next);
	json_incref(ret->processes);
	json_incref(ret->env);
	json_incref(ret->checks);
	json_incref(ret->config);
	for (size_t i = 1; i < json_array_size(old->layers); i++)
		if (!is_kind(c, layer_at(old->layers, i), "rebase"))
			json_array_append(ret->layers, json_array_get(old->layers, i));
	if (r == 0)
		json_array_append_new(ret->layers, json_integer((json_int_t)status));
	return 0;
}
