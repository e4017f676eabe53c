/* From a commit to an image: plan, keys, and only those steps whose key is new. */
#ifndef CONTROL_BUILD_H
#define CONTROL_BUILD_H

#include "control/control.h"

struct build_request {
	const struct db_app *app;
	const char *commit;   /* 40 hex digits */
	const json_t *config; /* of the app; of it steps see what build_input.h says */
	bool no_cache;
};
/*
 * Blocks until the image is in the database (ret, cleared by the caller) or a step failed (-errno, e). Prints steps to
 * the sink. -ECANCELED when the asker went away.
 */
int build_image(struct control *c, const struct build_request *b, struct sink *s,
	struct db_image *ret, struct err *e);
/* The commit's app.json; NULL: it has none. 0 or -errno with e. */
int build_app_json(
	struct control *c, const struct build_request *b, json_t **ret, struct err *e);
/* Says to the sink by which buildpacks the commit would be built and what it would start; builds nothing. 0 or -errno. */
int build_detect(
	struct control *c, const struct build_request *b, struct sink *s, struct err *e);
/* The key of a toolchain layer: the stack, the pack's script, and the lines that it is given. */
void build_toolchain_key(
	uint64_t stack, const char *pack, const char *lines, bool no_cache, char out[65]);
/* The stack's layer: -ENOENT with how to make it. */
int stack_layer(struct control *c, uint64_t *ret_id, struct err *e);

#endif
