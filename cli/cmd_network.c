/* What apps may reach. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static json_t *rule_body(struct cli *c)
{
	json_t *body = json_pack("{s:s}", "target", c->argv[0]);

	if (!body)
		return NULL;
	if (c->options[OPT_PORT])
		json_object_set_new(body, "ports", json_string(c->options[OPT_PORT]));
	if (c->options[OPT_PROTO])
		json_object_set_new(body, "protocol", json_string(c->options[OPT_PROTO]));
	if (c->options[OPT_BUILDS])
		json_object_set_new(body, "builds", json_true());
	return body;
}

static void show_names(const json_t *answer)
{
	const json_t *name;
	size_t i;

	json_array_foreach (json_object_get(answer, "names"), i, name)
		printf("       finds %s\n", out_member(name, "name"));
}

int cmd_network_rule(struct cli *c)
{
	json_t *body = rule_body(c), *answer;
	bool allow = strcmp(c->cmd->param, "allow") == 0;
	int r;

	if (!body)
		return say_usage(c, "the target is no text");
	r = api_json(c, "POST", body, &answer, "/v1/apps/%s/network/%s", c->app,
		c->cmd->param);
	if (r)
		return r;
	if (c->json) {
		out_json(answer);
	} else if (!c->quiet) {
		printf("-----> %s%s %s %s%s%s\n",
			c->options[OPT_BUILDS] ? "builds of " : "", c->app,
			allow ? "may reach" : "does not reach", c->argv[0],
			c->options[OPT_PORT] ? " port " : "",
			c->options[OPT_PORT] ? c->options[OPT_PORT] : "");
		show_names(answer);
	}
	return 0;
}

/* The words that say which, for a query. */
static void add_word(char *query, size_t size, const char *key, const char *value)
{
	size_t len = strlen(query);

	if (value)
		snprintf(query + len, size - len, "%c%s=%s", len ? '&' : '?', key,
			api_word(value));
}

int cmd_network_clear(struct cli *c)
{
	char query[2048] = "";
	json_t *answer;
	int r;

	add_word(query, sizeof(query), "target", c->argc ? c->argv[0] : NULL);
	add_word(query, sizeof(query), "ports", c->options[OPT_PORT]);
	add_word(query, sizeof(query), "protocol", c->options[OPT_PROTO]);
	add_word(query, sizeof(query), "builds", c->options[OPT_BUILDS] ? "1" : NULL);
	r = api_json(c, "DELETE", NULL, &answer, "/v1/apps/%s/network%s", c->app, query);
	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet)
		printf("-----> %s has no rule about %s\n", c->app,
			c->argc ? c->argv[0] : "anything");
	return 0;
}

static int list_all(struct cli *c)
{
	static const struct column columns[] = {{"APP", "app"}, {"VERDICT", "verdict"},
		{"TARGET", "target"}, {"PROTOCOL", "protocol"}, {"PORTS", "ports"},
		{"FOR", "for"}};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/network");

	return r ? r : out_list(c, columns, ARRAY_LEN(columns), list);
}

int cmd_network_report(struct cli *c)
{
	json_t *answer;
	char title[128];
	int r;

	if (!c->app)
		return list_all(c);
	r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/network", c->app);
	if (r)
		return r;
	snprintf(title, sizeof(title), "%s network information", c->app);
	return out_answer(c, title, answer);
}
