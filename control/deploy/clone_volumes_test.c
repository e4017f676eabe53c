/* Volumes of a new app. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/deploy/clone.h"
#include <cmocka.h>

static void volumes_of_long_names_are_told_apart(void **state UNUSED)
{
	char one[NAME_MAX_LEN + 1], other[NAME_MAX_LEN + 1];

	clone_volume_name("blog", "data", one);
	assert_string_equal(one, "blog-data");
	clone_volume_name("customer-portal-backend-feature-a", "uploads", one);
	assert_string_equal(one, "customer-portal-backend-feature-a-uploads");
	clone_volume_name("customer-portal-backend-feature-that-is-called-so-a",
		"the-uploads", one);
	clone_volume_name("customer-portal-backend-feature-that-is-called-so-b",
		"the-uploads", other);
	assert_true(name_valid(one));
	assert_true(name_valid(other));
	assert_string_not_equal(one, other);
	clone_volume_name("customer-portal-backend-feature-that-is-called-so-a",
		"the-uploads2", other);
	assert_string_not_equal(one, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(volumes_of_long_names_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
