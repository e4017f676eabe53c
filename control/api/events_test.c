/* The audit trail: every request that changes something is in it, also when it is refused, and no secret is. */
#include "control/api/audit.h"
#include "control/api/fixture.h"

/* Change nothing by themselves: what they allow is in the trail as something else. */
static const char *const silent[] = {"/v1/git/A/access", "/v1/apps/A/buildpacks/detect"};

static bool is_silent(const struct route *row)
{
	for (size_t i = 0; i < ARRAY_LEN(silent); i++)
		if (strcmp(silent[i], row->path) == 0)
			return true;
	return false;
}

/* With an app that is not there, and names for what else the path has. */
static void fill_path(const char *path, char *out, size_t size)
{
	size_t n = 0;

	for (; *path && n + 8 < size; path++)
		if (path[0] == '/' && path[1] >= 'A' && path[1] <= 'Z' &&
			(path[2] == '/' || !path[2])) {
			n += (size_t)snprintf(out + n, size - n, "/%s",
				path[1] == 'A' ? "ghost" : "none");
			path++;
		} else {
			out[n++] = *path;
		}
	out[n] = '\0';
}

/* The newest event of that name: its outcome, "" when there is none of it. */
static void newest(struct fixture *f, const char *what, char *out, size_t size)
{
	const struct db_event_query all = {.limit = 1};
	json_t *list;

	assert_int_equal(db_event_list(f->c.db, &all, &list), 0);
	const json_t *row = json_array_get(list, 0);
	const char *name = json_string_value(json_object_get(row, "what"));
	snprintf(out, size, "%s",
		name && strcmp(name, what) == 0
			? json_string_value(json_object_get(row, "outcome"))
			: "");
	json_decref(list);
}

static void every_request_that_changes_something_leaves_an_event(void **state)
{
	struct fixture *f = *state;
	unsigned int n = 0;

	for (size_t i = 0; i < api_table_len; i++) {
		const struct route *row = &api_table[i];
		autobuf out = BUF_INIT;
		char path[256], outcome[ERR_TEXT_MAX];

		if (strcmp(row->method, "GET") == 0 || is_silent(row))
			continue;
		if (!row->audit)
			fail_msg("%s %s leaves no event", row->method, row->path);
		fill_path(row->path, path, sizeof(path));
		/* a field that no row has, or (settings) no topic */
		int status = ask(f, row->method, path, "{\"no such field\": 1}", &out);
		newest(f, row->audit, outcome, sizeof(outcome));
		if (status < 400 || strncmp(outcome, "refused: ", 9) != 0)
			fail_msg("%s %s: %d, \"%s\"", row->method, row->path, status,
				outcome);
		n++;
	}
	assert_true(n > 50);
}

