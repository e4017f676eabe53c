/* A Dockerfile's text, its words and its variables. */
#include "buildpacks/dockerfile/dockerfile.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct dockerfile parsed;

/* Replaces what was parsed before. */
static const struct docker_instruction *parse(const char *text)
{
	struct err e = {0};

	dockerfile_free(&parsed);
	if (dockerfile_parse(&parsed, text, strlen(text), &e) < 0)
		fail_msg("%s: %s", text, e.text);
	return parsed.list;
}

static void refused(const char *text, const char *expect)
{
	struct dockerfile d;
	struct err e = {0};
	int r = dockerfile_parse(&d, text, strlen(text), &e);

	if (r >= 0 || !strstr(e.text, expect))
		fail_msg("%s: %d %s, not %s", text, r, e.text, expect);
	dockerfile_free(&d);
}

static void instructions_are_read_in_any_case(void **state UNUSED)
{
	const struct docker_instruction *i =
		parse("# hello\n\nfrom debian:12\n  Run  echo hi \n");

	assert_int_equal(parsed.n, 2);
	assert_int_equal(i[0].kind, DOCKER_FROM);
	assert_string_equal(i[0].text, "debian:12");
	assert_int_equal(i[0].line, 3);
	assert_int_equal(i[1].kind, DOCKER_RUN);
	assert_string_equal(i[1].text, "echo hi");
	assert_int_equal(i[1].line, 4);
	assert_int_equal(i[1].column, 3);
}

static void lines_are_joined_over_comments_and_empty_lines(void **state UNUSED)
{
	const struct docker_instruction *i =
		parse("FROM a\r\nRUN one && \\  \r\n# why\n\n  two \\\\ && \\\n\t "
		      "three\nCMD x\n");

	assert_int_equal(parsed.n, 3);
	assert_string_equal(i[1].text, "one &&   two \\\\ && \t three");
	assert_int_equal(i[2].line, 7);
	parse("FROM a\nRUN b \\");
	assert_string_equal(parsed.list[1].text, "b");
}

static void directives_come_first_or_are_comments(void **state UNUSED)
{
	const struct docker_instruction *i = parse(
		"# syntax=docker/dockerfile:1\n# escape=`\nFROM a\nRUN c:\\ `\n x\n");

	assert_int_equal(parsed.escape, '`');
	assert_string_equal(i[1].text, "c:\\  x");
	parse("FROM a\n# escape=`\nRUN b \\\n c\n");
	assert_int_equal(parsed.escape, '\\');
	parse("\n# escape=`\nFROM a\n");
	assert_int_equal(parsed.escape, '\\');
	refused("# escape=x\nFROM a\n", "Dockerfile:1:10: escape=x");
	refused("# escape=`\n# escape=`\nFROM a\n", "Dockerfile:2:10:");
	parse("\xef\xbb\xbf"
	      "FROM a\n");
}

static void json_form_is_a_list_of_strings(void **state UNUSED)
{
	const struct docker_instruction *i =
		parse("FROM a\nCMD [ \"x\", \"a b\" ]\nCMD [x]\n"
		      "CMD [\"a\", 1]\nCMD\nENTRYPOINT []\n");

	assert_true(i[1].json);
	assert_int_equal(i[1].n_words, 2);
	assert_string_equal(i[1].words[1], "a b");
	assert_false(i[2].json);
	assert_string_equal(i[2].text, "[x]");
	assert_false(i[3].json);
	assert_string_equal(i[4].text, "");
	assert_true(i[5].json);
	assert_int_equal(i[5].n_words, 0);
}

static void flags_stand_before_the_text(void **state UNUSED)
{
	const struct docker_instruction *i =
		parse("FROM --platform=linux/amd64 a AS b\nCOPY --from=b --link "
		      "--chown=1:2 x y --z\n"
		      "RUN --mount=type=cache,target=/c \\\n  --network=none make\nCMD "
		      "--help\n");

	assert_int_equal(i[0].n_flags, 1);
	assert_string_equal(i[0].flags[0].name, "platform");
	assert_string_equal(i[0].text, "a AS b");
	assert_int_equal(i[1].n_flags, 3);
	assert_null(i[1].flags[1].value);
	assert_string_equal(i[1].flags[2].value, "1:2");
	assert_string_equal(i[1].text, "x y --z");
	assert_int_equal(i[2].n_flags, 2);
	assert_string_equal(i[2].text, "make");
	assert_int_equal(i[3].n_flags, 0);
	assert_string_equal(i[3].text, "--help");
}

