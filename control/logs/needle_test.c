/* Unit tests of needle.c: every place of every length around those it compares at once. */
#include "control/logs/needle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void it_is_found_at_every_place(void **state UNUSED)
{
	static const char text[] = "needle in much hay, of some length that is beyond 32";
	char hay[200];

	for (size_t len = 1; len <= sizeof(text) - 1; len++) {
		char want[sizeof(text)];
		struct needle n;

		memcpy(want, text, len);
		want[len] = '\0';
		assert_true(needle_init(&n, want, false));
		for (size_t at = 0; at + len <= sizeof(hay); at++) {
			memset(hay, 'n', sizeof(hay)); /* its first byte everywhere */
			if (len == 1)
				memset(hay, '.', sizeof(hay));
			memcpy(hay + at, text, len);
			assert_ptr_equal(needle_find(&n, hay, sizeof(hay)), hay + at);
			if (at + len < sizeof(hay) && len > 1)
				assert_null(needle_find(&n, hay, at + len - 1));
		}
	}
}

static void case_counts_unless_it_is_said_not_to(void **state UNUSED)
{
	static const char hay[] = "10:00 ERROR [z] @rror `rror error";
	struct needle n;

	assert_true(needle_init(&n, "error", false));
	assert_ptr_equal(needle_find(&n, hay, sizeof(hay) - 1), strstr(hay, "error"));
	assert_true(needle_init(&n, "Error", true));
	assert_ptr_equal(needle_find(&n, hay, sizeof(hay) - 1), strstr(hay, "ERROR"));
	assert_null(needle_find(&n, hay + 7, 22));
	assert_true(needle_init(&n, "[Z]", true));
	assert_ptr_equal(needle_find(&n, hay, sizeof(hay) - 1), strstr(hay, "[z]"));
	assert_true(needle_init(&n, "{z}", true));
	assert_null(needle_find(&n, hay, sizeof(hay) - 1));
}

static void the_ends_are_kept(void **state UNUSED)
{
	char longest[NEEDLE_MAX + 2];
	struct needle n;

	memset(longest, 'x', sizeof(longest));
	longest[NEEDLE_MAX + 1] = '\0';
	assert_false(needle_init(&n, longest, false));
	longest[NEEDLE_MAX] = '\0';
	assert_true(needle_init(&n, longest, false));
	assert_ptr_equal(needle_find(&n, longest, NEEDLE_MAX), longest);
	assert_null(needle_find(&n, longest, NEEDLE_MAX - 1));
	assert_true(needle_init(&n, "", false));
	assert_ptr_equal(needle_find(&n, longest, 0), longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_found_at_every_place),
		cmocka_unit_test(case_counts_unless_it_is_said_not_to),
		cmocka_unit_test(the_ends_are_kept),
	};

	return cmocka_run_group_tests_name("control/logs/needle", tests, NULL, NULL);
}
