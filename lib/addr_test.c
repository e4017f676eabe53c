/* Which texts are addresses and ranges, and what lies in what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

static struct addr range(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(s, &a), 0);
	return a;
}

static void addresses_and_ranges_read_back_as_written(void **state)
{
	static const char *const good[] = {"0.0.0.0/0", "10.0.0.0/8", "192.0.2.7",
		"255.255.255.255", "10.1.2.0/25", "::/0", "::1", "2001:db8::/32",
		"fd00:1:2:3:4:5:6:7", "fc00::/7"};
	char text[ADDR_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		struct addr a = range(good[i]);

		addr_format(&a, text);
		assert_string_equal(text, good[i]);
	}
}

static void other_texts_are_refused(void **state)
{
	static const char *const bad[] = {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.1",
		"10.0.0.0/8/8", "010.0.0.1", "1.2.3.256", "0x7f.0.0.1", "2130706433",
		"::/129", "::/-1", "fe80::1%eth0", "::ffff:10.0.0.1/200", "example.com",
		" 10.0.0.1", "10.0.0.1 ", "10.0.0.0/+8", "10.0.0.0/ 8",
		"1:2:3:4:5:6:7:8:9",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc"};
	struct addr a;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (addr_parse(bad[i], &a) != -EINVAL)
			fail_msg("taken: \"%s\"", bad[i]);
}

static void bits_beyond_the_prefix_are_told_and_cut(void **state)
{
	char text[ADDR_TEXT_MAX];
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse("10.1.2.3/8", &a), -EDOM);
	addr_format(&a, text);
	assert_string_equal(text, "10.0.0.0/8");
	assert_int_equal(addr_parse("2001:db8:ffff::1/33", &a), -EDOM);
	addr_format(&a, text);
	assert_string_equal(text, "2001:db8:8000::/33");
}

static void ranges_hold_what_lies_in_them(void **state)
{
	struct addr ten = range("10.0.0.0/8"), one = range("10.1.2.3"),
		    other = range("11.0.0.1"), all = range("0.0.0.0/0"),
		    six = range("::/0"), local = range("fe80::/10"),
		    link = range("febf::1");

	(void)state;
	assert_true(addr_contains(&ten, &one));
	assert_true(addr_contains(&ten, &ten));
	assert_true(addr_contains(&all, &ten));
	assert_false(addr_contains(&one, &ten));
	assert_false(addr_contains(&ten, &other));
	assert_false(addr_contains(&six, &ten));
	assert_true(addr_contains(&local, &link));
	assert_true(addr_overlaps(&one, &ten));
	assert_false(addr_overlaps(&other, &ten));
}

static void some_ranges_are_never_for_apps(void **state)
{
	static const char *const never[] = {"127.0.0.1", "169.254.169.254",
		"169.254.0.0/17", "0.0.0.0", "198.19.1.2", "255.255.255.255", "::1",
		"::", "fe80::1", "fe80::/10", "ff02::1", "::ffff:10.0.0.1",
		"fd00:ec2::254", "fd62:6572:7468::1", "64:ff9b::a9fe:a9fe",
		"64:ff9b::7f00:0/104"};
	static const char *const not [] = {"10.0.0.0/8", "0.0.0.0/0", "192.168.1.1",
		"203.0.113.1", "169.0.0.0/8", "::/0", "fd00::/8", "fd00:ec2::253",
		"2001:db8::1", "64:ff9b::a00:1", "64:ff9b::cb00:7101"};
	const char *const *const lists[] = {
		addr_private4, addr_private6, addr_never4, addr_never6};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(never); i++) {
		struct addr a = range(never[i]);

		if (!addr_is_never(&a))
			fail_msg("allowed: %s", never[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(not ); i++) {
		struct addr a = range(not [i]);

		if (addr_is_never(&a))
			fail_msg("refused: %s", not [i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		for (const char *const *l = lists[i]; *l; l++)
			(void)range(*l); /* each is written as it must be */
}

static bool is_in_list(const char *const *list, const struct addr *a)
{
	for (; *list; list++) {
		struct addr outer = range(*list);

		if (addr_contains(&outer, a))
			return true;
	}
	return false;
}

static void what_is_never_for_apps_is_so_through_a_gateway(void **state)
{
	(void)state;
	for (const char *const *l = addr_never4; *l; l++) {
		struct addr four = range(*l), six = range("64:ff9b::/96");

		memcpy(six.bytes + 12, four.bytes, 4);
		six.prefix += four.prefix;
		if (!is_in_list(addr_never6, &six))
			fail_msg("allowed by a wide range: %s", *l);
	}
}

static void every_address_of_ours_has_one_of_six(void **state)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char six[16];
	struct addr range6 = range(ADDR6_RANGE), a = {.family = AF_INET6, .prefix = 128};

	(void)state;
	addr6_of(ADDR_NAMES_BASE + 5, six);
	inet_ntop(AF_INET6, six, text, sizeof(text));
	assert_string_equal(text, "fd62:6572:7468::c613:f005");
	addr6_of(ADDR_BASE, a.bytes);
	assert_true(addr_contains(&range6, &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_and_ranges_read_back_as_written),
		cmocka_unit_test(other_texts_are_refused),
		cmocka_unit_test(bits_beyond_the_prefix_are_told_and_cut),
		cmocka_unit_test(ranges_hold_what_lies_in_them),
		cmocka_unit_test(some_ranges_are_never_for_apps),
		cmocka_unit_test(what_is_never_for_apps_is_so_through_a_gateway),
		cmocka_unit_test(every_address_of_ours_has_one_of_six),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
