/* Names and passwords, as keys that do not show them. */
#include "lib/credentials.h"
#include <sha2.h>
#include <string.h>

#define BLOCK 64u

/* HMAC (RFC 2104) with the two states after the key kept: each use costs two blocks. */
struct hmac {
	SHA2_CTX inner, outer;
};

static void start(struct hmac *h, const void *key, size_t len)
{
	uint8_t pad[BLOCK] = {0};

	if (len > BLOCK) {
		SHA2_CTX c;

		SHA256Init(&c);
		SHA256Update(&c, key, len);
		SHA256Final(pad, &c);
	} else {
		memcpy(pad, key, len);
	}
	for (size_t i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36;
	SHA256Init(&h->inner);
	SHA256Update(&h->inner, pad, BLOCK);
	for (size_t i = 0; i < BLOCK; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	SHA256Init(&h->outer);
	SHA256Update(&h->outer, pad, BLOCK);
}

static void finish(const struct hmac *h, SHA2_CTX *inner, uint8_t ret[CREDENTIALS_KEY])
{
	SHA2_CTX outer = h->outer;

	SHA256Final(ret, inner);
	SHA256Update(&outer, ret, CREDENTIALS_KEY);
	SHA256Final(ret, &outer);
}

void credentials_key(const void *text, size_t len, const uint8_t salt[CREDENTIALS_SALT],
	uint32_t rounds, uint8_t ret[CREDENTIALS_KEY])
{
	static const uint8_t first[4] = {0, 0, 0, 1}; /* the only block */
	uint8_t u[CREDENTIALS_KEY];
	struct hmac h;
	SHA2_CTX c;

	start(&h, text, len);
	c = h.inner;
	SHA256Update(&c, salt, CREDENTIALS_SALT);
	SHA256Update(&c, first, sizeof(first));
	finish(&h, &c, u);
	memcpy(ret, u, sizeof(u));
	while (--rounds > 0) {
		c = h.inner;
		SHA256Update(&c, u, sizeof(u));
		finish(&h, &c, u);
		for (size_t i = 0; i < sizeof(u); i++)
			ret[i] ^= u[i];
	}
}

void credentials_digest(const void *secret, size_t secret_len, const void *text,
	size_t len, uint8_t ret[CREDENTIALS_KEY])
{
	SHA2_CTX c;

	SHA256Init(&c);
	SHA256Update(&c, secret, secret_len);
	SHA256Update(&c, text, len);
	SHA256Final(ret, &c);
}

bool credentials_equal(const uint8_t a[CREDENTIALS_KEY], const uint8_t b[CREDENTIALS_KEY])
{
	volatile uint8_t differ = 0;

	for (size_t i = 0; i < CREDENTIALS_KEY; i++)
		differ |= a[i] ^ b[i];
	return !differ;
}
