/* The scheduler by a clock of the tests: what is started, skipped, replaced, ended, missed, and taken over. berthd is played. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/cron/cron.h"
#include "control/engine.h"
#include "db/fixture.h"
#include <errno.h>
#include <string.h>

#define S UINT64_C(1000000)
#define MINUTE (60 * S)
#define HOUR (60 * MINUTE)
#define NOON (UINT64_C(1780315200) * S) /* 2026-06-01 12:00:00 UTC */

/* ---- berthd, played ---- */

static struct {
	unsigned int starts, fail; /* fail: the next start */
	unsigned int deaf;	   /* so many stops are not heard */
	uint64_t last, stopped[8];
	unsigned int stops;
	char command[64];
	bool quick; /* the next one has ended when its start is answered */
} played;

int oneoff_start(struct control *c, uint32_t app, const struct oneoff *o,
	struct oneoff_handle *ret, struct err *e)
{
	struct db_instance i = {.app = app, .kind = "cron", .type = "cron", .number = 1};

	if (played.fail) {
		played.fail = 0;
		return err_set(e, ENOSPC, "no room");
	}
	i.number = ++played.starts;
	assert_int_equal(db_instance_create(c->db, &i), 0);
	assert_int_equal(db_instance_state(c->db, i.id, "running"), 0);
	snprintf(played.command, sizeof(played.command), "%s", o->cron);
	assert_non_null(json_object_get(o->env, "BERTH_CRON_TASK"));
	assert_true(o->detach);
	*ret = (struct oneoff_handle){.id = i.id, .number = i.number};
	played.last = i.id;
	return 0;
}

int engine_stop(struct engine *g UNUSED, uint64_t id, uint32_t timeout_ms)
{
	assert_int_equal(timeout_ms, 30000);
	if (played.deaf) {
		played.deaf--;
		return -ECONNRESET;
	}
	played.stopped[played.stops++ % ARRAY_LEN(played.stopped)] = id;
	return 0;
}

int engine_wait_exit(struct engine *g UNUSED, uint64_t id, int timeout_ms UNUSED,
	struct msg_exited *ret)
{
	if (!played.quick)
		return -EAGAIN;
	played.quick = false;
	*ret = (struct msg_exited){
		.id = id, .reason = EXIT_REASON_EXITED, .time_us = NOON + 5};
	return 0;
}

void engine_forget(struct engine *g UNUSED, uint64_t id UNUSED)
{
}

static bool exits(struct control *c, uint64_t id, int value, uint64_t at_us)
{
	struct msg_exited x = {
		.id = id, .reason = EXIT_REASON_EXITED, .value = value, .time_us = at_us};

	db_instance_exit(c->db, id, "exited", at_us);
	return cron_ended(c, &x);
}

/* ---- the ground ---- */

static struct control begin(struct fixture *f)
{
	struct control c = {.db = f->db};

	memset(&played, 0, sizeof(played));
	assert_int_equal(cron_open(&c.cron), 0);
	assert_int_equal(db_setting_set(f->db, 0, "cron", "timezone", "UTC"), 0);
	return c;
}

static void release(struct control *c, uint32_t app, const char *cron)
{
	struct db_image i = {.app = app,
		.layers = json_array(),
		.processes = json_pack("{s:s}", "web", "w"),
		.env = json_object(),
		.checks = json_object(),
		.pack = "p",
		.commit = "c"};
	struct db_release r = {.app = app, .config = json_object()};

	json_object_set_new(i.checks, "cron", json_loads(cron, 0, NULL));
	assert_int_equal(db_image_create(c->db, &i), 0);
	r.image = i.id;
	assert_int_equal(db_release_create(c->db, &r), 0);
	assert_int_equal(db_release_switch(c->db, app, r.version), 0);
	db_image_clear(&i);
	db_release_clear(&r);
	cron_changed(c);
}

static uint32_t make_app(struct control *c, const char *name, const char *cron)
{
	uint32_t app;

	assert_int_equal(db_app_create(c->db, name, &app), 0);
	release(c, app, cron);
	return app;
}

