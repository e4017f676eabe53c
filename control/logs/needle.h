/*
 * Finds a piece of text in much text, 32 places at a time: its first and its last byte are compared there, and what lies
 * between only where both fit. Pure functions, no state beyond the needle's.
 */
#ifndef CONTROL_NEEDLE_H
#define CONTROL_NEEDLE_H

#include "lib/base.h"

#define NEEDLE_MAX 255

struct needle {
	char text[NEEDLE_MAX + 1]; /* folded: lower case */
	size_t len;		   /* 0: found everywhere */
	bool fold;		   /* of ASCII letters the case is all the same */
};

/* False when text is longer than NEEDLE_MAX. */
bool needle_init(struct needle *n, const char *text, bool fold);
/* The first place, or NULL. */
const char *needle_find(const struct needle *n, const char *in, size_t len);

#endif
