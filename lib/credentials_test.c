/* Keys of passwords are what everybody else's PBKDF2 gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/credentials.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void expect_key(const char *text, uint32_t rounds, const char *hex)
{
	uint8_t key[CREDENTIALS_KEY];
	char got[2 * CREDENTIALS_KEY + 1];

	credentials_key(
		text, strlen(text), (const uint8_t *)"0123456789abcdef", rounds, key);
	for (size_t i = 0; i < sizeof(key); i++)
		snprintf(got + 2 * i, 3, "%02x", key[i]);
	assert_string_equal(got, hex);
}

/* python3 -c 'import hashlib; print(hashlib.pbkdf2_hmac("sha256", TEXT, b"0123456789abcdef", ROUNDS).hex())' */
static void keys_are_pbkdf2_hmac_sha256(void **state)
{
	(void)state;
	expect_key("ann:secret", 1,
		"57fc751c1a11fdb36d758b6bf11025ec1d8f8a91458f6ec5ff357ab716f57e1b");
	expect_key("ann:secret", 2000,
		"a955e946ead8a5566ee48d1f762c5d1874588e443dbb52290ba097094a4def47");
	expect_key("ann:a password that is longer than one block of the hash, which is "
		   "sixty-four bytes",
		3, "4f971e94ed5bbb12e0bdeb1b94186afc390b22c0f603ee41c37434261cd54223");
}

static void only_equal_keys_are_equal(void **state)
{
	uint8_t a[CREDENTIALS_KEY] = {1}, b[CREDENTIALS_KEY] = {1};

	(void)state;
	assert_true(credentials_equal(a, b));
	for (size_t i = 0; i < sizeof(a); i++) {
		b[i] ^= 0x80;
		assert_false(credentials_equal(a, b));
		b[i] ^= 0x80;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_pbkdf2_hmac_sha256),
		cmocka_unit_test(only_equal_keys_are_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
