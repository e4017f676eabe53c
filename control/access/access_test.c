/* Who may do what: every role on every route of the table, by real requests; tokens; lists; members. */
#include "control/access/token.h"
#include "control/api/fixture.h"
#include "control/api/request.h"
#include "control/engine.h"
#include "db/query.h"
#include <errno.h>

/* No berthd here: what is allowed and needs it fails a moment later. */
int engine_call(struct engine *g, uint32_t type, const void *body, size_t size,
	const int *fds, unsigned int nfds, struct msg *reply)
{
	(void)g, (void)type, (void)body, (void)size, (void)fds, (void)nfds, (void)reply;
	return -ENOTCONN;
}

/* A member with a token, asked for through the fixture's own connection: the token stands in place of its identity. */
struct asker {
	uint32_t member;
	struct db_token row;
	char token[TOKEN_SIZE];
};

static void make_token(struct fixture *f, struct asker *a, const char *name,
	enum role most, uint32_t app, uint64_t expires_us)
{
	uint8_t hash[DB_TOKEN_HASH];

	a->row = (struct db_token){
		.member = a->member, .role = most, .app = app, .expires_us = expires_us};
	snprintf(a->row.name, sizeof(a->row.name), "%s", name);
	assert_int_equal(token_make(a->token), 0);
	assert_int_equal(token_hash(a->token, hash), 0);
	assert_int_equal(db_token_add(f->c.db, &a->row, hash), 0);
}

static struct asker make_asker(struct fixture *f, const char *name)
{
	struct asker a = {0};

	assert_int_equal(db_member_add(f->c.db, name, &a.member), 0);
	make_token(f, &a, name, ROLE_ADMIN, 0, 0);
	return a;
}

static int ask_header(struct fixture *f, const char *header, const char *method,
	const char *path, const char *body, struct buf *out)
{
	char line[256];
	struct client c;
	struct err e = {0};

	snprintf(line, sizeof(line), "Authorization: %s\r\n", header);
	dial(f, &c);
	assert_int_equal(
		client_send(&c, method, path, line, body, body ? strlen(body) : 0, &e),
		0);
	assert_int_equal(client_reply(&c, &e), 0);
	buf_reset(out);
	client_body(&c, out);
	client_close(&c);
	return c.status;
}

static int ask_token(struct fixture *f, const char *token, const char *method,
	const char *path, const char *body, struct buf *out)
{
	char header[192];

	snprintf(header, sizeof(header), "Bearer %s", token);
	return ask_header(f, header, method, path, body, out);
}

static void expect_token(struct fixture *f, const struct asker *a, const char *method,
	const char *path, const char *body, int status, const char *text)
{
	autobuf out = BUF_INIT;
	int got = ask_token(f, a->token, method, path, body, &out);

	if (got != status || !strstr(out.data, text))
		fail_msg("%s %s %s as %s: %d %s (wanted %d %s)", method, path,
			body ? body : "", a->row.name, got, out.data, status, text);
}

/* A table that takes no row. */
#define REFUSING(table)                                                                  \
	"CREATE TRIGGER no_" table " BEFORE INSERT ON " table                            \
	" BEGIN SELECT RAISE(ABORT, 'refused'); END"

static uint64_t make_volume(struct fixture *f, const char *name)
{
	uint64_t id = 0;

	assert_int_equal(db_volume_create(f->c.db, name, 0, &id), 0);
	assert_int_equal(db_volume_set_whole(f->c.db, id, true), 0);
	return id;
}

/* ---- the matrix ---- */

enum where { ON_APP, ON_ALL, ELSEWHERE, WHERES };
static const char *const where_names[] = {"its app", "all apps", "another app"};

struct ground {
	struct fixture *f;
	struct asker asker;
	uint32_t apps[2];
	struct db_mount mount;
	unsigned int allowed, refused;
};

static void fill_path(const struct route *row, char out[256], const char *query)
{
	size_t n = 0;

	for (const char *c = row->path; *c; c++) {
		bool parameter = c > row->path && c[-1] == '/' && *c >= 'A' &&
				 *c <= 'Z' && (c[1] == '/' || !c[1]);
		const char *word = *c == 'A'   ? "blog"
				   : *c == 'V' ? "data"
				   : *c == 'T' ? "http"
				   : *c == 'M' ? "zed"
					       : "1";

		n += (size_t)(parameter ? snprintf(out + n, 256 - n, "%s", word)
					: snprintf(out + n, 256 - n, "%c", *c));
	}
	snprintf(out + n, 256 - n, "%s", query);
}

