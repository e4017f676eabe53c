/* Tokens: what programs ask the API with. */
#include "control/access/token.h"
#include "control/api/api.h"
#include "control/api/handlers.h"
#include "lib/io.h"
#include "lib/stamp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TOKENS_OF_MEMBER 50
#define SPAN_MAX_S UINT64_C(315360000) /* ten years */

static json_t *token_json(const struct db_token *t)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "name", t->name, "member",
		t->member_name, "role", role_name(t->role), "app",
		t->app ? json_string(t->app_name) : json_null(), "created",
		json_stamp(t->created_us), "expires", json_stamp(t->expires_us),
		"last_used", json_stamp(t->used_us));
}

static bool manages(const struct request *r, const struct db_token *t)
{
	const struct access *a = &r->access;

	if (access_role(a, 0) == ROLE_ADMIN)
		return true;
	return a->token ? a->token == t->id : a->member == t->member;
}

int tokens_list(struct request *r)
{
	struct db_token *rows autofree = NULL;
	int n = db_token_list(r->c->db, &rows);

	if (n < 0)
		return request_fail_db(r, n, "tokens");
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		if (manages(r, &rows[i]))
			json_array_append_new(list, token_json(&rows[i]));
	return request_reply(r, 200, list);
}

static int check_room(struct request *r, uint32_t member)
{
	struct db_token *rows autofree = NULL;
	int n = db_token_list(r->c->db, &rows), own = 0;

	for (int i = 0; i < n; i++)
		own += rows[i].member == member;
	if (n < 0)
		return request_fail_db(r, n, "tokens");
	if (own < TOKENS_OF_MEMBER)
		return 0;
	request_fail(r, FAIL_CONFLICT,
		"a member has at most %d tokens, and there are so many",
		TOKENS_OF_MEMBER);
	return request_hint(r, "revoke those that are not used: berth tokens:list");
}

/* Whose it will be. One's own, or for an admin of all anybody's. */
static int read_member(struct request *r, struct db_token *t)
{
	const char *name = request_string(r, "member");
	struct db_member m;

	if (r->access.token) {
		request_fail(r, FAIL_FORBIDDEN,
			"a token makes no tokens: it could outlive its own end");
		return request_hint(r,
			"ask with an ssh key: ssh berth@HOST tokens:create "
			"NAME");
	}
	if (!name && r->access.root)
		return request_fail(
			r, FAIL_USAGE, "root is no member: whose token? --member NAME");
	if (!name)
		name = r->access.name;
	if (strcmp(name, r->access.name) != 0 && access_need(r, NULL, ROLE_ADMIN) < 0)
		return -1;
	if (member_find(r, name, &m) < 0)
		return -1;
	t->member = m.id;
	snprintf(t->member_name, sizeof(t->member_name), "%s", m.name);
	return 0;
}

static int read_expiry(struct request *r, struct db_token *t)
{
	const char *text = request_string(r, "expires");
	uint64_t seconds;

	if (!text)
		return 0;
	if (span_parse(text, &seconds) < 0 || seconds < 1 || seconds > SPAN_MAX_S)
		return request_fail(r, FAIL_USAGE,
			"\"%.40s\" is not how long a token is good: 12h, 30d, at most "
			"3650d",
			text);
	t->expires_us = io_now_us() + seconds * 1000000;
	return 0;
}

static int read_app(struct request *r, struct db_token *t)
{
	const char *name = request_string(r, "app");
	struct db_app app;

	if (!name)
		return 0;
	if (request_app(r, name, &app) < 0)
		return -1;
	t->app = app.id;
	snprintf(t->app_name, sizeof(t->app_name), "%s", app.name);
	return 0;
}

int tokens_create(struct request *r)
{
	const char *name = request_string(r, "name");
	struct db_token t = {0};
	uint8_t hash[DB_TOKEN_HASH];
	char text[TOKEN_SIZE];

	if (request_name(r, "token", name) < 0 || read_member(r, &t) < 0 ||
		member_role(r, ROLE_DEPLOY, &t.role) < 0 || read_app(r, &t) < 0 ||
		read_expiry(r, &t) < 0 || check_room(r, t.member) < 0)
		return -1;
	snprintf(t.name, sizeof(t.name), "%s", name);
	if (token_make(text) < 0 || token_hash(text, hash) < 0)
		return request_fail(r, FAIL_BERTH, "the kernel gave no random numbers");
	int n = db_token_add(r->c->db, &t, hash);
	if (n == -EEXIST) {
		request_fail(r, FAIL_CONFLICT, "there is already a token named %s", name);
		return request_hint(
			r, "another name, or first: berth tokens:revoke %s", name);
	}
	if (n < 0)
		return request_fail_db(r, n, name);
	json_t *o = token_json(&t);
	json_object_set_new(o, "token", json_string(text));
	return request_reply(r, 201, o);
}

int tokens_revoke(struct request *r)
{
	struct db_token *rows autofree = NULL;
	int n = db_token_list(r->c->db, &rows);

	for (int i = 0; i < n; i++) {
		if (strcmp(rows[i].name, r->args[0]) != 0 || !manages(r, &rows[i]))
			continue;
		int removed = db_token_remove(r->c->db, rows[i].id);
		api_recheck(r);
		return removed < 0 && removed != -ENOENT
			       ? request_fail_db(r, removed, rows[i].name)
			       : 0;
	}
	if (n < 0)
		return request_fail_db(r, n, "tokens");
	request_fail(r, FAIL_MISSING, "there is no token named %.80s", r->args[0]);
	return request_hint(r, "list them: berth tokens:list");
}
