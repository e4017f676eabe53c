/* What berth-backup says. */
#include "backup/run.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void say(const char *mark, const char *fmt, va_list ap)
{
	char line[2048];

	vsnprintf(line, sizeof(line), fmt, ap);
	fprintf(stderr, "%s%s\n", mark, line);
}

void say_step(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("-----> ", fmt, ap);
	va_end(ap);
}

void say_detail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("       ", fmt, ap);
	va_end(ap);
}

void say_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(" !     ", fmt, ap);
	va_end(ap);
}

void say_lost(const json_t *item)
{
	unsigned long long n = number_of(item, "lost");

	if (n)
		say_fail("%s %s: %llu %s not in the backup: %s%s", text_of(item, "kind"),
			text_of(item, "name"), n, n == 1 ? "thing is" : "things are",
			n == 1 ? "" : "first ", text_of(item, "first_lost"));
}

const char *size_text(uint64_t bytes)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	static char text[4][32];
	static unsigned int at;
	char *out = text[at++ % ARRAY_LEN(text)];
	double v = (double)bytes;
	size_t unit = 0;

	while (v >= 1000 && unit + 1 < ARRAY_LEN(units)) {
		v /= 1000;
		unit++;
	}
	snprintf(out, sizeof(text[0]), unit && v < 100 ? "%.1f %s" : "%.0f %s", v,
		units[unit]);
	return out;
}

const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

uint64_t number_of(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

int list_read(struct store *s, const char *id, json_t **ret, struct err *e)
{
	int r = store_read(s, id, ret, e);

	if (r < 0)
		return r;
	if (number_of(*ret, "format") == LIST_FORMAT)
		return 0;
	r = err_set(e, EPROTO,
		"backup %s was made by a newer berth (format %llu, this one knows %d)",
		text_of(*ret, "id"), (unsigned long long)number_of(*ret, "format"),
		LIST_FORMAT);
	json_decref(*ret);
	*ret = NULL;
	return r;
}

const json_t *item_find(
	const json_t *list, const char *kind, const char *name, uint64_t id)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(list, "items"), i, item)
		if (strcmp(text_of(item, "kind"), kind) == 0 &&
			(!name || strcmp(text_of(item, "name"), name) == 0) &&
			(!id || number_of(item, "id") == id))
			return item;
	return NULL;
}
