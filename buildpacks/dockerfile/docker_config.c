/* Reading a Dockerfile: what becomes configuration. */
#include "buildpacks/dockerfile/docker_inside.h"
#include "lib/name.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static int set_env(struct plan_of *p, const char *key, const char *value, const char *at)
{
	if (!value)
		return docker_error(p->i, at, p->e, "%s %.60s has no =; write NAME=VALUE",
			docker_kind_name(p->i->kind), key);
	if (!*key)
		return docker_error(p->i, at, p->e, "a name is empty");
	if (p->i->kind == DOCKER_ENV)
		return dp_put(p, p->s->env, key, value);
	json_t *labels = json_object_get(p->s->config, "Labels");
	if (!labels) {
		labels = json_object();
		json_object_set_new(p->s->config, "Labels", labels);
	}
	return dp_put(p, labels, key, value);
}

/* "ENV NAME the rest" is the old form. */
int dp_on_pairs(struct plan_of *p)
{
	const char *at = p->i->text, *word;
	size_t len;

	docker_next_word(&at, p->d->escape, &word, &len);
	if (memchr(word, '=', len))
		return dp_pairs(p, set_env);
	char *key autofree = strndup(word, len);
	at += strspn(at, " \t");
	if (!*at)
		return docker_error(p->i, word, p->e,
			"%s %.60s has no value; write NAME=VALUE",
			docker_kind_name(p->i->kind), key ? key : "");
	char *name autofree = key ? dp_expand(p, key) : NULL;
	char *value autofree = name ? dp_expand(p, at) : NULL;
	return value ? set_env(p, name, value, word) : name ? -EINVAL : dp_no_memory(p);
}

static int set_arg(
	struct plan_of *p, const char *key, const char *value, const char *at UNUSED)
{
	const char *given = dp_text_at(p->given, key);

	if (given)
		p->s->is_private = true;
	if (!given)
		given = value ? value : dp_text_at(p->global, key);
	if (!given && dp_is_config(p, key))
		dp_warn(p,
			"ARG %.60s has no value: config is not given to builds; `berth "
			"builds:set APP build-arg.%.60s VALUE`, or for a secret RUN "
			"--mount=type=secret,id=%.60s",
			key, key, key);
	return given ? dp_put(p, p->s->args, key, given) : 0;
}

int dp_on_arg(struct plan_of *p)
{
	return dp_pairs(p, set_arg);
}

static int set_command(struct plan_of *p, const char *field)
{
	json_t *argv =
		!p->i->json && !*p->i->text ? json_array() : dp_command_of(p, p->i->text);

	return argv && json_object_set_new(p->s->config, field, argv) == 0 ? 0 : -EINVAL;
}

int dp_on_cmd(struct plan_of *p)
{
	p->s->own_cmd = true;
	return set_command(p, "Cmd");
}

int dp_on_entrypoint(struct plan_of *p)
{
	if (!p->s->own_cmd) /* an inherited CMD was for another program */
		json_object_del(p->s->config, "Cmd");
	return set_command(p, "Entrypoint");
}

int dp_on_workdir(struct plan_of *p)
{
	char *text autofree = dp_expand(p, p->i->text);
	char *path autofree = text ? dp_absolute(dp_workdir_of(p->s), text) : NULL;

	if (!path)
		return text ? dp_no_memory(p) : -EINVAL;
	if (!json_object_get(p->s->made, path) &&
		json_array_append_new(p->s->folders, json_string(path)) < 0)
		return docker_error(p->i, p->i->text, p->e, "the path is not UTF-8 text");
	json_object_set_new(p->s->made, path, json_true());
	p->s->workdir = p->i;
	return dp_put(p, p->s->config, "WorkingDir", path);
}

int dp_on_user(struct plan_of *p)
{
	char *user autofree = dp_expand(p, p->i->text);

	return user ? dp_put(p, p->s->config, "User", user) : -EINVAL;
}

/* Each word becomes a member of an object of the configuration, with an empty object. */
static int add_words(struct plan_of *p, const char *field, json_t *words)
{
	json_t *set = json_object_get(p->s->config, field);
	const json_t *word;
	size_t i;

	if (!json_is_object(set)) {
		set = json_object();
		json_object_set_new(p->s->config, field, set);
	}
	json_array_foreach (words, i, word)
		json_object_set_new(set, json_string_value(word), json_object());
	json_decref(words);
	return 0;
}

/* PORT[-PORT][/tcp|/udp] */
static bool port_valid(const char *s)
{
	char *end;
	unsigned long from = strtoul(s, &end, 10), to = from;

	if (*s < '0' || *s > '9')
		return false;
	if (*end == '-')
		to = strtoul(end + 1, &end, 10);
	return from >= 1 && to >= from && to <= 65535 &&
	       (!*end || strcasecmp(end, "/tcp") == 0 || strcasecmp(end, "/udp") == 0);
}

