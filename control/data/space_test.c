/* The figures of a full disk are told once. */
#include "control/data/space.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A file system without a byte, on every host. */
static struct control full = {.state = "/proc"};

static void the_systems_words_get_figures(void **state UNUSED)
{
	char words[256];

	assert_true(space_words(&full, "make x: No space left on device", words));
	assert_non_null(strstr(words, "0 kB and "));
	assert_non_null(strstr(words, "are free in /proc, "));
	assert_true(space_words(&full, "database: the disk is full", words));
}

static void a_sentence_with_figures_gets_no_others(void **state UNUSED)
{
	static const char *const said[] = {SPACE_FULL
		"an archive needs about 16M, 0 bytes free beside the 43.4M "
		"that are kept for what runs",
		SPACE_FULL "this build needs about 95M, 12M free in the budget of 1G",
		SPACE_FULL "0 kB are free in /proc, a deploy needs 16 MB"};
	char words[256];

	for (size_t i = 0; i < ARRAY_LEN(said); i++)
		assert_false(space_words(&full, said[i], words));
}

static void neither_other_failures_nor_unknown_disks_get_figures(void **state UNUSED)
{
	struct control unknown = {.state = "/proc/none", .run = "/proc/none"};
	char words[256];

	assert_false(space_words(&full, "make x: Permission denied", words));
	assert_false(space_words(&unknown, "make x: No space left on device", words));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_systems_words_get_figures),
		cmocka_unit_test(a_sentence_with_figures_gets_no_others),
		cmocka_unit_test(neither_other_failures_nor_unknown_disks_get_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
