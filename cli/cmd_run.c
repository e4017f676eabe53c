/* One-off programs, and programs inside a running instance. */
#include "cli/cli.h"
#include "cli/relay.h"

#include <stdio.h>
#include <string.h>

static bool wants_tty(const struct cli *c)
{
	if (c->options[OPT_TTY])
		return true;
	return !c->options[OPT_NO_TTY] && isatty(0) && isatty(1);
}

static json_t *words(char **argv, int argc)
{
	json_t *list = json_array();

	for (int i = 0; i < argc; i++)
		json_array_append_new(list, json_string(argv[i]));
	return list;
}

/* Words that are no UTF-8 cannot be JSON. */
static bool all_text(const struct cli *c, const json_t *list)
{
	if ((int)json_array_size(list) == c->argc)
		return true;
	say("the program's words must be valid UTF-8");
	return false;
}

static int add_env(const struct cli *c, json_t *body)
{
	json_t *env = json_object();

	for (size_t i = 0; i < c->n_env; i++) {
		const char *value = strchr(c->env[i], '=');
		char key[256];

		if (!value || value == c->env[i] ||
			(size_t)(value - c->env[i]) >= sizeof(key))
			return say_usage(c, "'%.80s' is not KEY=VALUE", c->env[i]);
		snprintf(key, sizeof(key), "%.*s", (int)(value - c->env[i]), c->env[i]);
		json_object_set_new(env, key, api_value(value + 1));
	}
	json_object_set_new(body, "env", env);
	return 0;
}

static void add_terminal(json_t *body, bool tty)
{
	const char *term = getenv("TERM");
	unsigned int rows, cols;

	json_object_set_new(body, "tty", json_boolean(tty));
	if (!tty)
		return;
	relay_size(&rows, &cols);
	json_object_set_new(body, "rows", json_integer(rows));
	json_object_set_new(body, "cols", json_integer(cols));
	json_object_set_new(body, "term", json_string(term && *term ? term : "xterm"));
}

/* Where berth itself fails to run a program the status is 125: all others may be the program's. */
int run_upgrade(struct cli *c, const char *path, json_t *body, bool tty)
{
	const int failed = c->cmd->flags & CMD_PROGRAM ? STATUS_START : STATUS_FAILED;
	int r = api_begin(
		c, "POST", path, "Connection: Upgrade\r\nUpgrade: berth-run\r\n", body);

	if (r)
		return failed;
	if (c->client.status >= 300)
		return api_fail(c);
	if (c->client.status != 101) {
		say("berth-control did not start the program");
		return failed;
	}
	r = relay_run(&c->client, tty, failed);
	client_close(&c->client); /* ends the program if it has not */
	return r;
}

static json_t *run_body(struct cli *c, bool detach)
{
	json_t *list = words(c->argv, c->argc), *body;

	if (!all_text(c, list))
		return NULL;
	body = json_pack("{s:o, s:b}", "command", list, "detach", detach);
	if (c->options[OPT_TYPE])
		json_object_set_new(body, "type", json_string(c->options[OPT_TYPE]));
	return add_env(c, body) ? NULL : body;
}

int cmd_run(struct cli *c)
{
	json_t *body = run_body(c, false);
	bool tty = wants_tty(c);
	char path[128];

	if (!body)
		return STATUS_USAGE;
	add_terminal(body, tty);
	snprintf(path, sizeof(path), "/v1/apps/%s/run", c->app);
	return run_upgrade(c, path, body, tty);
}

int cmd_run_detached(struct cli *c)
{
	json_t *body = run_body(c, true), *answer;
	int r;

	if (!body)
		return STATUS_USAGE;
	add_terminal(body, false);
	r = api_json(c, "POST", body, &answer, "/v1/apps/%s/run", c->app);
	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else
		puts(out_member(answer, "name"));
	return 0;
}

int cmd_run_list(struct cli *c)
{
	static const struct column columns[] = {{"APP", "app"}, {"NAME", "name"},
		{"STATE", "state"}, {"SINCE", "since"}, {"BY", "by"},
		{"DETACHED", "detached"}, {"COMMAND", "command"}};
	json_t *list;
	int r = c->app ? api_json(c, "GET", NULL, &list, "/v1/apps/%s/run", c->app)
		       : api_json(c, "GET", NULL, &list, "/v1/run");

	return r ? r : out_list(c, columns, ARRAY_LEN(columns), list);
}

int cmd_run_stop(struct cli *c)
{
	bool all = c->options[OPT_ALL] != NULL;

	if (all == (c->argc > 0))
		return say_usage(c, "which one: a name such as run.1, or --all");
	return api_stream(c, "POST",
		all ? json_pack("{s:b}", "all", 1)
		    : json_pack("{s:s}", "name", c->argv[0]),
		"/v1/apps/%s/run/stop", c->app);
}

int cmd_enter(struct cli *c)
{
	char bash[] = "bash", *shell[] = {bash};
	const char *instance = "web.1";
	char **argv = c->argv;
	int argc = c->argc;
	bool tty = wants_tty(c);
	json_t *list, *body;
	char path[128];

	if (argc > 0 && (!c->dashed || argv < c->dashed) && args_is_instance(argv[0])) {
		instance = *argv++;
		argc--;
	}
	list = argc ? words(argv, argc) : words(shell, 1);
	if ((int)json_array_size(list) != (argc ? argc : 1)) {
		say("the program's words must be valid UTF-8");
		return STATUS_USAGE;
	}
	body = json_pack("{s:s, s:o}", "instance", instance, "command", list);
	add_terminal(body, tty);
	snprintf(path, sizeof(path), "/v1/apps/%s/enter", c->app);
	return run_upgrade(c, path, body, tty);
}