static void reading_leaves_none(void **state)
{
	struct fixture *f = *state;
	json_t *list;

	make_released(f, "shop");
	expect(f, "GET", "/v1/apps/shop/config", NULL, 200, "{");
	expect(f, "GET", "/v1/apps/none", NULL, 404, "no app");
	assert_int_equal(
		db_event_list(f->c.db, &(const struct db_event_query){0}, &list), 0);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

static void what_was_too_large_is_told(void **state)
{
	struct fixture *f = *state;
	char *body autofree = calloc(1, API_BODY_MAX + 2);
	char outcome[ERR_TEXT_MAX];
	autobuf out = BUF_INIT;
	struct client c;
	struct err e = {0};

	make_released(f, "shop");
	memset(body, ' ', API_BODY_MAX + 1);
	dial(f, &c);
	/* the answer may come before all of it was sent */
	(void)client_send(
		&c, "PATCH", "/v1/apps/shop/config", NULL, body, API_BODY_MAX + 1, &e);
	assert_int_equal(client_reply(&c, &e), 0);
	assert_int_equal(c.status, 413);
	client_close(&c);
	newest(f, "config:set", outcome, sizeof(outcome));
	assert_string_equal(outcome, "refused: the request is larger than 1048576 bytes");
}

static void outcomes_are_ok_refused_and_failed(void **state)
{
	struct fixture *f = *state;

	make_released(f, "shop");
	expect(f, "PATCH", "/v1/apps/shop/config", "{\"set\":{\"A\":\"planted\"}}", 200,
		"x 0");
	expect(f, "GET", "/v1/events?app=shop&limit=1", NULL, 200,
		"\"what\":\"config:set\",\"app\":\"shop\",\"detail\":\"set=A\","
		"\"outcome\":\"ok\"");
	expect(f, "PATCH", "/v1/apps/shop/config",
		"{\"set\":{\"PORT\":\"planted\"},\"unset\":[\"B\"]}", 400, "PORT");
	expect(f, "GET", "/v1/events?app=shop&limit=1", NULL, 200,
		"\"detail\":\"set=PORT unset=B\",\"outcome\":\"refused: PORT cannot");
	atomic_store(&fail_next, true);
	expect(f, "PATCH", "/v1/apps/shop/config", "{\"set\":{\"C\":\"planted\"}}", 200,
		"x 1");
	expect(f, "GET", "/v1/events?app=shop&limit=1", NULL, 200,
		"\"outcome\":\"failed: web.1 exited");
	autobuf out = BUF_INIT;
	assert_int_equal(ask(f, "GET", "/v1/events", NULL, &out), 200);
	assert_null(strstr(out.data, "planted"));
	expect(f, "GET", "/v1/events?app=No", NULL, 400, "not a valid app name");
	expect(f, "GET", "/v1/events?app=never-there", NULL, 404, "no app named");
	expect(f, "GET", "/v1/events?since=soon", NULL, 400, "since must be");
	expect(f, "GET", "/v1/events?limit=0", NULL, 400, "limit must be");
}

/* Of every field of every row, and of the settings that are secret. */
static void no_secret_is_told(void **state)
{
	static const char *const settings[] = {"auth", "page", "error-page"};
	unsigned int n = 0;

	(void)state;
	for (size_t i = 0; i < api_table_len; i++)
		for (const struct field *fd = api_table[i].fields; fd && fd->name; fd++) {
			struct request r = {.route = &api_table[i],
				.body = json_pack("{s:s}", fd->name, "planted")};
			char detail[AUDIT_DETAIL_MAX];

			audit_detail(&r, detail);
			json_decref(r.body);
			bool told = strstr(detail, "planted") != NULL;
			assert_int_equal(told, !audit_is_secret(fd->name));
			n += !told;
		}
	assert_true(
		n >= 4); /* password; chain and key of certs:add; key of ssh-keys:add */
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		assert_true(audit_is_secret(settings[i]));
	assert_false(audit_is_secret("version") || audit_is_secret("author"));
}

static void detail_is(json_t *body, const char *want)
{
	static const struct route row = {.audit = "x"};
	struct request r = {.route = &row, .body = body};
	char detail[AUDIT_DETAIL_MAX];

	audit_detail(&r, detail);
	json_decref(body);
	assert_string_equal(detail, want);
}

static void arguments_are_one_readable_line(void **state)
{
	char text[600], want[600];

	(void)state;
	detail_is(json_object(), "");
	detail_is(json_pack("{s:i, s:b, s:[]}", "a", 3, "b", 1, "c"), "a=3 b=true");
	detail_is(json_pack("{s:{s:i, s:s}}", "formation", "web", 2, "x", "y"),
		"formation=web:2,x");
	detail_is(json_pack("{s:[s, s]}", "command", "mysql", "-pplanted"),
		"command=mysql ...");
	detail_is(json_pack("{s:[s, s]}", "cmd", "mysql", "-pplanted"), "cmd=mysql ...");
	detail_is(json_pack("{s:[s, s, s]}", "env", "A=planted", "B_C=x=planted", "D"),
		"env=A,B_C,D");
	detail_is(json_pack("{s:{s:s}}", "env", "A", "planted"), "env=A");
	detail_is(json_pack("{s:s}", "to", "https://ann:planted@logs.example.com/x"),
		"to=https://@logs.example.com/?");
	detail_is(json_pack("{s:s}", "url", "https://logs.example.com/x?key=planted"),
		"url=https://logs.example.com/?");
	detail_is(json_pack("{s:s}", "url", "https://logs.example.com?planted"),
		"url=https://logs.example.com/?");
	detail_is(json_pack("{s:s}", "url", "https://chat.example.com/hooks/planted"),
		"url=https://chat.example.com/?");
	detail_is(json_pack("{s:s}", "url", "https://logs.example.com/"),
		"url=https://logs.example.com/");
	detail_is(json_pack("{s:s}", "message", "of http://a:planted@b/c and http://d/e"),
		"message=of http://@b/? and http://d/?");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	snprintf(want, sizeof(want), "https://ann:%.400s@b/", text);
	detail_is(json_pack("{s:s}", "url", want), "url=https://@b/");
	detail_is(json_pack("{s:s}", "name", "a\nb\033[1m"), "name=a?b?[1m");
	snprintf(want, sizeof(want), "name=%.80s...", text);
	detail_is(json_pack("{s:s}", "name", text), want);
}

static void outcome_is(struct fixture *f, const char *why, const char *want)
{
	static const struct route row = {.audit = "x"};
	struct request r = {.c = &f->c, .route = &row};
	char outcome[ERR_TEXT_MAX];

	audit(&r, AUDIT_REFUSED, why);
	newest(f, "x", outcome, sizeof(outcome));
	assert_string_equal(outcome, want);
}

/* What is quoted may be the beginning of an address. */
static void no_part_of_a_password_is_in_an_outcome(void **state)
{
	outcome_is(*state, "blog has no webhook https://ann:planted",
		"refused: blog has no webhook https://");
	outcome_is(*state, "\"https://planted\": no", "refused: \"https://\": no");
	outcome_is(*state, "\"https://a:planted@b.example/planted\": no",
		"refused: \"https://@b.example/?\": no");
	outcome_is(
		*state, "https://b.example/x: 404", "refused: https://b.example/?: 404");
}

static void they_are_followed(void **state)
{
	struct fixture *f = *state;
	struct client c;
	struct err e = {0};
	char *line;

	make_released(f, "shop");
	expect(f, "POST", "/v1/apps/shop/lock", "{}", 200, "");
	expect(f, "POST", "/v1/apps/shop/unlock", "{}", 200, "");
	dial(f, &c);
	assert_int_equal(client_send(&c, "GET", "/v1/events?follow=1&limit=1&app=shop",
				 NULL, NULL, 0, &e),
		0);
	assert_int_equal(client_reply(&c, &e), 0);
	assert_int_equal(client_line(&c, &line), 1);
	assert_non_null(strstr(line, "apps:unlock"));
	expect(f, "POST", "/v1/apps", "{\"name\":\"other\"}", 201, "");
	expect(f, "POST", "/v1/apps/shop/lock", "{}", 200, "");
	assert_int_equal(client_line(&c, &line), 1);
	assert_non_null(strstr(line, "apps:lock"));
	client_close(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_request_that_changes_something_leaves_an_event),
		T(reading_leaves_none),
		T(what_was_too_large_is_told),
		T(outcomes_are_ok_refused_and_failed),
		T(no_secret_is_told),
		T(arguments_are_one_readable_line),
		T(no_part_of_a_password_is_in_an_outcome),
		T(they_are_followed),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
