/* Config: showing and changing it, files of it, and its past. */
#include "cli/cli.h"
#include "cli/dotenv.h"
#include "lib/io.h"
#include "lib/name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define IMPORT_MAX ((size_t)1 << 20) /* more than a config can be */

/* ---- whose ---- */

/* What is meant: of the process type, else what all types have. */
static const char *scope(const struct cli *c)
{
	const char *type = c->options[OPT_PROCESS_TYPE];

	return type ? type : "";
}

static int check_scope(const struct cli *c)
{
	if (!*scope(c) || name_type_valid(scope(c)))
		return 0;
	return say_usage(c, "'%.40s' is not a process type", scope(c));
}

/* KEY, or TYPE/KEY as the API has it; kept until the end of the program. */
static const char *full_key(const struct cli *c, const char *key)
{
	struct buf b = BUF_INIT;

	buf_addf(&b, "%s%s%s", scope(c), *scope(c) ? "/" : "", key);
	const char *name = buf_take(&b);
	if (!name)
		abort();
	return name;
}

/* The entries of the scope, under plain names. */
static json_t *of_scope(const json_t *config, const char *type)
{
	json_t *o = json_object(), *v;
	size_t len = strlen(type);
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)config, key, v) {
		const char *slash = strchr(key, '/');

		if (!slash && !len)
			json_object_set(o, key, v);
		else if (slash && (size_t)(slash - key) == len &&
			 memcmp(key, type, len) == 0)
			json_object_set(o, slash + 1, v);
	}
	return o;
}

static int get_config(struct cli *c, json_t **ret)
{
	int r = check_scope(c);

	return r ? r : api_json(c, "GET", NULL, ret, "/v1/apps/%s/config", c->app);
}

static int get_scope(struct cli *c, json_t **ret)
{
	json_t *config;
	int r = get_config(c, &config);

	if (r == 0)
		*ret = of_scope(config, scope(c));
	return r;
}

/* ---- showing ---- */

static int print(const struct buf *b)
{
	if (b->failed)
		return out_failed(-ENOMEM);
	fwrite(b->data, 1, b->len, stdout);
	return 0;
}

static int print_value(const json_t *v)
{
	autobuf b = BUF_INIT;

	if (out_bytes(v, &b) < 0)
		return STATUS_FAILED;
	buf_adds(&b, "\n");
	return print(&b);
}

static int show_values(struct cli *c, const json_t *config, const char *type)
{
	const char *key;
	int widest = 0, r = 0;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)config, key, v)
		widest = (int)strlen(key) > widest ? (int)strlen(key) : widest;
	if (!c->quiet)
		printf("=====> %s env vars%s%s\n", c->app, *type ? " of " : "", type);
	json_object_foreach ((json_t *)(uintptr_t)config, key, v) {
		printf("%s:%*s ", key, widest - (int)strlen(key), "");
		r = print_value(v) ? STATUS_FAILED : r;
	}
	return r;
}

/* Keys come sorted, so a type's stand together. */
static int show_types(struct cli *c, const json_t *config)
{
	char type[32], last[32] = "";
	const char *key;
	json_t *v;
	int r = 0;

	json_object_foreach ((json_t *)(uintptr_t)config, key, v) {
		const char *slash = strchr(key, '/');

		if (!slash || (size_t)(slash - key) >= sizeof(type))
			continue;
		snprintf(type, sizeof(type), "%.*s", (int)(slash - key), key);
		if (strcmp(type, last) == 0)
			continue;
		snprintf(last, sizeof(last), "%s", type);
		json_t *own = of_scope(config, type);
		r = show_values(c, own, type) ? STATUS_FAILED : r;
		json_decref(own);
	}
	return r;
}

int cmd_config_show(struct cli *c)
{
	json_t *config;
	int r = get_config(c, &config);

	if (r)
		return r;
	json_t *own = of_scope(config, scope(c));
	if (c->json)
		out_json(c->options[OPT_PROCESS_TYPE] ? own : config);
	else
		r = show_values(c, own, scope(c));
	if (r == 0 && !c->json && !c->options[OPT_PROCESS_TYPE])
		r = show_types(c, config);
	return r;
}

int cmd_config_get(struct cli *c)
{
	json_t *config, *v;
	int r = get_scope(c, &config);

	if (r)
		return r;
	v = json_object_get(config, c->argv[0]);
	if (!v) {
		if (!c->quiet)
			say("%s has no config value %.100s%s%s", c->app, c->argv[0],
				*scope(c) ? " for " : "", scope(c));
		return STATUS_FAILED;
	}
	if (c->json) {
		out_json(v);
		return 0;
	}
	return print_value(v);
}

int cmd_config_keys(struct cli *c)
{
	json_t *config, *v, *keys = json_array();
	const char *key;
	int r = get_scope(c, &config);

	if (r)
		return r;
	json_object_foreach (config, key, v) {
		json_array_append_new(keys, json_string(key));
		if (!c->json)
			puts(key);
	}
	if (c->json)
		out_json(keys);
	return 0;
}