/* What the table promises, said once more and in other words than access.c. */
static int promised(const struct route *row, enum role role, enum where where)
{
	bool app = strncmp(row->path, "/v1/apps/A", 10) == 0 ||
		   strncmp(row->path, "/v1/git/A", 9) == 0;
	bool volume = strncmp(row->path, "/v1/volumes/V", 13) == 0;
	bool get = strcmp(row->method, "GET") == 0;
	enum role need = access_route_role(row);

	if (!row->role &&
		(!get || !(strstr(row->path, "/config") || strstr(row->path, "/logs") ||
				 strstr(row->path, "/drains"))))
		need = get ? ROLE_VIEW : app || volume ? ROLE_DEPLOY : ROLE_ADMIN;
	if (app || volume) {
		if (where == ELSEWHERE || role == ROLE_NONE)
			return 404;
		return role >= need ? 200 : 403;
	}
	if (where != ON_ALL && !(row->flags & ROUTE_ANYWHERE))
		return 403;
	return role >= need ? 200 : 403;
}

static void give(struct ground *g, enum role role, enum where where)
{
	const uint32_t on[] = {g->apps[0], 0, g->apps[1]};

	for (size_t i = 0; i < ARRAY_LEN(on); i++)
		db_grant_remove(g->f->c.db, g->asker.member, on[i]);
	if (role)
		assert_int_equal(
			db_grant_put(g->f->c.db, g->asker.member, on[where], role), 0);
	db_mount_add(g->f->c.db, &g->mount); /* an allowed unmount took it away */
}

/* A word that no route takes is refused after the role was asked for, and before the handler runs. The app in the body is looked
 * at later: there the handler has its turn. */
static void check(
	struct ground *g, const struct route *row, enum role role, enum where where)
{
	int want = promised(row, role, where), got;
	bool late = row->flags & ROUTE_BODY_APP, as_promised;
	autobuf out = BUF_INIT;
	char path[256];

	fill_path(row, path, late ? "" : "?zz=1");
	give(g, role, where);
	got = ask_token(g->f, g->asker.token, row->method, path,
		late ? "{\"app\":\"blog\",\"path\":\"/data\"}" : NULL, &out);
	if (want == 200)
		as_promised = late ? got != 401 && got != 403 && got != 404
				   : got == 400 && strstr(out.data, "unknown query word");
	else if (want == 403)
		as_promised = got == 403 && strstr(out.data, "it needs the role");
	else
		as_promised =
			got == 404 && (strstr(out.data, "no app named blog") ||
					      strstr(out.data, "no volume named data"));
	if (!as_promised)
		fail_msg("%s %s as %s on %s: %d %s (the table says %d)", row->method,
			path, role_name(role), where_names[where], got,
			out.data ? out.data : "", want);
	g->allowed += want == 200;
	g->refused += want != 200;
}

static void every_role_may_on_every_route_what_the_table_says(void **state)
{
	struct ground g = {.f = *state};

	g.apps[0] = make_released(g.f, "blog");
	g.apps[1] = make_released(g.f, "shop");
	g.asker = make_asker(g.f, "mia");
	g.mount = (struct db_mount){
		.volume = make_volume(g.f, "data"), .app = g.apps[0], .path = "/data"};
	for (size_t i = 0; i < api_table_len; i++) {
		if (api_table[i].flags & ROUTE_ANYONE)
			continue;
		check(&g, &api_table[i], ROLE_NONE, ON_APP);
		for (enum role role = ROLE_VIEW; role < ROLES; role++)
			for (enum where w = ON_APP; w < WHERES; w++)
				check(&g, &api_table[i], role, w);
	}
	print_message("%zu routes: %u requests allowed, %u refused\n", api_table_len,
		g.allowed, g.refused);
}

static bool has(const char *path, const char *word)
{
	return strstr(path, word) != NULL;
}

/* What no slip of a row may give away. */
static void no_row_asks_for_too_little(void **state)
{
	static const char *const open[] = {"GET /v1/version", "GET /v1/openapi.json",
		"GET /v1/apps", "POST /v1/apps", "GET /v1/access", "GET /v1/tokens",
		"POST /v1/tokens", "DELETE /v1/tokens/N", "POST /v1/git/A/access"};
	size_t n_open = 0;

	(void)state;
	for (size_t i = 0; i < api_table_len; i++) {
		const struct route *row = &api_table[i];
		enum role need = access_route_role(row);
		bool get = strcmp(row->method, "GET") == 0;
		char name[256];

		snprintf(name, sizeof(name), "%s %s", row->method, row->path);
		if (row->flags & ROUTE_ANYONE) {
			assert_true(n_open < ARRAY_LEN(open));
			assert_string_equal(name, open[n_open++]);
			continue;
		}
		if ((!get && need < ROLE_DEPLOY) ||
			((has(name, "/config") || has(name, "/drains") ||
				 has(name, "/export")) &&
				need < ROLE_DEPLOY) ||
			((has(name, "/logs") || has(name, "/builds/N")) &&
				need < ROLE_LOGS) ||
			((has(name, "/v1/ssh-keys") || has(name, "/v1/members") ||
				 has(name, "/v1/registry") || has(name, "/v1/backup") ||
				 (has(name, "/access") && !get) ||
				 has(name, "PUT /v1/settings")) &&
				need < ROLE_ADMIN))
			fail_msg("%s needs no more than %s", name, role_name(need));
	}
	assert_int_equal(n_open, ARRAY_LEN(open));
}

