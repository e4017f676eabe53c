/* What the things below the state folder take of the disk, as berthd counts them. */
#ifndef CONTROL_USAGE_H
#define CONTROL_USAGE_H

#include "control/control.h"
#include "lib/proto.h"

#define USAGE_ROWS_MAX (1u << 18) /* 27 MB */

struct usage {
	struct usage_row *rows; /* without the end */
	size_t n;
};
void usage_clear(struct usage *u);
/*
 * Blocks until all is counted: volumes and caches of many files take seconds. kinds: 1 << enum usage_kind of what is
 * wanted, 0: all. usage_clear in any case. 0, or -errno with the sentence.
 */
int usage_read(struct control *c, uint32_t kinds, struct usage *ret, struct err *e);

#endif