/* "status reason;…" newest first. */
static const char *history(struct control *c, uint32_t app)
{
	static char text[1024];
	struct db_cron_run *runs autofree = NULL;
	int n = db_cron_history(c->db, app, NULL, 100, &runs);
	size_t len = 0;

	text[0] = '\0';
	for (int i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%s%s",
			i ? ";" : "", runs[i].status, runs[i].times > 1 ? "*" : "",
			strcmp(runs[i].why, "schedule") ? runs[i].why : "");
	return text;
}

#define HOURLY "[{\"command\": \"./hourly\", \"schedule\": \"0 * * * *\"}]"
#define MINUTELY(more) "[{\"command\": \"./often\", \"schedule\": \"* * * * *\"" more "}]"

/* ---- starts ---- */

static void a_task_starts_at_its_time_and_its_end_is_recorded(void **state)
{
	struct control c = begin(*state);
	uint32_t app = make_app(&c, "blog", HOURLY);

	assert_int_equal(cron_look(&c, NOON + 1), NOON + HOUR);
	assert_int_equal(cron_look(&c, NOON + HOUR - 1), NOON + HOUR);
	assert_int_equal(played.starts, 0);
	/* awake until the run's time limit, or the next time */
	assert_int_equal(cron_look(&c, NOON + HOUR), NOON + 2 * HOUR);
	assert_int_equal(played.starts, 1);
	assert_string_equal(played.command, "./hourly");
	assert_string_equal(history(&c, app), "running");
	assert_true(exits(&c, played.last, 0, NOON + HOUR + S));
	assert_false(exits(&c, played.last, 1, NOON + HOUR + 2 * S));
	assert_string_equal(history(&c, app), "succeeded");
	assert_int_equal(cron_look(&c, NOON + HOUR + MINUTE), NOON + 2 * HOUR);
	assert_int_equal(played.starts, 1);
	cron_look(&c, NOON + 2 * HOUR);
	assert_true(exits(&c, played.last, 3, NOON + 2 * HOUR + S));
	assert_string_equal(history(&c, app), "failed;succeeded");
	cron_close(c.cron);
}

static void one_that_ends_or_fails_at_once_is_recorded_too(void **state)
{
	struct control c = begin(*state);
	uint32_t app = make_app(&c, "blog", HOURLY);

	cron_look(&c, NOON);
	played.quick = true;
	cron_look(&c, NOON + HOUR);
	assert_string_equal(history(&c, app), "succeeded");
	played.fail = 1;
	cron_look(&c, NOON + 2 * HOUR);
	assert_string_equal(history(&c, app), "failed;succeeded");
	cron_close(c.cron);
}

static void a_failed_run_is_an_event(void **state)
{
	const struct db_event_query all = {.limit = 1};
	struct control c = begin(*state);
	json_t *events;

	make_app(&c, "blog", HOURLY);
	cron_look(&c, NOON);
	cron_look(&c, NOON + HOUR);
	exits(&c, played.last, 3, NOON + HOUR);
	assert_int_equal(db_event_list(c.db, &all, &events), 0);
	const json_t *e = json_array_get(events, 0);
	assert_string_equal(json_string_value(json_object_get(e, "what")), "cron:failed");
	assert_non_null(
		strstr(json_string_value(json_object_get(e, "outcome")), "status 3"));
	json_decref(events);
	cron_close(c.cron);
}

/* ---- overlap ---- */

static void a_run_that_still_runs_is_not_joined_by_another(void **state)
{
	struct control c = begin(*state);
	uint32_t app = make_app(&c, "blog", MINUTELY(""));

	cron_look(&c, NOON);
	cron_look(&c, NOON + MINUTE);
	cron_look(&c, NOON + 2 * MINUTE);
	assert_string_equal(history(&c, app), "skipped;running");
	cron_look(&c, NOON + 3 * MINUTE);
	assert_string_equal(history(&c, app), "skipped*;running");
	assert_int_equal(played.starts, 1);
	exits(&c, played.last, 0, NOON + 3 * MINUTE + S);
	cron_look(&c, NOON + 4 * MINUTE);
	assert_int_equal(played.starts, 2);
	cron_close(c.cron);
}