/* ---- through the router ---- */

static int ask_remote(struct fixture *f, const char *token, const char *path,
	const char *fields, struct buf *out)
{
	struct client c;
	struct err e = {0};
	char headers[300];
	int fd;

	assert_int_equal(api_connect(f->api, 1, &fd), 1);
	io_set_nonblock(fd, false);
	client_init(&c, fd);
	snprintf(headers, sizeof(headers), "%s%s%s%s",
		token ? "Authorization: Bearer " : "", token ? token : "",
		token ? "\r\n" : "", fields);
	assert_int_equal(client_send(&c, "GET", path, headers, NULL, 0, &e), 0);
	assert_int_equal(client_reply(&c, &e), 0);
	buf_reset(out);
	assert_int_equal(client_body(&c, out), 0);
	client_close(&c);
	return c.status;
}

static void a_connection_of_the_router_is_nobodys_without_a_token(void **state)
{
	struct fixture *f = *state;
	autobuf out = BUF_INIT;
	struct asker a;

	a = make_asker(f, "bob");
	assert_int_equal(db_grant_put(f->c.db, a.member, 0, ROLE_ADMIN), 0);
	assert_int_equal(ask_remote(f, a.token, "/v1/apps", "", &out), 200);
	assert_int_equal(ask_remote(f, NULL, "/v1/apps", "", &out), 401);
	assert_non_null(strstr(out.data, "a token of berth is needed"));
	assert_int_equal(ask_remote(f, NULL, "/nothing", "", &out), 401);
	assert_int_equal(ask_remote(f, NULL, "/v1/version", "KEY: 1\r\n", &out), 401);
	a.token[20] ^= 1;
	assert_int_equal(ask_remote(f, a.token, "/v1/apps", "", &out), 401);
}

static void the_router_has_some_connections_not_all(void **state)
{
	struct fixture *f = *state;
	int fds[API_REMOTE_MAX + 1];
	autobuf out = BUF_INIT;

	assert_int_equal(api_connect(f->api, ARRAY_LEN(fds), fds), API_REMOTE_MAX);
	assert_int_equal(api_connect(f->api, 1, fds + API_REMOTE_MAX), 0);
	assert_int_equal(ask(f, "GET", "/v1/version", NULL, &out), 200);
	for (unsigned int i = 0; i < API_REMOTE_MAX; i++)
		close(fds[i]);
	for (int i = 0; i < 2000 && !api_connect(f->api, 1, fds); i++)
		poll(NULL, 0, 10);
	close(fds[0]);
}

static void a_member_leaves_room_for_others(void **state)
{
	struct fixture *f = *state;
	struct asker ann = make_asker(f, "bob"), eve = make_asker(f, "eve");
	int fds[API_MEMBER_MAX];
	autobuf out = BUF_INIT;
	char request[300];

	assert_int_equal(db_grant_put(f->c.db, ann.member, 0, ROLE_ADMIN), 0);
	assert_int_equal(db_grant_put(f->c.db, eve.member, 0, ROLE_ADMIN), 0);
	snprintf(request, sizeof(request),
		"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
		"%s\r\n\r\n",
		ann.token);
	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		char c;

		assert_int_equal(api_connect(f->api, 1, &fds[i]), 1);
		io_set_nonblock(fds[i], false);
		assert_int_equal(io_write_all(fds[i], request, strlen(request)), 0);
		assert_int_equal(recv(fds[i], &c, 1, 0), 1); /* it is under way */
	}
	assert_int_equal(ask_remote(f, ann.token, "/v1/apps", "", &out), 429);
	assert_int_equal(ask_remote(f, eve.token, "/v1/apps", "", &out), 200);
	expect_token(
		f, &ann, "GET", "/v1/apps", NULL, 200, ""); /* on the host's socket */
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	int status = 429;
	for (int i = 0; i < 2000 && status == 429; i++) {
		poll(NULL, 0, 10);
		status = ask_remote(f, ann.token, "/v1/apps", "", &out);
	}
	assert_int_equal(status, 200);
}

/* ---- tokens ---- */

