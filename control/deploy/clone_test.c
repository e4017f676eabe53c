/* What a new app takes from another one. berthd is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/deploy/clone.h"
#include "control/engine.h"
#include "db/fixture.h"
#include <string.h>

static struct msg_log_limits told;
static unsigned int times;

int engine_call(struct engine *g UNUSED, uint32_t type, const void *body, size_t size,
	const int *fds UNUSED, unsigned int nfds UNUSED, struct msg *reply UNUSED)
{
	assert_int_equal(type, MSG_LOG_LIMITS);
	assert_int_equal(size, sizeof(told));
	memcpy(&told, body, size);
	times++;
	return 0;
}

static void berth_logger_knows_the_limits_of_a_clone(void **state)
{
	struct fixture *f = *state;
	struct control c = {.db = f->db};
	uint32_t from, plain, to;
	struct err e = {0};

	assert_int_equal(db_app_create(f->db, "blog", &from), 0);
	assert_int_equal(db_app_create(f->db, "shop", &plain), 0);
	assert_int_equal(db_setting_set(f->db, from, "logs", "budget", "2M"), 0);
	assert_int_equal(clone_rows(&c, from, "copy", &to, &e), 0);
	assert_int_equal(times, 1);
	assert_int_equal(told.app, to);
	assert_int_equal(told.budget_bytes, 2u << 20);
	assert_true(clone_rows(&c, from, "copy", &to, &e) < 0);
	assert_int_equal(times, 1);
}

static void it_is_half_until_it_is_said_to_be_whole_or_serves(void **state)
{
	struct fixture *f = *state;
	struct control c = {.db = f->db};
	struct db_app first, copy;
	uint32_t from, to;
	struct err e = {0};

	assert_int_equal(db_app_create(f->db, "blog", &from), 0);
	assert_int_equal(clone_rows(&c, from, "copy", &to, &e), 0);
	assert_int_equal(db_app_by_id(f->db, from, &first), 0);
	assert_int_equal(db_app_by_id(f->db, to, &copy), 0);
	assert_false(clone_is_half(&c, &first));
	assert_true(clone_is_half(&c, &copy));
	copy.live_version = 1;
	assert_false(clone_is_half(&c, &copy));
	copy.live_version = 0;
	assert_int_equal(clone_over(&c, to, &e), 0);
	assert_false(clone_is_half(&c, &copy));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			berth_logger_knows_the_limits_of_a_clone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			it_is_half_until_it_is_said_to_be_whole_or_serves, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
