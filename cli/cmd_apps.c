/* Apps, and what concerns the host as a whole. */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static void add_app(struct table *t, const json_t *app)
{
	const char *version = out_member(app, "release");
	char release[32] = "";

	if (version[0])
		snprintf(release, sizeof(release), "v%.20s", version);
	table_add(t,
		(const char *const[]){out_member(app, "name"), out_member(app, "state"),
			release, out_member(app, "instances"), out_member(app, "url")});
}

int cmd_apps_list(struct cli *c)
{
	static const char *const header[] = {
		"NAME", "STATE", "RELEASE", "INSTANCES", "URL"};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/apps");

	return r ? r : out_rows(c, header, ARRAY_LEN(header), list, add_app);
}

int cmd_apps_create(struct cli *c)
{
	const char *name = c->argc ? c->argv[0] : c->app;
	json_t *answer;
	int r;

	if (!name || (c->argc && c->app))
		return say_usage(c, "name the app to create");
	r = api_json(c, "POST", json_pack("{s:s}", "name", name), &answer, "/v1/apps");
	if (r)
		return r;
	if (c->json) {
		out_json(answer);
	} else if (!c->quiet) {
		printf("-----> Created %s\n       %s\n", name, out_member(answer, "url"));
		printf("       to deploy: git remote add berth %s && git push berth "
		       "main\n",
			out_member(answer, "git"));
	}
	return 0;
}

static int report_one(struct cli *c, const char *app)
{
	json_t *answer;
	char title[128];
	int r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s", app);

	if (r)
		return r;
	snprintf(title, sizeof(title), "%s app information", app);
	return out_answer(c, title, answer);
}

int cmd_apps_report(struct cli *c)
{
	json_t *list, *app, *all;
	size_t i;
	int r;

	if (c->app)
		return report_one(c, c->app);
	r = api_json(c, "GET", NULL, &list, "/v1/apps");
	if (r)
		return r;
	all = json_array();
	json_array_foreach (list, i, app) {
		json_t *one = NULL;

		if (r)
			break;
		if (!c->json)
			r = report_one(c, out_member(app, "name"));
		else if (!(r = api_json(c, "GET", NULL, &one, "/v1/apps/%s",
				   out_member(app, "name"))))
			json_array_append_new(all, one);
	}
	if (!r && c->json)
		out_json(all);
	return r;
}

int cmd_apps_destroy(struct cli *c)
{
	const char *volumes = c->options[OPT_VOLUMES];
	int r;

	if (volumes && strcmp(volumes, "keep") != 0 && strcmp(volumes, "destroy") != 0)
		return say_usage(c, "--volumes is keep or destroy, not '%.40s'", volumes);
	/* Asked first, so that nobody confirms what is not there. */
	r = api_json(c, "GET", NULL, NULL, "/v1/apps/%s", c->app);
	if (!r)
		r = confirm(c, "app", c->app);
	if (r)
		return r;
	return api_stream(c, "DELETE", NULL, "/v1/apps/%s?confirm=%s&volumes=%s", c->app,
		c->app, volumes ? volumes : "keep");
}

int cmd_apps_rename(struct cli *c)
{
	return api_stream(c, "POST", json_pack("{s:s}", "name", c->argv[0]),
		"/v1/apps/%s/rename", c->app);
}

int cmd_apps_clone(struct cli *c)
{
	return api_stream(c, "POST",
		json_pack("{s:s, s:b, s:b}", "name", c->argv[0], "with_data",
			c->options[OPT_WITH_DATA] != NULL, "deploy",
			!c->options[OPT_SKIP_DEPLOY]),
		"/v1/apps/%s/clone", c->app);
}

int cmd_previews_list(struct cli *c)
{
	static const struct column columns[] = {{"APP", "app"}, {"BRANCH", "branch"},
		{"STATE", "state"}, {"RELEASE", "release"}, {"EXPIRES", "expires"},
		{"URL", "url"}};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/apps/%s/previews", c->app);

	return r ? r : out_list(c, columns, ARRAY_LEN(columns), list);
}

int cmd_simple_post(struct cli *c)
{
	int r = api_stream(c, "POST", NULL, "/v1/apps/%s/%s", c->app, c->cmd->param);

	if (!r && !c->quiet && !c->json)
		printf("-----> %s is %sed\n", c->app, c->cmd->param);
	return r;
}

int cmd_status(struct cli *c)
{
	json_t *answer;
	int r = api_json(c, "GET", NULL, &answer, "/v1/status");

	if (r)
		return r;
	return out_answer(c, "berth status", answer);
}

int cmd_version(struct cli *c)
{
	json_t *answer;
	int r = api_json(c, "GET", NULL, &answer, "/v1/version");

	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else
		printf("berth %s\n", out_member(answer, "version"));
	return 0;
}

int cmd_help(struct cli *c)
{
	const struct command *cmd = c->argc ? args_find(c->argv[0]) : NULL;

	if (c->argc && !cmd && !help_is_topic(c->argv[0]))
		return help_unknown(c->argv[0]);
	if (c->json)
		help_json(c->argc ? c->argv[0] : NULL);
	else if (cmd && !(cmd->flags & CMD_HIDDEN))
		help_command(cmd);
	else
		help_list(c->argc ? c->argv[0] : NULL);
	return 0;
}
