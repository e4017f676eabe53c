/* Files of KEY=VALUE lines: what they are read as, what is refused, and that what is written is read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/dotenv.h"
#include <cmocka.h>
#include <errno.h>
#include <string.h>

/* "KEY<value>" of each, as one text. */
static void note(void *arg, const char *key, const char *value, size_t len)
{
	assert_int_equal(strlen(value), len);
	buf_addf(arg, "%s<%s>", key, value);
}

static void reads_n(const char *text, size_t len, const char *want)
{
	autobuf got = BUF_INIT;
	struct err e = {0};
	int r = dotenv_read(text, len, note, &got, &e);

	assert_string_equal(e.text, "");
	assert_int_equal(r, 0);
	assert_string_equal(got.data ? got.data : "", want);
}

static void reads(const char *text, const char *want)
{
	reads_n(text, strlen(text), want);
}

static void refuses_n(const char *text, size_t len, const char *why)
{
	autobuf got = BUF_INIT;
	struct err e = {0};

	assert_int_equal(dotenv_read(text, len, note, &got, &e), -EINVAL);
	if (!strstr(e.text, why))
		fail_msg("\"%s\" is not in \"%s\"", why, e.text);
}

static void refuses(const char *text, const char *why)
{
	refuses_n(text, strlen(text), why);
}

static void plain_values_end_at_comments_and_lose_blanks(void **state)
{
	(void)state;
	reads("A=1", "A<1>");
	reads("A=1\nB=2\n", "A<1>B<2>");
	reads("  A = 1 2  \t# why\n", "A<1 2>");
	reads("A=x#y\nB=http://h/#frag", "A<x#y>B<http://h/#frag>");
	reads("A=#no\nB= # no\n", "A<>B<>");
	reads("A=\nB=", "A<>B<>");
	reads("A=1=2", "A<1=2>");
	reads("A=$HOME/${X}\\n", "A<$HOME/${X}\\n>");
	reads("A=it's \"so\"", "A<it's \"so\">");
	reads("A=1\nA=2", "A<1>A<2>"); /* the taker's last one wins */
	reads("_a9=\xff\xfe", "_a9<\xff\xfe>");
}

static void comments_exports_bom_and_crlf_are_taken(void **state)
{
	(void)state;
	reads("", "");
	reads("\n\r\n  \t\n# A=1\n   # B=2", "");
	reads("export A=1\nexport\tB=2\n", "A<1>B<2>");
	reads("export=1\nexported=2", "export<1>exported<2>");
	reads("\xef\xbb\xbf"
	      "A=1\r\nB='2'\r\nC=\"3\"\r\nD=\r\n",
		"A<1>B<2>C<3>D<>");
	reads("A=1\r", "A<1>");
	reads("A=x\ry", "A<x\ry>");
}

static void quotes_keep_what_is_in_them(void **state)
{
	(void)state;
	reads("A='a # b' # c", "A<a # b>");
	reads("A=' $X \\n \" '", "A< $X \\n \" >");
	reads("A=`it's \"so\"`", "A<it's \"so\">");
	reads("A=\"a\\nb\\r\\t\\\"\\\\\\$\\`\"", "A<a\nb\r\t\"\\$`>");
	reads("A=\"\\d\\'\"", "A<\\d\\'>");
	reads("A=\"-----BEGIN-----\nab\ncd\n\"\nB=2", "A<-----BEGIN-----\nab\ncd\n>B<2>");
	reads("A='1\n2'\nB=\"3\r\n4\"", "A<1\n2>B<3\n4>");
	reads("A=\"\"\nB=''", "A<>B<>");
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
	(void)state;
	refuses("A=1\n\nB", "line 3: there is no =");
	refuses("A=1\n2B=3", "line 2: no valid name");
	refuses("A-B=1", "line 1: no valid name");
	refuses("=1", "line 1: no valid name");
	refuses("A B=1", "line 1: there is no =");
	refuses("A: 1", "line 1: no valid name");
	refuses("A=\"x\nB=2\nC=3", "line 1: the quote is not closed");
	refuses("A=1\nB='x", "line 2: the quote is not closed");
	refuses("A=\"x\ny\" z\nB=1", "line 2: there is more after");
	refuses("A='x'y", "line 1: there is more after");
	refuses("A=\"x\\\"", "line 1: the quote is not closed");
	refuses("A=\"x\\", "line 1: the quote is not closed");
	refuses_n("X=1\nA=b\0c\nD=1", 14, "line 2: a value cannot hold a NUL");
	refuses_n("X=1\nA\0=b", 8, "line 2: there is no =");
}

static void same(void *arg, const char *key, const char *value, size_t len)
{
	const struct buf *want = arg;

	assert_string_equal(key, "K");
	assert_int_equal(len, want->len);
	assert_memory_equal(value, want->data, len);
}

static void round_trip(const char *value, size_t len)
{
	autobuf out = BUF_INIT, want = BUF_INIT;
	struct err e = {0};

	buf_add(&want, value, len);
	dotenv_write(&out, "K", value, len);
	assert_int_equal(dotenv_read(out.data, out.len, same, &want, &e), 0);
}

static void what_is_written_is_read_as_the_same_bytes(void **state)
{
	/* every text of up to four of the bytes that mean something, and some that do not */
	static const char alphabet[] = "a '\"`\\$#=\n\r\tn\xff";
	const size_t n = sizeof(alphabet) - 1;
	char text[8];

	(void)state;
	round_trip("", 0);
	for (size_t i = 0; i < n * n * n * n; i++) {
		size_t at = i;

		for (size_t k = 0; k < 4; k++, at /= n)
			text[k] = alphabet[at % n];
		for (size_t len = 1; len <= 4; len++)
			round_trip(text, len);
	}
	for (int c = 1; c < 256; c++) {
		text[0] = (char)c;
		round_trip(text, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_values_end_at_comments_and_lose_blanks),
		cmocka_unit_test(comments_exports_bom_and_crlf_are_taken),
		cmocka_unit_test(quotes_keep_what_is_in_them),
		cmocka_unit_test(what_is_wrong_is_told_with_its_line),
		cmocka_unit_test(what_is_written_is_read_as_the_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
