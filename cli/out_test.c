/* What a terminal would act on is not printed. */
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void plain_is(const char *text, bool lines, const char *want)
{
	char copy[64];

	snprintf(copy, sizeof(copy), "%s", text);
	out_plain(copy, lines);
	assert_string_equal(copy, want);
}

static void what_a_terminal_acts_on_is_shown_as_question_marks(void **state UNUSED)
{
	plain_is("date\033[2J\a", false, "date?[2J?");
	plain_is("true\n2026  root  ok\r\tx", false, "true 2026  root  ok  x");
	plain_is("one\n\ttwo\rthree", true, "one\n\ttwo three");
	plain_is("\xc2\x9b"
		 "31m \x7f",
		false, "??31m ?");
	plain_is("caf\xc3\xa9 \xc2\xa0 \xe2\x82\xac", false,
		"caf\xc3\xa9 \xc2\xa0 \xe2\x82\xac");
	plain_is("\xc2", false, "\xc2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_terminal_acts_on_is_shown_as_question_marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
