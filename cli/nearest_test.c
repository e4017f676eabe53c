/* The nearest name, and every row of the command table. */
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_mistyped_name_finds_the_one_meant(void **state UNUSED)
{
	static const char *const names[] = {
		"apps:list", "config:set", "config:get", "rollback", "ps:scale"};

	assert_string_equal(nearest("app:list", names, ARRAY_LEN(names)), "apps:list");
	assert_string_equal(
		nearest("config:sett", names, ARRAY_LEN(names)), "config:set");
	assert_string_equal(nearest("rolback", names, ARRAY_LEN(names)), "rollback");
	assert_string_equal(nearest("ps:sacle", names, ARRAY_LEN(names)), "ps:scale");
	assert_null(nearest("frobnicate", names, ARRAY_LEN(names)));
	assert_null(nearest("", names, ARRAY_LEN(names)));
	assert_null(nearest("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			    "aaaaaaaaaaaaaaaaaaa",
		names, ARRAY_LEN(names)));
}

static void every_command_is_whole(void **state UNUSED)
{
	for (size_t i = 0; i < command_count; i++) {
		const struct command *cmd = &command_table[i];
		size_t len = strlen(cmd->name);

		assert_ptr_equal(args_find(cmd->name), cmd); /* no name twice */
		assert_non_null(cmd->run);
		assert_true(cmd->help[0] && cmd->example[0]);
		/* the example is of this very command */
		assert_int_equal(strncmp(cmd->example, cmd->name, len), 0);
		assert_true(cmd->example[len] == 0 || cmd->example[len] == ' ');
		assert_true(cmd->max == -1 || cmd->max >= cmd->min);
	}
}

static void every_option_has_a_name_and_no_letter_twice(void **state UNUSED)
{
	for (size_t i = 0; i < OPT_COUNT; i++) {
		assert_non_null(option_table[i].name);
		assert_non_null(option_table[i].help);
		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(
				option_table[i].name, option_table[j].name);
			assert_true(!option_table[i].letter ||
				    option_table[i].letter != option_table[j].letter);
		}
	}
}

static int parse(struct cli *c, const char *name, char **words, int n)
{
	*c = (struct cli){.cmd = args_find(name)};
	int r = args_parse(c, n, words);

	return r ? r : args_check(c);
}

static void a_program_keeps_its_own_dashes(void **state UNUSED)
{
	char a[][16] = {"run", "--no-tty", "blog", "ls", "-la", "--app", "x", "--", "y"};
	char *words[9];
	struct cli c;

	for (size_t i = 0; i < 9; i++)
		words[i] = a[i];
	assert_int_equal(parse(&c, "run", words, 9), 0);
	assert_string_equal(c.app, "blog");
	assert_int_equal(c.argc, 6);
	assert_string_equal(c.argv[0], "ls");
	assert_string_equal(c.argv[4], "--");
	assert_non_null(c.options[OPT_NO_TTY]);
	free(c.argv - 1);
}

static void enter_tells_an_instance_from_a_program(void **state UNUSED)
{
	char a[][16] = {"enter", "blog", "web.1", "-q", "sh", "-c", "x"};
	char *words[7];
	struct cli c;

	for (size_t i = 0; i < 7; i++)
		words[i] = a[i];
	assert_int_equal(parse(&c, "enter", words, 7), 0);
	assert_true(c.quiet);
	assert_int_equal(c.argc, 4);
	assert_string_equal(c.argv[2], "-c");
	free(c.argv - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mistyped_name_finds_the_one_meant),
		cmocka_unit_test(every_command_is_whole),
		cmocka_unit_test(every_option_has_a_name_and_no_letter_twice),
		cmocka_unit_test(a_program_keeps_its_own_dashes),
		cmocka_unit_test(enter_tells_an_instance_from_a_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
