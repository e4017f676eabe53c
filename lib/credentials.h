/*
 * Names and passwords of basic authentication (RFC 7617), as keys that do not show them.
 *
 * The key is PBKDF2-HMAC-SHA256 (RFC 8018 5.2) of "NAME:PASSWORD". A worker computes it between requests of others, so it
 * takes about a millisecond and not the tenth of a second that a login page may take; what was right once is then known
 * by a hash of one block (see policy.c).
 */
#ifndef LIB_CREDENTIALS_H
#define LIB_CREDENTIALS_H

#include "lib/base.h"

#define CREDENTIALS_SALT 16u
#define CREDENTIALS_KEY 32u
#define CREDENTIALS_ROUNDS 2000u
#define CREDENTIALS_ROUNDS_MAX 20000u /* of a table: a worker stands still meanwhile */

void credentials_key(const void *text, size_t len, const uint8_t salt[CREDENTIALS_SALT],
	uint32_t rounds, uint8_t ret[CREDENTIALS_KEY]);
/* SHA-256 of a secret and the text. */
void credentials_digest(const void *secret, size_t secret_len, const void *text,
	size_t len, uint8_t ret[CREDENTIALS_KEY]);
/* In a time that does not depend on where they differ. */
bool credentials_equal(
	const uint8_t a[CREDENTIALS_KEY], const uint8_t b[CREDENTIALS_KEY]);

#endif
