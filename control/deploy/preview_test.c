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
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* ---- two first pushes ---- */

struct pusher {
	struct sink sink; /* first: its functions get its address */
	struct control *c;
	uint32_t parent;
	int told[2]; /* that it waits for the parent */
	struct db_app preview;
	bool is_new;
	int status;
	struct err e;
};

static void tell(struct sink *s, char kind UNUSED, const char *text UNUSED)
{
	assert_int_equal(write(((struct pusher *)s)->told[1], "w", 1), 1);
}

static void *push(void *arg)
{
	struct pusher *p = arg;
	struct db_app parent;

	assert_int_equal(db_app_by_id(p->c->db, p->parent, &parent), 0);
	p->status = preview_get(
		p->c, &parent, "x", "ann", &p->sink, &p->preview, &p->is_new, &p->e);
	return NULL;
}

static void one_that_another_push_made_meanwhile_is_taken(void **state UNUSED)
{
	struct sink quiet = {.write = write_nothing, .cancelled = never, .watch_fd = -1};
	struct pusher p = {.sink = {.write = tell, .cancelled = never, .watch_fd = -1}};
	char folder[] = "/tmp/berth-preview.XXXXXX", word;
	struct control c = {0};
	struct err e = {0};
	pthread_t thread;
	uint32_t app;

	assert_non_null(mkdtemp(folder));
	assert_int_equal(db_open(folder, (const uint8_t[DB_KEY_SIZE]){1}, &c.db, &e), 0);
	p.c = &c;
	assert_int_equal(db_app_create(c.db, "blog", &p.parent), 0);
	assert_int_equal(pipe2(p.told, O_CLOEXEC), 0);
	assert_int_equal(applock_take(p.parent, &quiet, &e), 0);
	assert_int_equal(pthread_create(&thread, NULL, push, &p), 0);
	assert_int_equal(read(p.told[0], &word, 1), 1);
	assert_int_equal(db_app_create(c.db, "blog-x", &app), 0);
	assert_int_equal(db_preview_add(c.db, app, p.parent, "x"), 0);
	applock_drop(p.parent);
	pthread_join(thread, NULL);
	assert_string_equal(p.e.text, "");
	assert_int_equal(p.status, 0);
	assert_int_equal(p.preview.id, app);
	assert_false(p.is_new);
	close(p.told[0]);
	close(p.told[1]);
	db_close(c.db);
	assert_int_equal(io_remove_tree(AT_FDCWD, folder), 0);
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
		cmocka_unit_test(one_that_another_push_made_meanwhile_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
