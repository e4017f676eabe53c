/* Reading a Dockerfile: words, variables, flags. */
#include "buildpacks/dockerfile/docker_inside.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int dp_no_memory(struct plan_of *p)
{
	return err_set(p->e, ENOMEM, "out of memory");
}

void dp_warn(struct plan_of *p, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX], line[ERR_TEXT_MAX + 32];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	snprintf(line, sizeof(line), "Dockerfile:%u: %s", p->i->line, text);
	json_array_append_new(p->warnings, json_string(line));
}

/* ---- variables ---- */

const char *dp_text_at(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

const char *dp_look_up(void *arg, const char *name)
{
	struct plan_of *p = arg;
	const char *v = p->s ? dp_text_at(p->s->env, name) : NULL;

	if (!v && p->s)
		v = dp_text_at(p->s->args, name);
	return v || p->s ? v : dp_text_at(p->global, name);
}

/* Expanded, without quotes; the caller's. NULL: e is set. */
char *dp_expand(struct plan_of *p, const char *text)
{
	autobuf out = {.max = DOCKERFILE_MAX};
	const char *why = NULL, *at = NULL;
	const char *joined = p->i->joined, *end = joined + strlen(joined);

	int r = docker_expand(text, p->d->escape, false, dp_look_up, p, &out, &why, &at);
	char *value = r == 0 ? buf_take(&out) : NULL;
	if (!value && why)
		docker_error(p->i, at >= joined && at <= end ? at : NULL, p->e,
			"%s in %.100s", why, text);
	else if (r == -EMSGSIZE)
		docker_error(p->i, NULL, p->e, "a value grows above %u kB",
			DOCKERFILE_MAX >> 10);
	else if (!value)
		dp_no_memory(p);
	return value;
}

/* The blank-separated words of text, each expanded, as an array. */
json_t *dp_expand_words(struct plan_of *p, const char *text)
{
	json_t *out = json_array();
	const char *at = text, *word;
	size_t len;

	while (out && docker_next_word(&at, p->d->escape, &word, &len)) {
		char *copy autofree = strndup(word, len);
		char *value autofree = copy ? dp_expand(p, copy) : NULL;
		if (!value || json_array_size(out) >= DOCKERFILE_WORDS_MAX ||
			json_array_append_new(out, json_string(value)) < 0) {
			json_decref(out);
			if (value)
				docker_error(p->i, word, p->e,
					"a word that is not UTF-8, or more than %d of "
					"them",
					DOCKERFILE_WORDS_MAX);
			return NULL;
		}
	}
	return out;
}

/* The arguments of an instruction that takes JSON or words. */
json_t *dp_arguments(struct plan_of *p)
{
	json_t *out;

	if (!p->i->json)
		return dp_expand_words(p, p->i->text);
	out = json_array();
	for (size_t k = 0; out && k < p->i->n_words; k++) {
		char *value autofree = dp_expand(p, p->i->words[k]);
		if (!value || json_array_append_new(out, json_string(value)) < 0) {
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

/* One of them, expanded: [name, value or null, where]. */
static json_t *read_pair(struct plan_of *p, const char *word, size_t len)
{
	char *copy autofree = strndup(word, len);
	char *equals = copy ? strchr(copy, '=') : NULL;

	if (equals)
		*equals++ = '\0';
	char *key autofree = copy ? dp_expand(p, copy) : NULL;
	char *value autofree = key && equals ? dp_expand(p, equals) : NULL;
	if (!key || (equals && !value))
		return NULL;
	json_t *pair =
		json_pack("[s, s?, I]", key, value, (json_int_t)(word - p->i->joined));
	if (!pair)
		docker_error(p->i, word, p->e, "this is not UTF-8 text");
	return pair;
}

/*
 * "A=1 B='two words'": calls set for each. All are expanded before the first is set: in
 * "A=2 B=$A", B has what A was before.
 */
int dp_pairs(struct plan_of *p,
	int (*set)(struct plan_of *p, const char *key, const char *value, const char *at))
{
	const char *at = p->i->text, *word;
	json_t *all = json_array();
	const json_t *pair;
	size_t len, i;
	int r = 0;

	while (docker_next_word(&at, p->d->escape, &word, &len)) {
		json_t *one = read_pair(p, word, len);
		if (!one || json_array_append_new(all, one) < 0) {
			json_decref(all);
			return -EINVAL;
		}
	}
	json_array_foreach (all, i, pair)
		if (r == 0)
			r = set(p, json_string_value(json_array_get(pair, 0)),
				json_string_value(json_array_get(pair, 1)),
				p->i->joined +
					json_integer_value(json_array_get(pair, 2)));
	json_decref(all);
	return r;
}

int dp_put(struct plan_of *p, json_t *into, const char *key, const char *value)
{
	if (json_object_set_new(into, key, json_string(value)) == 0)
		return 0;
	return docker_error(
		p->i, NULL, p->e, "the value of %.60s is not UTF-8 text", key);
}

/* ---- flags ---- */

const struct docker_flag *dp_flag(const struct plan_of *p, const char *name)
{
	for (size_t k = 0; k < p->i->n_flags; k++)
		if (strcmp(p->i->flags[k].name, name) == 0)
			return &p->i->flags[k];
	return NULL;
}

/* Every flag is one of the list; the others are named. */
int dp_check_flags(struct plan_of *p, const char *const *known)
{
	for (size_t k = 0; k < p->i->n_flags; k++) {
		const struct docker_flag *f = &p->i->flags[k];
		bool found = false;
		for (size_t n = 0; known[n]; n++)
			found = found || strcmp(known[n], f->name) == 0;
		if (!found)
			return docker_error(p->i, p->i->joined + f->at, p->e,
				"%s --%.40s is not supported; leave it out",
				docker_kind_name(p->i->kind), f->name);
	}
	return 0;
}

/* path in workdir, without "." and ".."; a trailing slash goes. The caller's. */
char *dp_absolute(const char *workdir, const char *path)
{
	autobuf joined = {.max = PATH_MAX};
	char *out;

	if (*path != '/')
		buf_addf(&joined, "%s/", workdir && *workdir ? workdir : "");
	buf_adds(&joined, path);
	if (joined.failed || !(out = malloc(joined.len + 2)))
		return NULL;
	char *to = out;
	for (const char *s = joined.data; *s;) {
		s += strspn(s, "/");
		size_t len = strcspn(s, "/");
		if (len == 2 && s[0] == '.' && s[1] == '.') {
			while (to > out && *--to != '/')
				;
		} else if (len > 1 || (len == 1 && *s != '.')) {
			*to++ = '/';
			memcpy(to, s, len);
			to += len;
		}
		s += len;
	}
	if (to == out)
		*to++ = '/';
	*to = '\0';
	return out;
}
