/* What follows a liveness check that failed. The clock and what is asked are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/run/fixture.h"
#include "control/run/fleet.h"
#include "control/run/health.h"
#include "control/run/liveness.h"
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#define S UINT64_C(1000000000)

static struct control c;
static uint32_t shop;
static atomic_uint_fast64_t clock_ns = S;
static atomic_uint tries, tries_at_stop;
static atomic_bool over; /* its thread never ends: here it stays then */
static sem_t looked, asked, answer, stopped;

/* ---- in the place of the real ones (see the Makefile) ---- */

uint64_t io_mono_ns(void)
{
	return clock_ns;
}

int fleet_list(struct control *k UNUSED, uint32_t app, const char *type UNUSED,
	struct member **ret)
{
	sem_post(&looked);
	while (over)
		pause();
	return only_web(7, app, ret);
}

int health_try(struct control *k UNUSED, const struct member *m UNUSED,
	const struct health *h UNUSED, char text[160])
{
	tries++;
	sem_post(&asked);
	sem_wait(&answer);
	snprintf(text, 160, "no answer from /");
	return 1;
}

int fleet_send_stop(struct control *k UNUSED, uint64_t id, uint32_t timeout_ms UNUSED)
{
	assert_int_equal(id, 7);
	tries_at_stop = tries;
	over = true;
	sem_post(&stopped);
	return 0;
}

/* ---- tests ---- */

static void await_try(void)
{
	while (sem_trywait(&asked) < 0) {
		clock_ns += S;
		liveness_changed(&c);
		sem_wait(&looked);
	}
}

static void a_try_counts_unless_the_app_fell_asleep_meanwhile(void **state UNUSED)
{
	assert_int_equal(liveness_run(&c), 0);
	sem_wait(&looked);
	await_try();
	liveness_slept(&c, shop + 1);
	liveness_slept(&c, shop);
	sem_post(&answer);
	sem_wait(&looked); /* after its end */
	assert_int_equal(tries_at_stop, 0);
	await_try();
	liveness_slept(&c, shop + 1);
	sem_post(&answer);
	sem_wait(&stopped);
	sem_wait(&looked);
	assert_int_equal(tries_at_stop, 2);
}

static int begin(void **state)
{
	struct fixture *f;

	assert_int_equal(set_up(state), 0);
	f = *state;
	c.db = f->db;
	shop = live_app(f->db, "shop",
		"[{\"type\": \"liveness\", \"path\": \"/\", \"attempts\": 1}]");
	sem_init(&looked, 0, 0);
	sem_init(&asked, 0, 0);
	sem_init(&answer, 0, 0);
	sem_init(&stopped, 0, 0);
	assert_int_equal(liveness_open(&c.liveness), 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_try_counts_unless_the_app_fell_asleep_meanwhile, begin,
			tear_down),
	};

	return cmocka_run_group_tests_name("control/run/liveness", tests, NULL, NULL);
}
