/* Limits as a person sets and reads them: their texts, what this host makes of them, and
 * how running instances get new ones. */
#include "control/limits.h"
#include "control/engine.h"
#include "control/logs/applog.h"
#include "control/run/fleet.h"
#include "control/settings.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define AT(field) offsetof(struct db_resource, field)

const struct limit_row limit_rows[LIMIT_ROWS] = {
	{"memory", "memory", UNIT_SIZE, LIMIT_MEMORY_MIN, LIMIT_MEMORY_MAX,
		AT(memory_bytes), LIMIT_MEMORY},
	{"cpu", "cpu", UNIT_CPU, LIMIT_CPU_MIN, LIMIT_CPU_MAX, AT(cpu_millis), LIMIT_CPU},
	{"pids", "processes", UNIT_COUNT, LIMIT_PIDS_MIN, LIMIT_PIDS_MAX, AT(pids),
		LIMIT_PIDS},
	{"nofile", "open files", UNIT_COUNT, LIMIT_NOFILE_MIN, LIMIT_NOFILE_MAX,
		AT(nofile), LIMIT_NOFILE},
	{"scratch", "scratch", UNIT_SIZE, LIMIT_SCRATCH_MIN, LIMIT_SCRATCH_MAX,
		AT(scratch_bytes), LIMIT_SCRATCH},
	{"io_read", "disk reads", UNIT_RATE, LIMIT_IO_MIN, LIMIT_IO_MAX,
		AT(io_read_bytes), LIMIT_IO},
	{"io_write", "disk writes", UNIT_RATE, LIMIT_IO_MIN, LIMIT_IO_MAX,
		AT(io_write_bytes), LIMIT_IO},
};

uint64_t *limit_set(struct db_resource *r, const struct limit_row *row)
{
	return (uint64_t *)(void *)((char *)r + row->at);
}

uint64_t limit_get(const struct msg_limits_body *l, const struct limit_row *row)
{
	struct db_resource r = {.memory_bytes = l->memory_bytes,
		.cpu_millis = l->cpu_millis,
		.pids = l->pids,
		.nofile = l->nofile,
		.scratch_bytes = l->scratch_bytes,
		.io_read_bytes = l->io_read_bytes,
		.io_write_bytes = l->io_write_bytes};

	return *limit_set(&r, row);
}

void limit_text(const struct limit_row *row, uint64_t value, char out[40])
{
	char size[24];

	num_format_size(value, size);
	if (value == 0)
		snprintf(out, 40, "none");
	else if (row->unit == UNIT_SIZE)
		snprintf(out, 40, "%s", size);
	else if (row->unit == UNIT_RATE)
		snprintf(out, 40, "%s a second", size);
	else if (row->unit == UNIT_CPU)
		snprintf(out, 40, "%g", (double)value / 1000);
	else
		snprintf(out, 40, "%llu", (unsigned long long)value);
}

/* ---- this host ---- */

void limits_host(struct control *c, struct msg_host *ret)
{
	if (engine_host(c->engine, ret) < 0)
		*ret = (struct msg_host){.memory_bytes = LIMIT_MEMORY_MAX,
			.cpu_millis = LIMIT_CPU_MAX,
			.pids = LIMIT_PIDS_MAX,
			.nofile = LIMIT_NOFILE_MAX};
}

static uint64_t host_has(const struct limit_row *row, const struct msg_host *host)
{
	switch ((enum limit_bits)row->bit) {
	case LIMIT_MEMORY:
		return host->memory_bytes;
	case LIMIT_CPU:
		return host->cpu_millis;
	case LIMIT_PIDS:
		return host->pids;
	case LIMIT_NOFILE:
		return host->nofile;
	case LIMIT_SCRATCH:
	case LIMIT_IO:
	case LIMIT_ALL:
		break;
	}
	return UINT64_MAX;
}

bool limit_note(const struct limit_row *row, uint64_t value, const struct msg_host *host,
	char out[320])
{
	const char *why = row->bit == LIMIT_IO	      ? host->no_io
			  : row->bit == LIMIT_SCRATCH ? host->no_scratch
						      : "";
	char wanted[40], has[40];

	if (value && why[0]) {
		snprintf(out, 320, "cannot be limited here: %.256s", why);
		return true;
	}
	if (value <= host_has(row, host))
		return false;
	limit_text(row, value, wanted);
	limit_text(row, host_has(row, host), has);
	if (row->bit == LIMIT_NOFILE)
		snprintf(out, 320, "%s wanted, %s allowed by this host", wanted, has);
	else
		snprintf(out, 320, "%s wanted, this host has %s", wanted, has);
	return true;
}

