/* Public keys: fingerprints as ssh-keygen prints them, and everything odd refused with
 * its reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/access/sshkey.h"
#include "control/nearest.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Made by ssh-keygen for this test; their private halves are gone. */
static const char *const good[][2] = {
	{"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAA"
	 "BBBJzkJV+/VonenxDDiEW/H6aSefdSD0EO61qQ7SRBGeqfY7v1yUyH5wJRZ78fpxXGuFh4"
	 "jAT1iifrm6xEsZBonyw=",
		"SHA256:zZUUFv1SN4fX9Z6qQHD1eYHi8TKrfI0Y7r8G7UgsOaE"},
	{"ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAA"
	 "BhBK3YXxJ/Z+WPAPsnUO+Cwh4hNYhRnN5/tacEUeyRcx+WOHPRKu19bqIeoNx+GVzKJHqf"
	 "vTEKRq2ilDXI8Ks19GDk1cyPUbYKS0c6XvTck1nbVd129+v+i868HdbDb1QGlA==",
		"SHA256:L4RLIJxIg+79EIofpR7oKFlyBS8ILvqmpb6l7XUObLA"},
	{"ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAA"
	 "CFBAEhRslShBzWY7C5qdB2UI4fnCg2Wp3Xed/AjESPHL8VkDy68fdxCiXCTPJTLnKtKzaL"
	 "3SLEmXnvc2TS+nPGjww/3AFF/tJBYFNdYwN+Zod9+gUfB5GMoXgaQuPDi2IJP0odyAav7O"
	 "kK7M/9vjC8oaEEr0h47dEJZHusYbqQOu5pSnQQPQ==",
		"SHA256:yfCmx1+R5KD2F93W6byAzdhWSC7bAn3nDjB782YAMo8"},
	{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAII1prdQUT+J/Y/ruwM2m7glx9CLQMXp4ZE"
	 "FwuS/Jkqtt",
		"SHA256:H7p23Wfb8JVqB5I+XqXWnmO+OKvzcXx979GFkNJzQBQ"},
	{"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQDH4eZwgFaZWyWECCLf5lhFVBL76+depu"
	 "/Gs1RSoTlWDASK9u3/6NgGrSSGrnYNBlysMaIOtKJzxzBwlVtAEaMnP1H/tS/sirRBNFbc"
	 "egFr1RFWooJgqWlVZRy1mTBgWlkTYI8crqEe5MEdhaJ1SU6dJTspGmvO++1DUFFrWs/BoC"
	 "X/UMyCObEZawNQDfbv5646kUHKPixOpQmFjo85PJTOP9u+4A1BG3L+CJqJTxkclWvW/ch+"
	 "d4XjAq2t9fY0ABmLjnosn7NRHSrlAD1r1tY/Jw0BpVKilIDh/RLoh7VBtKDckNG0NdkT+r"
	 "3YFyQBz1CRW9sXqPHC2tT9N+Sjrl4F",
		"SHA256:URp/cy/PDn+hFMbjV94nYf+ilpeLBOanMPWdZV6Qt4g"},
};
static const char weak[] =
	"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDvc/L+dg+tRJLXiv/BobfIFXRiIrdKin"
	"8GPtclTisFbuIhLlpuYxyfFhZC5lEwMwykhDbAV/q/lMFh8ljEDq/xXRZdKrWfGEANZxEE"
	"JYpbhVs8s0rP12vTvBr7cjdsIoHDzZy6INgVT/VfOSZUZT1W25pUDx6r0JWq6KBOTWPBjw"
	"==";

#define ED "AAAAC3NzaC1lZDI1NTE5AAAAII1prdQUT+J/Y/ruwM2m7glx9CLQMXp4ZEFwuS/Jkqtt"

static void fingerprints_are_those_of_ssh_keygen(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct db_key k = {0};
		struct err e = {0};
		char text[1200];

		snprintf(text, sizeof(text), "%s a comment\r\n", good[i][0]);
		if (sshkey_parse(text, &k, &e) < 0)
			fail_msg("%s: %s", good[i][0], e.text);
		assert_string_equal(k.fingerprint, good[i][1]);
		assert_memory_equal(k.type, good[i][0], strlen(k.type));
		assert_memory_equal(k.blob, strchr(good[i][0], ' ') + 1, strlen(k.blob));
		assert_null(strpbrk(k.blob, " \r\n"));
	}
}

static void odd_keys_are_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", "not a public key"},
		{"ssh-dss AAAAB3NzaC1kc3M=", "not a public key"},
		{"ssh-ed25519", "not base64"},
		{"ssh-ed25519 !!!!", "not base64"},
		{"ssh-rsa " ED, "no ssh-rsa key"},
		{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "no ssh-ed25519 key"},
		{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAAQE=", "is damaged"},
		{"ssh-ed25519 " ED " x\nssh-ed25519 " ED, "one key at a time"},
		{"ssh-ed25519 " ED " \x1b[2J", "control character"},
		{"restrict ssh-ed25519 " ED, "without options"},
		{"-----BEGIN OPENSSH PRIVATE KEY-----", "private key"},
		{weak, "at least 2048"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct db_key k = {0};
		struct err e = {0};

		assert_int_equal(sshkey_parse(rows[i].text, &k, &e), -EINVAL);
		if (!strstr(e.text, rows[i].why))
			fail_msg("%s: %s", rows[i].text, e.text);
	}
}

static void near_names_are_near(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned int distance;
	} rows[] = {{"shop", "shop", 0}, {"hsop", "shop", 1}, {"sho", "shop", 1},
		{"", "abc", 3}, {"kitten", "sitting", 3}, {"ab", "ba", 1},
		{"abcd", "badc", 2}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(
			nearest_distance(rows[i].a, rows[i].b), rows[i].distance);
		assert_int_equal(
			nearest_distance(rows[i].b, rows[i].a), rows[i].distance);
	}
	assert_int_equal(nearest_distance("0123456789012345678901234567890123456789012345"
					  "678901234567890123",
				 "0"),
		255);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fingerprints_are_those_of_ssh_keygen),
		cmocka_unit_test(odd_keys_are_refused),
		cmocka_unit_test(near_names_are_near),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
