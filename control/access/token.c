/* API tokens as text: made once, then only their hashes are known. */
#include "control/access/token.h"
#include <errno.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PREFIX "berth_"
#define HEAD (sizeof(PREFIX) - 1 + 64)

static void digest(const char *text, size_t len, uint8_t ret[static DB_TOKEN_HASH])
{
	SHA2_CTX c;

	SHA256Init(&c);
	SHA256Update(&c, (const uint8_t *)text, len);
	SHA256Final(ret, &c);
}

static void add_hex(char *out, const uint8_t *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
}

int token_make(char ret[static TOKEN_SIZE])
{
	uint8_t random[32], sum[DB_TOKEN_HASH];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	memcpy(ret, PREFIX, sizeof(PREFIX));
	add_hex(ret + sizeof(PREFIX) - 1, random, sizeof(random));
	digest(ret, HEAD, sum);
	add_hex(ret + HEAD, sum, 4);
	explicit_bzero(random, sizeof(random));
	return 0;
}

int token_hash(const char *text, uint8_t ret[static DB_TOKEN_HASH])
{
	uint8_t sum[DB_TOKEN_HASH];
	char digits[9];

	if (strlen(text) != TOKEN_SIZE - 1 ||
		strncmp(text, PREFIX, sizeof(PREFIX) - 1) != 0)
		return -EINVAL;
	digest(text, HEAD, sum);
	add_hex(digits, sum, 4);
	if (strcmp(text + HEAD, digits) != 0)
		return -EINVAL;
	digest(text, TOKEN_SIZE - 1, ret);
	return 0;
}
