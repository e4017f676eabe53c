/* Resource limits of an app and its process types. */
#include "control/api_handlers.h"
#include "control/settings.h"
#include "control/view.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The ranges of struct msg_limits_body. */
#define MEMORY_MIN ((uint64_t)16 << 20)
#define MEMORY_MAX ((uint64_t)1 << 44)
#define SCRATCH_MIN ((uint64_t)1 << 20)
#define CPU_MIN 10u
#define CPU_MAX 1024000u
#define PIDS_MIN 8u
#define PIDS_MAX 32768u

static json_t *or_null(uint64_t n)
{
	return n ? json_integer((json_int_t)n) : json_null();
}

static json_t *set_json(const struct db_resource *l)
{
	return json_pack("{s:o, s:o, s:o, s:o}", "memory", or_null(l->memory_bytes),
		"cpu", or_null(l->cpu_millis), "pids", or_null(l->pids), "scratch",
		or_null(l->scratch_bytes));
}

static json_t *computed_json(struct control *c, uint32_t app, const char *type)
{
	struct msg_limits_body l = {0};

	app_limits(c, app, type, &l);
	return json_pack("{s:I, s:I, s:I, s:I}", "memory", (json_int_t)l.memory_bytes,
		"cpu", (json_int_t)l.cpu_millis, "pids", (json_int_t)l.pids, "scratch",
		(json_int_t)l.scratch_bytes);
}

/* Types of the live release and "build"; an app without a release has "web". */
static json_t *types_of(struct request *r)
{
	json_t *processes = view_processes(r->c, r->app.id), *types = json_object(),
	       *command;
	const char *type;

	json_object_foreach (processes, type, command)
		json_object_set_new(types, type, json_null());
	json_decref(processes);
	if (!json_object_size(types))
		json_object_set_new(types, "web", json_null());
	json_object_set_new(types, "build", json_null());
	return types;
}

int resources_show(struct request *r)
{
	json_t *types = types_of(r), *computed = json_object(), *o = json_object(), *v;
	struct db_resource l = {0};
	const char *type;

	db_resource_get(r->c->db, r->app.id, "", &l);
	json_object_set_new(o, "default", set_json(&l));
	json_object_foreach (types, type, v) {
		if (db_resource_get(r->c->db, r->app.id, type, &l) == 0 &&
			(l.memory_bytes || l.cpu_millis || l.pids || l.scratch_bytes))
			json_object_set_new(o, type, set_json(&l));
		json_object_set_new(computed, type, computed_json(r->c, r->app.id, type));
	}
	json_object_set_new(o, "computed", computed);
	json_decref(types);
	return request_reply(r, 200, o);
}

static int check_process(struct request *r, const char *type)
{
	if (!type || strcmp(type, "build") == 0)
		return 0;
	json_t *processes = view_processes(r->c, r->app.id);
	bool known = !r->app.live_version || json_object_get(processes, type);
	char names[512];

	view_type_names(processes, names, sizeof(names));
	json_decref(processes);
	/* "default" and "computed" are words of the answer, so no type may be called that
	 * here. */
	if (!name_type_valid(type) || strcmp(type, "default") == 0 ||
		strcmp(type, "computed") == 0)
		return request_fail(
			r, FAIL_USAGE, "\"%.80s\" is not a process type", type);
	if (known)
		return 0;
	return request_fail(r, FAIL_USAGE,
		"%s has no process type \"%s\"; its types: %s, build", r->app.name, type,
		names);
}

struct change {
	char type[32];
	struct db_resource limits;
};

static struct change *change_of(struct request *r, const char *type)
{
	struct change *ch = calloc(1, sizeof(*ch));

	if (!ch) {
		request_fail(r, FAIL_BERTH, "out of memory");
		return NULL;
	}
	r->data = ch;
	r->data_free = free;
	if (check_process(r, type) < 0)
		return NULL;
	snprintf(ch->type, sizeof(ch->type), "%s", type ? type : "");
	return ch;
}

/* A given 0 means "not set any more". */
static int number(
	struct request *r, const char *name, uint64_t min, uint64_t max, uint64_t *value)
{
	json_t *v = request_json(r, name);

	if (v && json_integer_value(v) == 0) {
		*value = 0;
		return 0;
	}
	return request_u64(r, name, min, max, *value, value);
}

int resources_check(struct request *r)
{
	struct change *ch = change_of(r, request_string(r, "process"));
	uint64_t cpu, pids;

	if (!ch)
		return -1;
	int n = db_resource_get(r->c->db, r->app.id, ch->type, &ch->limits);
	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	cpu = ch->limits.cpu_millis;
	pids = ch->limits.pids;
	if (number(r, "memory", MEMORY_MIN, MEMORY_MAX, &ch->limits.memory_bytes) < 0 ||
		number(r, "scratch", SCRATCH_MIN, MEMORY_MAX, &ch->limits.scratch_bytes) <
			0 ||
		number(r, "cpu", CPU_MIN, CPU_MAX, &cpu) < 0 ||
		number(r, "pids", PIDS_MIN, PIDS_MAX, &pids) < 0)
		return -1;
	ch->limits.cpu_millis = (uint32_t)cpu;
	ch->limits.pids = (uint32_t)pids;
	return 0;
}

static int apply(struct request *r, int stored, struct sink *s, struct err *e)
{
	if (stored < 0)
		return err_sys(
			e, -stored, "the limits of %s could not be stored", r->app.name);
	return r->app.live_version ? ps_limits(r->c, r->app.id, s, e) : 0;
}

int resources_set(struct request *r, struct sink *s, struct err *e)
{
	const struct change *ch = r->data;

	return apply(
		r, db_resource_set(r->c->db, r->app.id, ch->type, &ch->limits), s, e);
}

int resources_check_clear(struct request *r)
{
	return change_of(r, request_query(r, "process")) ? 0 : -1;
}

int resources_clear(struct request *r, struct sink *s, struct err *e)
{
	const struct change *ch = r->data;

	return apply(r, db_resource_clear(r->c->db, r->app.id, ch->type), s, e);
}
