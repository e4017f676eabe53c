/* Which layers stay. berthd and the clock are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/data/retention.h"
#include "control/data/usage.h"
#include "control/engine.h"
#include "db/fixture.h"
#include <errno.h>
#include <string.h>

#define MINUTE_US (UINT64_C(60) * 1000000u)

static uint64_t now_us = UINT64_C(1800000000) * 1000000u;

/* ---- in the place of the real ones (see the Makefile) ---- */

uint64_t io_now_us(void)
{
	return now_us;
}

int engine_call(struct engine *g UNUSED, uint32_t type UNUSED, const void *body UNUSED,
	size_t size UNUSED, const int *fds UNUSED, unsigned int nfds UNUSED,
	struct msg *reply)
{
	if (reply)
		memset(reply->body, 0, sizeof(reply->body));
	return 0;
}

int usage_read(struct control *c UNUSED, uint32_t kinds UNUSED, struct usage *ret,
	struct err *e UNUSED)
{
	*ret = (struct usage){0};
	return 0;
}

/* ---- tests ---- */

static void a_layer_stays_while_a_build_runs_that_may_have_it(void **state)
{
	struct fixture *f = *state;
	struct control c = {.db = f->db};
	uint32_t app;
	uint64_t build, layer;
	struct db_layer l;

	assert_int_equal(db_app_create(f->db, "blog", &app), 0);
	assert_int_equal(db_build_create(f->db, app, "push", "", "me", &build), 0);
	now_us += MINUTE_US;
	assert_int_equal(db_layer_begin(f->db, "deps", "k", app, &layer), 0);
	assert_int_equal(db_layer_ready(f->db, layer, NULL, 1), 0);
	now_us += 100 * MINUTE_US;
	retention_now(&c);
	assert_int_equal(db_layer_get(f->db, layer, &l, NULL), 0);
	assert_int_equal(db_build_finish(f->db, build, "failed", 0, ""), 0);
	retention_now(&c);
	assert_int_equal(db_layer_get(f->db, layer, &l, NULL), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_layer_stays_while_a_build_runs_that_may_have_it, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
