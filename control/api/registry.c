/* Images in registries, and logins there. Passwords go in and never out. */
#include "control/images/registry.h"
#include "control/api/handlers.h"
#include <errno.h>
#include <string.h>

static int read_reference(struct request *r, const char *text, struct reference *ret)
{
	struct err e = {0};

	return reference_parse(text, ret, &e) < 0
		       ? request_fail(r, FAIL_USAGE, "%s", e.text)
		       : 0;
}

/* What it is called here. */
static int pull_name(struct request *r, const struct reference *from,
	char name[TAG_NAME_MAX], struct err *e)
{
	const char *own = request_string(r, "name");

	return own ? image_name(own, name, e) : image_pulled_name(from, name, e);
}

int images_check_pull(struct request *r)
{
	struct reference from;
	char name[TAG_NAME_MAX];
	struct err e = {0};

	if (read_reference(r, request_string(r, "image"), &from) < 0)
		return -1;
	return pull_name(r, &from, name, &e) < 0
		       ? request_fail(r, FAIL_USAGE, "%s", e.text)
		       : 0;
}

int images_pull(struct request *r, struct sink *s, struct err *e)
{
	struct reference from;
	char name[TAG_NAME_MAX];
	int n = reference_parse(request_string(r, "image"), &from, e);

	if (n == 0)
		n = pull_name(r, &from, name, e);
	return n == 0 ? registry_pull(r->c, &from, name, s, e) : n;
}

int images_check_push(struct request *r)
{
	struct image_found f = {0};
	struct reference to;
	struct err e = {0};

	if (read_reference(r, request_string(r, "to"), &to) < 0)
		return -1;
	if (to.digest[0])
		return request_fail(r, FAIL_USAGE,
			"a registry gives the digest itself: say %s/%s:TAG", to.host,
			to.path);
	int n = image_find(r->c, request_string(r, "image"), &f, &e);
	image_found_clear(&f);
	if (n == 0)
		return 0;
	return request_fail(r,
		n == -EINVAL   ? FAIL_USAGE
		: n == -ENOENT ? FAIL_MISSING
			       : FAIL_BERTH,
		"%s", e.text);
}

int images_push(struct request *r, struct sink *s, struct err *e)
{
	struct image_found f = {0};
	struct reference to;
	int n = reference_parse(request_string(r, "to"), &to, e);

	if (n == 0)
		n = image_find(r->c, request_string(r, "image"), &f, e);
	if (n == 0)
		n = registry_push(r->c, &f, &to, s, e);
	image_found_clear(&f);
	return n;
}

/* ---- logins ---- */

/* One line of what can be seen, within limits. */
static bool word_ok(const char *s, size_t most)
{
	size_t n = strlen(s);

	for (const char *c = s; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	return n > 0 && n <= most;
}

int registry_list(struct request *r)
{
	struct db_login *rows autofree = NULL;
	int n = db_login_list(r->c->db, &rows);

	if (n < 0)
		return request_fail_db(r, n, "logins");
	json_t *list = json_array();
	for (int i = 0; i < n; i++)
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:o}", "host", rows[i].host, "user",
				rows[i].user, "since", json_stamp(rows[i].created_us)));
	return request_reply(r, 200, list);
}

int registry_check_login(struct request *r)
{
	const char *host = request_string(r, "host"), *user = request_string(r, "user");

	if (!reference_host_valid(host))
		return request_fail(r, FAIL_USAGE,
			"\"%.200s\" is no registry's host: HOST[:PORT], in lower case",
			host);
	if (!word_ok(user, DB_LOGIN_USER_MAX) || strchr(user, ':'))
		return request_fail(r, FAIL_USAGE,
			"the user is a word of up to %d bytes without a colon",
			DB_LOGIN_USER_MAX);
	if (!word_ok(request_string(r, "password"), DB_LOGIN_PASSWORD_MAX))
		return request_fail(r, FAIL_USAGE,
			"the password is one line of up to %d bytes",
			DB_LOGIN_PASSWORD_MAX);
	return 0;
}

int registry_run_login(struct request *r, struct sink *s, struct err *e)
{
	return registry_login(r->c, request_string(r, "host"), request_string(r, "user"),
		request_string(r, "password"), s, e);
}

int registry_logout(struct request *r)
{
	const char *host = request_query(r, "host");
	int n = host ? db_login_remove(r->c->db, host) : -ENOENT;

	if (n == -ENOENT)
		return request_fail(r, FAIL_MISSING,
			"there is no login at %.200s: `berth registry:list` shows all",
			host ? host : "");
	return n < 0 ? request_fail_db(r, n, host)
		     : request_reply(r, 200, json_pack("{s:s}", "host", host));
}
