/* Domains, and the settable properties of topics. */
#include "cli/cli.h"
#include "lib/io.h"

#include <stdio.h>
#include <string.h>

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
	json_t *body = json_object(), *list = args_list(c), *answer;
	bool clear = strcmp(c->cmd->param, "clear") == 0;
	int r;

	if (!list)
		return STATUS_USAGE;
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

int value_from_stdin(const char **value)
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
