/* What is kept of a drain. */
#include "drain/state.h"
#include "lib/log.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define FOLDER "control/drains"

static void path_of(char out[PATH_MAX], const char *state, uint64_t id, const char *end)
{
	snprintf(out, PATH_MAX, "%s/" FOLDER "/%llu.%s", state, (unsigned long long)id,
		end);
}

static json_t *number(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *places(const struct drain *d, struct lost *sum)
{
	json_t *list = json_array();

	for (const struct cursor *c = d->cursors; c; c = c->next) {
		const struct place *p = &c->kept;
		const uint64_t values[] = {c->log->app, p->segment, p->offset,
			p->told.bytes, p->told.lines, p->told.gaps};
		json_t *row = json_array();

		for (size_t i = 0; i < ARRAY_LEN(values); i++)
			json_array_append_new(row, number(values[i]));
		json_array_append_new(list, row);
		sum->bytes += c->lost.bytes;
		sum->lines += c->lost.lines;
	}
	return list;
}

int state_save(const char *state, const struct drain *d)
{
	struct lost lost = {0};
	json_t *at = places(d, &lost);
	json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:s, s:o}", "sent",
		number(d->sent_lines), "refused", number(d->refused_lines), "lost_lines",
		number(lost.lines), "lost_bytes", number(lost.bytes), "failing_us",
		number(d->failing_us), "delivered_us", number(d->delivered_us), "told",
		d->told, "error", d->error, "at", at);
	char path[PATH_MAX], temp[PATH_MAX];
	int r = 0;

	path_of(path, state, d->id, "json");
	path_of(temp, state, d->id, "new");
	if (!o || json_dump_file(o, temp, JSON_COMPACT) < 0 || rename(temp, path) < 0)
		r = errno ? -errno : -EIO;
	json_decref(o);
	return r;
}

static uint64_t value(const json_t *saved, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(saved, key));
}

json_t *state_load(const char *state, struct drain *d)
{
	char path[PATH_MAX];
	const char *error;
	json_t *o;

	path_of(path, state, d->id, "json");
	o = json_load_file(path, 0, NULL);
	if (!o && access(path, F_OK) == 0)
		log_warn("drain %llu: %s is damaged; it begins where it was added",
			(unsigned long long)d->id, path);
	d->sent_lines = value(o, "sent");
	d->refused_lines = value(o, "refused");
	d->delivered_us = value(o, "delivered_us");
	d->failing_us = value(o, "failing_us");
	error = json_string_value(json_object_get(o, "error"));
	d->told = json_is_true(json_object_get(o, "told"));
	snprintf(d->error, sizeof(d->error), "%s", error ? error : "");
	return o;
}

bool state_place(const json_t *saved, uint32_t app, struct place *ret)
{
	const json_t *row;
	size_t i;

	json_array_foreach (json_object_get(saved, "at"), i, row) {
		uint64_t v[6];

		if (json_integer_value(json_array_get(row, 0)) != app)
			continue;
		for (size_t k = 0; k < ARRAY_LEN(v); k++)
			v[k] = (uint64_t)json_integer_value(json_array_get(row, k));
		*ret = (struct place){
			.segment = v[1], .offset = v[2], .told = {v[3], v[4], v[5]}};
		return true;
	}
	return false;
}

void state_remove(const char *state, uint64_t id)
{
	char path[PATH_MAX];

	path_of(path, state, id, "json");
	unlink(path);
}
