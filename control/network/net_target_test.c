/* Words of network rules, and their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/network/net_target.h"
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static void targets_are_told_apart(void **state)
{
	static const struct {
		const char *text, *kind, *target, *app;
	} rows[] = {
		{"internet", "internet", "", ""},
		{"api", "app", "", "api"},
		{"app:internet", "app", "", "internet"},
		{"app:10", "app", "", "10"},
		{"10.0.0.0/8", "address", "10.0.0.0/8", ""},
		{"192.0.2.7", "address", "192.0.2.7", ""},
		{"192.0.2.7/32", "address", "192.0.2.7", ""},
		{"FD00::0:1", "address", "fd00::1", ""},
		{"::/0", "address", "::/0", ""},
		{"DB.example.COM.", "host", "db.example.com", ""},
		{"host:db", "host", "db", ""},
	};
	struct db_net_rule r;
	char app[NAME_MAX_LEN + 1];
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		r = (struct db_net_rule){0};
		assert_int_equal(net_target_parse(rows[i].text, &r, app, &e), 0);
		assert_string_equal(r.kind, rows[i].kind);
		assert_string_equal(r.target, rows[i].target);
		assert_string_equal(app, rows[i].app);
	}
}

static void nonsense_is_refused_with_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", "neither an app's name nor an address"},
		{"My_App", "neither"},
		{"app:", "neither"},
		{"app:a.b", "neither"},
		{"host:", "not a host name"},
		{"*.example.com", "each has to be named"},
		{"a..b", "not a host name"},
		{"-x.example.com", "not a host name"},
		{"10.1", "not an address"},
		{"10.0.0.256", "not an address"},
		{"10.0.0.0/33", "not an address"},
		{"10.0.0.0/8 ", "not an address"},
		{"example.com/8", "not an address"},
		{"example.com:443", "not an address"},
		{"fe80::1%eth0", "not an address"},
		{"10.1.2.3/8", "did you mean 10.0.0.0/8?"},
		{"0", "not an address"},
	};
	struct db_net_rule r;
	char app[NAME_MAX_LEN + 1], host[400];
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		r = (struct db_net_rule){0};
		if (net_target_parse(rows[i].text, &r, app, &e) != -EINVAL)
			fail_msg("taken: \"%s\"", rows[i].text);
		if (!strstr(e.text, rows[i].why))
			fail_msg("\"%s\": %s", rows[i].text, e.text);
	}
	memset(host, 'a', sizeof(host));
	memcpy(host + 380, ".example", 9);
	assert_int_equal(net_target_parse(host, &r, app, &e), -EINVAL);
}

static void ports_and_protocols_have_their_ranges(void **state)
{
	static const char *const bad[] = {"", "0", "65536", "80-", "-80", "80-79", "a",
		"80,81", "1-2-3", "80 ", "0-80", "100000000", "0000443x"};
	struct db_net_rule r;
	char text[16];
	struct err e;

	(void)state;
	assert_int_equal(net_ports_parse(NULL, &r, &e), 0);
	assert_int_equal(r.first_port, 0);
	assert_int_equal(net_ports_parse("1-65535", &r, &e), 0);
	assert_int_equal(r.last_port, 65535);
	net_ports_text(&r, text);
	assert_string_equal(text, "1-65535");
	assert_int_equal(net_ports_parse("443", &r, &e), 0);
	net_ports_text(&r, text);
	assert_string_equal(text, "443");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (net_ports_parse(bad[i], &r, &e) != -EINVAL)
			fail_msg("taken: \"%s\"", bad[i]);
	assert_int_equal(net_protocol_parse("udp", &r, &e), 0);
	assert_string_equal(net_protocol_text(&r), "udp");
	assert_int_equal(net_protocol_parse("icmp", &r, &e), -EINVAL);
	assert_int_equal(net_protocol_parse(NULL, &r, &e), 0);
	assert_int_equal(r.protocol, 0);
}

static struct db_net_rule rule(const char *target, const char *ports, bool allow)
{
	struct db_net_rule r = {.allow = allow};
	char app[NAME_MAX_LEN + 1];
	struct err e;

	assert_int_equal(net_target_parse(target, &r, app, &e), 0);
	assert_int_equal(net_ports_parse(ports, &r, &e), 0);
	return r;
}

static void the_narrower_rule_is_asked_first(void **state)
{
	const struct db_net_rule sorted[] = {
		rule("api", NULL, true),
		rule("10.1.2.3", "443", true),
		rule("10.1.2.3", "400-500", true),
		rule("db.example.com", NULL, false),
		rule("10.1.2.3", NULL, true),
		rule("fd00::/120", NULL, true),
		rule("10.1.0.0/16", "22", false),
		rule("10.1.0.0/16", NULL, true),
		rule("10.0.0.0/8", "1", true),
		rule("0.0.0.0/0", NULL, true),
		rule("::/0", NULL, true),
		rule("internet", "443", true),
		rule("internet", NULL, false),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
		for (size_t j = 0; j < ARRAY_LEN(sorted); j++) {
			int r = net_rule_order(&sorted[i], &sorted[j]);

			if ((r > 0) - (r < 0) != (i > j) - (i < j))
				fail_msg("%zu and %zu", i, j);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(targets_are_told_apart),
		cmocka_unit_test(nonsense_is_refused_with_what_is_wrong),
		cmocka_unit_test(ports_and_protocols_have_their_ranges),
		cmocka_unit_test(the_narrower_rule_is_asked_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
