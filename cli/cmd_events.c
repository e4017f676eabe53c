/* The audit trail: as a table, and as it grows. */
#include "cli/cli.h"
#include "lib/name.h"

#include <stdio.h>
#include <string.h>

static int wrong_limit(const struct cli *c, const char *text)
{
	uint64_t n;

	return num_parse_u64(text, 1, 1000, &n) == 0
		       ? 0
		       : say_usage(c, "so many events: 1 to 1000, not '%.40s'", text);
}

/* The query of a request, kept until the end of the program. */
static const char *query(const struct cli *c)
{
	const char *limit = c->options[OPT_NUM]	    ? c->options[OPT_NUM]
			    : c->options[OPT_LIMIT] ? c->options[OPT_LIMIT]
			    : c->options[OPT_TAIL]  ? "10"
						    : NULL;
	struct buf b = BUF_INIT;

	buf_adds(&b, c->options[OPT_TAIL] ? "?follow=1" : "?follow=0");
	if (c->app)
		buf_addf(&b, "&app=%s", c->app);
	if (limit)
		buf_addf(&b, "&limit=%s", api_word(limit));
	if (c->options[OPT_SINCE])
		buf_addf(&b, "&since=%s", api_word(c->options[OPT_SINCE]));
	const char *text = buf_take(&b);
	if (!text)
		abort();
	return text;
}

/* A line of JSON as one to read. */
static void show_line(void *arg, const char *line)
{
	const struct cli *c = arg;
	json_t *e = json_loads(line, 0, NULL);
	const char *detail = out_member(e, "detail"), *app = out_member(e, "app");
	autobuf text = BUF_INIT;

	if (!c->json) {
		buf_addf(&text, "%s  %s  %s%s%s%s%s  %s", out_member(e, "time"),
			out_member(e, "who"), out_member(e, "what"), *app ? " " : "", app,
			*detail ? " " : "", detail, out_member(e, "outcome"));
		out_plain(text.data, false);
	}
	puts(c->json ? line : text.data);
	fflush(stdout);
	json_decref(e);
}

int cmd_events(struct cli *c)
{
	static const struct column columns[] = {{"TIME", "time"}, {"WHO", "who"},
		{"WHAT", "what"}, {"APP", "app"}, {"WITH", "detail"},
		{"OUTCOME", "outcome"}};
	const enum option counts[] = {OPT_NUM, OPT_LIMIT};
	json_t *list;
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(counts) && r == 0; i++)
		if (c->options[counts[i]])
			r = wrong_limit(c, c->options[counts[i]]);
	if (r)
		return r;
	if (c->options[OPT_TAIL])
		return api_lines(c, show_line, c, "/v1/events%s", query(c));
	r = api_json(c, "GET", NULL, &list, "/v1/events%s", query(c));
	return r ? r : out_list(c, columns, ARRAY_LEN(columns), list);
}
