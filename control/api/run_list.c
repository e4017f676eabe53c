/* One-off programs that run: which there are, and ending them. */
#include "control/api/handlers.h"
#include "control/cron/cron.h"
#include "control/engine.h"
#include "control/settings.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MORE_MS 5000 /* beyond the stop timeout: SIGKILL and berthd's word */

/* run.N and cron.N; a release task belongs to its deploy, what was entered to its instance. */
static bool is_oneoff(const struct db_instance *i)
{
	return (strcmp(i->kind, "run") == 0 && strcmp(i->type, "run") == 0) ||
	       strcmp(i->kind, "cron") == 0;
}

static json_t *oneoff_json(const char *app, const struct db_instance *i)
{
	return json_pack("{s:s, s:o, s:s, s:s, s:o, s:b, s:s, s:I}", "app", app, "name",
		json_sprintf("%s.%u", i->type, i->number), "state", i->state, "command",
		i->command, "since", json_stamp(i->started_us), "detached", i->detached,
		"by", i->actor, "release", (json_int_t)i->version);
}

int run_list(struct request *r)
{
	struct db_instance *rows autofree = NULL;
	int n = db_instance_list(r->c->db, r->app.id, false, &rows);
	json_t *list = json_array();
	struct db_app a = r->app;

	for (int i = 0; i < n; i++)
		if (is_oneoff(&rows[i]) &&
			(a.id == rows[i].app ||
				db_app_by_id(r->c->db, rows[i].app, &a) == 0))
			json_array_append_new(list, oneoff_json(a.name, &rows[i]));
	if (n >= 0)
		return request_reply(r, 200, list);
	json_decref(list);
	return request_fail_db(r, n, "one-offs");
}

/* NULL: all. */
static bool is_named(const struct db_instance *i, const char *name)
{
	char own[48];

	snprintf(own, sizeof(own), "%s.%u", i->type, i->number);
	return is_oneoff(i) && (!name || strcmp(own, name) == 0);
}

int run_check_stop(struct request *r)
{
	const char *name = request_string(r, "name");
	struct db_instance *rows autofree = NULL;
	int n = db_instance_list(r->c->db, r->app.id, false, &rows);

	if (request_bool(r, "all", false) == (name != NULL))
		return request_fail(r, FAIL_USAGE, "which one-off: a name, or all");
	if (n < 0)
		return request_fail_db(r, n, "one-offs");
	for (int i = 0; i < n; i++)
		if (is_named(&rows[i], name))
			return 0;
	if (!name)
		return 0;
	request_fail(r, FAIL_MISSING, "%s runs no one-off %.60s", r->app.name, name);
	return request_hint(r, "list them: berth run:list %s", r->app.name);
}

static int send_stop(struct control *c, const struct db_instance *i)
{
	struct db_cron_run run;

	db_instance_state(c->db, i->id, "stopping");
	if (strcmp(i->kind, "cron") == 0 && db_cron_run_of(c->db, i->id, &run) == 0)
		return cron_stop(c, &run, "stopped");
	return engine_stop(c->engine, i->id, app_stop_timeout_ms(c, i->app));
}

static int await_end(
	struct control *c, const struct db_instance *i, struct sink *s, struct err *e)
{
	int ms = (int)app_stop_timeout_ms(c, i->app) + MORE_MS;
	struct msg_exited x;
	char reason[160];

	if (engine_wait_exit(c->engine, i->id, ms, &x) < 0)
		return err_set(
			e, ETIMEDOUT, "%s.%u did not end in time", i->type, i->number);
	exit_text(&x, reason);
	sink_step(s, "%s.%u ended: %s", i->type, i->number, reason);
	return 0;
}

/* All are told first, then waited for. */
int run_stop(struct request *r, struct sink *s, struct err *e)
{
	const char *name = request_string(r, "name");
	struct db_instance *rows autofree = NULL;
	int n = db_instance_list(r->c->db, r->app.id, false, &rows), result = 0;

	for (int i = 0; i < n; i++) {
		bool ours = is_named(&rows[i], name);
		int told = ours ? engine_expect(r->c->engine, rows[i].id) : 0;

		if (!ours)
			rows[i].id = 0;
		else if (told == 0 && (told = send_stop(r->c, &rows[i])) == -ESRCH)
			sink_step(s, "%s.%u has ended", rows[i].type, rows[i].number);
		if (told < 0) {
			engine_forget(r->c->engine, rows[i].id);
			rows[i].id = 0;
		}
		if (told < 0 && told != -ESRCH)
			result = err_sys(
				e, -told, "stop %s.%u", rows[i].type, rows[i].number);
	}
	for (int i = 0; i < n; i++) {
		if (!rows[i].id)
			continue;
		int ended = await_end(r->c, &rows[i], s, e);
		engine_forget(r->c->engine, rows[i].id);
		result = ended < 0 ? ended : result;
	}
	return n < 0 ? err_sys(e, -n, "list the one-offs") : result;
}
