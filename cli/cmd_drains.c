/* Where logs are sent. */
#include "cli/cli.h"
#include "lib/io.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define CA_MAX 32768 /* as much as the API takes */
#define URL_MAX 2048

/* The file, "-" of what comes in. 0 or a status. */
static int read_text(struct cli *c, const char *path, struct buf *b, const char *what)
{
	if (strcmp(path, "-") != 0) {
		if (c->over_ssh)
			return say_usage(
				c, "%s comes from standard input here: - < FILE", what);
		int fd autoclose = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || io_read_all(fd, b) < 0) {
			say("cannot read %s", path);
			return STATUS_FAILED;
		}
	} else if (isatty(0)) {
		return say_usage(c, "%s comes from standard input: ... < FILE", what);
	} else if (io_read_all(0, b) < 0) {
		say("cannot read %s from standard input", what);
		return STATUS_FAILED;
	}
	return 0;
}

static int add_ca(struct cli *c, json_t *body)
{
	autobuf ca = {.max = CA_MAX};
	int r = read_text(c, c->options[OPT_CA], &ca, "the certificate");
	json_t *text = r ? NULL : api_string(&ca);

	if (r)
		return r;
	if (!text) {
		say("the certificate is not PEM text");
		return STATUS_FAILED;
	}
	json_object_set_new(body, "ca", text);
	return 0;
}

/* Of an app or, with --global, of all. */
static const char *base(const struct cli *c)
{
	static char path[256];

	if (c->app)
		snprintf(path, sizeof(path), "/v1/apps/%s/drains", c->app);
	else
		snprintf(path, sizeof(path), "/v1/drains");
	return path;
}

int cmd_drains_add(struct cli *c)
{
	autobuf typed = {.max = URL_MAX};
	const bool piped = strcmp(c->argv[0], "-") == 0;
	json_t *answer, *body, *url;
	int r = piped ? read_text(c, "-", &typed, "the URL") : 0;

	if (r)
		return r;
	url = piped ? api_line(&typed) : json_string(c->argv[0]);
	if (!url)
		return say_usage(c, "the URL is no text");
	body = json_pack("{s:o}", "url", url);
	if (c->options[OPT_GZIP])
		json_object_set_new(body, "gzip", json_true());
	if (c->options[OPT_INSECURE])
		json_object_set_new(body, "insecure", json_true());
	r = c->options[OPT_CA] ? add_ca(c, body) : 0;
	if (r) {
		json_decref(body);
		return r;
	}
	r = api_json(c, "POST", body, &answer, "%s", base(c));
	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet)
		printf("-----> Drain %s: the log%s%s %s sent to %s\n",
			out_member(answer, "id"), c->app ? " of " : "s of all apps",
			c->app ? c->app : "", c->app ? "is" : "are",
			out_member(answer, "url"));
	return 0;
}

int cmd_drains_remove(struct cli *c)
{
	json_t *answer;
	int r = api_json(
		c, "DELETE", NULL, &answer, "%s?drain=%s", base(c), api_word(c->argv[0]));

	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet)
		printf("-----> Drain %s is gone\n", out_member(answer, "id"));
	return 0;
}

int cmd_drains_report(struct cli *c)
{
	static const struct column columns[] = {{"ID", "id"}, {"APP", "app"},
		{"URL", "url"}, {"STATE", "state"}, {"LAG", "lag_bytes"},
		{"SENT", "sent_lines"}, {"LOST", "lost_bytes"}, {"ERROR", "error"}};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "%s", base(c));

	return r ? r : out_list(c, columns, ARRAY_LEN(columns), list);
}