static void places_survive_the_joining(void **state UNUSED)
{
	const struct docker_instruction *i = parse("FROM a\n  RUN one \\\n   two\n");
	struct err e = {0};

	docker_error(i + 1, strstr(i[1].joined, "two"), &e, "here");
	assert_string_equal(e.text, "Dockerfile:3:4: here");
	docker_error(i + 1, strstr(i[1].joined, "one"), &e, "here");
	assert_string_equal(e.text, "Dockerfile:2:7: here");
	docker_error(i + 1, NULL, &e, "here");
	assert_string_equal(e.text, "Dockerfile:2:3: here");
}

static void here_documents_are_taken_off(void **state UNUSED)
{
	const struct docker_instruction *i =
		parse("FROM a\nRUN <<EOF\necho $x\n# no comment\nEOF\n"
		      "RUN cat <<-'END' >f 3<<B\n\tone\n\t\tEND x\n\tEND\ntwo\nB\n"
		      "COPY <<a.txt <<b.txt /d/\nA\na.txt\nb.txt\n"
		      "RUN echo \"<<EOF\" <<<word cat<<EOF\nCMD x\n");

	assert_int_equal(parsed.n, 6);
	assert_string_equal(i[1].heredocs[0].content, "echo $x\n# no comment\n");
	assert_true(i[1].heredocs[0].expand);
	assert_int_equal(i[2].n_heredocs, 2);
	assert_string_equal(i[2].heredocs[0].content, "one\nEND x\n");
	assert_false(i[2].heredocs[0].expand);
	assert_string_equal(i[2].heredocs[1].content, "two\n");
	assert_string_equal(i[3].heredocs[0].name, "a.txt");
	assert_string_equal(i[3].heredocs[1].content, "");
	assert_int_equal(i[4].n_heredocs, 0);
	assert_int_equal(i[5].line, 17);
	refused("FROM a\nRUN x <<EOF\ny\n",
		"Dockerfile:2:7: the here-document <<EOF has no end");
}

static void what_is_wrong_is_named_with_its_place(void **state UNUSED)
{
	refused("", "no instruction");
	refused("# only\n", "no instruction");
	refused("FROM a\n\n  FORM b\n", "Dockerfile:3:3: unknown instruction FORM");
	refused("FROM a\nRUN\n", "Dockerfile:2:1: RUN needs an argument");
	refused("FROM a\nCOPY --from=x\n", "Dockerfile:2:1: COPY needs an argument");
	refused("FROM a\nRUN a \\\n--b\n&& c\n",
		"Dockerfile:4:1: unknown instruction &&");
}

static void too_much_is_refused(void **state UNUSED)
{
	autobuf text = {.max = 4u << 20};
	struct dockerfile d;
	struct err e = {0};

	for (int i = 0; i < 10000; i++)
		buf_adds(&text, "RUN true\n");
	assert_int_equal(dockerfile_parse(&d, text.data, text.len, &e), -E2BIG);
	assert_non_null(strstr(e.text, "Dockerfile:4097:1: more than 4096 instructions"));
	dockerfile_free(&d);
	for (int i = 0; i < 120000; i++)
		buf_adds(&text, "RUN true\n");
	assert_int_equal(dockerfile_parse(&d, text.data, text.len, &e), -E2BIG);
	assert_non_null(strstr(e.text, "larger than 1024 kB"));
	dockerfile_free(&d);
}

static void onbuild_holds_one_instruction(void **state UNUSED)
{
	const struct docker_instruction *i =
		parse("FROM a\nONBUILD copy . /x\nONBUILD FROM b\n");
	struct docker_instruction inner;
	struct err e = {0};

	assert_int_equal(docker_parse_onbuild(i + 1, '\\', &inner, &e), 0);
	assert_int_equal(inner.kind, DOCKER_COPY);
	assert_string_equal(inner.text, ". /x");
	docker_instruction_free(&inner);
	assert_int_equal(docker_parse_onbuild(i + 2, '\\', &inner, &e), -EINVAL);
	assert_non_null(strstr(e.text, "Dockerfile:3:1: FROM cannot follow ONBUILD"));
	docker_instruction_free(&inner);
}

