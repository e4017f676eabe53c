/* Config, domains, and the settable properties of topics. */
#include "cli/cli.h"
#include "lib/io.h"
#include "lib/name.h"

#include <stdio.h>
#include <string.h>

static int get_config(struct cli *c, json_t **ret)
{
	return api_json(c, "GET", NULL, ret, "/v1/apps/%s/config", c->app);
}

static int write_value(const json_t *v, bool newline)
{
	autobuf b = BUF_INIT;

	fflush(stdout);
	if (out_bytes(v, &b) < 0)
		return STATUS_FAILED;
	if (newline)
		buf_adds(&b, "\n");
	return b.failed || io_write_all(1, b.data, b.len) < 0 ? STATUS_FAILED : 0;
}

int cmd_config_show(struct cli *c)
{
	json_t *config, *v;
	const char *key;
	int widest = 0, r = get_config(c, &config);

	if (r || c->json) {
		if (!r)
			out_json(config);
		return r;
	}
	json_object_foreach (config, key, v)
		widest = (int)strlen(key) > widest ? (int)strlen(key) : widest;
	if (!c->quiet)
		printf("=====> %s env vars\n", c->app);
	json_object_foreach (config, key, v) {
		printf("%s:%*s ", key, widest - (int)strlen(key), "");
		r = write_value(v, true);
	}
	return r;
}

int cmd_config_get(struct cli *c)
{
	json_t *config, *v;
	int r = get_config(c, &config);

	if (r)
		return r;
	v = json_object_get(config, c->argv[0]);
	if (!v) {
		if (!c->quiet)
			say("%s has no config value %.100s", c->app, c->argv[0]);
		return STATUS_FAILED;
	}
	if (c->json) {
		out_json(v);
		return 0;
	}
	return write_value(v, true);
}

