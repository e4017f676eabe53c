/* Who is told of what happens. */
#include "cli/cli.h"
#include "lib/io.h"

#include <stdio.h>
#include <string.h>

#define SECRET_MAX 299

/* Of an app or, with --global, of all. */
static const char *base(const struct cli *c)
{
	static char path[256];

	if (c->app)
		snprintf(path, sizeof(path), "/v1/apps/%s/webhooks", c->app);
	else
		snprintf(path, sizeof(path), "/v1/webhooks");
	return path;
}

/* The first line of what comes in. 0 or a status. */
static int read_secret(struct cli *c, json_t *body)
{
	autobuf typed = {.max = SECRET_MAX};
	json_t *secret;

	if (isatty(0))
		return say_usage(c, "the secret comes from standard input: ... < FILE");
	if (io_read_all(0, &typed) < 0) {
		say("cannot read the secret from standard input");
		return STATUS_FAILED;
	}
	secret = api_line(&typed);
	if (!secret) {
		say("the secret from standard input is not text");
		return STATUS_FAILED;
	}
	json_object_set_new(body, "secret", secret);
	return 0;
}

static int make_body(struct cli *c, json_t **ret)
{
	const char *secret = c->options[OPT_SECRET];
	json_t *body = json_pack("{s:s}", "url", c->argv[0]);
	int r = 0;

	if (!body)
		return say_usage(c, "the URL is no text");
	if (secret && strcmp(secret, "-") == 0)
		r = read_secret(c, body);
	else if (secret)
		json_object_set_new(body, "secret", json_string(secret));
	if (r) {
		json_decref(body);
		return r;
	}
	if (c->options[OPT_EVENT])
		json_object_set_new(body, "events", json_string(c->options[OPT_EVENT]));
	*ret = body;
	return 0;
}

int cmd_webhooks_add(struct cli *c)
{
	json_t *answer, *body = NULL;
	int r = make_body(c, &body);

	if (!r)
		r = api_json(c, "POST", body, &answer, "%s", base(c));
	if (r)
		return r;
	if (c->json) {
		out_json(answer);
	} else if (!c->quiet) {
		printf("-----> Webhook %s: %s is told\n", out_member(answer, "id"),
			out_member(answer, "url"));
		if (out_member(answer, "secret")[0])
			printf("       its secret, shown only now: %s\n",
				out_member(answer, "secret"));
	}
	return 0;
}

int cmd_webhooks_remove(struct cli *c)
{
	json_t *answer;
	int r = api_json(c, "DELETE", NULL, &answer, "%s?webhook=%s", base(c),
		api_word(c->argv[0]));

	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet)
		printf("-----> Webhook %s is gone\n", out_member(answer, "id"));
	return 0;
}

int cmd_webhooks_test(struct cli *c)
{
	return api_stream(
		c, "POST", json_pack("{s:s}", "webhook", c->argv[0]), "%s/test", base(c));
}

static void print_deliveries(struct cli *c, json_t *hook)
{
	static const struct column columns[] = {{"TIME", "time"}, {"EVENT", "event"},
		{"STATE", "state"}, {"ATTEMPTS", "attempts"}, {"STATUS", "status"},
		{"ERROR", "error"}};
	const json_t *list = json_object_get(hook, "deliveries");

	if (json_array_size(list))
		out_list(c, columns, ARRAY_LEN(columns), list);
}

int cmd_webhooks_list(struct cli *c)
{
	json_t *list, *hook;
	size_t i;
	int r = api_json(c, "GET", NULL, &list, "%s", base(c));

	if (r || c->json) {
		if (!r)
			out_json(list);
		return r;
	}
	json_array_foreach (list, i, hook) {
		printf("-----> %s  %s  %s  of %s\n", out_member(hook, "id"),
			out_line(json_object_get(hook, "url")),
			out_member(hook, "events"), out_member(hook, "app"));
		print_deliveries(c, hook);
	}
	return 0;
}