static const char *lookup(void *arg UNUSED, const char *name)
{
	static const char *const pairs[][2] = {
		{"x", "X"}, {"empty", ""}, {"path", "/a b"}, {"quoted", "\"q'"}};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (strcmp(pairs[i][0], name) == 0)
			return pairs[i][1];
	return NULL;
}

static void variables_are_expanded_as_by_a_shell(void **state UNUSED)
{
	static const char *const rows[][2] = {
		{"a$x-b", "aX-b"},
		{"${x}y", "Xy"},
		{"$none.", "."},
		{"\\$x \\${x}", "$x ${x}"},
		{"'$x' \"$x\"", "$x X"},
		{"${none:-d}${x:-d}${empty:-d}${empty-d}", "dXd"},
		{"${none:+d}${x:+d}${empty:+d}${empty+d}", "dd"},
		{"${none:-${x}/y}", "X/y"},
		{"${x:+${none:-deep}}", "deep"},
		{"${x:-${y:?no}}", "X"},
		{"$path", "/a b"},
		{"$quoted", "\"q'"},
		{"a\\ b", "a b"},
		{"\"a\\b\\\"c\"", "a\\b\"c"},
		{"$", "$"},
		{"$$x", "x"},
		{"$ x", "$ x"},
		{"$1$x", "X"},
		{"}", "}"},
		{"${x:-'}'}", "X"},
		{"${none:-'}'}", "}"},
		{"", ""},
	};
	const char *why, *at;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		autobuf out = BUF_INIT;
		assert_int_equal(docker_expand(rows[i][0], '\\', false, lookup, NULL,
					 &out, &why, &at),
			0);
		if (strcmp(out.data, rows[i][1]) != 0)
			fail_msg("%s: %s, not %s", rows[i][0], out.data, rows[i][1]);
	}
}

static void what_cannot_be_expanded_says_where(void **state UNUSED)
{
	static const struct {
		const char *text, *fault;
		size_t at;
	} rows[] = {
		{"a ${x", "${ has no }", 2},
		{"${", "needs the name", 0},
		{"${x%y}", "only ${x}", 0},
		{"b${none:?}", "must be set", 1},
		{"'a", "a quote is not closed", 0},
		{"${none:-b", "${ has no }", 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		autobuf out = BUF_INIT;
		const char *why = NULL, *at = NULL;
		assert_int_equal(docker_expand(rows[i].text, '\\', false, lookup, NULL,
					 &out, &why, &at),
			-EINVAL);
		assert_non_null(strstr(why, rows[i].fault));
		assert_int_equal(at - rows[i].text, rows[i].at);
	}
	autobuf deep = BUF_INIT, out = BUF_INIT;
	const char *why, *at;
	for (int i = 0; i < 100; i++)
		buf_adds(&deep, "${n:-");
	assert_int_equal(
		docker_expand(deep.data, '\\', false, lookup, NULL, &out, &why, &at),
		-EINVAL);
	assert_non_null(strstr(why, "nested too deeply"));
}

static int forget(void **state UNUSED)
{
	dockerfile_free(&parsed);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instructions_are_read_in_any_case),
		cmocka_unit_test(lines_are_joined_over_comments_and_empty_lines),
		cmocka_unit_test(directives_come_first_or_are_comments),
		cmocka_unit_test(json_form_is_a_list_of_strings),
		cmocka_unit_test(flags_stand_before_the_text),
		cmocka_unit_test(places_survive_the_joining),
		cmocka_unit_test(here_documents_are_taken_off),
		cmocka_unit_test(what_is_wrong_is_named_with_its_place),
		cmocka_unit_test(too_much_is_refused),
		cmocka_unit_test(onbuild_holds_one_instruction),
		cmocka_unit_test(variables_are_expanded_as_by_a_shell),
		cmocka_unit_test(what_cannot_be_expanded_says_where),
	};

	return cmocka_run_group_tests_name("dockerfile", tests, NULL, forget);
}