/* export KEY='value' for a POSIX shell, whatever the bytes. */
static void add_for_shell(struct buf *out, const char *key, const struct buf *value)
{
	buf_addf(out, "export %s='", key);
	for (size_t i = 0; i < value->len; i++)
		if (value->data[i] == '\'')
			buf_adds(out, "'\\''");
		else
			buf_add(out, value->data + i, 1);
	buf_adds(out, "'\n");
}

int cmd_config_export(struct cli *c)
{
	const char *format = c->format ? c->format : "shell", *key;
	bool dotenv = strcmp(format, "dotenv") == 0;
	autobuf out = BUF_INIT;
	json_t *config, *v;

	if (!dotenv && strcmp(format, "shell") != 0 && strcmp(format, "json") != 0)
		return say_usage(
			c, "--format is shell, dotenv or json, not '%.40s'", format);
	int r = get_scope(c, &config);
	if (r)
		return r;
	if (strcmp(format, "json") == 0) {
		out_json(config);
		return 0;
	}
	json_object_foreach (config, key, v) {
		autobuf b = BUF_INIT;

		if (out_bytes(v, &b) < 0 || buf_add(&b, "", 0) < 0)
			return STATUS_FAILED;
		if (dotenv)
			dotenv_write(&out, key, b.data, b.len);
		else
			add_for_shell(&out, key, &b);
	}
	return print(&out);
}

/* ---- changing ---- */

/* set, unset: taken over. replace: whose other keys go, NULL: nobody's. */
static int change_config(struct cli *c, json_t *set, json_t *unset, const char *replace)
{
	json_t *body = json_pack("{s:o, s:o, s:b}", "set", set, "unset", unset, "restart",
		!c->options[OPT_NO_RESTART]);

	if (replace)
		json_object_set_new(body, "replace", json_string(replace));
	return api_stream(c, "PATCH", body, "/v1/apps/%s/config", c->app);
}

static int check_key(const struct cli *c, const char *key)
{
	if (name_key_valid(key))
		return 0;
	return say_usage(c,
		"'%.80s' is not a valid key: letters, digits and _, not starting with a "
		"digit",
		key);
}

/* config:set APP KEY --stdin */
static int set_from_stdin(struct cli *c, json_t *set)
{
	const char *value;

	if (c->argc != 1 || strchr(c->argv[0], '='))
		return say_usage(
			c, "with --stdin, name one KEY: its value is what comes in");
	int r = check_key(c, c->argv[0]);
	if (r == 0)
		r = value_from_stdin(&value);
	if (r == 0)
		json_object_set_new(set, full_key(c, c->argv[0]), api_value(value));
	return r;
}

static int set_from_words(struct cli *c, json_t *set)
{
	for (int i = 0; i < c->argc; i++) {
		char *value = strchr(c->argv[i], '=');

		if (!value)
			return say_usage(c, "'%.80s' is not KEY=VALUE", c->argv[i]);
		*value++ = 0;
		int r = check_key(c, c->argv[i]);
		if (r)
			return r;
		json_object_set_new(set, full_key(c, c->argv[i]), api_value(value));
	}
	return 0;
}

int cmd_config_set(struct cli *c)
{
	json_t *set = json_object();
	int r = check_scope(c);

	if (r == 0)
		r = c->options[OPT_STDIN] ? set_from_stdin(c, set)
					  : set_from_words(c, set);
	return r ? r : change_config(c, set, json_array(), NULL);
}

int cmd_config_unset(struct cli *c)
{
	json_t *unset = json_array();
	int r = check_scope(c);

	for (int i = 0; i < c->argc && r == 0; i++) {
		r = check_key(c, c->argv[i]);
		json_array_append_new(unset, json_string(full_key(c, c->argv[i])));
	}
	return r ? r : change_config(c, json_object(), unset, NULL);
}

int cmd_config_clear(struct cli *c)
{
	int r = check_scope(c);

	return r ? r
		 : change_config(
			   c, json_object(), json_array(), *scope(c) ? scope(c) : "*");
}

/* ---- files ---- */

static int open_file(const struct cli *c, const char *path)
{
	if (strcmp(path, "-") == 0)
		return 0;
	if (c->over_ssh)
		return say_usage(c,
			"%s would be a file of the host: here, use - and send it with <",
			path);
	int r = config_open(path);
	if (r == 0)
		return 0;
	say("cannot read %s: %s", path, strerror(-r));
	return STATUS_FAILED;
}

int config_open(const char *path)
{
	int fd autoclose = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || dup2(fd, STDIN_FILENO) < 0 ? -errno : 0;
}

struct import {
	struct cli *c;
	json_t *set;
};

static void take_line(void *arg, const char *key, const char *value, size_t len)
{
	struct import *i = arg;

	(void)len; /* there is no NUL in it */
	json_object_set_new(i->set, full_key(i->c, key), api_value(value));
}

