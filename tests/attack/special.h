/* Attacks whose effect only the driver sees, or that it has to run itself. */
#ifndef ATTACK_SPECIAL_H
#define ATTACK_SPECIAL_H

#include "tests/attack/ground.h"

/* Before a run: forget what was seen so far. */
void special_forget(struct ground *g);
/* After a run: what came of the row that gave r, where the probe cannot know; else r. */
int special_judge(struct ground *g, const char *name, int r);
/* True for a row that special_run runs. */
bool special_own(const char *name);
/* Runs the row where it needs more than a sandbox with the probe. False: it does not. */
bool special_run(
	struct ground *g, const char *name, uint32_t profile, uint32_t off, int *ret);

#endif