json_t *limits_notes(struct control *c, uint32_t app, const char *type)
{
	json_t *notes = json_array();
	struct msg_limits_body l;
	struct msg_host host;
	bool asked = false;
	char why[320];

	app_limits(c, app, type, &l);
	for (size_t i = 0; i < LIMIT_ROWS; i++) {
		const struct limit_row *row = &limit_rows[i];
		uint64_t value = limit_get(&l, row);

		if (value == limit_get(default_limits(type), row))
			continue;
		if (!asked)
			limits_host(c, &host);
		asked = true;
		if (limit_note(row, value, &host, why))
			json_array_append_new(
				notes, json_sprintf("%s %s", row->label, why));
	}
	return notes;
}

void limits_log(struct control *c, uint32_t app, const char *type, const char *name)
{
	json_t *notes = limits_notes(c, app, type), *note;
	size_t i;

	json_array_foreach (notes, i, note)
		applog(app, "berth[ps]", "%s: %s", name, json_string_value(note));
	json_decref(notes);
}

/* ---- changes while instances run ---- */

/* A change on its way to the instances that it concerns. */
struct change {
	struct control *c;
	uint32_t app;
	const char *type; /* "": all but builds */
	uint32_t rows;	  /* bits of limit_rows */
	uint32_t now;	  /* enum limit_bits that hold in all instances reached */
	unsigned int reached;
	int failed;
	struct sink *s;
};

static uint32_t bits_of(uint32_t rows)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < LIMIT_ROWS; i++)
		if (rows & 1u << i)
			bits |= limit_rows[i].bit;
	return bits;
}

static void say_kept(struct change *ch, const struct member *m, int r,
	const struct msg_limits_body *l, const struct msg_limited *done)
{
	char used[24], wanted[24];

	ch->failed = r;
	if (r != -EBUSY) {
		sink_fail(ch->s, "%s.%u keeps its old limits: %s", m->type, m->number,
			strerror(-r));
		return;
	}
	num_format_size(done->memory_used_bytes, used);
	num_format_size(l->memory_bytes, wanted);
	sink_fail(ch->s, "%s.%u keeps its old limits: it uses %s of memory, more than %s",
		m->type, m->number, used, wanted);
}

static void change_one(struct change *ch, const struct member *m)
{
	struct msg_limits body = {.id = m->id, .which = bits_of(ch->rows)};
	struct msg_limited done;
	char name[48];
	int r;

	app_limits(ch->c, ch->app, m->type, &body.limits);
	r = engine_limits(ch->c->engine, &body, &done);
	if (r == -ESRCH)
		return; /* it ended meanwhile */
	if (r < 0) {
		say_kept(ch, m, r, &body.limits, &done);
		return;
	}
	ch->now &= done.now;
	ch->reached++;
	snprintf(name, sizeof(name), "%s.%u", m->type, m->number);
	limits_log(ch->c, ch->app, m->type, name);
}

/* From when on it holds. */
static const char *since(const struct change *ch, const struct limit_row *row)
{
	if (strcmp(ch->type, "build") == 0)
		return "from the next build";
	if (strcmp(ch->type, "run") == 0)
		return "from the next one-off";
	return ch->reached && ch->now & row->bit ? "at once" : "from the next start";
}

static void say_done(const struct change *ch)
{
	struct msg_limits_body l;
	struct msg_host host;
	char value[40], why[320];

	app_limits(ch->c, ch->app, ch->type, &l);
	limits_host(ch->c, &host);
	for (size_t i = 0; i < LIMIT_ROWS; i++) {
		const struct limit_row *row = &limit_rows[i];
		uint64_t n = limit_get(&l, row);

		if (!(ch->rows & 1u << i))
			continue;
		limit_text(row, n, value);
		if (limit_note(row, n, &host, why))
			sink_detail(ch->s, "%s: %s, %s (%s)", row->label, value,
				since(ch, row), why);
		else
			sink_detail(
				ch->s, "%s: %s, %s", row->label, value, since(ch, row));
	}
}

int limits_apply(struct control *c, uint32_t app, const char *type, uint32_t rows,
	struct sink *s, struct err *e)
{
	struct change ch = {
		.c = c, .app = app, .type = type, .rows = rows, .now = LIMIT_ALL, .s = s};
	struct member *m autofree = NULL;
	int n = fleet_list(c, app, type[0] ? type : NULL, &m);

	for (int i = 0; i < n; i++)
		change_one(&ch, &m[i]);
	say_done(&ch);
	return ch.failed ? err_set(e, -ch.failed,
				   "some instances keep their old limits; `berth "
				   "ps:restart` gives them the new")
			 : 0;
}

/* ---- out of memory ---- */

void limits_oom(struct control *c, const struct msg_oom *o)
{
	struct db_instance i;
	char size[24];

	/* told again after a restart of berthd or of this */
	if (db_instance_oom(c->db, o->id, o->kills) <= 0 ||
		db_instance_get(c->db, o->id, &i) < 0)
		return;
	num_format_size(o->memory_limit_bytes, size);
	applog(i.app, strcmp(i.kind, "build") == 0 ? "berth[build]" : "berth[ps]",
		"%s.%u: out of memory at %s: the kernel killed a process (%u so far)",
		i.type, i.number, size, o->kills);
}
