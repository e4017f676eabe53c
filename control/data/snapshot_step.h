/* A step of berth-build that has a volume's snapshots, perhaps the volume, and nothing else. */
#ifndef CONTROL_SNAPSHOT_STEP_H
#define CONTROL_SNAPSHOT_STEP_H

#include "control/control.h"

struct vault_step {
	uint64_t volume;
	const char *command, *argument; /* of berth-build; argument may be NULL */
	const char *const *env;		/* NULL-terminated */
	bool with_volume;		/* at /volume */
	int in, out; /* its standard input, -1: none; its output, 0: the answer */
};
/* Blocks. *ret: the answer, never NULL when 0. 0 or -errno with e. */
int vault_step(struct control *c, const struct vault_step *v, struct sink *s,
	json_t **ret, struct err *e);
/* A tree's name in a vault: "s12". Returns out. */
const char *snapshot_name(uint64_t id, char out[32]);
/* For what nobody watches: words go to control's own log. */
struct sink vault_quiet(void);

#endif
