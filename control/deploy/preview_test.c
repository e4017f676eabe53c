/* When previews go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/applock.h"
#include "control/deploy/preview.h"
#include "lib/io.h"
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static uint32_t destroyed;

/* In the place of the real one (see the Makefile). */
int app_destroy(struct control *c UNUSED, uint32_t app, bool with_volumes UNUSED,
	const char *actor UNUSED, struct sink *s UNUSED, struct err *e UNUSED)
{
	destroyed = app;
	return 0;
}

static void write_nothing(
	struct sink *s UNUSED, char kind UNUSED, const char *text UNUSED)
{
}

static bool never(struct sink *s UNUSED)
{
	return false;
}

static void one_that_is_pushed_to_stays(void **state UNUSED)
{
	struct sink quiet = {.write = write_nothing, .cancelled = never, .watch_fd = -1};
	char folder[] = "/tmp/berth-preview.XXXXXX";
	struct control c = {0};
	struct err e = {0};
	uint32_t parent, app;

	assert_non_null(mkdtemp(folder));
	assert_int_equal(db_open(folder, (const uint8_t[DB_KEY_SIZE]){1}, &c.db, &e), 0);
	assert_int_equal(db_app_create(c.db, "blog", &parent), 0);
	assert_int_equal(db_app_create(c.db, "blog-x", &app), 0);
	assert_int_equal(db_preview_add(c.db, app, parent, "x"), 0);
	previews_look(&c, false);
	assert_int_equal(destroyed, 0);
	/* its first push was cut off; but another one is there already */
	assert_int_equal(applock_take(app, &quiet, &e), 0);
	previews_look(&c, true);
	assert_int_equal(destroyed, 0);
	applock_drop(app);
	previews_look(&c, true);
	assert_int_equal(destroyed, app);
	db_close(c.db);
	assert_int_equal(io_remove_tree(AT_FDCWD, folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_pushed_to_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
