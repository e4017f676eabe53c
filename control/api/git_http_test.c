/* Which paths are git's, and which app they name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/api/git_http.h"
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static void the_three_requests_of_the_smart_protocol_are_gits(void **state)
{
	static const struct {
		const char *url;
		bool push, advertise;
	} rows[] = {{"/shop.git/info/refs", false, true},
		{"/shop/info/refs", false, true},
		{"/shop.git/git-upload-pack", false, false},
		{"/shop/git-receive-pack", true, false}};
	struct git_path p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(git_path_parse(rows[i].url, &p));
		assert_string_equal(p.app, "shop");
		assert_int_equal(p.push, rows[i].push);
		assert_int_equal(p.advertise, rows[i].advertise);
	}
}

static void what_is_not_one_name_names_no_app(void **state)
{
	static const char *const bad[] = {"/../shop/info/refs", "/shop/../x/info/refs",
		"//shop/info/refs", "/a/b/info/refs", "/-x/info/refs",
		"/--exec=x/info/refs", "/Shop/info/refs", "/shop.git.git/info/refs",
		"/.git/info/refs", "/shop\n/info/refs", "/shop;id/info/refs",
		"/shop /info/refs",
		"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/info/"
		"refs",
		"//info/refs"};
	static const char *const others[] = {"/v1/apps", "/shop.git", "/shop.git/HEAD",
		"/shop.git/objects/info/packs", "/shop/info/refs/", "/info/refs", "", "/",
		"info/refs"};
	struct git_path p;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_true(git_path_parse(bad[i], &p));
		assert_string_equal(p.app, "");
	}
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(git_path_parse(others[i], &p));
}

static void the_token_is_the_password_of_any_name(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(git_http_password("Basic eDpzZWNyZXQ=", out, sizeof(out)), 0);
	assert_string_equal(out, "secret");
	assert_int_equal(git_http_password("basic  OnM=", out, sizeof(out)), 0);
	assert_string_equal(out, "s");
	assert_int_equal(git_http_password("Basic eA==", out, sizeof(out)), -EINVAL);
	assert_int_equal(git_http_password("Basic !", out, sizeof(out)), -EINVAL);
	assert_int_equal(git_http_password("Basic ", out, sizeof(out)), -EINVAL);
	assert_int_equal(git_http_password("Basic eDpzZWNyZXRz", out, sizeof(out)), 0);
	assert_int_equal(
		git_http_password("Basic eDpzZWNyZXRzcw==", out, sizeof(out)), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_three_requests_of_the_smart_protocol_are_gits),
		cmocka_unit_test(what_is_not_one_name_names_no_app),
		cmocka_unit_test(the_token_is_the_password_of_any_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