static void allow_lets_them_run_beside_each_other(void **state)
{
	struct control c = begin(*state);

	make_app(&c, "blog", MINUTELY(", \"concurrency_policy\": \"allow\""));
	cron_look(&c, NOON);
	for (int i = 1; i <= 3; i++)
		cron_look(&c, NOON + (unsigned int)i * MINUTE);
	assert_int_equal(played.starts, 3);
	/* but for what this host takes at once: the next waits until one ends */
	assert_int_equal(db_setting_set(c.db, 0, "cron", "parallel", "3"), 0);
	cron_look(&c, NOON + 4 * MINUTE);
	assert_int_equal(played.starts, 3);
	exits(&c, played.last, 0, NOON + 4 * MINUTE + S);
	cron_look(&c, NOON + 4 * MINUTE + 2 * S);
	assert_int_equal(played.starts, 4);
	/* and a quarter of that is for other apps */
	assert_int_equal(db_setting_set(c.db, 0, "cron", "parallel", "4"), 0);
	cron_look(&c, NOON + 5 * MINUTE);
	assert_int_equal(played.starts, 4);
	make_app(&c, "shop", MINUTELY(""));
	cron_look(&c, NOON + 5 * MINUTE + S);
	cron_look(&c, NOON + 6 * MINUTE + S);
	assert_int_equal(played.starts, 5);
	cron_close(c.cron);
}

static void replace_ends_the_one_before_first(void **state)
{
	struct control c = begin(*state);
	uint32_t app =
		make_app(&c, "blog", MINUTELY(", \"concurrency_policy\": \"replace\""));

	cron_look(&c, NOON);
	cron_look(&c, NOON + MINUTE);
	uint64_t first = played.last;
	cron_look(&c, NOON + 2 * MINUTE);
	cron_look(&c, NOON + 2 * MINUTE + S);
	assert_int_equal(played.starts, 1);
	assert_int_equal(played.stops, 1);
	assert_int_equal(played.stopped[0], first);
	exits(&c, first, 143, NOON + 2 * MINUTE + 2 * S);
	cron_look(&c, NOON + 2 * MINUTE + 2 * S);
	assert_int_equal(played.starts, 2);
	assert_string_equal(history(&c, app), "running;replaced");
	cron_close(c.cron);
}

static void a_run_is_ended_at_its_time_limit(void **state)
{
	struct control c = begin(*state);
	uint32_t app = make_app(&c, "blog",
		"[{\"command\": \"x\", \"schedule\": \"0 * * * *\", \"timeout\": "
		"\"90s\"}]");

	cron_look(&c, NOON);
	assert_int_equal(cron_look(&c, NOON + HOUR), NOON + HOUR + 90 * S);
	assert_int_equal(cron_look(&c, NOON + HOUR + 89 * S), NOON + HOUR + 90 * S);
	assert_int_equal(played.stops, 0);
	cron_look(&c, NOON + HOUR + 90 * S);
	cron_look(&c, NOON + HOUR + 95 * S);
	assert_int_equal(played.stops, 1);
	exits(&c, played.last, 143, NOON + HOUR + 96 * S);
	assert_string_equal(history(&c, app), "timeout");
	cron_close(c.cron);
}

