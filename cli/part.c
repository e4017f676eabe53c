/* One section of a plan: its changes, and the calls that make them. */
#include "cli/part.h"
#include "lib/jtext.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct part part_begin(const char *app, const char *section, bool prune)
{
	return (struct part){.app = app,
		.section = section,
		.prune = prune,
		.changes = json_array(),
		.calls = json_array()};
}

void part_finish(struct part *p, json_t *steps)
{
	if (json_array_size(p->changes))
		json_array_append_new(steps,
			json_pack("{s:s?, s:s, s:O, s:O}", "app", p->app, "section",
				p->section, "changes", p->changes, "calls", p->calls));
	json_decref(p->changes);
	json_decref(p->calls);
}

void part_call(struct part *p, const char *method, json_t *body, bool stream,
	const char *fmt, ...)
{
	char path[8192]; /* as much as a request takes */
	size_t n = 0;
	va_list ap;

	if (p->app && *fmt != '/')
		n = (size_t)snprintf(path, sizeof(path), "/v1/apps/%s/", p->app);
	va_start(ap, fmt);
	vsnprintf(path + n, sizeof(path) - n, fmt, ap);
	va_end(ap);
	json_array_append_new(
		p->calls, json_pack("{s:s, s:s, s:o*, s:b, s:I, s:I}", "method", method,
				  "path", path, "body", body, "stream", stream, "first",
				  (json_int_t)p->called, "end",
				  (json_int_t)json_array_size(p->changes)));
	p->called = json_array_size(p->changes);
}

json_t *part_place(const struct part *p, const char *first, const char *second)
{
	json_t *path = p->app ? json_pack("[s, s, s]", "apps", p->app, p->section)
			      : json_pack("[s]", p->section);

	if (first)
		json_array_append_new(path, json_string(first));
	if (second)
		json_array_append_new(path, json_string(second));
	return path;
}

void part_note(struct part *p, const char *kind, const char *what, const json_t *from,
	const json_t *to, json_t *path)
{
	/* What was too long for its buffer may end within a character. */
	json_t *text = json_stringn(what, jtext_utf8(what, strlen(what)));

	json_array_append_new(
		p->changes, json_pack("{s:s, s:o, s:O*, s:O*, s:o}", "change", kind,
				    "what", text, "from", from, "to", to, "path", path));
}

bool is_none(const json_t *v)
{
	return !v || json_is_null(v);
}

void part_differ(struct part *p, const json_t *want, const json_t *have,
	void (*each)(
		struct part *p, const char *key, json_t *from, json_t *to, void *arg),
	void *arg)
{
	const char *key;
	json_t *v, *old;

	json_object_foreach ((json_t *)(uintptr_t)want, key, v) {
		old = json_object_get(have, key);
		if (is_none(v) ? !is_none(old) : !old || !json_equal(v, old))
			each(p, key, old, is_none(v) ? NULL : v, arg);
	}
	json_object_foreach ((json_t *)(uintptr_t)have, key, v)
		if (p->prune && !json_object_get(want, key))
			each(p, key, v, NULL, arg);
}

const char *part_kind(const json_t *from, const json_t *to)
{
	return !to ? "remove" : is_none(from) ? "add" : "change";
}

bool list_holds(const json_t *list, const json_t *v)
{
	json_t *e;
	size_t i;

	json_array_foreach (list, i, e)
		if (json_equal(e, v))
			return true;
	return false;
}
