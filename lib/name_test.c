/* Names and numbers: what is valid. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/name.h"
#include <cmocka.h>
#include <errno.h>

static void app_names_are_dns_labels(void **state)
{
	static const struct {
		const char *name;
		bool ok;
	} rows[] = {{"a", true}, {"my-app2", true}, {"0x", true}, {"", false},
		{"-x", false}, {"A", false}, {"../x", false}, {"a.b", false},
		{"a_b", false},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			false}};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(name_valid(rows[i].name), rows[i].ok);
}

static void hostnames_are_lower_case_labels(void **state)
{
	static const struct {
		const char *name;
		bool ok;
	} rows[] = {{"a.example.com", true}, {"*.example.com", true}, {"localhost", true},
		{"A.example", false}, {"a..b", false}, {".a", false}, {"a.", false},
		{"-a.b", false}, {"a-.b", false}, {"*.*.a", false}, {"a b", false},
		{"*", false}};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(name_host_valid(rows[i].name), rows[i].ok);
}

static void mount_paths_are_absolute_and_plain(void **state)
{
	(void)state;
	assert_true(name_mount_path_valid("/data"));
	assert_true(name_mount_path_valid("/app/..data"));
	assert_false(name_mount_path_valid("/"));
	assert_false(name_mount_path_valid("data"));
	assert_false(name_mount_path_valid("/a/../b"));
	assert_false(name_mount_path_valid("/a//b"));
	assert_false(name_mount_path_valid("/a/"));
	assert_false(name_mount_path_valid("/./a"));
}

static void numbers_keep_their_range(void **state)
{
	uint64_t v;

	(void)state;
	assert_int_equal(num_parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(
		num_parse_u64("18446744073709551616", 0, UINT64_MAX, &v), -ERANGE);
	assert_int_equal(num_parse_u64("5", 6, 9, &v), -ERANGE);
	assert_int_equal(num_parse_u64("", 0, 9, &v), -EINVAL);
	assert_int_equal(num_parse_u64("-1", 0, 9, &v), -EINVAL);
}

static void sizes_have_units(void **state)
{
	uint64_t v;
	char text[24];

	(void)state;
	assert_int_equal(num_parse_size("512M", &v), 0);
	assert_true(v == 512u << 20);
	assert_int_equal(num_parse_size("2GiB", &v), 0);
	assert_true(v == (uint64_t)2 << 30);
	assert_int_equal(num_parse_size("12", &v), 0);
	assert_true(v == 12);
	assert_int_equal(num_parse_size("1.5G", &v), -EINVAL);
	assert_int_equal(num_parse_size("M", &v), -EINVAL);
	assert_int_equal(num_parse_size("99999999999T", &v), -ERANGE);
	num_format_size(512u << 20, text);
	assert_string_equal(text, "512M");
	static const struct {
		uint64_t bytes;
		const char *text;
	} exact[] = {{0, "0"}, {1000, "1000"}, {1024, "1k"}, {1536u << 20, "1536M"},
		{UINT64_C(2) << 30, "2G"}, {UINT64_C(3) << 40, "3T"},
		{UINT64_C(5) << 50, "5120T"}, {UINT64_MAX, "18446744073709551615"}};
	for (size_t i = 0; i < ARRAY_LEN(exact); i++) {
		num_write_size(exact[i].bytes, text);
		assert_string_equal(text, exact[i].text);
		assert_int_equal(num_parse_size(text, &v), 0);
		assert_true(v == exact[i].bytes);
	}
	num_format_size(1536u << 20, text);
	assert_string_equal(text, "1.5G");
}

static void signals_have_names_and_numbers(void **state)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {{"SIGQUIT", 3}, {"quit", 3}, {"Term", 15}, {"SIGUSR1", 10}, {"9", 9},
		{"64", 64}, {"SIGRTMIN", 34}, {"SIGRTMIN+3", 37}, {"rtmax-1", 63},
		{"RTMAX", 64}, {"", -EINVAL}, {"SIG", -EINVAL}, {"0", -EINVAL},
		{"65", -EINVAL}, {"-1", -EINVAL}, {"SIGNOT", -EINVAL},
		{"SIGRTMIN+31", -EINVAL}, {"SIGRTMIN-1", -EINVAL}, {"SIGRTMIN+", -EINVAL},
		{"SIGTERM ", -EINVAL}, {"SIGRT", -EINVAL}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (signal_parse(rows[i].text) != rows[i].want)
			fail_msg("%s", rows[i].text);
}

static void volumes_of_long_names_are_told_apart(void **state)
{
	char one[NAME_MAX_LEN + 1], other[NAME_MAX_LEN + 1];

	(void)state;
	name_joined("blog", "data", one);
	assert_string_equal(one, "blog-data");
	name_joined("customer-portal-backend-feature-a", "uploads", one);
	assert_string_equal(one, "customer-portal-backend-feature-a-uploads");
	name_joined("customer-portal-backend-feature-that-is-called-so-a", "the-uploads",
		one);
	name_joined("customer-portal-backend-feature-that-is-called-so-b", "the-uploads",
		other);
	assert_true(name_valid(one));
	assert_true(name_valid(other));
	assert_string_not_equal(one, other);
	name_joined("customer-portal-backend-feature-that-is-called-so-a", "the-uploads2",
		other);
	assert_string_not_equal(one, other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(app_names_are_dns_labels),
		cmocka_unit_test(volumes_of_long_names_are_told_apart),
		cmocka_unit_test(hostnames_are_lower_case_labels),
		cmocka_unit_test(mount_paths_are_absolute_and_plain),
		cmocka_unit_test(numbers_keep_their_range),
		cmocka_unit_test(sizes_have_units),
		cmocka_unit_test(signals_have_names_and_numbers),
	};
	return cmocka_run_group_tests_name("lib/name", tests, NULL, NULL);
}