int dp_on_expose(struct plan_of *p)
{
	json_t *words = dp_expand_words(p, p->i->text), *whole = json_array();
	const json_t *word;
	size_t i;
	int r = words && whole ? 0 : -EINVAL;

	json_array_foreach (words, i, word) {
		const char *port = json_string_value(word);
		char name[64];
		if (r == 0 && !port_valid(port))
			r = docker_error(p->i, p->i->text, p->e,
				"EXPOSE %.40s: not a port such as 8080 or 8080/tcp",
				port);
		snprintf(name, sizeof(name), "%.40s%s", port,
			strchr(port, '/') ? "" : "/tcp");
		json_array_append_new(whole, json_string(name));
	}
	json_decref(words);
	if (r == 0)
		return add_words(p, "ExposedPorts", whole);
	json_decref(whole);
	return r;
}

int dp_on_volume(struct plan_of *p)
{
	json_t *words = dp_arguments(p);
	const json_t *word;
	size_t i;

	json_array_foreach (words, i, word)
		dp_warn(p,
			"VOLUME %.100s keeps nothing by itself: `berth volumes:create "
			"NAME`, then "
			"`berth volumes:mount APP NAME %.100s`",
			json_string_value(word), json_string_value(word));
	return words ? add_words(p, "Volumes", words) : -EINVAL;
}

int dp_on_shell(struct plan_of *p)
{
	if (!p->i->json || p->i->n_words == 0)
		return docker_error(p->i, p->i->text, p->e,
			"SHELL takes a JSON array, such as [\"/bin/bash\", \"-c\"]");
	return set_command(p, "Shell");
}

int dp_on_onbuild(struct plan_of *p)
{
	struct docker_instruction inner;
	int r = docker_parse_onbuild(p->i, p->d->escape, &inner, p->e);

	docker_instruction_free(&inner);
	json_t *list = json_object_get(p->s->config, "OnBuild");

	if (r == 0 && !json_is_array(list)) {
		list = json_array();
		json_object_set_new(p->s->config, "OnBuild", list);
	}
	return r < 0 ? r
	       : json_array_append_new(list, json_string(p->i->text)) == 0
		       ? 0
		       : dp_no_memory(p);
}

int dp_on_stopsignal(struct plan_of *p)
{
	char *name autofree = dp_expand(p, p->i->text);

	if (!name)
		return -EINVAL;
	if (signal_parse(name) < 0)
		return docker_error(p->i, p->i->text, p->e,
			"STOPSIGNAL: there is no signal %.30s; it is SIGQUIT, QUIT or 3",
			name);
	return dp_put(p, p->s->config, "StopSignal", name);
}

/* The path that a curl or wget of this machine asks for, or NULL. */
static char *health_path(const char *text)
{
	static const char *const hosts[] = {
		"http://localhost", "http://127.0.0.1", "http://[::1]"};

	if (!strstr(text, "curl") && !strstr(text, "wget"))
		return NULL;
	for (size_t k = 0; k < ARRAY_LEN(hosts); k++) {
		const char *s = strstr(text, hosts[k]);
		if (!s)
			continue;
		s += strlen(hosts[k]);
		s += *s == ':' ? strcspn(s, "/ \t\"'|&;") : 0;
		size_t len = *s == '/' ? strcspn(s, " \t\"'|&;)") : 0;
		return len ? strndup(s, len) : strdup("/");
	}
	return NULL;
}

int dp_on_healthcheck(struct plan_of *p)
{
	char *path autofree = NULL;
	size_t word = strcspn(p->i->text, " \t");

	json_object_del(p->s->config, "health_path");
	if (strcasecmp(p->i->text, "NONE") == 0)
		return 0;
	if (word != 3 || strncasecmp(p->i->text, "CMD", 3) != 0)
		return docker_error(p->i, p->i->text, p->e,
			"HEALTHCHECK takes NONE, or CMD and a command");
	path = health_path(p->i->text);
	if (path)
		return dp_put(p, p->s->config, "health_path", path);
	dp_warn(p, "HEALTHCHECK: the command is not run; an instance is ready when it "
		   "listens, or "
		   "name a path: `berth checks:set APP path /health`");
	return 0;
}

int dp_on_maintainer(struct plan_of *p)
{
	json_t *labels = json_object_get(p->s->config, "Labels");

	if (!labels) {
		labels = json_object();
		json_object_set_new(p->s->config, "Labels", labels);
	}
	return dp_put(p, labels, "maintainer", p->i->text);
}
