/* What the ssh side asks: may this key push or fetch, and deploy what was pushed. */
#include "control/api/handlers.h"
#include "control/api/transfer.h"
#include "control/builds/archive.h"
#include "control/deploy/push_options.h"
#include "control/images/images.h"
#include "control/repos.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REF_MAX 255

static int make(struct request *r, void *arg UNUSED)
{
	const char *name = r->args[0];
	char detail[AUTH_FROM_MAX + 32];
	uint32_t id;
	int n = db_app_create(r->c->db, name, &id);

	if (n == -EEXIST)
		return 0; /* two first pushes at once: the other one made it */
	if (n < 0 || (n = access_made(r->c, &r->access, id)) < 0)
		return request_fail_db(r, n, name);
	snprintf(detail, sizeof(detail), "by a first push%s%s",
		r->who.from[0] ? " from=" : "", r->who.from);
	const struct db_event made = {.actor = r->who.actor,
		.what = "apps:create",
		.app = name,
		.detail = detail,
		.outcome = "ok"};
	n = db_event_add(r->c->db, &made);
	return n < 0 ? request_fail_db(r, n, name) : 0;
}

/* The first push makes the app, unless that was switched off. */
static int create(struct request *r, const char *name)
{
	if (!access_creates(r->c, &r->access)) {
		request_app(r, name, &r->app); /* there is none */
		return request_hint(r,
			"creating it needs the role admin on all apps: "
			"berth access:add --global %s admin",
			r->access.name);
	}
	if (!settings_is_on(r->c, 0, "apps", "autocreate", true)) {
		request_fail(r, FAIL_NO_APP,
			"there is no app named %s, and pushing does not create apps here",
			name);
		return request_hint(r, "create it first: berth apps:create %s", name);
	}
	if (request_whole(r, name, make, NULL) < 0)
		return -1;
	int n = db_app_by_name(r->c->db, name, &r->app);
	return n < 0 ? request_fail_db(r, n, name) : 0;
}

/* Whoever knew the app by that name means it, and no new one. */
static bool was_called_so(struct request *r, const char *name)
{
	struct db_app a;

	return db_app_by_former_name(r->c->db, name, &a) == 0 &&
	       access_role(&r->access, a.id) >= ROLE_VIEW;
}

/* Its commits are its parent's. */
static int refuse_preview(struct request *r)
{
	struct db_preview p;

	if (db_preview_get(r->c->db, r->app.id, &p) < 0)
		return 0;
	request_fail(r, FAIL_CONFLICT, "%s is the preview of %s's branch %.100s",
		r->app.name, p.parent_name, p.branch);
	return request_hint(r, "push and fetch that branch of %s", p.parent_name);
}

int git_access(struct request *r)
{
	const char *service = request_string(r, "service"), *name = r->args[0];
	bool push = strcmp(service, "receive-pack") == 0, created = false;
	char to[NAME_MAX_LEN + 1];

	if (!push && strcmp(service, "upload-pack") != 0)
		return request_fail(
			r, FAIL_USAGE, "service must be receive-pack or upload-pack");
	if (request_name(r, "app", name) < 0)
		return -1;
	int n = db_app_by_name(r->c->db, name, &r->app);
	if (n == 0 && access_role(&r->access, r->app.id) < ROLE_VIEW)
		n = -ENOENT; /* creating it fails like that of one that is not there */
	if (n == -ENOENT && push && !was_called_so(r, name)) {
		if (create(r, name) < 0)
			return -1;
		created = true;
	} else if (n < 0) {
		return request_app(r, name, &r->app); /* says it with a hint */
	}
	/* Also to fetch: the source says more than reports do. */
	if (access_need(r, &r->app, ROLE_DEPLOY) < 0)
		return -1;
	if (refuse_preview(r) < 0)
		return -1;
	if (db_app_renaming(r->c->db, r->app.id, to) > 0)
		return request_fail(r, FAIL_CONFLICT,
			"%s is getting another name just now: try again", name);
	if (push && request_unlocked(r, &r->app) < 0)
		return -1;
	struct db_pushed p;
	char release[REPO_RELEASE_REF];
	json_t *answer =
		json_pack("{s:b, s:I}", "created", created, "id", (json_int_t)r->app.id);
	if (deploy_ref_behind(r->c, &r->app, &p)) {
		repo_release_ref(release, p.app == r->app.id ? 0 : p.app, p.version);
		json_object_set_new(answer, "behind",
			json_pack("{s:s, s:s, s:s, s:s}", "ref", p.ref, "release",
				release, "old", p.old, "commit", p.new));
	}
	return request_reply(r, 200, answer);
}

