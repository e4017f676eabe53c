/*
 * Files of KEY=VALUE lines (.env), read as programs in the field do that agree most (node's, ruby's and compose's dotenv):
 *   # a comment, and empty lines; a byte order mark and CRLF are taken
 *   [export] KEY = plain value  # comment after a space
 *   KEY='as it stands, also over several lines'      (` is a quote like ')
 *   KEY="with \n \r \t \" \\ \$ \` as escapes, also over several lines"
 * $NAME stands for itself: nothing is put in its place. A key that comes twice has its last value.
 * A value is any bytes but NUL.
 */
#ifndef CLI_DOTENV_H
#define CLI_DOTENV_H

#include "lib/buf.h"
#include "lib/err.h"

/* One value; value has len bytes and is NUL-terminated, both are valid during the call. */
typedef void (*dotenv_take)(void *arg, const char *key, const char *value, size_t len);

/* Calls take for each value, in order. 0, or -EINVAL with e, which names the line; then take may have been called. */
int dotenv_read(const char *data, size_t len, dotenv_take take, void *arg, struct err *e);
/* Appends a line that is read as these bytes again, quoted no more than it must be. */
void dotenv_write(struct buf *out, const char *key, const char *value, size_t len);

#endif
