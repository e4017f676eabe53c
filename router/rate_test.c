/* How many requests a client may make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "router/rate.h"
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const uint64_t secret[2] = {0x1234567890abcdefull, 0xfedcba0987654321ull};

static uint64_t take(struct rates *r, const char *who, uint64_t now_ms)
{
	return rates_take(r, who, strlen(who), 5, 1000, now_ms);
}

static void so_many_at_once_then_as_they_refill(void **state)
{
	struct rates *r autofree = rates_new(secret);

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(take(r, "192.0.2.1", 100000), 0);
	assert_int_equal(take(r, "192.0.2.1", 100000), 200);
	assert_int_equal(take(r, "192.0.2.1", 100150), 50);
	assert_int_equal(take(r, "192.0.2.1", 100200), 0);
	assert_int_equal(take(r, "192.0.2.1", 100200), 200);
	for (int i = 0; i < 5; i++) /* all of them after a period's rest */
		assert_int_equal(take(r, "192.0.2.1", 200000), 0);
	assert_true(take(r, "192.0.2.1", 200000) > 0);
}

static void clients_do_not_share(void **state)
{
	struct rates *r autofree = rates_new(secret);

	(void)state;
	for (int i = 0; i < 6; i++)
		take(r, "192.0.2.1", 100000);
	assert_int_equal(take(r, "192.0.2.2", 100000), 0);
	assert_int_equal(take(r, "2001:db8::1", 100000), 0);
	assert_true(take(r, "192.0.2.1", 100000) > 0);
}

static void a_network_of_ipv6_is_one_client(void **state)
{
	struct rates *r autofree = rates_new(secret);
	char who[48];

	(void)state;
	for (int i = 0; i < 6; i++) {
		snprintf(who, sizeof(who), "2001:db8:1:2:%d::%d", i, i);
		assert_int_equal(take(r, who, 100000) > 0, i == 5);
	}
	assert_int_equal(take(r, "2001:db8:1:3::1", 100000), 0);
}

/* As a proxy that listens to both families writes it. */
static void an_ipv4_address_is_the_same_client_however_it_is_written(void **state)
{
	struct rates *r autofree = rates_new(secret);

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(take(r, "::ffff:192.0.2.1", 100000), 0);
	assert_true(take(r, "::ffff:c000:201", 100000) > 0);
	assert_true(take(r, "192.0.2.1", 100000) > 0);
	assert_int_equal(take(r, "::ffff:192.0.2.2", 100000), 0);
}

/* An attacker with many addresses makes others be forgotten, never refused. */
static void many_clients_push_out_the_quiet_ones(void **state)
{
	struct rates *r autofree = rates_new(secret);
	char who[16];

	(void)state;
	for (int i = 0; i < 100000; i++) {
		snprintf(who, sizeof(who), "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		assert_int_equal(take(r, who, 100000), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_many_at_once_then_as_they_refill),
		cmocka_unit_test(clients_do_not_share),
		cmocka_unit_test(a_network_of_ipv6_is_one_client),
		cmocka_unit_test(
			an_ipv4_address_is_the_same_client_however_it_is_written),
		cmocka_unit_test(many_clients_push_out_the_quiet_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
