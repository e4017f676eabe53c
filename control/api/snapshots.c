/* Snapshots of volumes, and volumes as archives. */
#include "control/data/snapshots.h"
#include "control/api/handlers.h"
#include "control/api/transfer.h"
#include "lib/stamp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define KEEP_MAX 1000u
#define KEEP_DAYS_MAX 3650u

static json_t *snapshot_json(struct control *c, const struct db_snapshot *s)
{
	struct db_app a;
	char id[24], of[NAME_MAX_LEN + 16] = "";

	snprintf(id, sizeof(id), "s%llu", (unsigned long long)s->id);
	if (s->release && db_app_by_id(c->db, s->app, &a) == 0)
		snprintf(of, sizeof(of), "%s v%u", a.name, s->release);
	return json_pack("{s:s, s:o, s:s, s:s, s:s, s:I, s:I, s:I, s:f}", "id", id,
		"created", json_stamp(s->created_us), "why", s->why, "message",
		s->message, "of", of, "files", (json_int_t)s->files, "bytes",
		(json_int_t)s->bytes, "added_bytes", (json_int_t)s->added_bytes,
		"held_ms", (double)s->pause_us / 1e3);
}

int snapshots_list(struct request *r)
{
	struct db_snapshot *rows autofree = NULL;
	struct db_volume_snapshots set;
	struct db_volume v;

	if (volume_find(r, &v) < 0)
		return -1;
	int n = db_snapshot_list(r->c->db, v.id, &rows);
	if (n >= 0 && db_volume_snapshots(r->c->db, v.id, &set) < 0)
		n = -EIO;
	if (n < 0)
		return request_fail_db(r, n, v.name);
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(list, snapshot_json(r->c, &rows[i]));
	return request_reply(r, 200,
		json_pack("{s:s, s:I, s:I, s:b, s:o}", "volume", v.name, "keep",
			(json_int_t)set.keep, "keep_days", (json_int_t)set.keep_days,
			"automatic", set.automatic, "snapshots", list));
}

/* What the handlers that go on in a stream need. */
struct wish {
	struct db_volume v;
	uint64_t snapshot; /* 0: none was named */
	bool force, unverified;
	char message[200];
};

/* The volume of the path, and the snapshot that the body names. */
static struct wish *find_wish(struct request *r)
{
	const char *word = request_string(r, "snapshot");
	struct wish *w = calloc(1, sizeof(*w));
	struct db_snapshot s;

	if (!w) {
		request_fail(r, FAIL_BERTH, "out of memory");
		return NULL;
	}
	if (volume_find(r, &w->v) == 0) {
		if (!word)
			return w;
		if (snapshot_parse(word, &w->snapshot) == 0 &&
			db_snapshot_get(r->c->db, w->v.id, w->snapshot, &s) == 0)
			return w;
		request_fail(
			r, FAIL_MISSING, "%s has no snapshot %.24s", w->v.name, word);
		request_hint(r, "list them: berth volumes:snapshots %s", w->v.name);
	}
	free(w);
	return NULL;
}

static int keep_wish(struct request *r)
{
	struct wish *w = find_wish(r);

	r->data = w;
	r->data_free = free;
	return w ? 0 : -1;
}

int snapshot_check(struct request *r)
{
	const char *message = request_string(r, "message");

	if (keep_wish(r) < 0)
		return -1;
	struct wish *w = r->data;
	if (message && strlen(message) >= sizeof(w->message))
		return request_fail(r, FAIL_USAGE, "the message is longer than %zu bytes",
			sizeof(w->message) - 1);
	snprintf(w->message, sizeof(w->message), "%s", message ? message : "");
	return 0;
}

int snapshot_run(struct request *r, struct sink *s, struct err *e)
{
	const struct wish *w = r->data;
	struct db_snapshot row = {.why = "manual"};
	char added[24], held[48] = "";

	snprintf(row.message, sizeof(row.message), "%s", w->message);
	sink_step(s, "Taking a snapshot of %s", w->v.name);
	int n = snapshot_take(r->c, &w->v, &row, s, e);
	if (n < 0)
		return n;
	num_format_size(row.added_bytes, added);
	if (row.pause_us)
		snprintf(held, sizeof(held), "; what runs with it was held for %.0f ms",
			(double)row.pause_us / 1e3);
	sink_step(s, "s%llu: %llu files, %s new%s", (unsigned long long)row.id,
		(unsigned long long)row.files, added, held);
	return 0;
}

