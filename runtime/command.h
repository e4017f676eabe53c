/* A host program run to its end: argv array, no shell; for what is seldom (start-up,
 * removal, new network rules), as it blocks. */
#ifndef RUNTIME_COMMAND_H
#define RUNTIME_COMMAND_H

#include "lib/buf.h"

/*
 * Runs argv[0] (found on PATH) with `input` as its stdin and stdout and stderr appended
 * to out (NULL: /dev/null). Its exit status 0 .. 255, or -errno (-ECHILD: ended by a
 * signal).
 */
int command_run(const char *const *argv, const void *input, size_t len, struct buf *out);

#endif
