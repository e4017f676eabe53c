/* Processes, their limits, and the log. */
#include "cli/cli.h"
#include "lib/name.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void show_processes(const struct cli *c, const json_t *answer)
{
	static const struct column columns[] = {{"PROCESS", "type"},
		{"QUANTITY", "quantity"}, {"RESTART", "restart"}, {"COMMAND", "command"}};

	out_list(c, columns, ARRAY_LEN(columns), json_object_get(answer, "processes"));
}

/* "in 12 s", "when it is its turn", "" */
static const char *next_try(const json_t *instance, char out[32])
{
	const json_t *v = json_object_get(instance, "next_in");
	json_int_t s = json_integer_value(v);

	if (!json_is_integer(v))
		out[0] = '\0';
	else if (s == 0)
		snprintf(out, 32, "when it is its turn");
	else
		snprintf(out, 32, "in %lld s", (long long)s);
	return out;
}

static void add_instance(struct table *t, const json_t *p)
{
	char next[32];

	table_add(t, (const char *const[]){out_member(p, "name"), out_member(p, "state"),
			     out_member(p, "release"), out_member(p, "since"),
			     out_member(p, "restarts"), next_try(p, next),
			     out_member(p, "reason")});
}

static void show_instances(const struct cli *c, const json_t *answer)
{
	static const char *const header[] = {"INSTANCE", "STATE", "RELEASE", "SINCE",
		"RESTARTS", "NEXT TRY", "LAST END"};
	const json_t *list = json_object_get(answer, "instances");

	if (json_array_size(list) == 0)
		return;
	putchar('\n');
	out_rows(c, header, ARRAY_LEN(header), list, add_instance);
}

static void show_notes(const json_t *answer)
{
	const json_t *list = json_object_get(answer, "notes"), *note;
	size_t i;

	if (json_array_size(list))
		putchar('\n');
	json_array_foreach (list, i, note)
		printf("       %s\n", out_line(note));
}

static void show_requests(const struct cli *c, const json_t *list, const char *of,
	const char *key, const char *part);

/* Only of those that had a request. */
static void show_http(const struct cli *c, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "instances"), *p;
	bool any = false;
	size_t i;

	json_array_foreach (list, i, p)
		any |= json_object_get(p, "http") != NULL;
	if (!any)
		return;
	putchar('\n');
	show_requests(c, list, "INSTANCE", "name", "http");
}

static int report_one(struct cli *c, const char *app)
{
	json_t *answer, *settings;
	int r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/ps", app);

	if (r)
		return r;
	if (c->report_key) {
		r = api_json(c, "GET", NULL, &settings, "/v1/apps/%s/settings/ps", app);
		return r ? r : out_report_key(c, settings);
	}
	if (c->json) {
		out_json(answer);
		return 0;
	}
	if (!c->quiet)
		printf("=====> %s processes\n", app);
	show_processes(c, answer);
	show_instances(c, answer);
	show_http(c, answer);
	show_notes(answer);
	return 0;
}

static void add_app(struct table *t, const json_t *app)
{
	char running[32], next[32];

	snprintf(running, sizeof(running), "%s of %s", out_member(app, "running"),
		out_member(app, "wanted"));
	table_add(t,
		(const char *const[]){out_member(app, "app"), out_member(app, "state"),
			out_member(app, "release"), running, out_member(app, "restarts"),
			next_try(app, next), out_member(app, "reason")});
}

static int report_all(struct cli *c)
{
	static const char *const header[] = {
		"APP", "STATE", "RELEASE", "RUNNING", "RESTARTS", "NEXT TRY", "LAST END"};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/ps");

	return r ? r : out_rows(c, header, ARRAY_LEN(header), list, add_app);
}

/* --KEY of every app, one after the other. */
static int report_keys(struct cli *c)
{
	json_t *list, *app;
	size_t i;
	int r = api_json(c, "GET", NULL, &list, "/v1/apps");

	if (!r)
		json_array_foreach (list, i, app)
			if ((r = report_one(c, out_member(app, "name"))))
				break;
	return r;
}

int cmd_ps_report(struct cli *c)
{
	if (c->app)
		return report_one(c, c->app);
	return c->report_key ? report_keys(c) : report_all(c);
}

/* "12 ms", "0.4 ms", "" */
static const char *milliseconds(const json_t *o, const char *key, char out[32])
{
	snprintf(out, 32, "%g ms", json_number_value(json_object_get(o, key)));
	return out;
}

static const char *rate(const json_t *o, char out[32])
{
	snprintf(out, 32, "%g", json_number_value(json_object_get(o, "per_second")));
	return out;
}

