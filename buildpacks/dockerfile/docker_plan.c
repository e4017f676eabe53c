/* What a Dockerfile means: stage by stage, instruction by instruction. */
#include "buildpacks/dockerfile/docker_inside.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int (*const handlers[])(struct plan_of *p) = {
	[DOCKER_RUN] = dp_on_run,
	[DOCKER_CMD] = dp_on_cmd,
	[DOCKER_ENTRYPOINT] = dp_on_entrypoint,
	[DOCKER_LABEL] = dp_on_pairs,
	[DOCKER_EXPOSE] = dp_on_expose,
	[DOCKER_ENV] = dp_on_pairs,
	[DOCKER_ADD] = dp_on_copy,
	[DOCKER_COPY] = dp_on_copy,
	[DOCKER_VOLUME] = dp_on_volume,
	[DOCKER_USER] = dp_on_user,
	[DOCKER_WORKDIR] = dp_on_workdir,
	[DOCKER_ARG] = dp_on_arg,
	[DOCKER_ONBUILD] = dp_on_onbuild,
	[DOCKER_STOPSIGNAL] = dp_on_stopsignal,
	[DOCKER_HEALTHCHECK] = dp_on_healthcheck,
	[DOCKER_SHELL] = dp_on_shell,
	[DOCKER_MAINTAINER] = dp_on_maintainer,
};
_Static_assert(
	ARRAY_LEN(handlers) == DOCKER_KINDS, "one row a kind; FROM begins a stage");

static int handle(struct plan_of *p, const struct docker_instruction *i)
{
	p->i = i;
	return handlers[i->kind] ? handlers[i->kind](p)
				 : docker_error(i, NULL, p->e, "FROM cannot stand here");
}

/* What the base left for whoever builds on it. */
static int run_triggers(struct plan_of *p, const json_t *triggers)
{
	const struct docker_instruction *from = p->i;
	const json_t *text;
	size_t k;
	int r = 0;

	json_array_foreach (triggers, k, text) {
		struct docker_instruction wrap = *from, inner = {0};
		char *copy autofree = strdup(json_string_value(text));
		wrap.text = copy;
		r = copy ? docker_parse_onbuild(&wrap, p->d->escape, &inner, p->e)
			 : dp_no_memory(p);
		if (r == 0)
			r = handle(p, &inner);
		p->i = from;
		docker_instruction_free(&inner);
		if (r < 0)
			return err_add(p->e, "ONBUILD of the base image");
	}
	return r;
}

/* ["NAME=VALUE", ...] */
static void take_env(json_t *into, const json_t *list)
{
	const json_t *pair;
	size_t i;

	json_array_foreach (list, i, pair) {
		const char *text = json_string_value(pair),
			   *equals = text ? strchr(text, '=') : NULL;
		char *key autofree =
			equals ? strndup(text, (size_t)(equals - text)) : NULL;
		if (key)
			json_object_set_new(into, key, json_string(equals + 1));
	}
}

static const json_t *config_of(struct plan_of *p, const json_t *from)
{
	const json_t *n = json_object_get(from, "stage");
	const char *image = dp_text_at(from, "image");

	if (json_is_integer(n))
		return p->stages[json_integer_value(n)].config;
	return image ? json_object_get(p->bases, image) : NULL;
}

static int inherit(struct plan_of *p, struct stage *s)
{
	const json_t *base = config_of(p, s->from);
	const char *image = dp_text_at(s->from, "image");
	int r = 0;

	if (image && !base)
		return docker_error(p->i, p->i->text, p->e,
			"base image %.200s is not known here", image);
	const json_t *triggers;
	json_t *own = json_deep_copy(base); /* another stage may build on it too */
	json_object_update(s->config, own);
	json_decref(own);
	json_object_del(s->config, "Env");
	take_env(s->env, json_object_get(base, "Env"));
	const json_t *n = json_object_get(s->from, "stage");
	if (n) {
		const struct stage *below = &p->stages[json_integer_value(n)];
		json_object_update(s->env, below->env);
		s->is_private =
			below->is_private; /* an ENV may hold what an ARG was given */
	}
	if (!dp_text_at(s->env, "PATH") && !json_object_get(s->from, "scratch"))
		r = dp_put(p, s->env, "PATH", PATH_DEFAULT);
	triggers = json_incref(json_object_get(s->config, "OnBuild"));
	json_object_del(s->config, "OnBuild");
	if (r == 0 && triggers)
		r = run_triggers(p, triggers);
	json_decref((json_t *)(uintptr_t)triggers);
	return r;
}

static int read_stage(struct plan_of *p, struct stage *s)
{
	p->s = s;
	p->i = &p->d->list[s->first];
	int r = inherit(p, s);
	for (size_t k = s->first + 1; r == 0 && k < s->end; k++)
		r = handle(p, &p->d->list[k]);
	if (r == 0 && json_array_size(s->folders) > 0) {
		json_t *todo = json_pack("{s:s, s:b, s:[], s:[], s:b}", "to", "/",
			"folder", 1, "items", "inline", "unpack", 0);
		p->i = s->workdir;
		r = todo ? dp_add_step(p, "copy", todo, json_array(), NULL)
			 : dp_no_memory(p);
	}
	p->s = NULL;
	return r;
}

/* ---- the whole ---- */

static json_t *stages_json(struct plan_of *p)
{
	json_t *all = json_array();

	for (size_t k = 0; k < p->n_stages; k++) {
		const struct stage *s = &p->stages[k];
		json_array_append_new(all, s->needed ? json_pack("{s:O, s:O}", "from",
							       s->from, "steps", s->steps)
						     : json_null());
	}
	return all;
}

