/* Layers by key: found, or made by a step. */
#include "control/builds/layers.h"
#include "control/engine.h"
#include <errno.h>

void layer_drop(struct control *c, uint64_t id)
{
	struct msg_layer l = {.id = id};

	engine_call(c->engine, MSG_LAYER_REMOVE, &l, sizeof(l), NULL, 0, NULL);
	db_layer_delete(c->db, id);
}

/* Two builds may have made the same layer: the first one's is used, with what was said of it: 1. */
static int record(struct control *c, const char *kind, const char *key, json_t **meta,
	uint64_t *id, struct err *e)
{
	int r = db_layer_ready(c->db, *id, *meta, 0);

	if (r != -EEXIST)
		return r < 0 ? err_sys(e, -r, "record the finished layer") : 0;
	layer_drop(c, *id);
	json_decref(*meta);
	*meta = NULL;
	r = db_layer_find(c->db, kind, key, id, meta);
	return r < 0 ? err_sys(e, -r, "look for a layer") : 1;
}

int layer_get(struct control *c, const char *kind, const char *key, uint32_t owner,
	struct step *st, struct sink *s, uint64_t *ret_id, json_t **ret_meta,
	struct err *e)
{
	json_t *said = NULL;
	int r = db_layer_find(c->db, kind, key, ret_id, ret_meta);

	if (r != -ENOENT)
		return r < 0 ? err_sys(e, -r, "look for a layer") : 1;
	r = db_layer_begin(c->db, kind, key, owner, ret_id);
	if (r < 0)
		return err_sys(e, -r, "record a layer");
	st->upper = *ret_id;
	r = step_run(c, st, s, &said, e);
	if (r < 0) {
		db_layer_delete(c->db, *ret_id);
		return r;
	}
	if (st->note && said)
		st->note(st->feed_arg, said);
	r = record(c, kind, key, &said, ret_id, e);
	if (r >= 0 && ret_meta)
		*ret_meta = TAKE_PTR(said);
	json_decref(said);
	return r;
}
