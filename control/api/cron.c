/* Scheduled tasks: which there are, running one by hand, suspending, and what became of the runs. */
#include "control/cron/cron.h"
#include "control/api/handlers.h"
#include "control/run/tail.h"
#include "lib/io.h"
#include "lib/stamp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define HISTORY_MAX 1000
#define OUTPUT_LINES 100
#define LOOK_MS 500
#define S_US UINT64_C(1000000)

/* ---- lists ---- */

/* 0 where the clock was set back meanwhile. */
static double took_s(const struct db_cron_run *r)
{
	return r->ended_us > r->started_us ? (double)(r->ended_us - r->started_us) / 1e6
					   : 0;
}

static json_t *run_json(const struct db_cron_run *r)
{
	bool ran = r->started_us && r->ended_us;

	return json_pack(
		"{s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:s, s:I, s:o}",
		"task", r->task, "name",
		r->number ? json_sprintf("cron.%u", r->number) : json_null(), "status",
		r->status, "reason", r->reason, "due", json_stamp(r->due_us), "started",
		json_stamp(r->started_us), "ended", json_stamp(r->ended_us), "seconds",
		ran ? json_real(took_s(r)) : json_null(), "why", r->why, "by", r->actor,
		"command", r->command, "times", (json_int_t)r->times, "release",
		r->version ? json_integer(r->version) : json_null());
}

static json_t *with_last(struct control *c, uint32_t app, const char *task, json_t *o)
{
	struct db_cron_run *runs autofree = NULL;

	if (db_cron_history(c->db, app, task, 1, &runs) == 1)
		json_object_set_new(o, "last", run_json(runs));
	return o;
}

static json_t *next_json(const struct cron_task *t, const struct zone *z)
{
	int64_t at;

	if (!z || schedule_next(&t->schedule, z, (int64_t)(io_now_us() / S_US), &at) < 0)
		return json_null();
	return json_stamp((uint64_t)at * S_US);
}

static json_t *task_json(struct control *c, const struct db_app *a,
	const struct cron_task *t, const struct zone *z, const char *zone)
{
	const char *held = cron_held(c, a, t);

	return with_last(c, a->id, t->id,
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "app", a->name,
			"task", t->id, "schedule", t->text, "command", t->command,
			"state", held ? held : "active", "concurrency_policy",
			cron_policy_name(t->policy), "timezone", zone, "next",
			held ? json_null() : next_json(t, z)));
}

static void add_tasks(
	struct control *c, const struct db_app *a, const json_t *cron, json_t *list)
{
	char *name autofree = cron_zone_name(c, a->id);
	struct zone *z = NULL;
	struct cron_task t;
	struct err e;
	const json_t *row;
	size_t i;

	if (zone_open(name, &z, &e) < 0)
		zone_open(NULL, &z, &e);
	json_array_foreach (cron, i, row)
		if (cron_task_read(row, &t, &e) == 0)
			json_array_append_new(
				list, task_json(c, a, &t, z, name ? name : "host"));
	zone_close(z);
}

int cron_list(struct request *r)
{
	struct db_cron_app *apps autofree = NULL;
	int n = db_cron_apps(r->c->db, &apps);
	json_t *list = json_array();

	for (int i = 0; i < n; i++) {
		struct db_app a;

		if ((!r->app.id || r->app.id == apps[i].app) &&
			db_app_by_id(r->c->db, apps[i].app, &a) == 0)
			add_tasks(r->c, &a, apps[i].cron, list);
		json_decref(apps[i].cron);
	}
	if (n >= 0)
		return request_reply(r, 200, list);
	json_decref(list);
	return request_fail_db(r, n, "the tasks");
}

static int find(struct request *r, const char *id, struct cron_found *ret)
{
	struct err e = {0};

	if (cron_find(r->c, &r->app, id, ret, &e) == 0)
		return 0;
	request_fail(r, FAIL_MISSING, "%s", e.text);
	return request_hint(r, "list them: berth cron:list %s", r->app.name);
}

int cron_history(struct request *r)
{
	const char *id = request_query(r, "task");
	struct db_cron_run *runs autofree = NULL;
	struct cron_found f = {0};
	json_t *list = json_array();
	uint64_t limit;

	if (request_query_u64(r, "limit", 1, HISTORY_MAX, 50, &limit) < 0 ||
		(id && find(r, id, &f) < 0)) {
		json_decref(list);
		return -1;
	}
	int n = db_cron_history(
		r->c->db, r->app.id, id ? f.task.id : NULL, (uint32_t)limit, &runs);
	json_decref(f.cron);
	for (int i = 0; i < n; i++)
		json_array_append_new(list, run_json(&runs[i]));
	if (n >= 0)
		return request_reply(r, 200, list);
	json_decref(list);
	return request_fail_db(r, n, "the runs");
}

