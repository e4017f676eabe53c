/* apply: a host as a file says; and the other way round. */
#include "cli/plan.h"
#include "lib/io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- showing ---- */

#define SHOWN_MAX 60

static const char *shown(const json_t *v)
{
	static char buffers[2][SHOWN_MAX + 32];
	static unsigned int at;
	char *out = buffers[at++ % 2];
	const char *text = out_value(v);

	if (strlen(text) > SHOWN_MAX || strchr(text, '\n'))
		snprintf(out, sizeof(buffers[0]), "(%zu bytes)",
			json_is_string(v) ? json_string_length(v) : strlen(text));
	else
		snprintf(out, sizeof(buffers[0]), "%s", text);
	out_plain(out, false);
	return out;
}

static char sign_of(const json_t *change)
{
	const char *kind = out_member(change, "change");

	return strcmp(kind, "add") == 0 ? '+' : strcmp(kind, "remove") == 0 ? '-' : '~';
}

static void show_change(const json_t *step, const json_t *change)
{
	json_t *from = json_object_get(change, "from"),
	       *to = json_object_get(change, "to");

	printf("   %c %s %s", sign_of(change), out_member(step, "section"),
		out_member(change, "what"));
	if (from && to)
		printf(": %s -> %s", shown(from), shown(to));
	else if (to)
		printf(": %s", shown(to));
	else if (from)
		printf(": was %s", shown(from));
	putchar('\n');
}

static void show_step(const json_t *step, const char **scope)
{
	const char *app = out_member(step, "app");
	json_t *change;
	size_t i;

	if (!*scope || strcmp(*scope, app) != 0)
		printf("=====> %s\n", *app ? app : "the host");
	*scope = json_string_value(json_object_get(step, "app"));
	*scope = *scope ? *scope : "";
	json_array_foreach (json_object_get(step, "changes"), i, change)
		show_change(step, change);
	fflush(stdout);
}

static void show_sum(const json_t *steps, const char *verb)
{
	size_t n = plan_count(steps, NULL);

	if (n == 0)
		puts("-----> Nothing to change");
	else
		printf("-----> %zu change%s%s: %zu to add, %zu to change, %zu to take "
		       "away\n",
			n, n == 1 ? "" : "s", verb, plan_count(steps, "add"),
			plan_count(steps, "change"), plan_count(steps, "remove"));
}

/* A list of changes, each with its app and section. */
static void print_json(const json_t *steps)
{
	json_t *list = json_array(), *step, *change;
	size_t i, j;

	json_array_foreach (steps, i, step)
		json_array_foreach (json_object_get(step, "changes"), j, change) {
			json_t *row = json_pack("{s:O?, s:O}", "app",
				json_object_get(step, "app"), "section",
				json_object_get(step, "section"));

			json_object_update(row, change);
			json_object_del(row, "path");
			json_array_append_new(list, row);
		}
	out_json(list);
	json_decref(list);
}

/* ---- doing ---- */

static int do_call(struct cli *c, const json_t *call)
{
	json_t *body = json_object_get(call, "body");
	const char *method = out_member(call, "method"),
		   *path = json_string_value(json_object_get(call, "path"));

	json_incref(body);
	if (json_is_true(json_object_get(call, "stream")))
		return api_stream(c, method, body, "%s", path);
	return api_json(c, method, body, NULL, "%s", path);
}

/* *ret_call: the one that failed. */
static int do_step(struct cli *c, const json_t *step, const json_t **ret_call)
{
	json_t *call;
	size_t i;
	int r = 0;

	json_array_foreach (json_object_get(step, "calls"), i, call) {
		if (r)
			break;
		*ret_call = call;
		r = do_call(c, call);
	}
	return r;
}

