/* What one-off programs are called. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/engine.h"
#include "control/run/fleet.h"
#include "lib/io.h"
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static pthread_barrier_t both_start;

/* ---- in the place of the real ones (see the Makefile) ---- */

/* None has its row before both are about to get theirs. */
int fleet_start(struct control *c, const struct fleet_start *s, struct member *ret,
	int *ret_pty UNUSED, struct err *e UNUSED)
{
	struct db_instance row = {.app = s->app->id,
		.number = s->number,
		.version = 1,
		.state = "starting",
		.started_us = 1};

	snprintf(row.kind, sizeof(row.kind), "%s", s->kind);
	snprintf(row.type, sizeof(row.type), "%s", s->type);
	pthread_barrier_wait(&both_start);
	int r = db_instance_create(c->db, &row);
	ret->id = row.id;
	return r;
}

void engine_forget(struct engine *g UNUSED, uint64_t id UNUSED)
{
}

/* ---- tests ---- */

struct run {
	struct control *c;
	uint32_t app;
	struct oneoff_handle handle;
};

static void *run(void *arg)
{
	static const char *const words[] = {"true", NULL};
	const struct oneoff o = {.argv = words, .detach = true};
	struct run *y = arg;
	struct err e = {0};

	assert_int_equal(oneoff_start(y->c, y->app, &o, &y->handle, &e), 0);
	return NULL;
}

static uint32_t make_released(struct control *c)
{
	struct db_image i = {.pack = "static", .commit = ""};
	struct db_release r = {.description = "", .actor = "ann"};
	uint32_t app;

	assert_int_equal(db_app_create(c->db, "shop", &app), 0);
	i.app = r.app = app;
	i.layers = json_array();
	i.processes = json_object();
	i.env = json_object();
	i.checks = json_object();
	r.config = json_object();
	assert_int_equal(db_image_create(c->db, &i), 0);
	r.image = i.id;
	assert_int_equal(db_release_create(c->db, &r), 0);
	assert_int_equal(db_release_switch(c->db, app, r.version), 0);
	db_image_clear(&i);
	db_release_clear(&r);
	return app;
}

static void two_that_start_at_once_have_names_of_their_own(void **state UNUSED)
{
	char folder[] = "/tmp/berth-oneoff.XXXXXX";
	struct control c = {0};
	struct err e = {0};
	pthread_t threads[2];
	struct run runs[2];

	assert_non_null(mkdtemp(folder));
	assert_int_equal(db_open(folder, (const uint8_t[DB_KEY_SIZE]){1}, &c.db, &e), 0);
	uint32_t app = make_released(&c);
	pthread_barrier_init(&both_start, NULL, 2);
	for (int i = 0; i < 2; i++) {
		runs[i] = (struct run){.c = &c, .app = app};
		assert_int_equal(pthread_create(&threads[i], NULL, run, &runs[i]), 0);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(runs[0].handle.number + runs[1].handle.number, 1 + 2);
	assert_string_not_equal(runs[0].handle.name, runs[1].handle.name);
	/* a third comes behind their rows */
	pthread_barrier_destroy(&both_start);
	pthread_barrier_init(&both_start, NULL, 1);
	run(&runs[0]);
	assert_string_equal(runs[0].handle.name, "run.3");
	pthread_barrier_destroy(&both_start);
	db_close(c.db);
	assert_int_equal(io_remove_tree(AT_FDCWD, folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_that_start_at_once_have_names_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
