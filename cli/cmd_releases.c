/* Releases, rollback and builds. */
#include "cli/cli.h"
#include "lib/name.h"

#include <stdio.h>
#include <string.h>

/* "v3" or "3". */
static int parse_number(
	const struct cli *c, const char *word, const char *noun, uint64_t *ret)
{
	if (num_parse_u64(word[0] == 'v' ? word + 1 : word, 1, UINT32_MAX, ret) < 0)
		return say_usage(c, "'%.40s' is not a %s", word, noun);
	return 0;
}

static void add_release(struct table *t, const json_t *release)
{
	char version[40], status[48];
	bool canary = json_object_get(release, "percent") != NULL;

	snprintf(status, sizeof(status), "%.20s%s%.3s%s", out_member(release, "status"),
		canary ? " " : "", canary ? out_member(release, "percent") : "",
		canary ? "%" : "");
	snprintf(version, sizeof(version), "v%.20s%s", out_member(release, "version"),
		json_is_true(json_object_get(release, "current")) ? " *" : "");
	table_add(t,
		(const char *const[]){version, status, out_member(release, "created"),
			out_member(release, "by"), out_member(release, "description")});
}

int cmd_releases(struct cli *c)
{
	static const char *const header[] = {
		"RELEASE", "STATUS", "CREATED", "BY", "DESCRIPTION"};
	json_t *list;
	uint64_t limit = 0;
	int r;

	if (c->options[OPT_LIMIT] &&
		num_parse_u64(c->options[OPT_LIMIT], 1, 100000, &limit) < 0)
		return say_usage(
			c, "'%.40s' is not a number of releases", c->options[OPT_LIMIT]);
	if (limit)
		r = api_json(c, "GET", NULL, &list, "/v1/apps/%s/releases?limit=%u",
			c->app, (unsigned int)limit);
	else
		r = api_json(c, "GET", NULL, &list, "/v1/apps/%s/releases", c->app);
	return r ? r : out_rows(c, header, ARRAY_LEN(header), list, add_release);
}

int cmd_releases_info(struct cli *c)
{
	json_t *answer;
	uint64_t version = 0;
	char title[128];
	int r = c->argc ? parse_number(c, c->argv[0], "release like v3", &version) : 0;

	if (r)
		return r;
	if (!c->argc) {
		json_t *app;

		r = api_json(c, "GET", NULL, &app, "/v1/apps/%s", c->app);
		if (r)
			return r;
		version = (uint64_t)json_integer_value(json_object_get(app, "release"));
		if (!version) {
			say("%s has no release yet", c->app);
			return STATUS_FAILED;
		}
	}
	r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/releases/%u", c->app,
		(unsigned int)version);
	if (r)
		return r;
	snprintf(title, sizeof(title), "%s release v%u", c->app, (unsigned int)version);
	return out_answer(c, title, answer);
}

/* "10%" or "10"; the API says which shares there are. */
static int parse_share(const struct cli *c, const char *word, uint64_t *ret)
{
	char digits[8];
	size_t n = strcspn(word, "%");

	snprintf(digits, sizeof(digits), "%.*s", n < 7 ? (int)n : 7, word);
	if (n > 3 || word[n + (word[n] == '%')] || num_parse_u64(digits, 0, 999, ret) < 0)
		return say_usage(c, "'%.40s' is not a share like 10%%", word);
	return 0;
}

static int show_canary(struct cli *c)
{
	json_t *answer;
	char title[128];
	int r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/canary", c->app);

	if (r)
		return r;
	snprintf(title, sizeof(title), "%s canary", c->app);
	return out_answer(c, title, answer);
}

int cmd_releases_canary(struct cli *c)
{
	uint64_t version, percent;
	int r;

	if (c->options[OPT_OFF])
		return c->argc ? say_usage(c, "--off takes no release and no share")
			       : api_stream(
					 c, "DELETE", NULL, "/v1/apps/%s/canary", c->app);
	if (!c->argc)
		return show_canary(c);
	r = parse_number(c, c->argv[0], "release like v3", &version);
	if (!r && c->argc < 2)
		return say_usage(c, "which share of the new clients gets v%u?",
			(unsigned int)version);
	if (!r)
		r = parse_share(c, c->argv[1], &percent);
	if (r)
		return r;
	return api_stream(c, "POST",
		json_pack("{s:I, s:I}", "version", (json_int_t)version, "percent",
			(json_int_t)percent),
		"/v1/apps/%s/canary", c->app);
}

int cmd_rollback(struct cli *c)
{
	json_t *body = json_object();
	uint64_t version;
	int r = c->argc ? parse_number(c, c->argv[0], "release like v3", &version) : 0;

	if (r)
		return r;
	if (c->argc)
		json_object_set_new(body, "version", json_integer((json_int_t)version));
	if (c->options[OPT_WITH_DATA])
		json_object_set_new(body, "with_data", json_true());
	return api_stream(c, "POST", body, "/v1/apps/%s/rollback", c->app);
}

static void add_build(struct table *t, const json_t *build)
{
	char commit[12];

	snprintf(commit, sizeof(commit), "%.7s", out_member(build, "commit"));
	table_add(t, (const char *const[]){out_member(build, "id"),
			     out_member(build, "status"), out_member(build, "created"),
			     out_member(build, "seconds"), commit,
			     out_member(build, "by"), out_member(build, "what")});
}

int cmd_builds(struct cli *c)
{
	static const char *const header[] = {
		"BUILD", "STATUS", "CREATED", "SECONDS", "COMMIT", "BY", "WHAT"};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/apps/%s/builds", c->app);

	return r ? r : out_rows(c, header, ARRAY_LEN(header), list, add_build);
}

/* The newest build's id, 0 when there is none. */
static int newest_build(struct cli *c, uint64_t *ret)
{
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/apps/%s/builds", c->app);

	if (r)
		return r;
	*ret = (uint64_t)json_integer_value(
		json_object_get(json_array_get(list, 0), "id"));
	if (*ret)
		return 0;
	say("%s has no build yet", c->app);
	return STATUS_FAILED;
}

int cmd_builds_info(struct cli *c)
{
	json_t *answer, *output;
	uint64_t id = 0;
	char title[128];
	int r = c->argc ? parse_number(c, c->argv[0], "build's number", &id)
			: newest_build(c, &id);

	if (!r)
		r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/builds/%llu", c->app,
			(unsigned long long)id);
	if (r)
		return r;
	if (c->json) {
		out_json(answer);
		return 0;
	}
	output = json_object_get(answer, "output");
	if (c->cmd->param) {
		fputs(json_is_string(output) ? json_string_value(output) : "", stdout);
		return 0;
	}
	json_object_del(answer, "output");
	snprintf(title, sizeof(title), "%s build %llu", c->app, (unsigned long long)id);
	if (c->report_key)
		return out_report_key(c, answer);
	out_report(c, title, answer);
	return 0;
}

int cmd_builds_cancel(struct cli *c)
{
	return api_stream(c, "POST", NULL, "/v1/apps/%s/builds/cancel", c->app);
}