static json_t *env_list(const json_t *env)
{
	json_t *list = json_array(), *value;
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)env, key, value) {
		char *pair autofree = NULL;
		if (asprintf(&pair, "%s=%s", key, json_string_value(value)) >= 0)
			json_array_append_new(list, json_string(pair));
	}
	return list;
}

static bool is_predefined(const char *name)
{
	static const char *const names[] = {
		"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"};

	for (size_t k = 0; k < ARRAY_LEN(names); k++)
		if (strcasecmp(name, names[k]) == 0)
			return true;
	return false;
}

/* Without an ARG too, every RUN has these, and no layer is another one for their value. */
static json_t *predefined_of(const struct plan_of *p)
{
	json_t *all = json_object(), *value;
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)p->given, key, value)
		if (is_predefined(key))
			json_object_set(all, key, value);
	return all;
}

static json_t *result_of(struct plan_of *p)
{
	struct stage *last = &p->stages[p->n_stages - 1];
	json_t *path = json_incref(json_object_get(last->config, "health_path"));

	json_object_del(last->config, "health_path");
	json_object_set_new(last->config, "Env", env_list(last->env));
	return json_pack("{s:o, s:i, s:i, s:O, s:O, s:o*, s:o}", "stages", stages_json(p),
		"target", (int)p->n_stages - 1, "n_steps", (int)p->n_steps, "config",
		last->config, "warnings", p->warnings, "health_path", path, "predefined",
		predefined_of(p));
}

static int open_plan(struct plan_of *p, const struct dockerfile *d, struct err *e)
{
	p->d = d;
	p->e = e;
	p->global = json_object();
	p->warnings = json_array();
	p->used_bases = json_object();
	return p->global && p->warnings && p->used_bases ? 0 : dp_no_memory(p);
}

static void close_plan(struct plan_of *p)
{
	for (size_t k = 0; k < DOCKER_STAGES_MAX; k++) {
		struct stage *s = &p->stages[k];
		json_t *all[] = {s->from, s->steps, s->config, s->env, s->args,
			s->folders, s->made};
		for (size_t n = 0; n < ARRAY_LEN(all); n++)
			json_decref(all[n]);
	}
	json_decref(p->global);
	json_decref(p->warnings);
	json_decref(p->used_bases);
	free(p);
}

/* The bases of the needed stages, and what these copy from. */
static void collect_bases(struct plan_of *p)
{
	json_object_clear(p->used_bases);
	for (size_t k = 0; k < p->n_stages; k++) {
		const struct stage *s = &p->stages[k];
		const char *image = dp_text_at(s->from, "image");
		if (!s->needed)
			continue;
		if (image)
			json_object_set_new(p->used_bases, image, json_true());
		for (size_t n = s->first + 1; n < s->end; n++) {
			const char *name = dp_copies_from(&p->d->list[n]);
			if (name && dp_find_stage(p, name, k) < 0 &&
				strcmp(name, "scratch") != 0)
				json_object_set_new(p->used_bases, name, json_true());
		}
	}
}

int docker_bases(const struct dockerfile *d, json_t **ret, struct err *e)
{
	struct plan_of *p = calloc(1, sizeof(*p));
	json_t *bases = json_array(), *v;
	const char *key;

	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	int r = open_plan(p, d, e);
	if (r == 0)
		r = dp_find_stages(p);
	if (r == 0)
		r = dp_mark_needed(p);
	if (r == 0)
		collect_bases(p);
	json_object_foreach (p->used_bases, key, v)
		json_array_append_new(bases, json_string(key));
	close_plan(p);
	if (r < 0) {
		json_decref(bases);
		return r;
	}
	*ret = json_pack("{s:o}", "bases", bases);
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

static int note_arg(struct plan_of *p, const char *key, const char *value UNUSED,
	const char *at UNUSED)
{
	return dp_put(p, p->used_bases, key, "");
}

/* Build arguments that no ARG takes, in whatever stage. */
static int warn_of_args(struct plan_of *p)
{
	const char *key;
	json_t *value;
	int r = 0;

	json_object_clear(p->used_bases);
	for (size_t k = 0; r == 0 && k < p->d->n; k++) {
		p->i = &p->d->list[k];
		if (p->i->kind == DOCKER_ARG)
			r = dp_pairs(p, note_arg);
	}
	json_object_foreach ((json_t *)(uintptr_t)p->given, key, value)
		if (!json_object_get(p->used_bases, key) && !is_predefined(key))
			json_array_append_new(p->warnings,
				json_sprintf("build-arg.%s is set, but no ARG %s of the "
					     "Dockerfile takes it",
					key, key));
	return r;
}

int docker_plan(const struct dockerfile *d, struct docker_context *context,
	const json_t *input, json_t **ret, struct err *e)
{
	struct plan_of *p = calloc(1, sizeof(*p));

	if (!p)
		return err_set(e, ENOMEM, "out of memory");
	p->context = context;
	p->bases = json_object_get(input, "bases");
	p->given = json_object_get(input, "args");
	p->config_keys = json_object_get(input, "config");
	int r = open_plan(p, d, e);
	if (r == 0)
		r = dp_find_stages(p);
	if (r == 0)
		r = dp_mark_needed(p);
	for (size_t k = 0; r == 0 && k < p->n_stages; k++)
		if (p->stages[k].needed)
			r = read_stage(p, &p->stages[k]);
	if (r == 0)
		r = warn_of_args(p);
	if (r == 0) {
		*ret = result_of(p);
		r = *ret ? 0 : dp_no_memory(p);
	}
	close_plan(p);
	return r;
}
