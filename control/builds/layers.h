/* Layers by key: found, or made by a step. */
#ifndef CONTROL_LAYERS_H
#define CONTROL_LAYERS_H

#include "control/builds/step.h"

/*
 * The layer of kind and key in *ret_id, and in *ret_meta (may be NULL) what the step said, then or now. st: how it is
 * made, all but `upper`. owner: the app, or 0 when any app may use the layer. Returns 1 when it was there, 0 when it was
 * made, -errno with e.
 */
int layer_get(struct control *c, const char *kind, const char *key, uint32_t owner,
	struct step *st, struct sink *s, uint64_t *ret_id, json_t **ret_meta,
	struct err *e);
/* One that nobody else knows. */
void layer_drop(struct control *c, uint64_t id);

#endif
