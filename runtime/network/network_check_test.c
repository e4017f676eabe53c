/* Which messages about networks are taken, and what the packet filter is told of them. */
#include "lib/addr.h"
#include "runtime/network/network_check.h"
#include "runtime/network/nft.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct msg_network with(struct net_rule r)
{
	struct msg_network m = {.app = 7, .n_rules = 1};

	m.rules[0] = r;
	return m;
}

static int checked(struct net_rule r)
{
	struct msg_network m = with(r);
	struct err e;

	return network_check(&m, &e);
}

static void good_rules_are_taken(void **state)
{
	static const struct net_rule good[] = {
		{.kind = NET_ADDRESS4, .verdict = NET_ALLOW, .prefix = 8, .addr = {10}},
		{.kind = NET_ADDRESS4, .prefix = 32, .addr = {10, 1, 2, 3}},
		{.kind = NET_ADDRESS4},
		{.kind = NET_ADDRESS6, .prefix = 7, .addr = {0xfc}},
		{.kind = NET_ADDRESS6, .prefix = 128, .addr = {0xfc, [15] = 1}},
		{.kind = NET_NAME, .number = ADDR_NAMES - 1, .first = 1, .last = 65535},
		{.kind = NET_INTERNET, .protocol = IPPROTO_UDP, .first = 53, .last = 53},
		{.kind = NET_SERVERS, .verdict = NET_ALLOW},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_int_equal(checked(good[i]), 0);
}

static void each_field_has_its_range(void **state)
{
	static const struct net_rule bad[] = {
		{.kind = 0},
		{.kind = NET_SERVERS + 1},
		{.kind = NET_SERVERS},
		{.kind = NET_SERVERS, .verdict = NET_ALLOW_HOST},
		{.kind = NET_SERVERS, .verdict = NET_ALLOW, .protocol = IPPROTO_TCP},
		{.kind = NET_SERVERS, .verdict = NET_ALLOW, .first = 1, .last = 2},
		{.kind = NET_INTERNET, .verdict = NET_ALLOW_HOST + 1},
		{.kind = NET_INTERNET, .protocol = IPPROTO_ICMP},
		{.kind = NET_INTERNET, .first = 2, .last = 1},
		{.kind = NET_INTERNET, .last = 1},
		{.kind = NET_INTERNET, .prefix = 1},
		{.kind = NET_INTERNET, .number = 1},
		{.kind = NET_INTERNET, .addr = {1}},
		{.kind = NET_NAME},
		{.kind = NET_NAME, .number = ADDR_NAMES},
		{.kind = NET_NAME, .number = 1, .prefix = 1},
		{.kind = NET_NAME, .number = 1, .addr = {[15] = 1}},
		{.kind = NET_ADDRESS4, .prefix = 33},
		{.kind = NET_ADDRESS4, .prefix = 8, .addr = {10, 1}},
		{.kind = NET_ADDRESS4, .prefix = 32, .addr = {10, [4] = 1}},
		{.kind = NET_ADDRESS4, .number = 1},
		{.kind = NET_ADDRESS6, .prefix = 129},
		{.kind = NET_ADDRESS6, .prefix = 127, .addr = {[15] = 1}},
	};
	struct msg_network m = {.app = 7, .n_rules = NET_RULES_MAX + 1};
	struct msg_name name = {.number = 1, .n = NET_NAME_INSTANCES};
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (checked(bad[i]) != -EINVAL)
			fail_msg("rule %zu was taken", i);
	assert_int_equal(network_check(&m, &e), -EINVAL);
	m = (struct msg_network){.app = 7, .hosts_size = NET_HOSTS_MAX + 1};
	assert_int_equal(network_check(&m, &e), -EINVAL);
	m = (struct msg_network){0};
	assert_int_equal(network_check(&m, &e), -EINVAL);
	m = (struct msg_network){.app = 7, .whose = NET_BUILDS};
	assert_int_equal(network_check(&m, &e), 0);
	m.whose++;
	assert_int_equal(network_check(&m, &e), -EINVAL);
	m = (struct msg_network){.app = (uint32_t)INT32_MAX + 1};
	assert_int_equal(network_check(&m, &e), -EINVAL);
	assert_int_equal(network_check_name(&name, &e), 0);
	name.n++;
	assert_int_equal(network_check_name(&name, &e), -EINVAL);
	name = (struct msg_name){.number = ADDR_NAMES};
	assert_int_equal(network_check_name(&name, &e), -EINVAL);
	name = (struct msg_name){0};
	assert_int_equal(network_check_name(&name, &e), -EINVAL);
}

static void says(struct net_rule r, const char *want)
{
	autobuf b = BUF_INIT;
	const char *got;

	nft_add_chain(&b, "12345678", 7, &r, 1);
	got = strstr(b.data, "add rule inet berth_12345678 app_7 ");
	assert_non_null(got);
	assert_string_equal(got, want);
}

#define RULE "add rule inet berth_12345678 app_7 "

static void rules_become_lines_of_nft(void **state)
{
	(void)state;
	says((struct net_rule){.kind = NET_ADDRESS4, .prefix = 8, .addr = {10}},
		RULE "ip daddr 10.0.0.0/8 goto deny\n");
	says((struct net_rule){.kind = NET_ADDRESS4,
		     .verdict = NET_ALLOW,
		     .prefix = 16,
		     .addr = {10, 1},
		     .protocol = IPPROTO_TCP,
		     .first = 5432,
		     .last = 5440},
		RULE "ip daddr 10.1.0.0/16 meta l4proto 6 th dport 5432-5440 ip daddr != "
		     "@never4 fib daddr type != local accept\n");
	says((struct net_rule){.kind = NET_ADDRESS4,
		     .verdict = NET_ALLOW,
		     .prefix = 32,
		     .addr = {192, 0, 2, 1}},
		RULE "ip daddr 192.0.2.1 ip daddr != @never4 fib daddr type != local "
		     "accept\n");
	says((struct net_rule){.kind = NET_ADDRESS6,
		     .verdict = NET_ALLOW_HOST,
		     .prefix = 128,
		     .addr = {0xfd, [15] = 1},
		     .first = 53,
		     .last = 53},
		RULE "ip6 daddr fd00::1 meta l4proto { tcp, udp } th dport 53 ip6 daddr "
		     "!= @never6 accept\n");
	says((struct net_rule){.kind = NET_NAME, .verdict = NET_ALLOW, .number = 5},
		RULE "ct status dnat ct original ip daddr 198.19.240.5 accept\n" RULE
		     "ct status dnat ct original ip6 daddr fd62:6572:7468::c613:f005 "
		     "accept\n");
	says((struct net_rule){.kind = NET_INTERNET, .protocol = IPPROTO_UDP},
		RULE " meta l4proto 17 goto deny\n");
	says((struct net_rule){.kind = NET_SERVERS, .verdict = NET_ALLOW},
		RULE "jump exceptions\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_rules_are_taken),
		cmocka_unit_test(each_field_has_its_range),
		cmocka_unit_test(rules_become_lines_of_nft),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
