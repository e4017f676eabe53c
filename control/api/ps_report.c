/* What runs, since when, what ended and why, and when it is tried again. */
#include "control/api/handlers.h"
#include "control/api/view.h"
#include "control/limits.h"
#include "control/network/metrics.h"
#include "control/network/routes.h"
#include "control/run/fleet.h"
#include "control/run/restart.h"
#include "control/settings.h"
#include "lib/io.h"
#include <string.h>

static json_t *processes_json(struct control *c, uint32_t app)
{
	json_t *processes = view_processes(c, app), *list = json_array(), *command;
	const char *type;

	json_object_foreach (processes, type, command) {
		struct restart_policy policy;
		char text[32];

		if (strcmp(type, "release") == 0)
			continue;
		app_restart_policy(c, app, type, &policy);
		restart_policy_text(&policy, text);
		json_array_append_new(
			list, json_pack("{s:s, s:O, s:i, s:s}", "type", type, "command",
				      command, "quantity",
				      (int)app_quantity(c, app, type), "restart", text));
	}
	json_decref(processes);
	return list;
}

/* web.1, web.2, then the others by name; old instances that drain stand before those that follow them. */
static int in_order(const void *x, const void *y)
{
	const struct member *a = x, *b = y;
	bool a_web = strcmp(a->type, "web") == 0, b_web = strcmp(b->type, "web") == 0;
	int by_type = a_web || b_web ? b_web - a_web : strcmp(a->type, b->type);

	if (by_type)
		return by_type;
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return (a->version > b->version) - (a->version < b->version);
}

/* Seconds to the next try, -1 when none is planned. */
static json_int_t next_in(const struct member *m)
{
	uint64_t now = io_mono_ns();

	if (m->state == MEMBER_QUEUED)
		return 0;
	if (m->state != MEMBER_BACKOFF && m->state != MEMBER_CRASHED)
		return -1;
	return m->due_ns > now
		       ? (json_int_t)((m->due_ns - now + 999999999u) / 1000000000u)
		       : 0;
}

static json_t *next_json(json_int_t seconds)
{
	return seconds < 0 ? json_null() : json_integer(seconds);
}

/* Why the one before in its place ended: what the member knows, else (berth-control is young) what was recorded. */
static const char *last_end(const struct member *m, const struct db_instance *rows, int n)
{
	const struct db_instance *last = NULL;

	if (m->reason[0])
		return m->reason;
	for (int i = 0; i < n; i++) {
		const struct db_instance *r = &rows[i];
		if (r->app == m->app && r->number == m->number &&
			r->version == m->version && strcmp(r->type, m->type) == 0 &&
			strcmp(r->kind, "app") == 0 && strcmp(r->state, "exited") == 0 &&
			(!last || r->id > last->id))
			last = r;
	}
	return last ? last->reason : "";
}

static uint32_t restarts(const struct member *m)
{
	return m->id || !m->restarts ? m->restarts : m->restarts - 1;
}

static uint32_t oom_kills(uint64_t id, const struct db_instance *rows, int n)
{
	for (int i = 0; i < n; i++)
		if (rows[i].id == id)
			return rows[i].oom_kills;
	return 0;
}

static bool is_frozen(const struct db_app *a, const struct member *m)
{
	return a->asleep == DB_ASLEEP_FROZEN && m->state == MEMBER_READY &&
	       strcmp(m->type, "web") == 0;
}

static json_t *member_json(const struct member *m, const struct db_instance *rows, int n)
{
	return json_pack("{s:o, s:s, s:s, s:s, s:I, s:o, s:I, s:s, s:o, s:I}", "name",
		json_sprintf("%s.%u", m->type, m->number), "type", m->type, "kind", "app",
		"state", member_state_name(m->state), "release", (json_int_t)m->version,
		"since", json_stamp(m->since_us), "restarts", (json_int_t)restarts(m),
		"reason", last_end(m, rows, n), "next_in", next_json(next_in(m)),
		"oom_kills", (json_int_t)oom_kills(m->id, rows, n));
}

static json_t *oneoff_json(const struct db_instance *i)
{
	return json_pack("{s:o, s:s, s:s, s:s, s:I, s:o, s:I, s:s, s:n, s:I}", "name",
		json_sprintf("%s.%u", i->type, i->number), "type", i->type, "kind",
		i->kind, "state", i->state, "release", (json_int_t)i->version, "since",
		json_stamp(i->started_us), "restarts", (json_int_t)i->restarts, "reason",
		i->reason, "next_in", "oom_kills", (json_int_t)i->oom_kills);
}

/* A frozen instance, or a place that is empty until the next request: since when, and why. */
static json_t *asleep(const struct db_app *a, const char *state, json_t *member)
{
	json_object_set_new(member, "state", json_string(state));
	json_object_set_new(member, "since", json_stamp(a->asleep_us));
	json_object_set_new(member, "reason", json_string(a->asleep_why));
	return member;
}

static void add_empty_places(struct request *r, const struct member *m, int n,
	json_t *list, uint32_t first, uint32_t want)
{
	struct member place = {.app = r->app.id,
		.version = first == 1 ? r->app.live_version : r->app.canary_version,
		.type = "web"};

	for (place.number = first; place.number < first + want; place.number++) {
		bool taken = false;

		for (int i = 0; i < n; i++)
			taken |= m[i].id && m[i].number == place.number &&
				 strcmp(m[i].type, "web") == 0;
		if (!taken)
			json_array_append_new(list,
				asleep(&r->app, "asleep", member_json(&place, NULL, 0)));
	}
}

/* What the router counts of an instance, beside its state. */
static json_t *counted(json_t *member, uint64_t id, const struct metrics_row *rows, int n)
{
	for (int i = 0; i < n; i++)
		if (id && rows[i].sum.instance == id)
			json_object_set_new(member, "http", metrics_json(&rows[i]));
	return member;
}

