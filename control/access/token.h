/*
 * The text of an API token: "berth_", 64 hexadecimal digits of 32 random bytes, 8 of a checksum (the first bytes of the
 * SHA-256 of what stands before). The prefix is for those who look for leaked secrets; the checksum tells a slip of the pen
 * without asking the database.
 */
#ifndef CONTROL_TOKEN_H
#define CONTROL_TOKEN_H

#include "db/db.h"

#define TOKEN_SIZE (6 + 64 + 8 + 1) /* with NUL */

/* A new one, from the kernel's random numbers. */
int token_make(char ret[static TOKEN_SIZE]);
/* What is kept of it. -EINVAL: no token of this form, or its checksum is wrong. */
int token_hash(const char *text, uint8_t ret[static DB_TOKEN_HASH]);

#endif
