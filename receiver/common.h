/* What berth-shell and berth-hook share: asking control, and telling a person what it
 * said. Libc only. */
#ifndef RECEIVER_COMMON_H
#define RECEIVER_COMMON_H

#include "lib/client.h"

/* " !     text" and a newline to stderr in one write, so that lines of two processes
 * never mix. */
void common_say(const char *fmt, ...) PRINTF(1, 2);
/* POSTs body (JSON text) to path and reads the head of the answer; says what went wrong.
 * 0 or -errno. */
int common_post(struct client *c, const char *path, const struct buf *body);
/* Reads an error answer to its end, says message and hint. Its exit status, 1 when it has
 * none. */
int common_fail(struct client *c);
/* A whole number of the environment, -1 when absent or malformed. */
int common_env_int(const char *name);

#endif
