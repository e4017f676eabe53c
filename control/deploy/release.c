/* A release and its image as something that runs them needs it. */
#include "control/deploy/release.h"
#include <errno.h>

static int layers_there(
	struct control *c, const struct db_image *image, uint32_t version, struct err *e)
{
	const json_t *id;
	struct db_layer l;
	size_t i;

	json_array_foreach (image->layers, i, id) {
		if (db_layer_get(c->db, (uint64_t)json_integer_value(id), &l, NULL) == 0)
			continue;
		uint64_t kept = DB_RELEASES_KEPT;
		db_releases_kept(c->db, image->app, &kept);
		return err_set(e, ENOENT,
			"the image of v%u is no longer kept (the newest %llu are); push "
			"its commit %.7s again",
			version, (unsigned long long)kept, image->commit);
	}
	return 0;
}

int release_load(struct control *c, const struct db_app *app, uint32_t version,
	struct db_release *rel, struct db_image *image, struct err *e)
{
	int r = db_release_get(c->db, app->id, version, rel);

	if (r == -ENOENT && version)
		return err_set(e, ENOENT,
			"%s has no release v%u; `berth releases %s` lists them",
			app->name, version, app->name);
	if (r == 0)
		r = db_image_get(c->db, rel->image, image);
	return r < 0 ? err_sys(e, -r, "read the release")
		     : layers_there(c, image, rel->version, e);
}