int cmd_config_keys(struct cli *c)
{
	json_t *config, *v, *keys = json_array();
	const char *key;
	int r = get_config(c, &config);

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
int cmd_config_export(struct cli *c)
{
	json_t *config, *v;
	const char *key;
	int r = get_config(c, &config);

	if (r || c->json) {
		if (!r)
			out_json(config);
		return r;
	}
	json_object_foreach (config, key, v) {
		autobuf b = BUF_INIT;

		if (out_bytes(v, &b) < 0)
			return STATUS_FAILED;
		printf("export %s='", key);
		for (size_t i = 0; i < b.len; i++)
			if (b.data[i] == '\'')
				fputs("'\\''", stdout);
			else
				putchar(b.data[i]);
		puts("'");
	}
	return 0;
}

static int change_config(struct cli *c, json_t *set, json_t *unset)
{
	return api_stream(c, "PATCH",
		json_pack("{s:o, s:o, s:b}", "set", set, "unset", unset, "restart",
			!c->options[OPT_NO_RESTART]),
		"/v1/apps/%s/config", c->app);
}

int cmd_config_set(struct cli *c)
{
	json_t *set = json_object();

	for (int i = 0; i < c->argc; i++) {
		char *value = strchr(c->argv[i], '=');

		if (!value)
			return say_usage(c, "'%.80s' is not KEY=VALUE", c->argv[i]);
		*value++ = 0;
		if (!name_key_valid(c->argv[i]))
			return say_usage(c,
				"'%.80s' is not a valid key: letters, digits and _, not "
				"starting with a digit",
				c->argv[i]);
		json_object_set_new(set, c->argv[i], api_value(value));
	}
	return change_config(c, set, json_array());
}

int cmd_config_unset(struct cli *c)
{
	json_t *unset = json_array();

	for (int i = 0; i < c->argc; i++) {
		if (!name_key_valid(c->argv[i]))
			return say_usage(c, "'%.80s' is not a valid key", c->argv[i]);
		json_array_append_new(unset, json_string(c->argv[i]));
	}
	return change_config(c, json_object(), unset);
}

static void show_domains(struct cli *c, const json_t *answer)
{
	if (c->json) {
		out_json(answer);
		return;
	}
	if (c->app && json_object_get(answer, "domains"))
		printf("       domains: %s\n", out_member(answer, "domains"));
	if (json_object_get(answer, "global"))
		printf("       global:  %s\n", out_member(answer, "global"));
}

int cmd_domains(struct cli *c)
{
	json_t *body = json_object(), *list = json_array(), *answer;
	bool clear = strcmp(c->cmd->param, "clear") == 0;
	int r;

	for (int i = 0; i < c->argc; i++)
		json_array_append_new(list, json_string(c->argv[i]));
	json_object_set_new(body, c->cmd->param, clear ? json_true() : list);
	if (c->app)
		r = api_json(c, "PATCH", body, &answer, "/v1/apps/%s/domains", c->app);
	else
		r = api_json(c, "PATCH", body, &answer, "/v1/domains");
	if (!r && (!c->quiet || c->json))
		show_domains(c, answer);
	return r;
}

int cmd_domains_report(struct cli *c)
{
	json_t *answer;
	char title[128] = "global domains information";
	int r;

	if (c->app) {
		snprintf(title, sizeof(title), "%s domains information", c->app);
		r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/domains", c->app);
	} else {
		r = api_json(c, "GET", NULL, &answer, "/v1/domains");
	}
	if (r)
		return r;
	if (c->report_key)
		return out_report_key(c, answer);
	if (!c->quiet && !c->json)
		printf("=====> %s\n", title);
	show_domains(c, answer);
	return 0;
}

/* "3000" alone is the web port of ports:set, no word its default; else KEY [VALUE], an
 * empty one unsets. */
static int setting_words(struct cli *c, const char **key, const char **value)
{
	bool ports = strcmp(c->cmd->param, "ports") == 0;

	*key = c->argc > 0 ? c->argv[0] : "web";
	*value = c->argc > 1 ? c->argv[1] : "";
	if (ports && c->argc == 1 && strcmp(*key, "web") != 0) {
		*value = *key;
		*key = "web";
		return 0;
	}
	return **key ? 0 : say_usage(c, "which property?");
}

/* "-": a value too long or too secret for a word, from stdin, without its last line end. */
static int value_from_stdin(const char **value)
{
	static struct buf b = {.max = 1 << 20}; /* as much as the API takes */

	if (io_read_all(0, &b) < 0 || buf_add(&b, "", 1) < 0) {
		say("cannot read the value from stdin");
		return STATUS_FAILED;
	}
	if (strlen(b.data) + 1 != b.len) {
		say("the value from stdin has a NUL byte: it must be text");
		return STATUS_FAILED;
	}
	if (b.len > 1 && b.data[b.len - 2] == '\n')
		b.data[b.len - 2] = '\0';
	*value = b.data;
	return 0;
}

int cmd_setting_set(struct cli *c)
{
	const char *key, *value;
	json_t *body = json_object();
	int r = setting_words(c, &key, &value);
	bool piped = !r && strcmp(value, "-") == 0;

	if (piped)
		r = value_from_stdin(&value);
	if (r)
		return r;
	json_object_set_new(body, key, *value ? api_value(value) : json_null());
	if (c->options[OPT_GLOBAL])
		r = api_stream(c, "PUT", body, "/v1/settings/%s", c->cmd->param);
	else
		r = api_stream(
			c, "PUT", body, "/v1/apps/%s/settings/%s", c->app, c->cmd->param);
	if (!r && !c->quiet && !c->json)
		printf(*value ? "-----> Set %s to %s\n" : "-----> Unset %s%s\n", key,
			piped && *value ? "what came from stdin" : value);
	return r;
}

int cmd_maintenance(struct cli *c)
{
	int r = api_stream(c, "PUT", json_pack("{s:s}", "enabled", c->cmd->param),
		"/v1/apps/%s/settings/maintenance", c->app);

	if (!r && !c->quiet && !c->json)
		printf("-----> Maintenance mode of %s is %s\n", c->app, c->cmd->param);
	return r;
}

int cmd_setting_report(struct cli *c)
{
	json_t *answer;
	char title[128];
	int r;

	snprintf(title, sizeof(title), "%s %s information", c->app ? c->app : "global",
		c->cmd->param);
	if (c->app)
		r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/settings/%s", c->app,
			c->cmd->param);
	else
		r = api_json(c, "GET", NULL, &answer, "/v1/settings/%s", c->cmd->param);
	if (r)
		return r;
	return out_answer(c, title, answer);
}