static json_t *instances_json(struct request *r, const struct db_instance *rows, int n)
{
	struct member *m autofree = NULL;
	struct metrics_row *http autofree = NULL;
	int members = fleet_list_all(r->c, r->app.id, &m);
	int n_http = routes_metrics(r->c->routes, &http);
	json_t *list = json_array();

	if (members > 0)
		qsort(m, (size_t)members, sizeof(*m), in_order);
	for (int i = 0; i < members; i++) {
		if (is_frozen(&r->app, &m[i]))
			json_array_append_new(list,
				asleep(&r->app, "frozen", member_json(&m[i], rows, n)));
		else if (m[i].id || fleet_wanted(r->c, &m[i]))
			json_array_append_new(list, counted(member_json(&m[i], rows, n),
							    m[i].id, http, n_http));
	}
	if (r->app.asleep) {
		add_empty_places(
			r, m, members, list, 1, app_quantity(r->c, r->app.id, "web"));
		add_empty_places(r, m, members, list, CANARY_FIRST,
			app_canary_quantity(r->c, r->app.id, r->app.canary_percent));
	}
	for (int i = 0; i < n; i++) {
		if ((strcmp(rows[i].kind, "run") == 0 ||
			    strcmp(rows[i].kind, "cron") == 0) &&
			strcmp(rows[i].state, "exited") != 0)
			json_array_append_new(list, oneoff_json(&rows[i]));
	}
	return list;
}

/* What a person would not expect: limits that this host does not give, kills at a limit, a canary. */
static json_t *notes_json(struct request *r, const struct db_instance *rows, int n)
{
	json_t *processes = view_processes(r->c, r->app.id), *all = json_array(), *v;
	const char *type;
	size_t k;

	json_object_foreach (processes, type, v) {
		json_t *notes = limits_notes(r->c, r->app.id, type), *note;

		json_array_foreach (notes, k, note)
			json_array_append_new(all,
				json_sprintf("%s: %s", type, json_string_value(note)));
		json_decref(notes);
	}
	for (int i = 0; i < n; i++)
		if (rows[i].oom_kills && strcmp(rows[i].state, "exited") != 0)
			json_array_append_new(all,
				json_sprintf("%s.%u: the kernel killed %u of its "
					     "processes, out of memory",
					rows[i].type, rows[i].number, rows[i].oom_kills));
	if (r->app.canary_version)
		json_array_append_new(all,
			json_sprintf("canary: v%u gets %u %% of the new clients, v%u the "
				     "others",
				r->app.canary_version, r->app.canary_percent,
				r->app.live_version));
	json_decref(processes);
	return all;
}

int ps_show(struct request *r)
{
	struct db_instance *rows autofree = NULL;
	int n = db_instance_list(r->c->db, r->app.id, true, &rows);

	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	return request_reply(r, 200,
		json_pack("{s:o, s:o, s:o}", "processes", processes_json(r->c, r->app.id),
			"instances", instances_json(r, rows, n), "notes",
			notes_json(r, rows, n)));
}

/* ---- all apps ---- */

struct sums {
	unsigned int running, wanted, restarts;
	json_int_t next_in;
	const char *reason; /* of one that does not run, else of any */
};

static unsigned int wanted_instances(struct control *c, const struct db_app *a)
{
	json_t *processes = a->stopped ? NULL : view_processes(c, a->id), *command;
	unsigned int n = 0;
	const char *type;

	json_object_foreach (processes, type, command) {
		if (strcmp(type, "release") != 0)
			n += app_quantity(c, a->id, type);
	}
	if (!a->stopped)
		n += app_canary_quantity(c, a->id, a->canary_percent);
	json_decref(processes);
	return n;
}

static void add_member(
	struct control *c, const struct db_app *a, const struct member *m, struct sums *s)
{
	json_int_t next = next_in(m);

	if (!m->id && !fleet_wanted(c, m))
		return;
	s->running += m->state == MEMBER_READY && !is_frozen(a, m);
	s->restarts += restarts(m);
	if (next >= 0 && (s->next_in < 0 || next < s->next_in))
		s->next_in = next;
	if (m->reason[0] && (!s->reason[0] || !m->id))
		s->reason = m->reason;
}

static json_t *summary(struct control *c, const struct db_app *a,
	const struct db_instance *rows, int n, const struct member *m, int members)
{
	struct sums s = {.wanted = wanted_instances(c, a), .next_in = -1, .reason = ""};

	for (int i = 0; i < members; i++) {
		if (m[i].app == a->id)
			add_member(c, a, &m[i], &s);
	}
	if (a->asleep)
		s.reason = a->asleep_why;
	return json_pack("{s:s, s:s, s:o, s:i, s:i, s:i, s:s, s:o}", "app", a->name,
		"state", view_state(c, a, rows, n), "release",
		a->live_version ? json_integer(a->live_version) : json_null(), "running",
		(int)s.running, "wanted", (int)s.wanted, "restarts", (int)s.restarts,
		"reason", s.reason, "next_in", next_json(s.next_in));
}

int ps_summary(struct request *r)
{
	struct db_app *apps autofree = NULL;
	struct db_instance *rows autofree = NULL;
	struct member *m autofree = NULL;
	int n = db_app_list(r->c->db, &apps);
	int n_rows = db_instance_list(r->c->db, 0, false, &rows);

	if (n < 0 || n_rows < 0)
		return request_fail_db(r, n < 0 ? n : n_rows, "apps");
	int members = fleet_list_all(r->c, 0, &m);
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(
			list, summary(r->c, &apps[i], rows, n_rows, m, members));
	return request_reply(r, 200, list);
}