static int read_dotenv(struct import *i, const struct buf *in)
{
	struct err e = {0};

	if (dotenv_read(in->data, in->len, take_line, i, &e) == 0)
		return 0;
	say("%s; nothing was changed", e.text);
	return STATUS_FAILED;
}

/* As --format json writes it: text, or {"base64": ...}. */
static int read_json_file(struct import *i, const struct buf *in)
{
	json_error_t e;
	json_t *all = json_loadb(in->data, in->len, JSON_REJECT_DUPLICATES, &e), *v;
	const char *key;

	if (!all) {
		say("line %d: %s; nothing was changed", e.line, e.text);
		return STATUS_FAILED;
	}
	if (!json_is_object(all)) {
		say("this is no JSON object of names and values; nothing was changed");
		return STATUS_FAILED;
	}
	json_object_foreach (all, key, v) {
		if (!name_key_valid(key) || !(json_is_string(v) || json_is_object(v))) {
			say("\"%.80s\": a name of letters, digits and _, and a text is "
			    "wanted; nothing was changed",
				key);
			return STATUS_FAILED;
		}
		json_object_set(i->set, full_key(i->c, key), v);
	}
	return 0;
}

int cmd_config_import(struct cli *c)
{
	const char *format = c->format ? c->format : "dotenv";
	struct import i = {.c = c, .set = json_object()};
	autobuf in = {.max = IMPORT_MAX};
	int r = check_scope(c);

	if (r == 0 && strcmp(format, "dotenv") != 0 && strcmp(format, "json") != 0)
		r = say_usage(c, "--format is dotenv or json, not '%.40s'", format);
	if (r == 0)
		r = open_file(c, c->argv[0]);
	if (r)
		return r;
	int n = io_read_all(0, &in);
	if (n < 0 || buf_add(&in, "", 0) < 0) {
		say("cannot read the config: %s",
			n == -EMSGSIZE ? "it is larger than 1 MB" : strerror(-n));
		return STATUS_FAILED;
	}
	r = strcmp(format, "json") == 0 ? read_json_file(&i, &in) : read_dotenv(&i, &in);
	return r ? r
		 : change_config(c, i.set, json_array(),
			   c->options[OPT_REPLACE] ? scope(c) : NULL);
}

/* ---- the past ---- */

/* Release, time and who, of the row; valid until the next call. */
static void release_cells(const json_t *row, const char *cells[3])
{
	static char version[24];
	const char *when = out_member(row, "time");

	snprintf(version, sizeof(version), "v%s", out_member(row, "version"));
	cells[0] = version[1] ? version : "next";
	cells[1] = *when ? when : "not yet";
	cells[2] = out_member(row, "who");
}

static void add_change(struct table *t, const json_t *row)
{
	const char *cells[5];

	release_cells(row, cells);
	cells[3] = out_member(row, "set");
	cells[4] = out_member(row, "unset");
	table_add(t, cells);
}

static void add_values(struct buf *out, const json_t *row)
{
	json_t *v, *values = json_object_get(row, "values");
	const char *key;
	size_t i;

	json_object_foreach (values, key, v) {
		autobuf b = BUF_INIT;
		const char *slash = strchr(key, '/'), *name = slash ? slash + 1 : key;

		if (out_bytes(v, &b) < 0 || buf_add(&b, "", 0) < 0)
			continue;
		buf_addf(out, "       %.*s", (int)(name - key), key);
		dotenv_write(out, name, b.data, b.len);
	}
	json_array_foreach (json_object_get(row, "unset"), i, v)
		buf_addf(out, "       unset %s\n", json_string_value(v));
}

static int history_values(const json_t *list)
{
	autobuf out = BUF_INIT;
	const json_t *row;
	size_t i;

	json_array_foreach (list, i, row) {
		const char *cells[3];

		release_cells(row, cells);
		buf_addf(&out, "-----> %s  %s  %s\n", cells[0], cells[1], cells[2]);
		add_values(&out, row);
	}
	return print(&out);
}

int cmd_config_history(struct cli *c)
{
	static const char *const header[] = {"RELEASE", "TIME", "WHO", "SET", "UNSET"};
	bool values = c->options[OPT_VALUES];
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/apps/%s/config/history?limit=%s%s",
		c->app, c->options[OPT_LIMIT] ? api_word(c->options[OPT_LIMIT]) : "100",
		values ? "&values=1" : "");

	if (r)
		return r;
	if (values && !c->json)
		return history_values(list);
	return out_rows(c, header, ARRAY_LEN(header), list, add_change);
}

int cmd_config_rollback(struct cli *c)
{
	const char *text = c->argv[0] + (c->argv[0][0] == 'v');
	uint64_t version;

	if (num_parse_u64(text, 1, UINT32_MAX, &version) < 0)
		return say_usage(c, "'%.40s' is not a release such as v3", c->argv[0]);
	return api_stream(c, "POST",
		json_pack("{s:I, s:b}", "version", (json_int_t)version, "restart",
			!c->options[OPT_NO_RESTART]),
		"/v1/apps/%s/config/rollback", c->app);
}
