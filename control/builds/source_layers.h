/*
 * The files of a commit as layers: one with all of them, and on it up to SOURCE_CHANGES_MAX that each hold only what a
 * release changed, so that a push writes what it changes and not the whole tree. What lies on what is in the rows:
 * `below` of a layer's meta, whose ids an image has all, so that releases keep what they need.
 */
#ifndef CONTROL_SOURCE_LAYERS_H
#define CONTROL_SOURCE_LAYERS_H

#include "control/control.h"
#include "receiver/source.h"

/* Each is one more folder in which a file is looked for, and one more mount of a start (60 us). */
#define SOURCE_CHANGES_MAX 12

struct source_layers {
	struct control *c;
	const struct db_app *app;
	git_repository *repo;
	const git_oid *tree;
	uint64_t stack;	      /* the plan is made on it */
	const char *packs[2]; /* variables that name buildpacks; NULL: none */
	bool no_cache;
	char key[65]; /* out: of the tree, whatever layers it is made of */
};
/*
 * Finds or makes them and appends their ids to layers. *ret_plan is what berth-build said of the whole tree, the
 * caller's. 0 or -errno with e. Blocks.
 */
int source_layers_get(struct source_layers *q, struct sink *s, json_t *layers,
	json_t **ret_plan, struct err *e);

#endif