static void an_end_that_berthd_did_not_hear_is_asked_for_again(void **state)
{
	struct control c = begin(*state);
	uint32_t app = make_app(&c, "blog",
		"[{\"command\": \"x\", \"schedule\": \"0 * * * *\", \"timeout\": "
		"\"90s\"}]");

	cron_look(&c, NOON);
	cron_look(&c, NOON + HOUR);
	played.deaf = 1;
	assert_int_equal(
		cron_look(&c, NOON + HOUR + 90 * S), NOON + HOUR + 90 * S + MINUTE);
	assert_int_equal(played.stops, 0);
	cron_look(&c, NOON + HOUR + 90 * S + MINUTE);
	assert_int_equal(played.stops, 1);
	/* nor does one that control was killed before it asked for */
	cron_recover(&c);
	assert_int_equal(played.stops, 2);
	exits(&c, played.last, 143, NOON + HOUR + 3 * MINUTE);
	assert_string_equal(history(&c, app), "timeout");
	cron_close(c.cron);
}

/* ---- what is not started ---- */

static void suspended_stopped_and_switched_off_tasks_wait(void **state)
{
	struct control c = begin(*state);
	uint32_t app = make_app(&c, "blog", MINUTELY(""));
	struct db_app a;
	struct cron_found f;
	struct err e;

	assert_int_equal(db_app_by_id(c.db, app, &a), 0);
	assert_int_equal(cron_find(&c, &a, "", &f, &e), -ENOENT);
	json_t *list = json_loads(MINUTELY(""), 0, NULL);
	struct cron_task t;
	assert_int_equal(cron_task_read(json_array_get(list, 0), &t, &e), 0);
	assert_int_equal(cron_find(&c, &a, t.id, &f, &e), 0);
	json_decref(f.cron);
	cron_look(&c, NOON);
	assert_int_equal(db_cron_suspend(c.db, app, t.id, true), 0);
	cron_look(&c, NOON + MINUTE);
	assert_string_equal(cron_held(&c, &a, &t), "suspended");
	assert_int_equal(db_cron_suspend(c.db, app, t.id, false), 0);
	assert_int_equal(db_app_set_stopped(c.db, app, true), 0);
	cron_look(&c, NOON + 2 * MINUTE);
	assert_int_equal(db_app_set_stopped(c.db, app, false), 0);
	assert_int_equal(db_setting_set(c.db, app, "cron", "enabled", "off"), 0);
	cron_look(&c, NOON + 3 * MINUTE);
	assert_int_equal(played.starts, 0);
	assert_string_equal(history(&c, app), "");
	/* what passed meanwhile is not caught up with */
	assert_int_equal(db_setting_set(c.db, app, "cron", "enabled", NULL), 0);
	cron_look(&c, NOON + 3 * MINUTE + S);
	assert_int_equal(played.starts, 0);
	cron_look(&c, NOON + 4 * MINUTE);
	assert_int_equal(played.starts, 1);
	json_decref(list);
	cron_close(c.cron);
}

static void a_previews_tasks_wait_until_that_is_asked_for(void **state)
{
	struct control c = begin(*state);
	uint32_t parent = make_app(&c, "blog", HOURLY),
		 app = make_app(&c, "blog-next", MINUTELY(""));

	assert_int_equal(db_preview_add(c.db, app, parent, "next"), 0);
	cron_look(&c, NOON);
	cron_look(&c, NOON + MINUTE);
	assert_int_equal(played.starts, 0);
	assert_int_equal(db_setting_set(c.db, app, "cron", "enabled", "on"), 0);
	cron_look(&c, NOON + 2 * MINUTE);
	assert_int_equal(played.starts, 1);
	cron_close(c.cron);
}

/* ---- time that berth did not see ---- */