/* Where the file says what the call was to make: the one value, or what holds its values. */
static void say_place(const struct hostfile *f, const json_t *step, const json_t *call)
{
	const json_t *changes = json_object_get(step, "changes"), *name;
	size_t first = (size_t)json_integer_value(json_object_get(call, "first")),
	       end = (size_t)json_integer_value(json_object_get(call, "end")),
	       last = json_array_size(changes) - 1, i, n = 0;
	const json_t *change = json_array_get(changes, first < last ? first : last);
	const char *path[HOSTFILE_DEPTH];
	autobuf place = BUF_INIT;

	json_array_foreach (json_object_get(change, "path"), i, name)
		if (n < HOSTFILE_DEPTH)
			path[n++] = json_string_value(name);
	unsigned int line = hostfile_line(f, path, n);

	n -= n > 1 && end > first + 1;
	for (i = 0; i < n; i++)
		buf_addf(&place, "%s%s", i ? "." : "", path[i]);
	say("%s line %u: %s could not be applied", f->name, line,
		place.len ? place.data : "it");
}

static void say_unfinished(const json_t *steps, size_t at)
{
	say("done: %zu of %zu steps; not done:", at, json_array_size(steps));
	for (; at < json_array_size(steps); at++) {
		const json_t *step = json_array_get(steps, at);
		const char *app = out_member(step, "app");

		fprintf(stderr, "       %s: %s\n", *app ? app : "the host",
			out_member(step, "section"));
	}
	say("what is done stays; run it again when the cause is gone: it goes on there");
}

static int do_steps(struct cli *c, const struct hostfile *f, const json_t *steps)
{
	const json_t *call = NULL;
	const char *scope = NULL;
	json_t *step;
	size_t i;

	json_array_foreach (steps, i, step) {
		if (!c->quiet)
			show_step(step, &scope);
		int r = do_step(c, step, &call);

		if (r) {
			say_place(f, step, call);
			say_unfinished(steps, i);
			return r;
		}
	}
	return 0;
}

/* With JSON to come on stdout, what is told on the way is stderr's. */
static int apply(struct cli *c, const struct hostfile *f, const json_t *steps)
{
	const bool json = c->json;
	int out = json ? dup(1) : -1;

	if (json)
		dup2(2, 1);
	c->json = false;
	int r = do_steps(c, f, steps);

	fflush(stdout);
	c->json = json;
	if (out >= 0) {
		dup2(out, 1);
		close(out);
	}
	return r;
}

static void show_plan(const json_t *steps)
{
	const char *scope = NULL;
	json_t *step;
	size_t i;

	json_array_foreach (steps, i, step)
		show_step(step, &scope);
}

static int plan(struct cli *c, const json_t *steps)
{
	if (c->json)
		print_json(steps);
	else {
		show_plan(steps);
		show_sum(steps, "");
	}
	return c->options[OPT_CHECK] && json_array_size(steps) ? STATUS_PENDING : 0;
}

int cmd_apply(struct cli *c)
{
	const bool prune = c->options[OPT_PRUNE];
	struct hostfile f = {.references = !c->over_ssh};
	json_t *steps = NULL;
	int r;

	if (c->over_ssh && strcmp(c->argv[0], "-") != 0)
		return say_usage(c, "the file comes from standard input here: - < %.80s",
			c->argv[0]);
	if (c->options[OPT_CHECK] && !c->options[OPT_PLAN])
		return say_usage(c, "--check goes with --plan");
	r = hostfile_read(&f, c->argv[0]);
	if (r == 0)
		r = plan_make(c, &f, prune, &steps);
	if (r)
		return r;
	if (c->options[OPT_PLAN])
		return plan(c, steps);
	if (prune && plan_count(steps, "remove")) {
		if (isatty(0) && isatty(2) && !c->json)
			show_plan(steps);
		r = confirm_prune(c, plan_count(steps, "remove"));
	}
	if (r == 0)
		r = apply(c, &f, steps);
	if (r == 0 && c->json)
		print_json(steps);
	else if (r == 0 && !c->quiet)
		show_sum(steps, " made");
	return r;
}
