/* Resource limits of an app and its process types. */
#include "control/api/handlers.h"
#include "control/api/view.h"
#include "control/limits.h"
#include "control/settings.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static json_t *or_null(uint64_t n)
{
	return n ? json_integer((json_int_t)n) : json_null();
}

/* What is set for the type, for the app, berth's own, and what comes of it here. */
struct layers {
	struct db_resource type, app;
	struct msg_limits_body computed;
	const struct msg_limits_body *own;
	struct msg_host host;
};

static json_t *value_json(struct layers *l, const struct limit_row *row)
{
	uint64_t n = limit_get(&l->computed, row);
	char note[320];
	bool noted = limit_note(row, n, &l->host, note);

	if (row->bit == LIMIT_NOFILE && n > l->host.nofile)
		n = l->host.nofile;
	json_t *v = json_pack("{s:o, s:o, s:o, s:o}", "type",
		or_null(*limit_set(&l->type, row)), "app",
		or_null(*limit_set(&l->app, row)), "default",
		or_null(limit_get(l->own, row)), "computed", or_null(n));
	if (noted)
		json_object_set_new(v, "note", json_string(note));
	return v;
}

static json_t *type_json(struct request *r, const char *type, const struct msg_host *host)
{
	struct layers l = {.own = default_limits(type), .host = *host};
	json_t *o = json_object();

	db_resource_get(r->c->db, r->app.id, type, &l.type);
	if (strcmp(type, "build") != 0)
		db_resource_get(r->c->db, r->app.id, "", &l.app);
	app_limits(r->c, r->app.id, type, &l.computed);
	for (size_t i = 0; i < LIMIT_ROWS; i++)
		json_object_set_new(o, limit_rows[i].key, value_json(&l, &limit_rows[i]));
	return o;
}

/* Types of the live release, one-offs and builds; an app without a release has "web". */
static json_t *types_of(struct request *r)
{
	json_t *types = view_processes(r->c, r->app.id);

	if (!json_object_size(types)) {
		json_decref(types);
		types = json_pack("{s:n}", "web");
	}
	json_object_set_new(types, "run", json_null());
	json_object_set_new(types, "build", json_null());
	return types;
}

int resources_show(struct request *r)
{
	json_t *types = types_of(r), *o = json_object(), *v;
	struct msg_host host;
	const char *type;

	limits_host(r->c, &host);
	json_object_foreach (types, type, v)
		json_object_set_new(o, type, type_json(r, type, &host));
	json_decref(types);
	return request_reply(r, 200, o);
}

static int check_process(struct request *r, const char *type)
{
	if (!type || strcmp(type, "build") == 0 || strcmp(type, "run") == 0)
		return 0;
	json_t *processes = view_processes(r->c, r->app.id);
	bool known = !r->app.live_version || json_object_get(processes, type);
	char names[512];

	view_type_names(processes, names, sizeof(names));
	json_decref(processes);
	if (!name_type_valid(type))
		return request_fail(
			r, FAIL_USAGE, "\"%.80s\" is not a process type", type);
	if (known)
		return 0;
	return request_fail(r, FAIL_USAGE,
		"%s has no process type \"%s\"; its types: %s%srun, build", r->app.name,
		type, names, names[0] ? ", " : "");
}

struct change {
	char type[32];
	uint32_t rows;		   /* bits of limit_rows */
	struct db_resource limits; /* what they become */
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

static int fail_range(struct request *r, const struct limit_row *row, uint64_t n)
{
	char min[40], max[40];

	limit_text(row, row->min, min);
	limit_text(row, row->max, max);
	request_fail(r, FAIL_USAGE, "%s must be from %s to %s", row->key, min, max);
	if ((row->unit == UNIT_SIZE || row->unit == UNIT_RATE) && n < row->min)
		request_hint(r,
			"%llu is a number of bytes; 512M are megabytes, 2G gigabytes",
			(unsigned long long)n);
	return -1;
}

/* A given 0 means "not set any more". */
static int take_number(struct request *r, struct change *ch, size_t i)
{
	const struct limit_row *row = &limit_rows[i];
	json_t *v = request_json(r, row->key);
	json_int_t n = json_integer_value(v);

	if (!v)
		return 0;
	if (n < 0 || (n && ((uint64_t)n < row->min || (uint64_t)n > row->max)))
		return fail_range(r, row, n < 0 ? 0 : (uint64_t)n);
	*limit_set(&ch->limits, row) = (uint64_t)n;
	ch->rows |= 1u << i;
	return 0;
}

int resources_check(struct request *r)
{
	struct change *ch = change_of(r, request_string(r, "process"));

	if (!ch)
		return -1;
	for (size_t i = 0; i < LIMIT_ROWS; i++)
		if (take_number(r, ch, i) < 0)
			return -1;
	return 0;
}

static int apply(struct request *r, int stored, struct sink *s, struct err *e)
{
	const struct change *ch = r->data;

	if (stored < 0)
		return err_sys(
			e, -stored, "the limits of %s could not be stored", r->app.name);
	sink_step(s, "Limits of %s%s%s", r->app.name, ch->type[0] ? " " : "", ch->type);
	if (!ch->rows)
		sink_detail(s, "nothing was set");
	return limits_apply(r->c, r->app.id, ch->type, ch->rows, s, e);
}

/* Over what is set at this moment: another change may have come since the check. */
static int store(struct request *r, struct change *ch)
{
	struct db_resource all;
	int n = db_begin(r->c->db);

	if (n < 0)
		return n;
	n = db_resource_get(r->c->db, r->app.id, ch->type, &all);
	for (size_t i = 0; i < LIMIT_ROWS; i++)
		if (ch->rows & 1u << i)
			*limit_set(&all, &limit_rows[i]) =
				*limit_set(&ch->limits, &limit_rows[i]);
	if (n >= 0)
		n = db_resource_set(r->c->db, r->app.id, ch->type, &all);
	int end = db_end(r->c->db, n >= 0);
	return n < 0 ? n : end;
}

int resources_set(struct request *r, struct sink *s, struct err *e)
{
	return apply(r, store(r, r->data), s, e);
}

int resources_check_clear(struct request *r)
{
	struct change *ch = change_of(r, request_query(r, "process"));
	struct db_resource now;

	if (!ch)
		return -1;
	int n = db_resource_get(r->c->db, r->app.id, ch->type, &now);
	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	for (size_t i = 0; i < LIMIT_ROWS; i++)
		if (*limit_set(&now, &limit_rows[i]))
			ch->rows |= 1u << i;
	return 0;
}

int resources_clear(struct request *r, struct sink *s, struct err *e)
{
	const struct change *ch = r->data;

	return apply(r, db_resource_clear(r->c->db, r->app.id, ch->type), s, e);
}