static void missed_times_run_once_while_they_are_young(void **state)
{
	struct control c = begin(*state);
	uint32_t app = make_app(&c, "blog", HOURLY);

	cron_look(&c, NOON);
	/* three times passed; the last one is 40 minutes old */
	cron_changed(&c);
	assert_int_equal(cron_look(&c, NOON + 3 * HOUR + 40 * MINUTE), NOON + 4 * HOUR);
	assert_int_equal(played.starts, 1);
	assert_string_equal(history(&c, app), "runninglate");
	exits(&c, played.last, 0, NOON + 3 * HOUR + 41 * MINUTE);
	/* a window of 10 minutes: too late */
	assert_int_equal(db_setting_set(c.db, app, "cron", "catch-up", "10m"), 0);
	assert_int_equal(cron_look(&c, NOON + 5 * HOUR + 40 * MINUTE), NOON + 6 * HOUR);
	assert_int_equal(played.starts, 1);
	assert_string_equal(history(&c, app), "skipped;succeededlate");
	/* once: not again with each release that follows */
	cron_changed(&c);
	assert_int_equal(cron_look(&c, NOON + 5 * HOUR + 41 * MINUTE), NOON + 6 * HOUR);
	assert_string_equal(history(&c, app), "skipped;succeededlate");
	cron_close(c.cron);
}

static const char *last_reason(struct control *c, uint32_t app)
{
	static char text[256];
	struct db_cron_run *runs autofree = NULL;

	assert_int_equal(db_cron_history(c->db, app, NULL, 1, &runs), 1);
	snprintf(text, sizeof(text), "%s", runs[0].reason);
	return text;
}

static void a_missed_time_says_whether_berth_was_there(void **state)
{
	struct control c = begin(*state);
	uint32_t first, second;

	assert_int_equal(db_setting_set(c.db, 0, "cron", "parallel", "1"), 0);
	assert_int_equal(db_setting_set(c.db, 0, "cron", "catch-up", "10m"), 0);
	first = make_app(&c, "blog", HOURLY);
	second = make_app(&c, "shop", HOURLY);
	c.started_us = NOON;
	cron_look(&c, NOON);
	cron_look(&c, NOON + HOUR);
	assert_int_equal(played.starts, 1);
	/* no place for so long */
	cron_look(&c, NOON + HOUR + 20 * MINUTE);
	assert_string_equal(
		last_reason(&c, second), "missed: it could not start for too long");
	exits(&c, played.last, 0, NOON + HOUR + 21 * MINUTE);
	c.started_us = NOON + 3 * HOUR - 20 * MINUTE;
	cron_changed(&c);
	cron_look(&c, c.started_us);
	assert_string_equal(last_reason(&c, first), "missed: berth did not run then");
	cron_close(c.cron);
}

static void a_year_of_minutes_is_not_walked(void **state)
{
	struct control c = begin(*state);

	make_app(&c, "blog", MINUTELY(""));
	cron_look(&c, NOON);
	cron_look(&c, NOON + 365 * 24 * HOUR + S);
	assert_int_equal(played.starts, 1);
	cron_close(c.cron);
}

static void a_clock_that_is_set_back_a_day_is_believed(void **state)
{
	struct control c = begin(*state);

	make_app(&c, "blog", MINUTELY(""));
	cron_look(&c, NOON);
	cron_look(&c, NOON + MINUTE);
	exits(&c, played.last, 0, NOON + MINUTE + S);
	cron_changed(&c);
	assert_int_equal(cron_look(&c, NOON - 24 * HOUR + S), NOON - 24 * HOUR + MINUTE);
	cron_look(&c, NOON - 24 * HOUR + MINUTE);
	assert_int_equal(played.starts, 2);
	cron_close(c.cron);
}

/* ---- others' deeds ---- */

static void tasks_of_a_release_that_serves_no_more_are_gone(void **state)
{
	struct control c = begin(*state);
	uint32_t app = make_app(&c, "blog", HOURLY);

	cron_look(&c, NOON);
	release(&c, app, MINUTELY(""));
	assert_int_equal(cron_look(&c, NOON + S), NOON + MINUTE);
	release(&c, app, HOURLY);
	/* the same task as before: at its next time */
	assert_int_equal(cron_look(&c, NOON + 2 * S), NOON + HOUR);
	assert_int_equal(db_app_set_removing(c.db, app, false), 0);
	cron_changed(&c);
	assert_int_equal(cron_look(&c, NOON + 3 * S), 0);
	cron_close(c.cron);
}

