/* dpkg's status: what is installed, and an exchange of the base. */
#include "buildpacks/image/dpkg.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define P(name, version)                                                                 \
	"Package: " name "\nStatus: install ok installed\nVersion: " version             \
	"\nDescription: x\n more\n\n"
#define LEFT(name) "Package: " name "\nStatus: deinstall ok config-files\nVersion: 1\n\n"

static const char base[] = P("libc6", "2.36-9") P("perl-base", "5.36.0-7");
static const char next_base[] =
	P("libc6", "2.36-10") P("perl-base", "5.36.0-7") P("zlib1g", "1.2");

static void what_was_added_stays_and_the_base_is_the_new_one(void **state)
{
	struct buf out = BUF_INIT;
	struct err e = {0};

	(void)state;
	assert_int_equal(dpkg_rebase(base, next_base,
				 P("libc6", "2.36-9") P("perl-base", "5.36.0-7")
					 P("ruby", "3.1") LEFT("old"),
				 &out, &e),
		0);
	assert_string_equal(out.data,
		P("libc6", "2.36-10") P("perl-base", "5.36.0-7") P("zlib1g",
			"1.2") "\n"
			       "Package: ruby\nStatus: install ok installed\nVersion: "
			       "3.1\nDescription: x\n more\n"
			       "\nPackage: old\nStatus: deinstall ok "
			       "config-files\nVersion: 1\n");
	buf_free(&out);
}

static void a_base_that_was_changed_above_it_stays(void **state)
{
	static const struct {
		const char *image, *says;
	} rows[] = {
		{P("libc6", "2.36-11") P("perl-base", "5.36.0-7"),
			"libc6 2.36-9 of the base was replaced by 2.36-11"},
		{P("libc6", "2.36-9"), "perl-base 5.36.0-7 of the base was removed"},
		{P("libc6", "2.36-9") P("perl-base", "5.36.0-7") P("zlib1g", "1.1"),
			"zlib1g is in the new base in version 1.2"},
		{"", "libc6"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf out = BUF_INIT;
		struct err e = {0};

		assert_int_equal(
			dpkg_rebase(base, next_base, rows[i].image, &out, &e), -EEXIST);
		assert_non_null(strstr(e.text, rows[i].says));
		assert_int_equal(out.len, 0);
		buf_free(&out);
	}
}

static void the_same_package_in_both_is_no_hindrance(void **state)
{
	struct buf out = BUF_INIT;
	struct err e = {0};

	(void)state;
	assert_int_equal(dpkg_rebase(base, next_base,
				 P("libc6", "2.36-9") P("perl-base", "5.36.0-7")
					 P("zlib1g", "1.2"),
				 &out, &e),
		0);
	assert_string_equal(out.data, next_base);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_added_stays_and_the_base_is_the_new_one),
		cmocka_unit_test(a_base_that_was_changed_above_it_stays),
		cmocka_unit_test(the_same_package_in_both_is_no_hindrance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
