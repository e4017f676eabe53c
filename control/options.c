/* What the router is told of apps' settings: the options of its table. */
#include "control/options.h"
#include "lib/name.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *value_of(const json_t *topic, uint32_t app, const char *key)
{
	char id[16];

	snprintf(id, sizeof(id), "%u", app);
	return json_string_value(json_object_get(json_object_get(topic, id), key));
}

static const char *own_or_global(const json_t *topic, uint32_t app, const char *key)
{
	const char *own = value_of(topic, app, key);

	return own ? own : value_of(topic, 0, key);
}

static bool is_on(const char *value)
{
	return value && strcmp(value, "on") == 0;
}

static uint32_t seconds_as_ms(const char *value)
{
	uint64_t s;

	return value && num_parse_u64(value, 1, 86400, &s) == 0 ? (uint32_t)s * 1000 : 0;
}

/* Each worker counts alone: its part, rounded up. */
static uint32_t part(const struct options *o, uint64_t whole)
{
	return (uint32_t)((whole + o->workers - 1) / o->workers);
}

/* ---- one row a setting: what is said sets the field, else it stays as for all apps ---- */

static void set_body_max(struct options *o, const char *value, struct table_options *t)
{
	uint64_t bytes;

	(void)o;
	if (num_parse_size(value, &bytes) == 0 && bytes <= TABLE_BODY_MAX)
		t->body_max_bytes = bytes;
}

static void set_queue(struct options *o, const char *value, struct table_options *t)
{
	uint64_t n;

	if (num_parse_u64(value, 1, TABLE_QUEUE_MAX, &n) == 0)
		t->queue_max = part(o, n);
}

static struct table_text add_text(struct options *o, const char *value)
{
	struct table_text t = {(uint32_t)o->strings->len, (uint32_t)strlen(value)};

	buf_add(o->strings, value, t.len);
	return t;
}

static void set_error_page(struct options *o, const char *value, struct table_options *t)
{
	t->error_page = add_text(o, value);
}

static void set_maintenance_page(
	struct options *o, const char *value, struct table_options *t)
{
	t->maintenance_page = add_text(o, value);
}

static const struct row {
	bool maintenance; /* its topic; else http */
	const char *key;
	void (*set)(struct options *o, const char *value, struct table_options *t);
} rows[] = {
	{false, "body-limit", set_body_max},
	{false, "queue-limit", set_queue},
	{false, "error-page", set_error_page},
	{true, "page", set_maintenance_page},
};

/* Whether anything of app is set; t is as for all apps before. */
static bool fill(struct options *o, uint32_t app, struct table_options *t)
{
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *value = value_of(
			rows[i].maintenance ? o->maintenance : o->http, app, rows[i].key);

		if (!value)
			continue;
		rows[i].set(o, value, t);
		any = true;
	}
	return any;
}

static uint32_t add_record(struct options *o, const struct table_options *t)
{
	buf_add(&o->rows, t, sizeof(*t));
	return ++o->n;
}

int options_open(
	struct control *c, uint32_t workers, struct buf *strings, struct options *ret)
{
	int r;

	*ret = (struct options){.workers = workers ? workers : 1, .strings = strings};
	r = db_setting_topic(c->db, "http", &ret->http);
	if (r >= 0)
		r = db_setting_topic(c->db, "maintenance", &ret->maintenance);
	if (r >= 0 && fill(ret, 0, &ret->global))
		ret->global_index = add_record(ret, &ret->global);
	return r < 0 ? r : 0;
}

void options_close(struct options *o)
{
	json_decref(o->http);
	json_decref(o->maintenance);
	buf_free(&o->rows);
}

void options_row(struct options *o, uint32_t app, struct table_app *row)
{
	struct table_options own = o->global;

	row->timeout_ms = seconds_as_ms(own_or_global(o->http, app, "timeout"));
	row->idle_timeout_ms = seconds_as_ms(own_or_global(o->http, app, "idle-timeout"));
	if (is_on(value_of(o->maintenance, app, "enabled")))
		row->flags |= APP_MAINTENANCE;
	row->options = fill(o, app, &own) ? add_record(o, &own) : o->global_index;
}