static void a_token_is_good_for_what_it_was_made_for(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia"), weak = a, narrow = a;
	uint32_t blog = make_released(f, "blog");

	make_released(f, "shop");
	make_token(f, &weak, "weak", ROLE_LOGS, 0, 0);
	make_token(f, &narrow, "narrow", ROLE_ADMIN, blog, 0);
	assert_int_equal(db_grant_put(f->c.db, a.member, 0, ROLE_ADMIN), 0);
	expect_token(f, &a, "POST", "/v1/apps/shop/stop", "{}", 200, "x 0");
	expect_token(f, &weak, "GET", "/v1/apps/shop/logs", NULL, 200, "");
	expect_token(f, &weak, "POST", "/v1/apps/shop/stop", "{}", 403,
		"mia (token weak) may not do this: it needs the role deploy on shop");
	expect_token(f, &narrow, "POST", "/v1/apps/blog/stop", "{}", 200, "x 0");
	expect_token(f, &narrow, "POST", "/v1/apps/shop/stop", "{}", 404, "no-such-app");
	expect_token(
		f, &narrow, "GET", "/v1/members", NULL, 403, "all apps and the host");
	expect_token(f, &narrow, "POST", "/v1/apps", "{\"name\":\"new\"}", 403, "admin");
	expect_token(f, &narrow, "GET", "/v1/apps", NULL, 200, "\"blog\"");
	expect_token(f, &a, "POST", "/v1/tokens", "{\"name\":\"x\"}", 403,
		"a token makes no tokens");
	expect(f, "GET", "/v1/events?app=shop", NULL, 200, "mia (token weak)");
	/* never more than its member has now */
	assert_int_equal(db_grant_put(f->c.db, a.member, 0, ROLE_VIEW), 0);
	expect_token(f, &a, "POST", "/v1/apps/shop/stop", "{}", 403, "only view");
	expect_token(f, &weak, "GET", "/v1/apps/shop/logs", NULL, 403, "only view");
	expect_token(f, &a, "GET", "/v1/apps/shop", NULL, 200, "shop");
}

static void what_is_no_good_token_opens_nothing(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia"), old = a, gone = a;
	uint64_t now = io_now_us();
	autobuf out = BUF_INIT;
	char text[128];

	assert_int_equal(db_grant_put(f->c.db, a.member, 0, ROLE_ADMIN), 0);
	make_token(f, &old, "old", ROLE_ADMIN, 0, now - 1);
	make_token(f, &gone, "gone", ROLE_ADMIN, 0, now + 60000000);
	expect_token(f, &gone, "GET", "/v1/status", NULL, 200, "version");
	expect_token(f, &old, "GET", "/v1/status", NULL, 401, "the token old expired at");
	expect(f, "DELETE", "/v1/tokens/gone", NULL, 200, "");
	expect_token(f, &gone, "GET", "/v1/status", NULL, 401, "not known");
	/* Malformed ones do not even fall back to the identity of the connection, which here is an admin's. */
	snprintf(text, sizeof(text), "%s", a.token);
	text[20] = text[20] == '0' ? '1' : '0';
	assert_int_equal(ask_token(f, text, "GET", "/v1/apps", NULL, &out), 401);
	assert_non_null(strstr(out.data, "not a token of berth"));
	text[20] = a.token[20];
	assert_int_equal(ask_token(f, text, "GET", "/v1/apps", NULL, &out), 200);
	text[strlen(text) - 1] = '\0';
	assert_int_equal(ask_token(f, text, "GET", "/v1/apps", NULL, &out), 401);
	assert_int_equal(ask_token(f, "", "GET", "/v1/apps", NULL, &out), 401);
	assert_int_equal(
		ask_header(f, "Basic cm9vdDo=", "GET", "/v1/apps", NULL, &out), 401);
	expect_token(f, &a, "GET", "/v1/apps", NULL, 200, "[]");
	expect(f, "DELETE", "/v1/members/mia", NULL, 200, "");
	expect_token(f, &a, "GET", "/v1/apps", NULL, 401, "not known");
}

static void tokens_are_made_listed_and_revoked(void **state)
{
	struct fixture *f = *state;
	autobuf out = BUF_INIT;
	struct asker a = {0};
	struct db_token *rows autofree = NULL;
	const char *body = "{\"name\":\"ci\",\"member\":\"ann\",\"role\":\"view\","
			   "\"expires\":\"30d\"}";

	expect(f, "POST", "/v1/tokens", "{\"name\":\"ci\",\"member\":\"zed\"}", 404,
		"no member named zed");
	expect(f, "POST", "/v1/tokens",
		"{\"name\":\"ci\",\"member\":\"ann\",\"role\":\"king\"}", 400,
		"not a role");
	expect(f, "POST", "/v1/tokens",
		"{\"name\":\"ci\",\"member\":\"ann\",\"expires\":\"soon\"}", 400,
		"how long");
	assert_int_equal(ask(f, "POST", "/v1/tokens", body, &out), 201);
	const char *text = strstr(out.data, "berth_");
	assert_non_null(text);
	snprintf(a.token, sizeof(a.token), "%.*s", TOKEN_SIZE - 1, text);
	expect(f, "POST", "/v1/tokens", body, 409, "already a token named ci");
	expect(f, "GET", "/v1/tokens", NULL, 200, "\"last_used\":null");
	expect_token(f, &a, "GET", "/v1/apps", NULL, 200, "[]");
	assert_int_equal(ask(f, "GET", "/v1/tokens", NULL, &out), 200);
	assert_null(strstr(out.data, "berth_"));
	assert_null(strstr(out.data, "\"last_used\":null"));
	assert_int_equal(db_token_list(f->c.db, &rows), 1);
	assert_true(rows[0].expires_us > io_now_us() + UINT64_C(29) * 86400000000);
	expect(f, "DELETE", "/v1/tokens/nope", NULL, 404, "no token named");
	expect(f, "DELETE", "/v1/tokens/ci", NULL, 200, "");
	expect_token(f, &a, "GET", "/v1/apps", NULL, 401, "not known");
}

