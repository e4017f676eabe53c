/* What keeps an app awake. berthd, the router and the app's instance are played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/engine.h"
#include "control/network/routes.h"
#include "control/run/fixture.h"
#include "control/run/fleet.h"
#include "control/run/liveness.h"
#include "control/run/sleep_inside.h"
#include "control/run/supervise.h"
#include "control/settings.h"
#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

static struct {
	struct control c;
	uint32_t app;
	uint64_t instance;
	int while_checked;  /* what ps:sleep says meanwhile */
	unsigned int slept; /* as liveness checks are told */
	bool entering;	    /* somebody is recorded as inside once it dozes */
	bool keeping;	    /* and one more comes while its requests end */
	atomic_bool kept;
	pthread_t keeper;
	struct err why;
} g;

static void drop_line(struct sink *s UNUSED, char kind UNUSED, const char *text UNUSED)
{
}

static int go_to_sleep(void)
{
	struct sink s = {.write = drop_line, .watch_fd = -1};

	g.why = (struct err){0};
	return ps_sleep(&g.c, g.app, &s, &g.why);
}

static enum db_asleep how_it_sleeps(void)
{
	struct db_app a;

	assert_int_equal(db_app_by_id(g.c.db, g.app, &a), 0);
	return a.asleep;
}

static struct db_instance add_instance(const char *kind, const char *type)
{
	struct db_instance i = {.app = g.app, .number = 1, .version = 1};

	snprintf(i.kind, sizeof(i.kind), "%s", kind);
	snprintf(i.type, sizeof(i.type), "%s", type);
	assert_int_equal(db_instance_create(g.c.db, &i), 0);
	return i;
}

/* ---- in the place of the real ones (see the Makefile) ---- */

int fleet_list(struct control *c UNUSED, uint32_t app, const char *type UNUSED,
	struct member **ret)
{
	return only_web(g.instance, app, ret);
}

void fleet_hold(struct control *c UNUSED, uint32_t app UNUSED, bool on UNUSED)
{
}

/* With the router told to hold its requests. */
void supervise_settle(struct control *c UNUSED, uint32_t app UNUSED)
{
	if (g.entering)
		add_instance("run", "enter");
}

bool app_sleep_freezes(struct control *c UNUSED, uint32_t app UNUSED)
{
	return true;
}

void routes_lock(struct routes *r UNUSED)
{
}

void routes_unlock(struct routes *r UNUSED)
{
}

bool routes_stay(
	struct routes *r UNUSED, const uint64_t *ids UNUSED, unsigned int n UNUSED)
{
	return false;
}

void routes_watch(
	struct routes *r UNUSED, const uint64_t *ids UNUSED, unsigned int n UNUSED)
{
}

void routes_forget(
	struct routes *r UNUSED, const uint64_t *ids UNUSED, unsigned int n UNUSED)
{
}

int routes_refresh(struct control *c UNUSED, struct err *e UNUSED)
{
	return 0;
}

static void *keep_awake(void *arg UNUSED)
{
	struct err e = {0};

	assert_int_equal(sleep_keep_awake(&g.c, g.app, "test", &e), 0);
	assert_int_equal(how_it_sleeps(), DB_AWAKE);
	g.kept = true;
	return NULL;
}

int routes_wait_drained(struct routes *r UNUSED, const uint64_t *ids UNUSED,
	unsigned int n UNUSED, int timeout_ms UNUSED)
{
	if (g.keeping) {
		assert_int_equal(pthread_create(&g.keeper, NULL, keep_awake, NULL), 0);
		while (!nap_look(g.c.sleepers, g.app).asked && !g.kept)
			sched_yield();
	}
	return 0;
}

int engine_call(struct engine *e UNUSED, uint32_t type UNUSED, const void *body UNUSED,
	size_t size UNUSED, const int *fds UNUSED, unsigned int nfds UNUSED,
	struct msg *reply UNUSED)
{
	return 0;
}

int engine_expect(struct engine *e UNUSED, uint64_t id UNUSED)
{
	return 0;
}

void engine_forget(struct engine *e UNUSED, uint64_t id UNUSED)
{
}

int engine_enter(struct engine *e UNUSED, const struct msg_enter *m UNUSED,
	const int *fds UNUSED, unsigned int n_fds UNUSED, int *ret_pty UNUSED,
	struct err *why UNUSED)
{
	return 0;
}

void liveness_slept(struct control *c UNUSED, uint32_t app)
{
	assert_int_equal(app, g.app);
	assert_int_equal(how_it_sleeps(), DB_ASLEEP_FROZEN);
	g.slept++;
}

/* A command runs inside. */
int engine_wait_exit(struct engine *e UNUSED, uint64_t id UNUSED, int timeout_ms UNUSED,
	struct msg_exited *ret)
{
	*ret = (struct msg_exited){.reason = EXIT_REASON_EXITED};
	g.while_checked = go_to_sleep();
	return 0;
}

/* ---- tests ---- */

static int begin(void **state)
{
	struct fixture *f;

	assert_int_equal(set_up(state), 0);
	f = *state;
	memset(&g, 0, sizeof(g));
	g.c.db = f->db;
	assert_int_equal(sleep_open(&g.c, &g.c.sleepers), 0);
	g.app = live_app(f->db, "shop", "[]");
	g.instance = add_instance("app", "web").id;
	return 0;
}

static int end(void **state)
{
	assert_null(g.c.sleepers->naps);
	free(g.c.sleepers);
	return tear_down(state);
}

static void a_command_that_checks_it_does_not_keep_it_awake(void **state UNUSED)
{
	static const char *const words[] = {"true", NULL};
	char reason[160];
	int status = -1;

	assert_int_equal(oneoff_check(&g.c, g.instance, words, 1000, &status, reason), 0);
	assert_int_equal(status, 0);
	assert_string_equal(g.why.text, "");
	assert_int_equal(g.while_checked, 0);
	assert_int_equal(how_it_sleeps(), DB_ASLEEP_FROZEN);
}

static void somebody_inside_keeps_it_awake(void **state UNUSED)
{
	struct db_instance i = add_instance("run", "enter");

	assert_int_equal(go_to_sleep(), -EBUSY);
	assert_non_null(strstr(g.why.text, "berth enter"));
	assert_int_equal(how_it_sleeps(), DB_AWAKE);
	assert_int_equal(g.slept, 0);
	db_instance_exit(g.c.db, i.id, "left", 1);
	assert_int_equal(go_to_sleep(), 0);
	assert_int_equal(g.slept, 1);
}

static void who_enters_while_it_falls_asleep_keeps_it_awake(void **state UNUSED)
{
	g.entering = true;
	assert_int_equal(go_to_sleep(), -EBUSY);
	assert_non_null(strstr(g.why.text, "somebody is in one of its instances"));
	assert_int_equal(how_it_sleeps(), DB_AWAKE);
}

static void who_is_about_to_enter_turns_it_back(void **state UNUSED)
{
	g.keeping = true;
	assert_int_equal(go_to_sleep(), -EAGAIN);
	pthread_join(g.keeper, NULL);
	assert_int_equal(how_it_sleeps(), DB_AWAKE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_command_that_checks_it_does_not_keep_it_awake, begin, end),
		cmocka_unit_test_setup_teardown(
			somebody_inside_keeps_it_awake, begin, end),
		cmocka_unit_test_setup_teardown(
			who_enters_while_it_falls_asleep_keeps_it_awake, begin, end),
		cmocka_unit_test_setup_teardown(
			who_is_about_to_enter_turns_it_back, begin, end),
	};

	return cmocka_run_group_tests_name("control/run/sleep", tests, NULL, NULL);
}
