/* Members, what they may, and their tokens. */
#include "cli/cli.h"
#include <stdio.h>
#include <string.h>

/* Sets a member of the body when the option was given. */
static void add_option(json_t *body, const char *name, const char *value)
{
	if (value)
		json_object_set_new(body, name, json_string(value));
}

/* ---- members ---- */

int cmd_members_add(struct cli *c)
{
	json_t *answer, *key, *body = json_pack("{s:s}", "name", c->argv[0]);
	const char *role = c->options[OPT_ROLE];
	int r = c->argc > 1 ? key_input(c, &key) : 0;

	if (r)
		return r;
	if (c->argc > 1)
		json_object_set_new(body, "key", key);
	add_option(body, "role", role);
	add_option(body, "app", c->app);
	r = api_json(c, "POST", body, &answer, "/v1/members");
	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet && role)
		printf("-----> Added member %s: %s on %s\n", c->argv[0], role,
			c->app ? c->app : "all apps");
	else if (!c->quiet)
		printf("-----> Added member %s, who may do nothing yet: berth access:add "
		       "APP %s ROLE\n",
			c->argv[0], c->argv[0]);
	return 0;
}

/* "blog: deploy, shop: view" */
static void add_apps(struct buf *out, json_t *apps)
{
	const char *app;
	json_t *role;

	json_object_foreach (apps, app, role)
		buf_addf(out, "%s%s: %s", out->len ? ", " : "", app,
			json_string_value(role));
}

static void add_member(struct table *t, const json_t *row)
{
	autobuf apps = BUF_INIT;

	add_apps(&apps, json_object_get(row, "apps"));
	table_add(t, (const char *const[]){out_member(row, "name"),
			     json_string_value(json_object_get(row, "role")),
			     apps.len ? apps.data : NULL, out_member(row, "keys")});
}

int cmd_members_list(struct cli *c)
{
	static const char *const header[] = {"NAME", "ALL APPS", "APPS", "KEYS"};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/members");

	return r ? r : out_rows(c, header, ARRAY_LEN(header), list, add_member);
}

int cmd_members_remove(struct cli *c)
{
	int r = api_stream(c, "DELETE", NULL, "/v1/members/%s", api_word(c->argv[0]));

	if (!r && !c->quiet && !c->json)
		printf("-----> Removed member %s, with keys, roles and tokens\n",
			c->argv[0]);
	return r;
}

/* ---- roles ---- */

int cmd_access_add(struct cli *c)
{
	json_t *answer,
		*body = json_pack("{s:s, s:s}", "member", c->argv[0], "role", c->argv[1]);
	bool global = c->options[OPT_GLOBAL];
	int r = global ? api_json(c, "POST", body, &answer, "/v1/access")
		       : api_json(c, "POST", body, &answer, "/v1/apps/%s/access", c->app);

	if (r)
		return r;
	if (c->json)
		out_json(answer);
	else if (!c->quiet)
		printf("-----> %s has the role %s on %s\n", c->argv[0], c->argv[1],
			global ? "all apps and the host" : c->app);
	return 0;
}

int cmd_access_remove(struct cli *c)
{
	const char *name = api_word(c->argv[0]);
	bool global = c->options[OPT_GLOBAL];
	int r = global ? api_stream(c, "DELETE", NULL, "/v1/access/%s", name)
		       : api_stream(c, "DELETE", NULL, "/v1/apps/%s/access/%s", c->app,
				 name);

	if (!r && !c->quiet && !c->json)
		printf("-----> %s has no role of their own on %s any more\n", c->argv[0],
			global ? "all apps" : c->app);
	return r;
}

static void add_access(struct table *t, const json_t *row)
{
	const char *app = json_string_value(json_object_get(row, "app"));

	table_add(t, (const char *const[]){app ? app : "all", out_member(row, "member"),
			     out_member(row, "role")});
}

int cmd_access_list(struct cli *c)
{
	static const char *const header[] = {"APP", "MEMBER", "ROLE"};
	json_t *list;
	int r = c->app ? api_json(c, "GET", NULL, &list, "/v1/apps/%s/access", c->app)
		       : api_json(c, "GET", NULL, &list, "/v1/access");

	return r ? r : out_rows(c, header, ARRAY_LEN(header), list, add_access);
}

/* ---- tokens ---- */

int cmd_tokens_create(struct cli *c)
{
	json_t *answer, *body = json_pack("{s:s}", "name", c->argv[0]);
	int r;

	add_option(body, "member", c->options[OPT_MEMBER]);
	add_option(body, "role", c->options[OPT_ROLE]);
	add_option(body, "expires", c->options[OPT_EXPIRES]);
	add_option(body, "app", c->app);
	r = api_json(c, "POST", body, &answer, "/v1/tokens");
	if (r)
		return r;
	if (c->json) {
		out_json(answer);
		return 0;
	}
	if (!c->quiet)
		fprintf(stderr,
			"-----> Created token %s of %s: %s on %s; it is shown this "
			"once\n",
			c->argv[0], out_member(answer, "member"),
			out_member(answer, "role"),
			c->app ? c->app : "all that they have");
	puts(out_member(answer, "token"));
	return 0;
}

int cmd_tokens_list(struct cli *c)
{
	static const struct column columns[] = {{"NAME", "name"}, {"MEMBER", "member"},
		{"ROLE", "role"}, {"APP", "app"}, {"EXPIRES", "expires"},
		{"LAST USED", "last_used"}};
	json_t *list;
	int r = api_json(c, "GET", NULL, &list, "/v1/tokens");

	return r ? r : out_list(c, columns, ARRAY_LEN(columns), list);
}

int cmd_tokens_revoke(struct cli *c)
{
	int r = api_stream(c, "DELETE", NULL, "/v1/tokens/%s", api_word(c->argv[0]));

	if (!r && !c->quiet && !c->json)
		printf("-----> Revoked token %s\n", c->argv[0]);
	return r;
}
