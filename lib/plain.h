/*
 * Text of programs that are not trusted, safe to show: what apps and builds print is read on terminals, which obey more
 * than a reader sees. Pure functions, no state.
 */
#ifndef LIB_PLAIN_H
#define LIB_PLAIN_H

#include "lib/base.h"

#define PLAIN_FACTOR 4 /* one byte becomes at most "\xNN" */
#define PLAIN_END "\033[0m"
#define PLAIN_END_LEN (sizeof(PLAIN_END) - 1)

enum plain_colours { PLAIN_WITHOUT_COLOURS, PLAIN_WITH_COLOURS };
/*
 * Copies a line of text with control bytes (but tab) and everything that is not UTF-8 written as \xNN. Colours (ECMA-48 SGR:
 * ESC [ digits m) are left out, or pass and end with the line. out needs PLAIN_FACTOR * len + PLAIN_END_LEN bytes. Returns
 * the length; no NUL is added. What came out goes through unchanged.
 */
size_t plain_copy(char *out, const char *in, size_t len, enum plain_colours colours);

#endif