/* ---- members ---- */

static void the_last_admin_stays(void **state)
{
	struct fixture *f = *state;
	struct db_member ann;
	struct asker a = {0};

	assert_int_equal(db_member_by_name(f->c.db, "ann", &ann), 0);
	a.member = ann.id;
	make_token(f, &a, "mine", ROLE_ADMIN, 0, 0);
	expect_token(f, &a, "DELETE", "/v1/members/ann", NULL, 409, "the last admin");
	expect_token(f, &a, "DELETE", "/v1/access/ann", NULL, 409, "the last admin");
	expect_token(f, &a, "DELETE", "/v1/ssh-keys/ann", NULL, 409, "the last admin");
	expect_token(f, &a, "POST", "/v1/access",
		"{\"member\":\"ann\",\"role\":\"deploy\"}", 409, "the last admin");
	/* One without a key is no admin who could come. */
	expect_token(f, &a, "POST", "/v1/members",
		"{\"name\":\"bob\",\"role\":\"admin\"}", 201, "bob");
	expect_token(f, &a, "DELETE", "/v1/access/ann", NULL, 409, "the last admin");
	struct db_key k = {.name = "bob", .type = "t", .blob = "BB", .fingerprint = "x"};
	assert_int_equal(db_key_add(f->c.db, &k), 0);
	expect_token(f, &a, "POST", "/v1/access",
		"{\"member\":\"ann\",\"role\":\"deploy\"}", 200, "deploy");
	expect_token(f, &a, "GET", "/v1/members", NULL, 403, "only deploy");
	if (geteuid() == 0)
		expect(f, "DELETE", "/v1/members/bob", NULL, 200, "");
}

static void roles_are_given_and_taken(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia"), b = make_asker(f, "ben");

	make_released(f, "blog");
	make_released(f, "shop");
	expect_token(f, &a, "GET", "/v1/apps", NULL, 200, "[]");
	expect_token(f, &a, "GET", "/v1/apps/blog", NULL, 404, "no app named blog");
	expect(f, "POST", "/v1/apps/blog/access",
		"{\"member\":\"mia\",\"role\":\"admin\"}", 200, "\"app\":\"blog\"");
	expect(f, "POST", "/v1/apps/blog/access",
		"{\"member\":\"zed\",\"role\":\"admin\"}", 404, "no member named zed");
	expect_token(f, &a, "POST", "/v1/apps/blog/access",
		"{\"member\":\"ben\",\"role\":\"logs\"}", 200, "logs");
	expect_token(f, &a, "POST", "/v1/access",
		"{\"member\":\"mia\",\"role\":\"admin\"}", 403, "--global mia admin");
	expect_token(f, &a, "POST", "/v1/apps/shop/access",
		"{\"member\":\"mia\",\"role\":\"admin\"}", 404, "no app named shop");
	expect_token(f, &b, "GET", "/v1/apps/blog/logs", NULL, 200, "");
	expect_token(f, &b, "GET", "/v1/apps/blog/config", NULL, 403,
		"ben (token ben) may not do this: it needs the role deploy on blog, and "
		"there is only logs");
	expect_token(f, &b, "GET", "/v1/apps/blog/access", NULL, 200,
		"{\"member\":\"ann\",\"app\":null,\"role\":\"admin\"}");
	expect_token(f, &a, "DELETE", "/v1/apps/blog/access/ben", NULL, 200, "");
	expect_token(f, &b, "GET", "/v1/apps/blog/logs", NULL, 404, "no-such-app");
	expect_token(f, &a, "DELETE", "/v1/apps/blog/access/ben", NULL, 404, "no role");
}

/* ---- what is seen ---- */

static void expect_without(struct fixture *f, const struct asker *a, const char *path,
	const char *with, const char *without)
{
	autobuf out = BUF_INIT;

	assert_int_equal(ask(f, "GET", path, NULL, &out), 200);
	if (!strstr(out.data, without))
		fail_msg("%s does not show %s to an admin: %s", path, without, out.data);
	assert_int_equal(ask_token(f, a->token, "GET", path, NULL, &out), 200);
	if (!strstr(out.data, with) || strstr(out.data, without))
		fail_msg("%s shows: %s", path, out.data);
}

