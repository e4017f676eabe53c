/* Scheduled tasks. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static void add_task(struct table *t, const json_t *task)
{
	const json_t *last = json_object_get(task, "last");
	const char *began = json_string_value(json_object_get(last, "started"));
	char text[80] = "-";

	if (!began)
		began = json_string_value(json_object_get(last, "due"));
	if (began)
		snprintf(text, sizeof(text), "%s %.40s", out_member(last, "status"),
			began);
	table_add(t,
		(const char *const[]){out_member(task, "app"), out_member(task, "task"),
			out_member(task, "schedule"), out_member(task, "state"),
			json_string_value(json_object_get(task, "next")), text,
			out_member(task, "command")});
}

static int show_tasks(struct cli *c, json_t *list)
{
	static const char *const header[] = {
		"APP", "TASK", "SCHEDULE", "STATE", "NEXT", "LAST", "COMMAND"};

	return out_rows(c, header, ARRAY_LEN(header), list, add_task);
}

int cmd_cron_list(struct cli *c)
{
	json_t *list;
	int r = c->app ? api_json(c, "GET", NULL, &list, "/v1/apps/%s/cron", c->app)
		       : api_json(c, "GET", NULL, &list, "/v1/cron");

	return r ? r : show_tasks(c, list);
}

int cmd_cron_run(struct cli *c)
{
	return api_stream(c, "POST",
		json_pack("{s:b}", "detach", c->options[OPT_DETACH] != NULL),
		"/v1/apps/%s/cron/%s/run", c->app, api_word(c->argv[0]));
}

int cmd_cron_suspend(struct cli *c)
{
	bool all = c->options[OPT_ALL] != NULL;
	json_t *list;

	if (all == (c->argc > 0))
		return say_usage(c, "which task: its id, or --all");
	int r = api_json(c, "POST",
		all ? json_pack("{s:b}", "all", 1)
		    : json_pack("{s:s}", "task", c->argv[0]),
		&list, "/v1/apps/%s/cron/%s", c->app, c->cmd->param);
	return r || c->quiet ? r : show_tasks(c, list);
}

int cmd_cron_history(struct cli *c)
{
	static const struct column columns[] = {{"TASK", "task"}, {"NAME", "name"},
		{"STATUS", "status"}, {"STARTED", "started"}, {"SECONDS", "seconds"},
		{"WHY", "why"}, {"BY", "by"}, {"REASON", "reason"}};
	const char *limit = c->options[OPT_LIMIT];
	autobuf path = BUF_INIT;
	json_t *list;

	buf_addf(&path, "?limit=%s", limit ? api_word(limit) : "50");
	if (c->argc)
		buf_addf(&path, "&task=%s", api_word(c->argv[0]));
	int r = api_json(
		c, "GET", NULL, &list, "/v1/apps/%s/cron/history%s", c->app, path.data);
	return r ? r : out_list(c, columns, ARRAY_LEN(columns), list);
}