/* ---- suspending ---- */

static int suspend_one(struct request *r, const char *id, bool on)
{
	struct cron_found f;

	if (find(r, id, &f) < 0)
		return -1;
	int n = db_cron_suspend(r->c->db, r->app.id, f.task.id, on);
	json_decref(f.cron);
	return n < 0 ? request_fail_db(r, n, id) : 0;
}

static int suspend_all(struct request *r, bool on)
{
	struct db_cron_app *apps autofree = NULL;
	int n_apps = db_cron_apps(r->c->db, &apps), n = n_apps < 0 ? n_apps : 0;
	struct cron_task t;
	struct err e;
	const json_t *row;
	size_t k;

	for (int i = 0; i < n_apps; i++) {
		json_array_foreach (apps[i].cron, k, row)
			if (n >= 0 && apps[i].app == r->app.id &&
				cron_task_read(row, &t, &e) == 0)
				n = db_cron_suspend(r->c->db, r->app.id, t.id, on);
		json_decref(apps[i].cron);
	}
	return n < 0 ? request_fail_db(r, n, r->app.name) : 0;
}

static int suspend(struct request *r, bool on)
{
	const char *id = request_string(r, "task");
	bool all = request_bool(r, "all", false);

	if (all == (id != NULL))
		return request_fail(r, FAIL_USAGE, "which task: one, or all");
	if ((id ? suspend_one(r, id, on) : suspend_all(r, on)) < 0)
		return -1;
	cron_changed(r->c);
	return cron_list(r);
}

int cron_suspend(struct request *r)
{
	return suspend(r, true);
}

int cron_resume(struct request *r)
{
	return suspend(r, false);
}

/* ---- by hand ---- */

int cron_check_run(struct request *r)
{
	struct cron_found f;

	if (find(r, r->args[1], &f) < 0)
		return -1;
	json_decref(f.cron);
	return 0;
}

static void print_output(struct request *r, struct sink *s, const struct db_cron_run *run)
{
	autobuf text = BUF_INIT;
	char source[32], since[STAMP_SIZE];

	snprintf(source, sizeof(source), "app[cron.%u]", run->number);
	stamp_format_us(run->started_us, since);
	if (!tail_read(r->c, r->app.id, source, run->started_us, OUTPUT_LINES, &text))
		sink_detail(s,
			"Its last lines; all of them: berth logs %s -p cron.%u --since "
			"%s",
			r->app.name, run->number, since);
	for (char *rest = text.data, *line; rest && (line = strsep(&rest, "\n"));)
		if (*line)
			sink_line(s, "%s", line);
}

static int await(
	struct request *r, struct sink *s, struct db_cron_run *run, struct err *e)
{
	int n;

	while ((n = cron_wait(r->c, run->id, LOOK_MS, run)) == -EAGAIN)
		if (sink_cancelled(s))
			return 0; /* it goes on, as it would by its schedule */
	if (n < 0)
		return err_sys(e, -n, "wait for cron.%u", run->number);
	print_output(r, s, run);
	if (strcmp(run->status, "succeeded") == 0) {
		sink_step(s, "cron.%u succeeded in %.1f s", run->number, took_s(run));
		return 0;
	}
	return err_set(
		e, ECHILD, "cron.%u %s: %s", run->number, run->status, run->reason);
}

int cron_run_now(struct request *r, struct sink *s, struct err *e)
{
	struct cron_found f;
	struct db_cron_run run;
	int n = cron_find(r->c, &r->app, r->args[1], &f, e);

	if (n < 0)
		return n;
	n = cron_start(r->c, &r->app, &f, r->who.actor, s, &run, e);
	if (n == 0) {
		sink_step(s, "Running cron.%u: %s", run.number, f.task.command);
		char *text = NULL;
		json_t *o =
			json_pack("{s:o}", "name", json_sprintf("cron.%u", run.number));
		text = json_dumps(o, JSON_COMPACT);
		if (text)
			s->write(s, 'd', text);
		free(text);
		json_decref(o);
	}
	json_decref(f.cron);
	return n < 0 || request_bool(r, "detach", false) ? n : await(r, s, &run, e);
}
