/* How much noise of a client or an app is borne. */
#include "router/h2_session.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void fill(struct h2_noise *b, uint64_t now_ms, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_false(h2_noisy(b, now_ms));
}

static void so_much_noise_is_borne_at_once(void **state UNUSED)
{
	struct h2_noise b = {.since_ms = 5000};

	fill(&b, 5000, H2_NOISE_MAX);
	assert_true(h2_noisy(&b, 5000));
}

static void and_so_much_a_second(void **state UNUSED)
{
	struct h2_noise b = {.since_ms = 5000};

	fill(&b, 5000, H2_NOISE_MAX);
	fill(&b, 6000, H2_NOISE_PER_S);
	assert_true(h2_noisy(&b, 6000));
}

static void a_long_silence_makes_room_for_no_more_than_at_the_start(void **state UNUSED)
{
	struct h2_noise b = {.since_ms = 5000};

	fill(&b, 5000, 3);
	fill(&b, 5000000, H2_NOISE_MAX);
	assert_true(h2_noisy(&b, 5000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(so_much_noise_is_borne_at_once),
		cmocka_unit_test(and_so_much_a_second),
		cmocka_unit_test(a_long_silence_makes_room_for_no_more_than_at_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
