/* Which URLs are drains, what of them is shown, and where none leads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/drain_url.h"
#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static void shown_is(const char *url, const char *want)
{
	struct drain_url u;
	struct err e = {0};
	char out[DRAIN_URL_MAX];

	if (drain_url_parse(url, &u, &e) < 0)
		fail_msg("%s: %s", url, e.text);
	drain_url_show(&u, out);
	assert_string_equal(out, want);
}

static void each_form_is_read_with_its_port(void **state UNUSED)
{
	shown_is("syslog+tcp://logs.example.com", "syslog+tcp://logs.example.com:514");
	shown_is("syslog://10.0.0.7:1514/", "syslog+tcp://10.0.0.7:1514");
	shown_is("syslog+tls://[2001:db8::1]", "syslog+tls://[2001:db8::1]:6514");
	shown_is("syslog+udp://LOGS.example.com:5140",
		"syslog+udp://logs.example.com:5140");
	shown_is("https://in.example.com/v1/logs", "https://in.example.com:443/v1/logs");
	shown_is("http://in.example.com", "http://in.example.com:80/");
	shown_is("file:blog.log", "file:blog.log");
}

static void secrets_are_read_and_not_shown(void **state UNUSED)
{
	struct drain_url u;
	struct err e = {0};

	assert_int_equal(
		drain_url_parse("https://ann:p%40ss@in.example.com/x?key=S3CRET", &u, &e),
		0);
	assert_string_equal(u.user, "ann");
	assert_string_equal(u.password, "p@ss");
	assert_string_equal(u.rest, "/x?key=S3CRET");
	shown_is("https://ann:p%40ss@in.example.com/x?key=S3CRET",
		"https://***@in.example.com:443/x?***");
}

static void what_is_no_drain_is_refused_without_its_password(void **state UNUSED)
{
	static const char *const wrong[] = {"", "ftp://x", "syslog+tcp://", "https://",
		"syslog+tcp://h:0", "syslog+tcp://h:65536", "syslog+tcp://h:1/x",
		"syslog+tcp://ann:hunter2@h", "https://ann:hunter2%zz@h",
		"http://h:hunter2", "http://*.x", "http://::1/", "http://[127.0.0.1]/",
		"http://[::1", "http://[::1]x", "http://a b", "http://h/\n",
		"http://h/#x", "file:", "file:../x", "file:/etc/x", "file:.x", "file:x.1",
		"https://:hunter2@h", "file:a/b"};
	struct drain_url u;

	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		struct err e = {0};

		if (drain_url_parse(wrong[i], &u, &e) != -EINVAL)
			fail_msg("taken: %s", wrong[i]);
		assert_non_null(e.text[0] ? e.text : NULL);
		assert_null(strstr(e.text, "hunter2"));
	}
}

static bool allowed(const char *text, bool local)
{
	struct sockaddr_in four = {.sin_family = AF_INET};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6};
	union {
		struct sockaddr_in *four;
		struct sockaddr_in6 *six;
		struct sockaddr *any;
	} a;

	if (strchr(text, ':')) {
		assert_int_equal(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
		a.six = &six;
	} else {
		assert_int_equal(inet_pton(AF_INET, text, &four.sin_addr), 1);
		a.four = &four;
	}
	return drain_address_allowed(a.any, local);
}

static void addresses_that_tell_secrets_are_never_sent_to(void **state UNUSED)
{
	static const char *const never[] = {"169.254.169.254", "0.0.0.0", "198.18.0.5",
		"224.0.0.1", "fe80::1", "::", "::ffff:127.0.0.1",
		"::ffff:169.254.169.254", "fd00:ec2::254", "fd62:6572:7468::1"};
	static const char *const own[] = {"127.0.0.1", "127.9.9.9", "::1"};
	static const char *const good[] = {"10.0.0.7", "192.0.2.1", "2001:db8::1"};

	for (size_t i = 0; i < ARRAY_LEN(never); i++)
		if (allowed(never[i], false) || allowed(never[i], true))
			fail_msg("allowed: %s", never[i]);
	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (allowed(own[i], false) || !allowed(own[i], true))
			fail_msg("%s", own[i]);
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		if (!allowed(good[i], false) || !allowed(good[i], true))
			fail_msg("refused: %s", good[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_is_read_with_its_port),
		cmocka_unit_test(secrets_are_read_and_not_shown),
		cmocka_unit_test(what_is_no_drain_is_refused_without_its_password),
		cmocka_unit_test(addresses_that_tell_secrets_are_never_sent_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
