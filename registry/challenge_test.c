/* challenge.c: the headers that registries send, and others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/challenge.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void is(const char *value, enum challenge_scheme scheme, const char *realm,
	const char *service, const char *scope)
{
	struct challenge c;

	challenge_parse(value, &c);
	assert_int_equal(c.scheme, scheme);
	assert_string_equal(c.realm, realm);
	assert_string_equal(c.service, service);
	assert_string_equal(c.scope, scope);
}

static void what_registries_send_is_read(void **state UNUSED)
{
	is("Bearer realm=\"https://auth.test/token\",service=\"registry.test\","
	   "scope=\"repository:a/b:pull,push\"",
		CHALLENGE_BEARER, "https://auth.test/token", "registry.test",
		"repository:a/b:pull,push");
	is("bearer Realm = \"https://auth.test/token\" , error=\"invalid_token\"",
		CHALLENGE_BEARER, "https://auth.test/token", "", "");
	is("Basic realm=\"basic-realm\"", CHALLENGE_BASIC, "basic-realm", "", "");
	is("Basic", CHALLENGE_BASIC, "", "", "");
	is("Bearer realm=https, service=x", CHALLENGE_BEARER, "https", "x", "");
}

static void of_several_the_token_is_preferred(void **state UNUSED)
{
	is("Basic realm=\"b\", Bearer realm=\"t\", Digest realm=\"d\"", CHALLENGE_BEARER,
		"t", "", "");
	is("Bearer realm=\"t\", Basic realm=\"b\"", CHALLENGE_BEARER, "t", "", "");
	is("Negotiate YII==, Basic realm=\"b\"", CHALLENGE_BASIC, "b", "", "");
	is("Bearer realm=\"1\", Bearer realm=\"2\"", CHALLENGE_BEARER, "1", "", "");
	is("Bearer service=\"no realm\", Basic realm=\"b\"", CHALLENGE_BASIC, "b", "",
		"");
}

static void quotes_and_backslashes_are_taken_off(void **state UNUSED)
{
	is("Bearer realm=\"a\\\"b, Basic realm=c\\\\\", service=\"s\"", CHALLENGE_BEARER,
		"a\"b, Basic realm=c\\", "s", "");
}

static void what_cannot_be_read_is_none(void **state UNUSED)
{
	static const char *const bad[] = {"", ",,, ,", "Bearer", "Digest realm=\"x\"",
		"=", "\"", "Bearer realm=\"never ends", "Bearer realm=", "(((", "\xff"};
	char text[3000];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		is(bad[i], CHALLENGE_NONE, "", "", "");
	snprintf(text, sizeof(text), "Bearer realm=\"%01100d\"", 0);
	is(text, CHALLENGE_NONE, "", "", "");
	snprintf(text, sizeof(text), "Bearer realm=\"r\", scope=\"%01100d\"", 0);
	is(text, CHALLENGE_NONE, "", "", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_registries_send_is_read),
		cmocka_unit_test(of_several_the_token_is_preferred),
		cmocka_unit_test(quotes_and_backslashes_are_taken_off),
		cmocka_unit_test(what_cannot_be_read_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