static void show_requests(const struct cli *c, const json_t *list, const char *of,
	const char *key, const char *part)
{
	const char *const header[] = {
		of, "REQUESTS/S", "P50", "P99", "REQUESTS", "4XX", "5XX", "BYTES"};
	struct table t;
	json_t *p;
	size_t i;

	table_init(&t, c, ARRAY_LEN(header), header);
	json_array_foreach (list, i, p) {
		const json_t *o = part ? json_object_get(p, part) : p;
		char per_s[32], p50[32], p99[32];

		if (o)
			table_add(&t,
				(const char *const[]){out_member(p, key), rate(o, per_s),
					milliseconds(o, "p50_ms", p50),
					milliseconds(o, "p99_ms", p99),
					out_member(o, "requests"),
					out_member(o, "status_4xx"),
					out_member(o, "status_5xx"),
					out_size(json_object_get(o, "bytes"))});
	}
	table_print(&t);
}

int cmd_top(struct cli *c)
{
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/top");

	if (r)
		return r;
	if (c->json)
		out_json(list);
	else
		show_requests(c, list, "APP", "app", NULL);
	return 0;
}

int cmd_metrics(struct cli *c)
{
	return api_text(c, "/v1/metrics");
}

int cmd_ps_scale(struct cli *c)
{
	json_t *formation = json_object();

	if (c->argc == 0)
		return report_one(c, c->app);
	for (int i = 0; i < c->argc; i++) {
		char *count = strchr(c->argv[i], '=');
		uint64_t n;

		if (!count)
			return say_usage(c, "'%.80s' is not TYPE=COUNT", c->argv[i]);
		*count++ = 0;
		if (!name_type_valid(c->argv[i]))
			return say_usage(c, "'%.80s' is not a process type", c->argv[i]);
		if (num_parse_u64(count, 0, 10000, &n) < 0)
			return say_usage(
				c, "'%.40s' is not a number of instances", count);
		json_object_set_new(formation, c->argv[i], json_integer((json_int_t)n));
	}
	return api_stream(c, "POST", json_pack("{s:o}", "formation", formation),
		"/v1/apps/%s/scale", c->app);
}

int cmd_ps_do(struct cli *c)
{
	json_t *body = c->argc ? json_pack("{s:s}", "process", c->argv[0]) : NULL;

	if (c->argc && !name_type_valid(c->argv[0]))
		return say_usage(c, "'%.80s' is not a process type", c->argv[0]);
	return api_stream(c, "POST", body, "/v1/apps/%s/%s", c->app, c->cmd->param);
}

static int add_size(const struct cli *c, json_t *body, enum option o, const char *key)
{
	const char *text = c->options[o];
	uint64_t bytes;

	if (!text)
		return 0;
	if (num_parse_size(text, &bytes) < 0 || bytes > INT64_MAX)
		return say_usage(c, "'%.40s' is not a size like 256M or 1G", text);
	json_object_set_new(body, key, json_integer((json_int_t)bytes));
	return 0;
}

static int add_cpu(const struct cli *c, json_t *body)
{
	const char *text = c->options[OPT_CPU];
	char *end;
	double cpus;

	if (!text)
		return 0;
	cpus = strtod(text, &end);
	if (end == text || *end || !isfinite(cpus) || cpus < CPU_LEAST || cpus > 4096 ||
		text[strspn(text, "0123456789.")])
		return say_usage(
			c, "'%.40s' is not a number of processors like 0.5 or 2", text);
	json_object_set_new(body, "cpu", json_integer((json_int_t)(cpus * 1000 + 0.5)));
	return 0;
}

static int add_count(const struct cli *c, json_t *body, enum option o, const char *key)
{
	const char *text = c->options[o];
	uint64_t n;

	if (!text)
		return 0;
	if (num_parse_u64(text, 0, INT32_MAX, &n) < 0)
		return say_usage(c, "'%.40s' is not a number for --%s", text,
			option_table[o].name);
	json_object_set_new(body, key, json_integer((json_int_t)n));
	return 0;
}

int cmd_resource_limit(struct cli *c)
{
	json_t *body = json_object();
	int r = add_size(c, body, OPT_MEMORY, "memory");

	r = r ? r : add_size(c, body, OPT_SCRATCH, "scratch");
	r = r ? r : add_size(c, body, OPT_IO_READ, "io_read");
	r = r ? r : add_size(c, body, OPT_IO_WRITE, "io_write");
	r = r ? r : add_cpu(c, body);
	r = r ? r : add_count(c, body, OPT_PIDS, "pids");
	r = r ? r : add_count(c, body, OPT_NOFILE, "nofile");
	if (r)
		return r;
	if (json_object_size(body) == 0)
		return cmd_resource_report(c);
	if (c->options[OPT_PROCESS_TYPE])
		json_object_set_new(
			body, "process", json_string(c->options[OPT_PROCESS_TYPE]));
	return api_stream(c, "PUT", body, "/v1/apps/%s/resources", c->app);
}

int cmd_resource_clear(struct cli *c)
{
	const char *type = c->options[OPT_PROCESS_TYPE];

	return api_stream(c, "DELETE", NULL, "/v1/apps/%s/resources%s%s", c->app,
		type ? "?process=" : "", type ? api_word(type) : "");
}

