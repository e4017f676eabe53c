/* Reading a Dockerfile: its stages. */
#include "buildpacks/dockerfile/docker_inside.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The number of the stage before this one with that name, or of that number; -1. */
int dp_find_stage(const struct plan_of *p, const char *name, size_t before)
{
	char *end;

	for (size_t k = before; k-- > 0;)
		if (p->stages[k].name[0] && strcasecmp(p->stages[k].name, name) == 0)
			return (int)k;
	unsigned long n = strtoul(name, &end, 10);
	return *name >= '0' && *name <= '9' && !*end && n < before ? (int)n : -1;
}

/* Where COPY --from or FROM finds its files; a base is remembered. */
json_t *dp_source_of(struct plan_of *p, const char *name, size_t before)
{
	int k = dp_find_stage(p, name, before);

	if (k >= 0)
		return json_pack("{s:i}", "stage", k);
	if (strcmp(name, "scratch") == 0)
		return json_pack("{s:b}", "scratch", 1);
	json_object_set_new(p->used_bases, name, json_true());
	return json_pack("{s:s}", "image", name);
}

/* "IMAGE [AS NAME]" */
static int parse_from(struct plan_of *p, struct stage *s, char **ret_image)
{
	static const char *const flags[] = {"platform", NULL};
	json_t *words = dp_expand_words(p, p->i->text);
	size_t n = json_array_size(words);
	const struct docker_flag *platform = dp_flag(p, "platform");
	int r = words ? dp_check_flags(p, flags) : -EINVAL;

	const char *image = json_string_value(json_array_get(words, 0));
	const char *as = json_string_value(json_array_get(words, 1));
	const char *name = json_string_value(json_array_get(words, 2));
	if (r == 0 && (n == 2 || n > 3 || (n == 3 && strcasecmp(as, "as") != 0)))
		r = docker_error(
			p->i, p->i->text, p->e, "FROM takes IMAGE or IMAGE AS NAME");
	if (r == 0 && (!image || !*image))
		r = docker_error(p->i, p->i->text, p->e,
			"FROM has no image: a variable in %.100s is empty; give its ARG "
			"a value",
			p->i->text);
	if (r == 0 && name && strlen(name) >= sizeof(s->name))
		r = docker_error(p->i, p->i->text, p->e, "the stage's name is too long");
	if (r == 0 && platform && platform->value) {
		char *v autofree = dp_expand(p, platform->value);
		if (!v)
			r = -EINVAL;
		else if (*v && strcmp(v, "linux/amd64") != 0)
			r = docker_error(p->i, p->i->joined + platform->at, p->e,
				"--platform=%.40s cannot be built here; this host is "
				"linux/amd64",
				v);
	}
	if (r == 0) {
		snprintf(s->name, sizeof(s->name), "%s", name ? name : "");
		*ret_image = strdup(image);
		r = *ret_image ? 0 : dp_no_memory(p);
	}
	json_decref(words);
	return r;
}

/* Before the first FROM: only for FROMs. */
static int set_global(
	struct plan_of *p, const char *key, const char *value, const char *at UNUSED)
{
	const char *given = dp_text_at(p->given, key);

	if (!given && !value)
		return 0;
	return dp_put(p, p->global, key, given ? given : value);
}

static const char *const platform_args[][2] = {{"TARGETPLATFORM", "linux/amd64"},
	{"TARGETOS", "linux"}, {"TARGETARCH", "amd64"}, {"TARGETVARIANT", ""},
	{"BUILDPLATFORM", "linux/amd64"}, {"BUILDOS", "linux"}, {"BUILDARCH", "amd64"},
	{"BUILDVARIANT", ""}};

static int begin_stage(struct plan_of *p, size_t index)
{
	char *image autofree = NULL;

	if (p->n_stages == DOCKER_STAGES_MAX)
		return docker_error(
			p->i, NULL, p->e, "more than %d stages", DOCKER_STAGES_MAX);
	struct stage *s = &p->stages[p->n_stages];
	int r = parse_from(p, s, &image);
	if (r < 0)
		return r;
	if (p->n_stages)
		p->stages[p->n_stages - 1].end = index;
	s->first = index;
	s->end = p->d->n;
	s->from = dp_source_of(p, image, p->n_stages);
	s->steps = json_array();
	s->config = json_object();
	s->env = json_object();
	s->args = json_object();
	s->folders = json_array();
	s->made = json_object();
	p->n_stages++;
	return s->from && s->steps && s->config && s->env && s->args && s->folders &&
			       s->made
		       ? 0
		       : dp_no_memory(p);
}

/* Finds the stages; ARGs before them. */
int dp_find_stages(struct plan_of *p)
{
	int r = 0;

	for (size_t k = 0; r == 0 && k < ARRAY_LEN(platform_args); k++)
		if (json_object_set_new(p->global, platform_args[k][0],
			    json_string(platform_args[k][1])) < 0)
			r = dp_no_memory(p);
	for (size_t k = 0; r == 0 && k < p->d->n; k++) {
		p->i = &p->d->list[k];
		if (p->i->kind == DOCKER_FROM)
			r = begin_stage(p, k);
		else if (p->n_stages == 0 && p->i->kind == DOCKER_ARG)
			r = dp_pairs(p, set_global);
		else if (p->n_stages == 0)
			r = docker_error(p->i, NULL, p->e,
				"%s stands before the first FROM; only ARG may",
				docker_kind_name(p->i->kind));
	}
	if (r == 0 && p->n_stages == 0)
		r = err_set(p->e, EINVAL,
			"Dockerfile: it has no FROM; begin with one, such as FROM "
			"debian:12");
	return r;
}

/* The value of COPY --from as it is written: variables are not for it. */
const char *dp_copies_from(const struct docker_instruction *i)
{
	for (size_t k = 0; i->kind == DOCKER_COPY && k < i->n_flags; k++)
		if (strcmp(i->flags[k].name, "from") == 0)
			return i->flags[k].value;
	return NULL;
}

/* From the last stage down: what it begins with, and what it copies from. */
int dp_mark_needed(struct plan_of *p)
{
	p->stages[p->n_stages - 1].needed = true;
	for (size_t k = p->n_stages; k-- > 0;) {
		struct stage *s = &p->stages[k];
		const json_t *base = json_object_get(s->from, "stage");
		if (!s->needed)
			continue;
		if (base)
			p->stages[json_integer_value(base)].needed = true;
		for (size_t n = s->first + 1; n < s->end; n++) {
			const char *name = dp_copies_from(&p->d->list[n]);
			int other = name ? dp_find_stage(p, name, k) : -1;
			if (other >= 0)
				p->stages[other].needed = true;
		}
	}
	return 0;
}
