/* What is known about how to build and start a source tree. */
#include "buildpacks/plan/plan.h"
#include "lib/io.h"
#include "lib/name.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int plan_init(struct plan *p)
{
	memset(p, 0, sizeof(*p));
	p->files = json_array();
	p->looked_for = json_array();
	p->warnings = json_array();
	p->processes = json_object();
	p->env = json_object();
	return p->files && p->looked_for && p->warnings && p->processes && p->env
		       ? 0
		       : -ENOMEM;
}

void plan_free(struct plan *p)
{
	json_decref(p->files);
	json_decref(p->looked_for);
	json_decref(p->warnings);
	json_decref(p->processes);
	json_decref(p->env);
	json_decref(p->docker);
	buf_free(&p->toolchain);
	buf_free(&p->deps);
}

/* What a terminal would obey becomes '?': names and values of the app are part of these
 * sentences. */
static void make_printable(char *text)
{
	for (char *s = text; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

/* A JSON string of text; bytes that are not UTF-8 become '?'. */
static json_t *string_of(char *text)
{
	make_printable(text);
	json_t *v = json_string(text);

	for (char *s = text; !v && *s; s++)
		if (*s & 0x80)
			*s = '?';
	return v ? v : json_string(text);
}

void plan_warn(struct plan *p, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_array_append_new(p->warnings, string_of(text));
}

void plan_fail(struct plan *p, const char *fmt, ...)
{
	va_list ap;

	if (p->error[0])
		return;
	va_start(ap, fmt);
	vsnprintf(p->error, sizeof(p->error), fmt, ap);
	va_end(ap);
	make_printable(p->error);
}

int plan_set_process(struct plan *p, const char *type, const char *command)
{
	if (!name_type_valid(type) || !*command)
		return -EINVAL;
	return json_object_set_new(p->processes, type, json_string(command)) < 0 ? -EINVAL
										 : 0;
}

int plan_set_env(struct plan *p, const char *name, const char *value)
{
	if (!name_key_valid(name))
		return -EINVAL;
	return json_object_set_new(p->env, name, json_string(value)) < 0 ? -EINVAL : 0;
}

/* The handlers of each key; value is a string of its own that may be changed. */
static int on_name(struct plan *p, char *value)
{
	snprintf(p->name, sizeof(p->name), "%s", value);
	return 0;
}

static int on_toolchain(struct plan *p, char *value)
{
	p->has_toolchain = true;
	return buf_addf(&p->toolchain, "%s\n", value);
}

static int on_deps(struct plan *p, char *value)
{
	p->has_deps = true;
	return buf_addf(&p->deps, "%s\n", value);
}

static int on_deps_file(struct plan *p, char *value)
{
	p->has_deps = true;
	return json_array_append_new(p->files, json_string(value)) < 0 ? -EINVAL : 0;
}

static int on_compile(struct plan *p, char *value)
{
	p->compile = strcmp(value, "yes") == 0;
	return p->compile || strcmp(value, "no") == 0 ? 0 : -EINVAL;
}

static int on_launch(struct plan *p, char *value)
{
	p->build_only = strcmp(value, "no") == 0;
	return p->build_only || strcmp(value, "yes") == 0 ? 0 : -EINVAL;
}

/* "NAME rest": cuts at the first blank. The rest, or NULL. */
static char *cut(char *value)
{
	char *blank = strchr(value, ' ');

	if (blank)
		*blank++ = '\0';
	return blank;
}

static int on_process(struct plan *p, char *value)
{
	const char *command = cut(value);

	return command ? plan_set_process(p, value, command) : -EINVAL;
}

static int on_env(struct plan *p, char *value)
{
	const char *rest = cut(value);

	return plan_set_env(p, value, rest ? rest : "");
}

static int on_warning(struct plan *p, char *value)
{
	plan_warn(p, "%s", value);
	return 0;
}

static int on_error(struct plan *p, char *value)
{
	plan_fail(p, "%s", value);
	return 0;
}

static const struct {
	const char *key;
	int (*handle)(struct plan *p, char *value);
} keys[] = {
	{"name", on_name},
	{"toolchain", on_toolchain},
	{"deps", on_deps},
	{"deps-file", on_deps_file},
	{"compile", on_compile},
	{"launch", on_launch},
	{"process", on_process},
	{"env", on_env},
	{"warning", on_warning},
	{"error", on_error},
};

static int add_line(struct plan *p, char *line)
{
	char *colon = strstr(line, ": ");

	if (!colon)
		return -EINVAL;
	*colon = '\0';
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (strcmp(line, keys[i].key) == 0)
			return keys[i].handle(p, colon + 2);
	return -EINVAL;
}

int plan_add_lines(struct plan *p, const char *text, size_t len, struct err *e)
{
	while (len > 0) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl ? (size_t)(nl - text) : len;
		char *line autofree = strndup(text, n);
		if (!line)
			return err_set(e, ENOMEM, "out of memory");
		if (n > 0 && add_line(p, line) < 0)
			return err_set(e, EINVAL,
				"the pack's plan has a line that is not understood: %.*s",
				(int)(n > 200 ? 200 : n), text);
		n += nl != NULL;
		text += n;
		len -= n;
	}
	return 0;
}

static json_t *key_input(const struct buf *b)
{
	return json_stringn(b->len ? b->data : "", b->len);
}

static json_t *error_of(const struct plan *p)
{
	char text[sizeof(p->error)];

	memcpy(text, p->error, sizeof(text));
	return string_of(text);
}

static json_t *to_json(const struct plan *p)
{
	json_t *o = json_pack("{s:s*, s:s*, s:b, s:O, s:O, s:b, s:O}", "pack",
		p->pack[0] ? p->pack : NULL, "name", p->name[0] ? p->name : NULL,
		"compile", p->compile, "processes", p->processes, "env", p->env,
		"profile_d", p->profile_d, "warnings", p->warnings);

	if (!o)
		return NULL;
	if (p->whole)
		json_object_set_new(o, "whole", json_true());
	if (!p->pack[0]) {
		json_object_set_new(o, "pack", json_null());
		json_object_set(o, "looked_for", p->looked_for);
	}
	json_object_set_new(o, "toolchain",
		p->has_toolchain
			? json_pack("{s:o}", "key_input", key_input(&p->toolchain))
			: json_null());
	json_object_set_new(o, "deps",
		p->has_deps ? json_pack("{s:O, s:o}", "files", p->files, "key_input",
				      key_input(&p->deps))
			    : json_null());
	if (p->docker)
		json_object_set(o, "docker", p->docker);
	if (p->build_only)
		json_object_set_new(o, "launch", json_false());
	if (p->error[0])
		json_object_set_new(o, "error", error_of(p));
	return o;
}

int plan_print(const struct plan *p, int fd)
{
	json_t *o = to_json(p);
	char *text autofree = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(o);
	if (!text)
		return -ENOMEM;
	int r = io_write_all(fd, text, strlen(text));
	return r < 0 ? r : io_write_all(fd, "\n", 1);
}