/* cpu is in thousandths, sizes are bytes, what is left are counts. */
static const char *limit_cell(const char *key, const json_t *v)
{
	if (!json_is_integer(v))
		return "-";
	if (strcmp(key, "cpu") == 0)
		return out_value(
			json_sprintf("%g", (double)json_integer_value(v) / 1000));
	return strcmp(key, "pids") == 0 || strcmp(key, "nofile") == 0 ? out_value(v)
								      : out_size(v);
}

static void add_limits(struct table *t, const char *type, json_t *limits)
{
	const char *key;
	json_t *v;

	json_object_foreach (limits, key, v) {
		const json_t *computed = json_object_get(v, "computed");
		char name[32], last[512];

		snprintf(name, sizeof(name), "%s", key);
		for (char *s = name; *s; s++)
			*s = *s == '_' ? '-' : *s;
		const char *note = out_member(v, "note");
		snprintf(last, sizeof(last), "%s%s%.400s%s",
			json_is_null(computed) ? "none" : limit_cell(key, computed),
			*note ? " (" : "", note, *note ? ")" : "");
		table_add(
			t, (const char *const[]){type, name,
				   limit_cell(key, json_object_get(v, "type")),
				   limit_cell(key, json_object_get(v, "app")),
				   limit_cell(key, json_object_get(v, "default")), last});
	}
}

int cmd_resource_report(struct cli *c)
{
	static const char *const header[] = {
		"PROCESS", "LIMIT", "TYPE", "APP", "DEFAULT", "COMPUTED"};
	json_t *answer, *limits;
	const char *type;
	struct table t;
	int r = api_json(c, "GET", NULL, &answer, "/v1/apps/%s/resources", c->app);

	if (r || c->report_key || c->json)
		return r ? r : out_answer(c, "", answer);
	if (!c->quiet)
		printf("=====> %s resource information\n", c->app);
	table_init(&t, c, ARRAY_LEN(header), header);
	json_object_foreach (answer, type, limits)
		add_limits(&t, type, limits);
	table_print(&t);
	return 0;
}

static void add_word(struct buf *path, char *sep, const char *word)
{
	buf_addf(path, "%c%s", *sep, word);
	*sep = '&';
}

int cmd_logs(struct cli *c)
{
	static const struct {
		enum option option;
		const char *word;
	} rows[] = {{OPT_NUM, "n"}, {OPT_PS, "p"}, {OPT_SINCE, "since"},
		{OPT_UNTIL, "until"}, {OPT_GREP, "grep"}, {OPT_RELEASE, "release"}};
	autobuf path = BUF_INIT;
	uint64_t n;
	char sep = '?';

	if (c->options[OPT_NUM] &&
		num_parse_u64(c->options[OPT_NUM], 0, 1000000000, &n) < 0)
		return say_usage(
			c, "'%.40s' is not a number of lines", c->options[OPT_NUM]);
	buf_addf(&path, "/v1/apps/%s/logs", c->app);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (c->options[rows[i].option]) {
			buf_addf(&path, "%c%s=%s", sep, rows[i].word,
				api_word(c->options[rows[i].option]));
			sep = '&';
		}
	if (c->options[OPT_TAIL])
		add_word(&path, &sep, "follow=1");
	if (c->options[OPT_IGNORE_CASE])
		add_word(&path, &sep, "ignore-case=1");
	if (c->json)
		add_word(&path, &sep, "format=json");
	return api_text(c, path.data);
}

static void print_failed(const struct cli *c, const json_t *deploy)
{
	const json_t *release = json_object_get(deploy, "release");
	const char *reason = out_line(json_object_get(deploy, "reason"));
	json_t *line;
	size_t i;

	if (!c->quiet) {
		printf("=====> %s: %s", out_member(deploy, "app"),
			out_member(deploy, "what"));
		if (json_is_integer(release))
			printf(" v%s", out_value(release));
		printf(" failed, by %s, %s\n", out_member(deploy, "by"),
			out_member(deploy, "created"));
		if (*reason)
			printf(" !     %s\n", reason);
	}
	json_array_foreach (json_object_get(deploy, "lines"), i, line)
		printf("%s\n", json_string_value(line));
}

int cmd_logs_failed(struct cli *c)
{
	json_t *list, *deploy;
	uint64_t n = 1;
	size_t i;
	int r;

	if (c->options[OPT_NUM] && num_parse_u64(c->options[OPT_NUM], 1, 50, &n) < 0)
		return say_usage(c, "'%.40s' is not a number of deploys from 1 to 50",
			c->options[OPT_NUM]);
	if (c->app)
		r = api_json(c, "GET", NULL, &list, "/v1/apps/%s/logs/failed?n=%u",
			c->app, (unsigned int)n);
	else
		r = api_json(
			c, "GET", NULL, &list, "/v1/logs/failed?n=%u", (unsigned int)n);
	if (r)
		return r;
	if (c->json) {
		out_json(list);
		return 0;
	}
	json_array_foreach (list, i, deploy)
		print_failed(c, deploy);
	return 0;
}