static void a_berth_that_starts_takes_runs_over_or_says_that_they_are_lost(void **state)
{
	struct control c = begin(*state);
	uint32_t app =
		make_app(&c, "blog", MINUTELY(", \"concurrency_policy\": \"allow\""));
	struct db_instance i;

	cron_look(&c, NOON);
	cron_look(&c, NOON + MINUTE);
	uint64_t first = played.last;
	cron_look(&c, NOON + 2 * MINUTE);
	cron_close(c.cron);
	assert_int_equal(cron_open(&c.cron), 0);
	assert_int_equal(db_instance_get(c.db, first, &i), 0);
	assert_true(cron_keeps(&c, &i));
	db_instance_exit(c.db, played.last, "ended while berth was down", NOON);
	cron_recover(&c);
	assert_string_equal(history(&c, app), "lost;running");
	/* what berthd kept for it counts */
	assert_true(exits(&c, played.last, 0, NOON + 3 * MINUTE));
	assert_true(exits(&c, first, 1, NOON + 3 * MINUTE));
	assert_string_equal(history(&c, app), "succeeded;failed");
	assert_false(cron_keeps(&c, &i));
	cron_close(c.cron);
}

static void history_keeps_the_newest_of_each_task(void **state)
{
	struct control c = begin(*state);
	uint32_t app = make_app(&c, "blog", MINUTELY(""));
	struct db_cron_run *runs autofree = NULL;

	cron_look(&c, NOON);
	for (unsigned int i = 1; i <= DB_CRON_KEPT + 10; i++) {
		cron_look(&c, NOON + i * MINUTE);
		exits(&c, played.last, 0, NOON + i * MINUTE + S);
	}
	int n = db_cron_history(c.db, app, NULL, 1000, &runs);
	assert_in_range(n, DB_CRON_KEPT, DB_CRON_KEPT + 1);
	assert_int_equal(runs[0].due_us, NOON + (DB_CRON_KEPT + 10) * MINUTE);
	cron_close(c.cron);
}

static void an_id_is_that_of_schedule_and_command(void **state UNUSED)
{
	static const char *const rows[] = {
		"{\"command\": \"a\", \"schedule\": \"@daily\"}",
		"{\"schedule\": \"@daily\", \"command\": \"a\", \"suspend\": true}",
		"{\"command\": \"b\", \"schedule\": \"@daily\"}",
		"{\"command\": \"a\", \"schedule\": \"@hourly\"}"};
	struct cron_task t[4];
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *o = json_loads(rows[i], 0, NULL);

		assert_int_equal(cron_task_read(o, &t[i], &e), 0);
		assert_int_equal(strlen(t[i].id), 12);
		json_decref(o);
	}
	assert_string_equal(t[0].id, t[1].id);
	assert_true(t[1].suspended && !t[0].suspended);
	assert_string_not_equal(t[0].id, t[2].id);
	assert_string_not_equal(t[0].id, t[3].id);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_task_starts_at_its_time_and_its_end_is_recorded),
		T(one_that_ends_or_fails_at_once_is_recorded_too),
		T(a_failed_run_is_an_event),
		T(a_run_that_still_runs_is_not_joined_by_another),
		T(allow_lets_them_run_beside_each_other),
		T(replace_ends_the_one_before_first),
		T(a_run_is_ended_at_its_time_limit),
		T(an_end_that_berthd_did_not_hear_is_asked_for_again),
		T(suspended_stopped_and_switched_off_tasks_wait),
		T(a_previews_tasks_wait_until_that_is_asked_for),
		T(missed_times_run_once_while_they_are_young),
		T(a_missed_time_says_whether_berth_was_there),
		T(a_year_of_minutes_is_not_walked),
		T(a_clock_that_is_set_back_a_day_is_believed),
		T(tasks_of_a_release_that_serves_no_more_are_gone),
		T(a_berth_that_starts_takes_runs_over_or_says_that_they_are_lost),
		T(history_keeps_the_newest_of_each_task),
		cmocka_unit_test(an_id_is_that_of_schedule_and_command),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