static void lists_show_only_what_one_may_see(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia"), narrow = make_asker(f, "max");
	uint32_t blog = make_released(f, "blog"), shop = make_released(f, "shop");
	const char *both[] = {
		"/v1/apps", "/v1/ps", "/v1/events", "/v1/images", "/v1/volumes"};

	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_VIEW), 0);
	assert_int_equal(db_grant_put(f->c.db, narrow.member, 0, ROLE_ADMIN), 0);
	make_token(f, &narrow, "narrow", ROLE_ADMIN, blog, 0);
	for (size_t i = 0; i < 2; i++) {
		struct db_mount m = {.app = i ? shop : blog, .path = "/x"};
		char name[16];

		snprintf(name, sizeof(name), "%s-data", i ? "shop" : "blog");
		m.volume = make_volume(f, name);
		assert_int_equal(db_mount_add(f->c.db, &m), 0);
	}
	expect(f, "POST", "/v1/apps/blog/stop", "{}", 200, "x 0");
	expect(f, "POST", "/v1/apps/shop/stop", "{}", 200, "x 0");
	for (size_t i = 0; i < ARRAY_LEN(both); i++) {
		expect_without(f, &a, both[i], "blog", "shop");
		expect_without(f, &narrow, both[i], "blog", "shop");
	}
	expect_token(f, &a, "GET", "/v1/status", NULL, 200, "\"apps\":1,");
	expect(f, "GET", "/v1/status", NULL, 200, "\"apps\":2,");
	expect_token(
		f, &a, "GET", "/v1/volumes?app=shop", NULL, 404, "no app named shop");
	expect_token(f, &a, "GET", "/v1/images?app=shop", NULL, 404, "no app named shop");
	expect_token(f, &a, "GET", "/v1/apps/shpo", NULL, 404, "berth apps:list");
}

static void of_buildpacks_a_viewer_sees_no_secret(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia");
	uint32_t blog = make_released(f, "blog");

	expect(f, "PATCH", "/v1/apps/blog/config",
		"{\"set\":{\"BUILDPACK_URL\":\"https://planted@a.example/b\"}}", 200, "");
	expect(f, "PATCH", "/v1/apps/blog/buildpacks",
		"{\"set\":[\"node\",\"https://me:planted@c.example/d#v@1\","
		"\"https://e.example/f.tgz?token=planted#v2\"]}",
		200, "");
	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_LOGS), 0);
	expect_without(f, &a, "/v1/apps/blog/buildpacks",
		"{\"buildpacks\":[\"node\",\"https://*@c.example/d#v@1\","
		"\"https://e.example/f.tgz?*#v2\"]}",
		"planted");
	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_DEPLOY), 0);
	expect_token(f, &a, "GET", "/v1/apps/blog/buildpacks", NULL, 200,
		"\"https://e.example/f.tgz?token=planted#v2\"],\"BUILDPACK_URL\":"
		"\"https://planted@a.example/b\"");
}

static void happens(struct fixture *f, const char *app, const char *what)
{
	const struct db_event e = {
		.actor = "ann", .what = what, .app = app, .outcome = "ok"};

	assert_int_equal(db_event_add(f->c.db, &e), 0);
}

static void begin_following(struct fixture *f, const struct asker *a, struct client *c)
{
	struct err e = {0};
	char line[256];

	snprintf(line, sizeof(line), "Authorization: Bearer %s\r\n", a->token);
	dial(f, c);
	assert_int_equal(
		client_send(c, "GET", "/v1/events?follow=1&app=blog", line, NULL, 0, &e),
		0);
	assert_int_equal(client_reply(c, &e), 0);
	assert_int_equal(c->status, 200);
}

static void expect_line(struct client *c, const char *text)
{
	char *line;

	assert_int_equal(client_line(c, &line), 1);
	if (!strstr(line, text))
		fail_msg("%s came, not %s", line, text);
}

/* What comes under an app's name after it has another one, or is gone, is a stranger's. */
static void who_follows_an_app_follows_no_name(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia");
	uint32_t blog = make_released(f, "blog"), stranger;
	struct client c;
	char *line;

	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_VIEW), 0);
	happens(f, "blog", "one");
	begin_following(f, &a, &c);
	expect_line(&c, "\"one\"");
	assert_int_equal(db_app_rename_begin(f->c.db, blog, "news"), 0);
	assert_int_equal(db_app_rename_end(f->c.db, blog), 0);
	assert_int_equal(db_app_create(f->c.db, "blog", &stranger), 0);
	happens(f, "blog", "planted");
	happens(f, "news", "two");
	expect_line(&c, "\"two\",\"app\":\"news\"");
	assert_int_equal(db_app_delete(f->c.db, blog), 0);
	assert_int_equal(db_app_create(f->c.db, "news", &stranger), 0);
	happens(f, "news", "planted");
	assert_int_equal(client_line(&c, &line), 0);
	client_close(&c);
}

