/* Running instances as a person orders them. The fleet is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/run/fixture.h"
#include "control/run/fleet.h"
#include <string.h>

#define MANY 1000

static unsigned int retired, stopped;

/* ---- in the place of the real ones (see the Makefile) ---- */

int fleet_list(struct control *c UNUSED, uint32_t app, const char *type UNUSED,
	struct member **ret)
{
	*ret = calloc(MANY, sizeof(**ret));
	assert_non_null(*ret);
	for (unsigned int i = 0; i < MANY; i++)
		(*ret)[i] = (struct member){.id = i + 1, .app = app};
	return MANY;
}

void fleet_retire(struct control *c UNUSED, const uint64_t *ids UNUSED, unsigned int n)
{
	assert_int_equal(stopped, 0);
	retired += n;
}

int routes_refresh(struct control *c UNUSED, struct err *e UNUSED)
{
	return 0;
}

void fleet_stop(struct control *c UNUSED, const struct member *m, unsigned int n)
{
	assert_int_equal(m[n - 1].id, n);
	stopped += n;
}

/* ---- tests ---- */

static void drop_line(struct sink *s UNUSED, char kind UNUSED, const char *text UNUSED)
{
}

static void a_stop_is_one_of_all_instances_however_many(void **state)
{
	struct fixture *f = *state;
	struct control c = {.db = f->db};
	struct sink s = {.write = drop_line, .watch_fd = -1};
	struct err e = {0};
	struct db_app a;
	uint32_t app = live_app(f->db, "shop", "[]");

	assert_int_equal(ps_stop(&c, app, &s, &e), 0);
	assert_int_equal(retired, MANY);
	assert_int_equal(stopped, MANY);
	assert_int_equal(db_app_by_id(f->db, app, &a), 0);
	assert_true(a.stopped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_stop_is_one_of_all_instances_however_many, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("control/run/ps", tests, NULL, NULL);
}