static bool is_oid(const char *s)
{
	return strlen(s) == 40 && strspn(s, "0123456789abcdef") == 40;
}

static int check_options(struct request *r)
{
	const char *key;
	struct err e;
	json_t *v;

	json_object_foreach (request_json(r, "options"), key, v) {
		if (!json_is_string(v) ||
			strlen(json_string_value(v)) != json_string_length(v))
			return request_fail(
				r, FAIL_USAGE, "the push option %.80s must be text", key);
	}
	return push_options_check(request_json(r, "options"), &e) < 0
		       ? request_fail(r, FAIL_USAGE, "%s", e.text)
		       : 0;
}

int git_check_update(struct request *r)
{
	const char *ref = request_string(r, "ref");

	if (strncmp(ref, "refs/", 5) != 0 || strlen(ref) > REF_MAX)
		return request_fail(r, FAIL_USAGE,
			"\"%.80s\" is not the name of a ref that can be pushed here",
			ref);
	for (const char *c = ref; *c; c++) {
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return request_fail(r, FAIL_USAGE,
				"the ref's name holds a blank or a control character");
	}
	if (!is_oid(request_string(r, "old")) || !is_oid(request_string(r, "new")))
		return request_fail(
			r, FAIL_USAGE, "old and new must be 40 hexadecimal digits");
	return check_options(r);
}

int git_update(struct request *r, struct sink *s, struct err *e)
{
	struct push p = {
		.ref = request_string(r, "ref"),
		.old_oid = request_string(r, "old"),
		.new_oid = request_string(r, "new"),
		.options = request_json(r, "options"),
		.actor = r->who.actor,
	};

	return deploy_push(r->c, r->app.name, &p, s, e);
}

int git_check_image(struct request *r)
{
	const char *reference = request_string(r, "image");
	json_t *layers = NULL, *config = NULL;
	struct err e = {0};
	int n = image_base(r->c, reference, &layers, &config, &e);

	json_decref(layers);
	json_decref(config);
	if (n == 0)
		return 0;
	return request_fail(r,
		n == -ENOENT   ? FAIL_MISSING
		: n == -EINVAL ? FAIL_USAGE
			       : FAIL_BERTH,
		"%s", e.text);
}

int git_from_image(struct request *r, struct sink *s, struct err *e)
{
	return deploy_image(
		r->c, r->app.id, request_string(r, "image"), r->who.actor, s, e);
}

/* ---- a source archive ---- */

struct archive {
	json_t *body;
	struct db_app app;
	char actor[sizeof(((struct identity *)0)->actor)];
};

static int archive_run(struct transfer *t, struct sink *s, struct err *e)
{
	const struct archive *a = t->data;
	const struct archive_order o = {.in = t->in,
		.out = t->out,
		.message = json_string_value(json_object_get(a->body, "message")),
		.author = json_string_value(json_object_get(a->body, "author")),
		.force = json_is_true(json_object_get(a->body, "force")),
		.actor = a->actor};

	return archive_commit(t->c, &a->app, &o, s, e);
}

static void archive_clear(struct transfer *t)
{
	struct archive *a = t->data;

	json_decref(a->body);
	free(a);
}

int git_from_archive(struct request *r)
{
	const char *author = request_string(r, "author"),
		   *message = request_string(r, "message");
	struct archive *a;

	if (author && !archive_author_valid(author))
		return request_fail(
			r, FAIL_USAGE, "\"%.80s\" is no author: \"NAME <MAIL>\"", author);
	if (message && (!*message || strlen(message) > ARCHIVE_MESSAGE_MAX))
		return request_fail(r, FAIL_USAGE, "a message has 1 to %u bytes",
			ARCHIVE_MESSAGE_MAX);
	a = calloc(1, sizeof(*a));
	if (!a)
		return request_fail(r, FAIL_BERTH, "out of memory");
	*a = (struct archive){.body = json_incref(r->body), .app = r->app};
	snprintf(a->actor, sizeof(a->actor), "%s", r->who.actor);
	return transfer_start(r, &(struct transfer){.c = r->c,
					 .run = archive_run,
					 .clear = archive_clear,
					 .data = a});
}
