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

static int answer; /* of berthd */

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
	return answer;
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

static void a_layer_that_the_disk_refused_is_made_anew(void **state)
{
	struct fixture *f = *state;
	struct control c = {.db = f->db};
	uint64_t lost, upper, found;
	struct db_layer l;
	json_t *meta, *layers;

	assert_int_equal(db_layer_begin(f->db, "source", "k", 0, &lost), 0);
	assert_int_equal(db_layer_ready(f->db, lost, NULL, 0), 0);
	meta = json_pack("{s:[I]}", "below", (json_int_t)lost);
	assert_int_equal(db_layer_begin(f->db, "source", "on it", 0, &upper), 0);
	assert_int_equal(db_layer_ready(f->db, upper, meta, 1), 0);
	layers = json_pack("[II]", (json_int_t)lost, (json_int_t)upper);
	assert_int_equal(retention_begin_settle(&c, layers), 0);
	assert_int_equal(db_layer_find(f->db, "source", "on it", &found, NULL), 0);
	answer = -EIO;
	for (int i = 0; i < 2; i++) { /* it stays so */
		assert_int_equal(retention_begin_settle(&c, layers), -EIO);
		assert_int_equal(retention_settle(&c, layers), -EIO);
	}
	answer = 0;
	assert_int_equal(db_layer_find(f->db, "source", "k", &found, NULL), -ENOENT);
	assert_int_equal(db_layer_find(f->db, "source", "on it", &found, NULL), -ENOENT);
	assert_int_equal(db_layer_get(f->db, lost, &l, NULL), 0);
	assert_string_equal(l.kind, "lost");
	assert_int_equal(db_layer_begin(f->db, "source", "k", 0, &found), 0);
	assert_int_equal(db_layer_ready(f->db, found, NULL, 0), 0);
	json_decref(meta);
	json_decref(layers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_layer_stays_while_a_build_runs_that_may_have_it, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_layer_that_the_disk_refused_is_made_anew, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
