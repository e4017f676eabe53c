/* What a terminal would act on is not printed. */
#include "cli/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* What show prints; as long as it fits. */
static void printed(void (*show)(void), char *text, size_t size)
{
	FILE *file = tmpfile();
	int kept = dup(STDOUT_FILENO);
	size_t n;

	assert_non_null(file);
	fflush(stdout);
	assert_true(kept >= 0 && dup2(fileno(file), STDOUT_FILENO) >= 0);
	show();
	fflush(stdout);
	assert_true(dup2(kept, STDOUT_FILENO) >= 0);
	close(kept);
	rewind(file);
	n = fread(text, 1, size - 1, file);
	text[n] = '\0';
	fclose(file);
}

static void show_widest_list(void)
{
	static const struct column columns[] = {{"APP", "app"}, {"A", "a"}, {"B", "b"},
		{"C", "c"}, {"D", "d"}, {"E", "e"}, {"F", "f"}, {"FREE", "free_bytes"},
		{"COUNT", "count"}};
	json_t *list = json_pack("[{s:s, s:i, s:i}, {s:s, s:n}]", "app", "blog",
		"free_bytes", 2048, "count", 2048, "app", "a", "free_bytes");
	struct cli c = {0};

	_Static_assert(ARRAY_LEN(columns) == TABLE_COLUMNS_MAX, "the widest that may be");
	assert_int_equal(out_list(&c, columns, ARRAY_LEN(columns), list), 0);
	json_decref(list);
}

static void the_widest_list_is_in_columns_and_bytes_in_units(void **state UNUSED)
{
	char text[512];

	printed(show_widest_list, text, sizeof(text));
	assert_string_equal(text, "APP   A  B  C  D  E  F  FREE  COUNT\n"
				  "blog  -  -  -  -  -  -  2k    2048\n"
				  "a     -  -  -  -  -  -  -     -\n");
}

static void add_row(struct table *t, const json_t *one)
{
	table_add(t, (const char *const[]){out_member(one, "name"), "x"});
}

static void show_rows(void)
{
	static const char *const header[] = {"NAME", "WHAT"};
	json_t *list = json_pack("[{s:s}]", "name", "blog");
	struct cli c = {0}, quiet = {.quiet = true}, json = {.json = true};

	out_rows(&c, header, ARRAY_LEN(header), list, add_row);
	out_rows(&quiet, header, ARRAY_LEN(header), list, add_row);
	out_rows(&json, header, ARRAY_LEN(header), list, add_row);
	json_decref(list);
}

static void rows_come_with_a_header_without_one_or_as_json(void **state UNUSED)
{
	char text[512];

	printed(show_rows, text, sizeof(text));
	assert_string_equal(text, "NAME  WHAT\nblog  x\n"
				  "blog  x\n"
				  "[\n  {\n    \"name\": \"blog\"\n  }\n]\n");
}

/* A maintenance page, a chain of certificates. */
static void long_values_are_whole(void **state UNUSED)
{
	enum { LEN = 70000 };
	char *text autofree = calloc(1, LEN + 1);

	assert_non_null(text);
	memset(text, 'x', LEN);
	json_t *o = json_pack("{s:s, s:[s, s]}", "page", text, "list", text, "y");
	assert_string_equal(out_member(o, "page"), text);
	const char *list = out_member(o, "list");
	assert_int_equal(strlen(list), LEN + 2);
	assert_string_equal(list + LEN, " y");
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_terminal_acts_on_is_shown_as_question_marks),
		cmocka_unit_test(the_widest_list_is_in_columns_and_bytes_in_units),
		cmocka_unit_test(long_values_are_whole),
		cmocka_unit_test(rows_come_with_a_header_without_one_or_as_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
