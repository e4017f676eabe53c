/* What one-off programs are called, and what those that enter an instance get. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/engine.h"
#include "control/run/fleet.h"
#include "control/run/sleep.h"
#include "lib/io.h"
#include "lib/spec.h"
#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_barrier_t both_start;
static struct member running; /* all that does */
static int entered = -1;      /* the spec of the last program that entered it */
static uint64_t target;	      /* what it entered */

#define AFTER_SLEEP 77
static uint32_t version_after_sleep; /* 0: as before */

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

int fleet_list(struct control *c UNUSED, uint32_t app UNUSED, const char *type UNUSED,
	struct member **ret)
{
	*ret = malloc(sizeof(**ret));
	assert_non_null(*ret);
	**ret = running;
	return 1;
}

/* Once somebody is recorded as inside, running has been stopped and started again. */
int sleep_keep_awake(
	struct control *c, uint32_t app, const char *why UNUSED, struct err *e UNUSED)
{
	struct db_instance *rows autofree = NULL;

	if (db_instance_list(c->db, app, false, &rows) > 0) {
		running.id = AFTER_SLEEP;
		if (version_after_sleep)
			running.version = version_after_sleep;
	}
	return 0;
}

int engine_expect(struct engine *g UNUSED, uint64_t id UNUSED)
{
	return 0;
}

int engine_enter(struct engine *g UNUSED, const struct msg_enter *m, const int *fds,
	unsigned int n_fds UNUSED, int *ret_pty UNUSED, struct err *e UNUSED)
{
	target = m->target;
	entered = fcntl(fds[0], F_DUPFD_CLOEXEC, 3);
	return 0;
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

/* Live from here on; the word is in its image's environment and in its config. */
static void add_release(struct control *c, uint32_t app, const char *word)
{
	struct db_image i = {.app = app, .pack = "static", .commit = ""};
	struct db_release r = {.app = app, .description = "", .actor = "ann"};

	i.layers = json_array();
	i.processes = json_object();
	i.env = json_pack("{s:s}", "IMAGE", word);
	i.checks = json_object();
	r.config = json_pack("{s:s}", "COLOUR", word);
	assert_int_equal(db_image_create(c->db, &i), 0);
	r.image = i.id;
	assert_int_equal(db_release_create(c->db, &r), 0);
	assert_int_equal(db_release_switch(c->db, app, r.version), 0);
	db_image_clear(&i);
	db_release_clear(&r);
}

struct fixture {
	char folder[64];
	struct control c;
	uint32_t app;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err e = {0};

	snprintf(f->folder, sizeof(f->folder), "/tmp/berth-oneoff.XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(
		db_open(f->folder, (const uint8_t[DB_KEY_SIZE]){1}, &f->c.db, &e), 0);
	assert_int_equal(db_app_create(f->c.db, "shop", &f->app), 0);
	add_release(&f->c, f->app, "red");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	db_close(f->c.db);
	assert_int_equal(io_remove_tree(AT_FDCWD, f->folder), 0);
	free(f);
	return 0;
}

static void two_that_start_at_once_have_names_of_their_own(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[2];
	struct run runs[2];

	pthread_barrier_init(&both_start, NULL, 2);
	for (int i = 0; i < 2; i++) {
		runs[i] = (struct run){.c = &f->c, .app = f->app};
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
}

static bool has(char **env, const char *entry)
{
	for (; *env; env++)
		if (strcmp(*env, entry) == 0)
			return true;
	return false;
}

/* What a program that enters web.101 gets in its environment, and of which release its row is. */
static void expect_entered(
	struct fixture *f, const char *image, const char *colour, const char *release)
{
	const struct oneoff o = {.instance = "web.101", .tty = true};
	struct oneoff_handle h;
	struct db_instance row;
	struct err e = {0};
	char **argv, **env, cwd[256];
	void *mem;

	assert_int_equal(oneoff_start(&f->c, f->app, &o, &h, &e), 0);
	assert_int_equal(spec_unpack(entered, &argv, &env, cwd, &mem), 0);
	close(entered);
	assert_true(has(env, image));
	assert_true(has(env, colour));
	assert_true(has(env, release));
	free(mem);
	assert_int_equal(db_instance_get(f->c.db, h.id, &row), 0);
	assert_int_equal(row.version, running.version);
}

static void who_enters_a_canary_gets_its_release(void **state)
{
	struct fixture *f = *state;

	add_release(&f->c, f->app, "blue");
	running = (struct member){.id = 7,
		.number = CANARY_FIRST,
		.version = 1,
		.type = "web",
		.state = MEMBER_READY};
	expect_entered(f, "IMAGE=red", "COLOUR=red", "BERTH_RELEASE=v1");
	running.version = 2;
	expect_entered(f, "IMAGE=blue", "COLOUR=blue", "BERTH_RELEASE=v2");
}

static void who_enters_is_recorded_before_the_app_is_kept_awake(void **state)
{
	struct fixture *f = *state;

	running = (struct member){.id = 7,
		.number = 101,
		.version = 1,
		.type = "web",
		.state = MEMBER_READY};
	expect_entered(f, "IMAGE=red", "COLOUR=red", "BERTH_RELEASE=v1");
	assert_int_equal(target, AFTER_SLEEP);
}

static void who_waits_for_it_to_wake_gets_the_release_of_then(void **state)
{
	struct fixture *f = *state;

	add_release(&f->c, f->app, "blue");
	running = (struct member){.id = 7,
		.number = 101,
		.version = 1,
		.type = "web",
		.state = MEMBER_READY};
	version_after_sleep = 2;
	expect_entered(f, "IMAGE=blue", "COLOUR=blue", "BERTH_RELEASE=v2");
	assert_int_equal(target, AFTER_SLEEP);
	version_after_sleep = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			two_that_start_at_once_have_names_of_their_own, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			who_enters_a_canary_gets_its_release, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			who_waits_for_it_to_wake_gets_the_release_of_then, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			who_enters_is_recorded_before_the_app_is_kept_awake, set_up,
			tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