int volume_restore_check(struct request *r)
{
	char app[NAME_MAX_LEN + 1];

	if (keep_wish(r) < 0)
		return -1;
	const struct wish *w = r->data;
	if (volume_user(r->c, w->v.id, app) < 0)
		return 0;
	request_fail(r, FAIL_CONFLICT, "%s runs with %s", app, w->v.name);
	return request_hint(r, "berth ps:stop %s, and ps:start %s afterwards", app, app);
}

int volume_restore_run(struct request *r, struct sink *s, struct err *e)
{
	const struct wish *w = r->data;

	return volume_restore(r->c, &w->v, w->snapshot, s, e);
}

/* ---- archives ---- */

static void wish_clear(struct transfer *t)
{
	free(t->data);
}

static int export_run(struct transfer *t, struct sink *s, struct err *e)
{
	const struct wish *w = t->data;

	return volume_export(t->c, &w->v, w->snapshot, t->out, s, e);
}

int volume_export_start(struct request *r)
{
	struct wish *w = find_wish(r);

	return w ? transfer_start(r, &(struct transfer){.c = r->c,
					     .run = export_run,
					     .clear = wish_clear,
					     .data = w})
		 : -1;
}

static int import_run(struct transfer *t, struct sink *s, struct err *e)
{
	const struct wish *w = t->data;
	const struct volume_archive a = {
		.fd = t->in, .force = w->force, .unverified = w->unverified};

	return volume_import(t->c, &w->v, &a, s, e);
}

int volume_import_start(struct request *r)
{
	struct wish *w = find_wish(r);

	if (!w)
		return -1;
	w->force = request_bool(r, "force", false);
	w->unverified = request_bool(r, "unverified", false);
	return transfer_start(
		r, &(struct transfer){
			   .c = r->c, .run = import_run, .clear = wish_clear, .data = w});
}

/* ---- settings ---- */

static int fail_value(struct request *r, const char *rule)
{
	return request_fail(r, FAIL_USAGE, "%s", rule);
}

static int set_one(struct request *r, const char *key, const char *value,
	struct db_volume_snapshots *set)
{
	uint64_t n = 0;

	if (strcmp(key, "snapshots") == 0) {
		if (*value && strcmp(value, "on") != 0 && strcmp(value, "off") != 0)
			return fail_value(r, "snapshots is on or off");
		set->automatic = strcmp(value, "off") != 0;
	} else if (strcmp(key, "keep") == 0) {
		if (*value && num_parse_u64(value, 1, KEEP_MAX, &n) < 0)
			return fail_value(r, "keep is a number of snapshots, 1 to 1000");
		set->keep = *value ? (uint32_t)n : DB_SNAPSHOTS_KEPT;
	} else if (strcmp(key, "keep-days") == 0) {
		if (*value && num_parse_u64(value, 0, KEEP_DAYS_MAX, &n) < 0)
			return fail_value(r, "keep-days is a number of days, 0 to 3650");
		set->keep_days = (uint32_t)n;
	} else {
		request_fail(r, FAIL_USAGE, "a volume has no setting %.40s", key);
		return request_hint(r, "there are keep, keep-days and snapshots");
	}
	return 0;
}

int volumes_set(struct request *r)
{
	const char *key = request_string(r, "key"), *value = request_string(r, "value");
	struct db_volume_snapshots set;
	struct db_volume v;

	if (volume_find(r, &v) < 0)
		return -1;
	int n = db_volume_snapshots(r->c->db, v.id, &set);
	if (n < 0)
		return request_fail_db(r, n, v.name);
	if (set_one(r, key, value ? value : "", &set) < 0)
		return -1;
	n = db_volume_set_snapshots(r->c->db, v.id, &set);
	if (n < 0)
		return request_fail_db(r, n, v.name);
	snapshots_forget_soon(r->c, v.id);
	return request_reply(r, 200,
		json_pack("{s:s, s:I, s:I, s:b}", "volume", v.name, "keep",
			(json_int_t)set.keep, "keep_days", (json_int_t)set.keep_days,
			"automatic", set.automatic));
}
