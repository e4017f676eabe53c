/* Deadlines: never early, at most one slot late, moved and taken out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "router/wheel.h"
#include <cmocka.h>
#include <stdio.h>

static struct wheel wheel;
static unsigned int fired;

static void count(void *arg)
{
	(void)arg;
	fired++;
}

/* When t fires, stepping as the loop does. */
static uint64_t run_until_fired(uint64_t now)
{
	fired = 0;
	while (!fired) {
		int ms = wheel_wait_ms(&wheel, now);

		assert_true(ms >= 0);
		now += (uint64_t)ms;
		wheel_run(&wheel, now);
	}
	return now;
}

static void a_timer_fires_in_time(void **state)
{
	static const uint64_t delays[] = {
		0, 1, 63, 64, 65, 1000, 4000, 30000, 65000, 75000, 600000};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		struct wheel_timer t = {.fn = count};
		uint64_t now = 1000003, at;

		wheel_init(&wheel, now);
		wheel_set(&wheel, &t, now + delays[i]);
		at = run_until_fired(now);
		assert_in_range(at, now + delays[i], now + delays[i] + 129);
		assert_int_equal(wheel_wait_ms(&wheel, at), -1);
	}
}

static void a_timer_can_be_moved_both_ways(void **state)
{
	struct wheel_timer t = {.fn = count};
	uint64_t at;

	(void)state;
	wheel_init(&wheel, 5000);
	wheel_set(&wheel, &t, 6000);
	wheel_set(&wheel, &t, 90000);
	at = run_until_fired(5000);
	assert_in_range(at, 90000, 90129);
	wheel_set(&wheel, &t, at + 90000);
	wheel_set(&wheel, &t, at + 1000);
	assert_in_range(run_until_fired(at), at + 1000, at + 1129);
}

static void a_timer_taken_out_does_not_fire(void **state)
{
	struct wheel_timer t = {.fn = count}, other = {.fn = count};

	(void)state;
	wheel_init(&wheel, 0);
	wheel_set(&wheel, &t, 1000);
	wheel_set(&wheel, &other, 1000);
	wheel_del(&wheel, &t);
	wheel_del(&wheel, &t);
	run_until_fired(0);
	assert_int_equal(fired, 1);
	wheel_set(&wheel, &t, 5000);
	wheel_set(&wheel, &t, TIMER_NEVER);
	fired = 0;
	wheel_run(&wheel, 10000);
	assert_int_equal(fired, 0);
}

static void a_long_sleep_fires_everything_once(void **state)
{
	struct wheel_timer t[3] = {{.fn = count}, {.fn = count}, {.fn = count}};

	(void)state;
	wheel_init(&wheel, 0);
	wheel_set(&wheel, &t[0], 100);
	wheel_set(&wheel, &t[1], 60000);
	wheel_set(&wheel, &t[2], 3000000);
	fired = 0;
	wheel_run(&wheel, 1000000);
	assert_int_equal(fired, 2);
	wheel_run(&wheel, 1000000);
	assert_int_equal(fired, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_fires_in_time),
		cmocka_unit_test(a_timer_can_be_moved_both_ways),
		cmocka_unit_test(a_timer_taken_out_does_not_fire),
		cmocka_unit_test(a_long_sleep_fires_everything_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
