/* Images that bring their own start. */
#include "control/builds/own_start.h"
#include "control/command.h"
#include "lib/name.h"
#include "lib/spec.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 1024

bool own_start(const struct db_image *i)
{
	return json_object_size(i->config) > 0;
}

static const json_t *found(const struct db_image *i, const char *key)
{
	return json_object_get(json_object_get(i->config, "Berth"), key);
}

static const char *text(const struct db_image *i, const char *key)
{
	const char *s = json_string_value(json_object_get(i->config, key));

	return s ? s : "";
}

/* One word as a shell would have to be given it. */
static void quote(const char *word, struct buf *out)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
		"%+,-./:=@_";

	if (out->len)
		buf_adds(out, " ");
	if (*word && word[strspn(word, plain)] == '\0') {
		buf_adds(out, word);
		return;
	}
	buf_adds(out, "'");
	for (const char *s = word; *s; s++)
		buf_adds(out, *s == '\'' ? "'\\''" : (const char[]){*s, '\0'});
	buf_adds(out, "'");
}

static void quote_all(const json_t *words, struct buf *out)
{
	const json_t *word;
	size_t i;

	json_array_foreach (words, i, word)
		quote(json_string_value(word) ? json_string_value(word) : "", out);
}

static json_t *env_of(const json_t *config)
{
	json_t *env = json_object();
	const json_t *pair;
	size_t i;

	json_array_foreach (json_object_get(config, "Env"), i, pair) {
		const char *s = json_string_value(pair),
			   *equals = s ? strchr(s, '=') : NULL;
		char *key autofree = equals ? strndup(s, (size_t)(equals - s)) : NULL;
		if (key && *key)
			json_object_set_new(env, key, json_string(equals + 1));
	}
	return env;
}

int own_start_processes(
	json_t *config, const json_t *procfile, json_t **ret, struct err *e)
{
	json_t *processes = json_object(), *own = json_object_get(config, "Berth");
	autobuf line = BUF_INIT;

	quote_all(json_object_get(config, "Entrypoint"), &line);
	quote_all(json_object_get(config, "Cmd"), &line);
	if (line.len && !json_object_get(procfile, "web")) {
		json_object_set_new(processes, "web", json_string(line.data));
		json_object_set_new(own, "web", json_string(line.data));
	}
	if (procfile)
		json_object_update(processes, (json_t *)(uintptr_t)procfile);
	if (json_object_size(processes) == 0) {
		json_decref(processes);
		return err_set(e, EINVAL,
			"nothing to start: the image has neither CMD nor ENTRYPOINT, and "
			"there "
			"is no Procfile");
	}
	json_decref(*ret);
	*ret = json_pack("{s:o, s:o}", "processes", processes, "env", env_of(config));
	return *ret ? 0 : err_set(e, ENOMEM, "out of memory");
}

json_t *own_start_argv(
	const struct db_image *i, const char *command, const char *const *argv)
{
	const char *web = json_string_value(found(i, "web"));
	json_t *words = json_array();

	if (!command) {
		for (; argv && *argv; argv++)
			json_array_append_new(words, json_string(*argv));
		return words;
	}
	json_array_extend(words, json_object_get(i->config, "Entrypoint"));
	if (web && strcmp(web, command) == 0) {
		json_array_extend(words, json_object_get(i->config, "Cmd"));
		return words;
	}
	autobuf line = BUF_INIT;
	const json_t *shell = json_object_get(i->config, "Shell");
	command_for_shell(command, &line);
	if (json_array_size(shell))
		json_array_extend(words, (json_t *)(uintptr_t)shell);
	else {
		json_array_append_new(words, json_string("/bin/sh"));
		json_array_append_new(words, json_string("-c"));
	}
	json_array_append_new(words, json_string(line.data ? line.data : command));
	return words;
}

const char *own_start_folder(const struct db_image *i)
{
	const char *folder = text(i, "WorkingDir");

	return *folder == '/' ? folder : "/";
}

const char *own_start_home(const struct db_image *i)
{
	const char *home = json_string_value(found(i, "home"));

	return home ? home : "/";
}

void own_start_user(const struct db_image *i, struct msg_start *m)
{
	if (!own_start(i))
		return;
	m->flags |= START_USER;
	m->uid = (uint32_t)json_integer_value(found(i, "uid")) & 0xffff;
	m->gid = (uint32_t)json_integer_value(found(i, "gid")) & 0xffff;
}

/* What no kernel knows is as if it were not there. */
uint32_t own_start_stop_signal(const struct db_image *i)
{
	int signo = signal_parse(text(i, "StopSignal"));

	return signo > 0 ? (uint32_t)signo : 0;
}

uint16_t own_start_port(const struct db_image *i)
{
	const char *name;
	json_t *value;

	json_object_foreach (json_object_get(i->config, "ExposedPorts"), name, value) {
		char *end;
		unsigned long port = strtoul(name, &end, 10);
		if (port > 0 && port <= 65535 && (!*end || strcmp(end, "/tcp") == 0))
			return (uint16_t)port;
	}
	return 0;
}

int own_start_pack(const struct db_image *i, const char *command, const char *const *argv,
	const char *const *env)
{
	json_t *words = own_start_argv(i, command, argv);
	const char **list = calloc(WORDS_MAX + 1, sizeof(*list));
	const json_t *word;
	int fd = words && list ? 0 : -ENOMEM;
	size_t k;

	if (fd == 0 && json_array_size(words) > WORDS_MAX)
		fd = -E2BIG;
	if (fd == 0 && json_array_size(words) == 0)
		fd = -EINVAL;
	if (fd == 0) {
		json_array_foreach (words, k, word)
			list[k] = json_string_value(word) ? json_string_value(word) : "";
		fd = spec_pack(list, env, own_start_folder(i));
	}
	free(list);
	json_decref(words);
	return fd;
}
