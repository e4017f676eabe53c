/* Processes: how many, and starting and stopping them. */
#include "control/api/handlers.h"
#include "control/api/view.h"
#include "control/deploy/rollout.h"
#include "control/member.h"
#include "control/settings.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Without a release any valid type is taken: it counts from the first deploy on. */
static int check_type(struct request *r, const json_t *processes, const char *type)
{
	char known[512];

	if (!name_type_valid(type) || strcmp(type, "release") == 0)
		return request_fail(r, FAIL_USAGE,
			"\"%.80s\" is not a process type that can run", type);
	if (!r->app.live_version || json_object_get(processes, type))
		return 0;
	view_type_names(processes, known, sizeof(known));
	return request_fail(r, FAIL_USAGE, "%s has no process type \"%s\"; its types: %s",
		r->app.name, type, known[0] ? known : "none");
}

/* Two instances that write to one volume are what stop-first deploys avoid. */
static int check_shared(struct request *r, const char *type, json_int_t n)
{
	if (n <= 1 || !rollout_stop_first(r->c, r->app.id, type))
		return 0;
	request_fail(r, FAIL_CONFLICT,
		"%s has a writable volume, which several instances of %s would share",
		r->app.name, type);
	return request_hint(
		r, "where the app can do that: berth ps:set %s overlap on", r->app.name);
}

int scale_check(struct request *r)
{
	json_t *processes = view_processes(r->c, r->app.id), *v;
	const char *type;

	if (!processes)
		return request_fail_db(r, -EIO, r->app.name);
	json_object_foreach (request_json(r, "formation"), type, v) {
		json_int_t n = json_integer_value(v);

		if (check_type(r, processes, type) < 0)
			break;
		if (!json_is_integer(v) || n < 0 || n > FORMATION_MAX) {
			request_fail(r, FAIL_USAGE,
				"the quantity of %s must be a whole number from 0 to %d",
				type, FORMATION_MAX);
			break;
		}
		if (check_shared(r, type, n) < 0)
			break;
	}
	json_decref(processes);
	if (!r->failure.set && !json_object_size(request_json(r, "formation")))
		request_fail(r, FAIL_USAGE, "formation is empty");
	return r->failure.set ? -1 : 0;
}

static int set_formation(struct request *r, json_t *formation)
{
	const char *type;
	json_t *v;
	int n = db_begin(r->c->db);

	if (n < 0)
		return n;
	json_object_foreach (formation, type, v) {
		n = db_formation_set(
			r->c->db, r->app.id, type, (uint32_t)json_integer_value(v));
		if (n < 0)
			break;
	}
	int ended = db_end(r->c->db, n >= 0);
	return n < 0 ? n : ended;
}

int scale_run(struct request *r, struct sink *s, struct err *e)
{
	json_t *wanted = request_json(r, "formation"), *before = json_object(), *v;
	const char *type;

	json_object_foreach (wanted, type, v)
		json_object_set_new(
			before, type, json_integer(app_quantity(r->c, r->app.id, type)));
	int n = set_formation(r, wanted);
	if (n < 0) {
		json_decref(before);
		return err_sys(
			e, -n, "the formation of %s could not be stored", r->app.name);
	}
	json_object_foreach (wanted, type, v)
		sink_step(s, "Scaling %s to %d", type, (int)json_integer_value(v));
	if (!r->app.live_version)
		sink_detail(s, "takes effect with the first deploy");
	else
		n = ps_apply(r->c, r->app.id, s, e);
	/* What could not be started is not wanted any more, or it would be tried for
	 * ever. */
	if (n < 0)
		set_formation(r, before);
	json_decref(before);
	return n;
}

static int released_check(struct request *r)
{
	if (r->app.live_version)
		return 0;
	request_fail(r, FAIL_CONFLICT, "%s has no release yet", r->app.name);
	return request_hint(r, "push to it first: git push berth main");
}

/* What is done to an app as a whole. */
int whole_check(struct request *r)
{
	if (!request_string(r, "process"))
		return 0;
	request_fail(
		r, FAIL_USAGE, "this is done to a whole app, not to one process type");
	return request_hint(r, "to stop one process type: berth ps:scale %s %.30s=0",
		r->app.name, request_string(r, "process"));
}

int whole_released_check(struct request *r)
{
	return whole_check(r) < 0 ? -1 : released_check(r);
}

int restart_check(struct request *r)
{
	const char *type = request_string(r, "process");

	if (released_check(r) < 0)
		return -1;
	if (!type)
		return 0;
	json_t *processes = view_processes(r->c, r->app.id);
	int n = processes ? check_type(r, processes, type)
			  : request_fail_db(r, -EIO, r->app.name);
	json_decref(processes);
	return n;
}

int restart_run(struct request *r, struct sink *s, struct err *e)
{
	return ps_restart(r->c, r->app.id, request_string(r, "process"), s, e);
}

int stop_run(struct request *r, struct sink *s, struct err *e)
{
	return ps_stop(r->c, r->app.id, s, e);
}

int start_run(struct request *r, struct sink *s, struct err *e)
{
	return ps_start(r->c, r->app.id, s, e);
}

int sleep_run(struct request *r, struct sink *s, struct err *e)
{
	return ps_sleep(r->c, r->app.id, s, e);
}

int wake_run(struct request *r, struct sink *s, struct err *e)
{
	return ps_wake(r->c, r->app.id, s, e);
}

int rebuild_run(struct request *r, struct sink *s, struct err *e)
{
	return deploy_rebuild(r->c, r->app.id, r->who.actor, s, e);
}

int rebase_run(struct request *r, struct sink *s, struct err *e)
{
	return deploy_rebase(r->c, r->app.id, r->who.actor, s, e);
}