static void a_name_brings_no_trail_of_who_had_it_before(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia"), narrow = make_asker(f, "max");
	uint32_t blog;

	happens(f, "blog", "planted");
	usleep(1000);
	blog = make_released(f, "blog");
	happens(f, "blog", "own");
	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_ADMIN), 0);
	assert_int_equal(db_grant_put(f->c.db, narrow.member, 0, ROLE_ADMIN), 0);
	make_token(f, &narrow, "narrow", ROLE_ADMIN, blog, 0);
	expect_without(f, &a, "/v1/events", "own", "planted");
	expect_without(f, &a, "/v1/events?app=blog", "own", "planted");
	expect_without(f, &narrow, "/v1/events?app=blog", "own", "planted");
}

static void others_do_not_crowd_out_ones_events(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia");
	uint32_t blog = make_released(f, "blog");

	make_released(f, "shop");
	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_VIEW), 0);
	happens(f, "blog", "first");
	happens(f, "blog", "second");
	assert_int_equal(db_begin(f->c.db), 0);
	for (int i = 0; i < 1001; i++)
		happens(f, i % 2 ? "shop" : "", "foreign");
	assert_int_equal(db_end(f->c.db, true), 0);
	expect_without(f, &a, "/v1/events", "second\",", "foreign");
	expect_token(f, &a, "GET", "/v1/events", NULL, 200, "first");
	expect_token(f, &a, "GET", "/v1/events?limit=1", NULL, 200, "second");
}

static void who_makes_an_app_is_its_admin(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia");
	const char *push = "{\"service\":\"receive-pack\"}",
		   *fetch = "{\"service\":\"upload-pack\"}";
	uint32_t blog = make_released(f, "blog");

	expect_token(f, &a, "POST", "/v1/apps", "{\"name\":\"new\"}", 403,
		"needs the role admin on all apps");
	expect_token(f, &a, "POST", "/v1/git/new/access", push, 404,
		"creating it needs the role admin");
	expect_token(f, &a, "POST", "/v1/git/blog/access", push, 404,
		"creating it needs the role admin");
	expect_token(
		f, &a, "POST", "/v1/git/blog/access", fetch, 404, "no app named blog");
	expect(f, "PUT", "/v1/settings/apps", "{\"members-create\":\"on\"}", 200, "");
	expect_token(f, &a, "POST", "/v1/apps", "{\"name\":\"new\"}", 201, "new");
	expect_token(
		f, &a, "POST", "/v1/git/newer/access", push, 200, "\"created\":true");
	expect_token(f, &a, "GET", "/v1/access", NULL, 200,
		"{\"member\":\"mia\",\"app\":\"newer\",\"role\":\"admin\"}");
	expect_token(
		f, &a, "POST", "/v1/git/new/access", fetch, 200, "\"created\":false");
	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_LOGS), 0);
	expect_token(f, &a, "POST", "/v1/git/blog/access", push, 403, "deploy on blog");
	expect_token(f, &a, "POST", "/v1/git/blog/access", fetch, 403, "deploy on blog");
	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_DEPLOY), 0);
	expect_token(
		f, &a, "POST", "/v1/git/blog/access", push, 200, "\"created\":false");
	expect_token(
		f, &a, "POST", "/v1/git/blog/access", fetch, 200, "\"created\":false");
}

/* An app of nobody would be in the way of who made it, and a volume too. */
static void what_is_made_has_an_owner_or_is_not_made(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia");
	const char *push = "{\"service\":\"receive-pack\"}";
	uint32_t blog = make_released(f, "blog");

	expect(f, "PUT", "/v1/settings/apps", "{\"members-create\":\"on\"}", 200, "");
	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_DEPLOY), 0);
	for (int i = 0; i < 2; i++) {
		const int status = i ? 201 : 500;

		if (i == 0)
			assert_true(
				query_exec(f->c.db, REFUSING("access"), "") >= 0 &&
				query_exec(f->c.db, REFUSING("volume_maker"), "") >= 0);
		expect_token(f, &a, "POST", "/v1/apps", "{\"name\":\"new\"}", status, "");
		expect_token(
			f, &a, "POST", "/v1/git/newer/access", push, i ? 200 : 500, "");
		expect_token(
			f, &a, "POST", "/v1/volumes", "{\"name\":\"own\"}", status, "");
		if (i == 0) {
			expect(f, "GET", "/v1/apps/new", NULL, 404, "no-such-app");
			expect(f, "GET", "/v1/apps/newer", NULL, 404, "no-such-app");
			expect(f, "GET", "/v1/volumes", NULL, 200, "[]");
			assert_true(
				query_exec(f->c.db, "DROP TRIGGER no_access", "") >= 0 &&
				query_exec(f->c.db, "DROP TRIGGER no_volume_maker", "") >=
					0);
		}
	}
}

