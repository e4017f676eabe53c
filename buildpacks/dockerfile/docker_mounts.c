/* Reading a Dockerfile: what RUN --mount shows to one command. */
#include "buildpacks/dockerfile/docker_inside.h"
#include "lib/name.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

struct mount {
	struct plan_of *p;
	const char *at;	 /* the flag, for errors */
	json_t *options; /* of its words: "k=v", or "k" as k=true */
};

static const char *option(const struct mount *m, const char *key)
{
	return dp_text_at(m->options, key);
}

static int split(struct mount *m, char *spec)
{
	for (char *save, *word = strtok_r(spec, ",", &save); word;
		word = strtok_r(NULL, ",", &save)) {
		char *value = strchr(word, '=');

		if (value)
			*value++ = '\0';
		if (dp_put(m->p, m->options, word, value ? value : "true") < 0)
			return -EINVAL;
	}
	return 0;
}

/* Every word is one of the list (NULL at its end). */
static int check_options(const struct mount *m, const char *const *known)
{
	const char *key;
	json_t *value;

	json_object_foreach (m->options, key, value) {
		bool found = strcmp(key, "type") == 0;

		for (size_t k = 0; known[k]; k++)
			found = found || strcmp(known[k], key) == 0;
		if (!found)
			return docker_error(m->p->i, m->at, m->p->e,
				"RUN --mount=type=%.20s knows no %.30s",
				option(m, "type"), key);
	}
	return 0;
}

/* Absolute; NULL and 0 when it has none. */
static int take_target(const struct mount *m, char **ret)
{
	const char *target = option(m, "target");

	if (!target)
		target = option(m, "dst");
	if (!target)
		target = option(m, "destination");
	*ret = target ? dp_absolute(dp_text_at(m->p->s->config, "WorkingDir"), target)
		      : NULL;
	return target && !*ret ? dp_no_memory(m->p) : 0;
}

/* uid, gid and mode (octal), where they are given. */
static int add_numbers(const struct mount *m, json_t *into)
{
	static const char *const names[] = {"uid", "gid", "mode"};

	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		const char *text = option(m, names[k]);
		char *end;

		if (!text)
			continue;
		unsigned long n = strtoul(text, &end, k == 2 ? 8 : 10);
		if (*end || !*text || n > (k == 2 ? 07777 : 65535))
			return docker_error(m->p->i, m->at, m->p->e, "%s=%.20s is no %s",
				names[k], text,
				k == 2 ? "octal mode" : "id from 0 to 65535");
		json_object_set_new(into, names[k], json_integer((json_int_t)n));
	}
	return 0;
}

static int append(const struct mount *m, json_t *todo, const char *list, json_t *one)
{
	if (one && json_array_append_new(json_object_get(todo, list), one) == 0)
		return 0;
	return dp_no_memory(m->p);
}

/* type=cache,target=PATH[,id=ID][,uid=][,gid=][,mode=]; sharing is always locked. */
static int add_cache(const struct mount *m, json_t *todo)
{
	static const char *const known[] = {"target", "dst", "destination", "id",
		"sharing", "uid", "gid", "mode", NULL};
	const char *id = option(m, "id");
	char *path autofree = NULL;
	int r = check_options(m, known);

	if (r == 0)
		r = take_target(m, &path);
	if (r < 0)
		return r;
	if (!path)
		return docker_error(
			m->p->i, m->at, m->p->e, "a cache mount needs target=PATH");
	json_t *one = json_pack("{s:s, s:s}", "target", path, "id", id ? id : path);
	r = one ? add_numbers(m, one) : dp_no_memory(m->p);
	if (r == 0)
		return append(m, todo, "caches", one);
	json_decref(one);
	return r;
}

bool dp_is_config(const struct plan_of *p, const char *key)
{
	const json_t *name;
	size_t i;

	json_array_foreach (p->config_keys, i, name)
		if (json_is_string(name) && strcmp(json_string_value(name), key) == 0)
			return true;
	return false;
}

/* Whose value, and whether there has to be one. */
static int check_secret(const struct mount *m, const char *id)
{
	const char *env = option(m, "env"), *required = option(m, "required");

	if (!id || !*id)
		return docker_error(
			m->p->i, m->at, m->p->e, "a secret mount needs id=KEY");
	if (!name_key_valid(id))
		return docker_error(m->p->i, m->at, m->p->e,
			"id=%.60s cannot be the name of a config variable", id);
	if (env && !name_key_valid(env))
		return docker_error(m->p->i, m->at, m->p->e,
			"env=%.60s cannot be the name of a variable", env);
	if (required && strcmp(required, "false") != 0 && !dp_is_config(m->p, id))
		return docker_error(m->p->i, m->at, m->p->e,
			"the build sees no config variable %.60s; `berth config:set APP "
			"%.60s=VALUE`",
			id, id);
	return 0;
}

/* type=secret[,id=KEY][,target=PATH][,env=NAME][,required][,mode=][,uid=][,gid=]: a config variable's value. */
static int add_secret(const struct mount *m, json_t *todo)
{
	static const char *const known[] = {"id", "target", "dst", "destination", "env",
		"required", "mode", "uid", "gid", NULL};
	char *path autofree = NULL, *by_id autofree = NULL;
	const char *id = option(m, "id"), *env = option(m, "env");
	int r = check_options(m, known);

	if (r == 0)
		r = take_target(m, &path);
	if (r == 0 && !id && path)
		id = strrchr(path, '/') + 1;
	if (r == 0)
		r = check_secret(m, id);
	if (r < 0)
		return r;
	if (!path && !env && asprintf(&by_id, "/run/secrets/%s", id) < 0)
		return dp_no_memory(m->p);
	json_t *one = json_pack("{s:s, s:s*, s:s*, s:i, s:i, s:i}", "id", id, "target",
		path ? path : by_id, "env", env, "mode", 0400, "uid", 0, "gid", 0);
	r = one ? add_numbers(m, one) : dp_no_memory(m->p);
	if (r == 0)
		return append(m, todo, "secrets", one);
	json_decref(one);
	return r;
}

static int add_mount(const struct mount *m, json_t *todo)
{
	const char *type = option(m, "type");

	if (type && strcmp(type, "cache") == 0)
		return add_cache(m, todo);
	if (type && strcmp(type, "secret") == 0)
		return add_secret(m, todo);
	return docker_error(m->p->i, m->at, m->p->e,
		"RUN --mount=type=%.30s is not supported, only type=cache and "
		"type=secret; COPY what the command needs",
		type ? type : "bind");
}

int dp_mount(struct plan_of *p, const struct docker_flag *f, json_t *todo)
{
	struct mount m = {.p = p, .at = p->i->joined + f->at, .options = json_object()};
	char *spec autofree = f->value ? dp_expand(p, f->value) : strdup("");
	int r = !m.options ? dp_no_memory(p) : spec ? split(&m, spec) : -EINVAL;

	if (r == 0)
		r = add_mount(&m, todo);
	json_decref(m.options);
	return r;
}
