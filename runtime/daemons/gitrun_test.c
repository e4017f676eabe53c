/* Which messages for git are sound: what may reach the arguments of a program of the ssh user's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/daemons/gitrun.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static struct msg_git sound(void)
{
	return (struct msg_git){.name = "blog", .push = 1, .step = GIT_SERVE};
}

static void every_combination_of_the_words_is_sound(void **state)
{
	struct msg_git m = sound();

	(void)state;
	for (m.push = 0; m.push <= 1; m.push++)
		for (m.step = GIT_ADVERTISE; m.step <= GIT_SERVE; m.step++)
			for (m.protocol = 0; m.protocol <= GIT_PROTOCOL_MAX; m.protocol++)
				for (m.flags = 0; m.flags <= GIT_GZIP; m.flags++)
					assert_true(gitrun_sound(&m));
}

#define REFUSED(assignment)                                                              \
	do {                                                                             \
		struct msg_git m = sound();                                              \
                                                                                         \
		assert_true(gitrun_sound(&m));                                           \
		assignment;                                                              \
		assert_false(gitrun_sound(&m));                                          \
	} while (0)

static void what_is_out_of_range_is_not(void **state)
{
	(void)state;
	REFUSED(m.push = 2);
	REFUSED(m.step = 0);
	REFUSED(m.step = GIT_SERVE + 1);
	REFUSED(m.protocol = GIT_PROTOCOL_MAX + 1);
	REFUSED(m.flags = GIT_GZIP << 1);
	REFUSED(m.flags = UINT32_MAX);
	REFUSED(memset(m.name, 'a', sizeof(m.name))); /* without an end */
}

static void a_name_is_no_option_and_no_path(void **state)
{
	static const char *const bad[] = {"", "-x", "--http", ".", "..", "../x", "a/b",
		"a.git", "A", "a b", "a\n", "a;b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		REFUSED(snprintf(m.name, sizeof(m.name), "%s", bad[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_combination_of_the_words_is_sound),
		cmocka_unit_test(what_is_out_of_range_is_not),
		cmocka_unit_test(a_name_is_no_option_and_no_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