static void a_role_on_an_app_is_one_on_its_previews(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia"), narrow = a, other = a;
	uint32_t blog = make_released(f, "blog"), shop = make_released(f, "shop");

	make_token(f, &narrow, "narrow", ROLE_ADMIN, blog, 0);
	make_token(f, &other, "other", ROLE_ADMIN, shop, 0);
	assert_int_equal(
		db_preview_add(f->c.db, make_released(f, "blog-x"), blog, "x"), 0);
	expect_token(f, &a, "GET", "/v1/apps/blog-x", NULL, 404, "no-such-app");
	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_VIEW), 0);
	expect_token(f, &a, "GET", "/v1/apps/blog-x", NULL, 200, "blog-x");
	expect_token(f, &a, "GET", "/v1/apps", NULL, 200, "blog-x");
	expect_token(f, &a, "POST", "/v1/apps/blog-x/stop", "{}", 403,
		"it needs the role deploy on blog-x");
	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_DEPLOY), 0);
	expect_token(f, &a, "POST", "/v1/apps/blog-x/stop", "{}", 200, "x 0");
	expect_token(f, &narrow, "POST", "/v1/apps/blog-x/stop", "{}", 200, "x 0");
	expect_token(f, &a, "GET", "/v1/apps/blog/previews", NULL, 200, "blog-x");
	/* nothing else comes with it, and its branch is pushed to the parent only */
	assert_int_equal(db_grant_put(f->c.db, a.member, shop, ROLE_DEPLOY), 0);
	expect_token(f, &other, "GET", "/v1/apps/blog-x", NULL, 404, "no-such-app");
	expect_token(f, &a, "POST", "/v1/git/blog-x/access",
		"{\"service\":\"receive-pack\"}", 409, "preview of blog's branch x");
	expect_token(f, &a, "DELETE", "/v1/apps/blog-x?confirm=blog-x", NULL, 403,
		"the role admin on blog-x");
}

static void a_volume_is_for_who_may_change_all_that_mount_it(void **state)
{
	struct fixture *f = *state;
	struct asker a = make_asker(f, "mia"), b = make_asker(f, "ben");
	uint32_t blog = make_released(f, "blog"), shop = make_released(f, "shop");
	struct db_mount m = {
		.volume = make_volume(f, "taken"), .app = shop, .path = "/x"};
	const char *mount = "{\"app\":\"blog\",\"path\":\"/y\"}";

	assert_int_equal(db_grant_put(f->c.db, a.member, blog, ROLE_DEPLOY), 0);
	assert_int_equal(db_grant_put(f->c.db, b.member, blog, ROLE_DEPLOY), 0);
	assert_int_equal(db_mount_add(f->c.db, &m), 0);
	expect_token(f, &a, "POST", "/v1/volumes/taken/mount", mount, 404, "no volume");
	assert_int_equal(db_grant_put(f->c.db, a.member, shop, ROLE_VIEW), 0);
	expect_token(f, &a, "POST", "/v1/volumes/taken/mount", mount, 403,
		"deploy on every app that mounts taken");
	expect_token(f, &a, "POST", "/v1/volumes", "{\"name\":\"own\"}", 201, "own");
	expect_token(f, &b, "POST", "/v1/volumes/own/mount", mount, 404, "no volume");
	expect_token(f, &a, "POST", "/v1/volumes/own/mount",
		"{\"app\":\"shop\",\"path\":\"/y\"}", 403, "deploy on shop");
	expect_token(f, &a, "POST", "/v1/volumes/own/mount", mount, 200, "x 0");
	expect_token(f, &b, "POST", "/v1/volumes/own/unmount", "{\"app\":\"blog\"}", 200,
		"x 0");
	expect_token(
		f, &b, "DELETE", "/v1/volumes/own?confirm=own", NULL, 404, "no volume");
	expect_token(f, &a, "DELETE", "/v1/volumes/own?confirm=own", NULL, 200, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_role_may_on_every_route_what_the_table_says),
		T(no_row_asks_for_too_little),
		T(a_connection_of_the_router_is_nobodys_without_a_token),
		T(the_router_has_some_connections_not_all),
		T(a_member_leaves_room_for_others),
		T(a_token_is_good_for_what_it_was_made_for),
		T(what_is_no_good_token_opens_nothing),
		T(tokens_are_made_listed_and_revoked),
		T(the_last_admin_stays),
		T(roles_are_given_and_taken),
		T(lists_show_only_what_one_may_see),
		T(of_buildpacks_a_viewer_sees_no_secret),
		T(who_follows_an_app_follows_no_name),
		T(a_name_brings_no_trail_of_who_had_it_before),
		T(others_do_not_crowd_out_ones_events),
		T(who_makes_an_app_is_its_admin),
		T(what_is_made_has_an_owner_or_is_not_made),
		T(a_role_on_an_app_is_one_on_its_previews),
		T(a_volume_is_for_who_may_change_all_that_mount_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
