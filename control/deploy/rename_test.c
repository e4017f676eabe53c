/* A rename that cannot be recorded. berthd is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/data/snapshot_step.h"
#include "control/deploy/rename.h"
#include "control/engine.h"
#include "db/fixture.h"
#include <errno.h>
#include <string.h>

static char repository[NAME_MAX_LEN + 1];
static bool moves_once;

/* In the place of the real one (see the Makefile). */
int engine_call(struct engine *g UNUSED, uint32_t type, const void *body, size_t size,
	const int *fds UNUSED, unsigned int nfds UNUSED, struct msg *reply UNUSED)
{
	struct msg_rename m;

	assert_int_equal(type, MSG_REPO_RENAME);
	assert_int_equal(size, sizeof(m));
	memcpy(&m, body, size);
	assert_string_equal(m.from, repository);
	if (moves_once && strcmp(m.to, "blog") == 0)
		return -EIO;
	snprintf(repository, sizeof(repository), "%s", m.to);
	return 0;
}

/* Of an app that keeps its name: the reason, where the repository is, and to what the next start goes on to rename. */
static void check_rename(struct fixture *f, bool once, const char *why, const char *where,
	const char *going_on)
{
	struct control c = {.db = f->db};
	struct sink quiet = vault_quiet();
	char to[NAME_MAX_LEN + 1] = "";
	struct err e = {0};
	uint32_t app;

	assert_int_equal(db_app_create(f->db, "blog", &app), 0);
	assert_true(query_exec(f->db,
			    "CREATE TRIGGER keeps BEFORE UPDATE OF name ON app BEGIN "
			    "SELECT RAISE(ABORT, 'it keeps its name'); END",
			    "") >= 0);
	snprintf(repository, sizeof(repository), "blog");
	moves_once = once;
	assert_true(app_rename(&c, app, "shop", &quiet, &e) < 0);
	assert_non_null(strstr(e.text, why));
	assert_string_equal(repository, where);
	assert_int_equal(db_app_renaming(f->db, app, to), going_on != NULL);
	if (going_on)
		assert_string_equal(to, going_on);
}

static void what_cannot_be_recorded_is_taken_back(void **state)
{
	check_rename(*state, false, "record the new name", "blog", NULL);
}

static void where_that_fails_too_the_next_start_goes_on(void **state)
{
	check_rename(*state, true, "the repository stays shop.git", "shop", "shop");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_cannot_be_recorded_is_taken_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			where_that_fails_too_the_next_start_goes_on, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
