/* Images to and from registries, by name. */
#include "control/images/registry.h"
#include "control/images/import.h"
#include "control/images/portable.h"
#include "control/images/registry_talk.h"
#include "control/spool.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_int running;

static int enter(struct err *e)
{
	if (atomic_fetch_add(&running, 1) < REGISTRY_TRANSFERS_MAX)
		return 0;
	atomic_fetch_sub(&running, 1);
	return err_set(e, EBUSY,
		"%d transfers with registries run already: try again when one is done",
		REGISTRY_TRANSFERS_MAX);
}

static void leave(void)
{
	atomic_fetch_sub(&running, 1);
}

/* NULL: out of memory. */
static json_t *order(
	const char *op, const struct reference *f, const char *user, const char *password)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "op", op, "host", f->host,
		"repository", f->path, "reference", f->digest[0] ? f->digest : f->tag);

	if (o && user) {
		json_object_set_new(o, "user", json_string(user));
		json_object_set_new(o, "password", json_string(password));
	}
	return o;
}

/* With the host's login, if there is one. */
static int start(struct control *c, struct talk *t, const char *op,
	const struct reference *f, int archive, uint64_t max_bytes, struct sink *s,
	struct err *e)
{
	struct db_login login = {0};
	int r = db_login_get(c->db, f->host, &login);

	*t = (struct talk){.sock = -1};
	if (r < 0 && r != -ENOENT)
		return err_sys(e, -r, "read the login at %s", f->host);
	json_t *o = order(op, f, r == 0 ? login.user : NULL, login.password);
	json_object_set_new(o, "max_bytes", json_integer((json_int_t)max_bytes));
	db_login_clear(&login);
	return talk_start(t, archive, o, s, e);
}

/* The text of its last answer, "done"; "" where it says nothing. */
static int hear_done(struct talk *t, char ret[72], struct err *e)
{
	json_t *o = NULL;
	int r = talk_hear(t, &o, e);
	const char *text = json_string_value(json_object_get(o, "done"));

	if (r == 0 && !text)
		r = err_set(e, EPROTO, "berth-registry gave another answer");
	if (r == 0)
		snprintf(ret, 72, "%s", text);
	json_decref(o);
	return r;
}

/* ---- pull ---- */

struct pulling {
	struct control *c;
	const struct reference *from;
	char digest[72];
};

/* Which of them it shall fetch, by what they are when unpacked. */
static int choose(struct control *c, struct talk *t, const json_t *layers, struct err *e)
{
	char ids[PROTO_LAYERS_MAX][65];
	bool has[PROTO_LAYERS_MAX];
	json_t *want = json_array(), *row;
	size_t i, n = json_array_size(layers);
	bool ok = n > 0 && n <= PROTO_LAYERS_MAX;

	json_array_foreach ((json_t *)(uintptr_t)layers, i, row) {
		const char *id = json_string_value(json_object_get(row, "diff_id"));

		ok = ok && id && strlen(id) == 71;
		if (ok)
			snprintf(ids[i], sizeof(ids[i]), "%s", id + 7);
	}
	if (!ok) {
		json_decref(want);
		return err_set(e, EBADMSG, "the image has %zu layers that are named", n);
	}
	image_import_has(c, (const char(*)[65])ids, n, has);
	for (i = 0; i < n; i++)
		json_array_append_new(want, json_boolean(!has[i]));
	return talk_tell(t, json_pack("{s:o}", "want", want), e);
}

static int fetch(void *arg, int to, uint64_t max_bytes, struct sink *s, struct err *e)
{
	struct pulling *p = arg;
	struct talk t;
	json_t *o = NULL;
	int r = start(p->c, &t, "pull", p->from, to, max_bytes, s, e);

	if (r == 0)
		r = talk_hear(&t, &o, e);
	if (r == 0)
		r = choose(p->c, &t, json_object_get(o, "layers"), e);
	json_decref(o);
	if (r == 0)
		r = hear_done(&t, p->digest, e);
	talk_end(&t);
	return r;
}

int registry_pull(struct control *c, const struct reference *from, const char *name,
	struct sink *s, struct err *e)
{
	struct pulling p = {.c = c, .from = from};
	const struct image_import i = {
		.fd = -1, .fetch = fetch, .fetch_arg = &p, .name = name};
	char own[TAG_NAME_MAX];
	int r = enter(e);

	if (r < 0)
		return r;
	sink_step(s, "Fetching %s from %s", from->path, from->host);
	r = image_import(c, &i, s, own, e);
	leave();
	if (r == 0) {
		sink_detail(s, "%s", p.digest);
		sink_step(s, "Pulled %s", own);
	}
	return r;
}

/* ---- push ---- */

struct pushing {
	struct talk t;
	char digest[72]; /* of the manifest */
};

static int has(void *arg, const char *digest, struct err *e)
{
	struct pushing *p = arg;
	char said[72];
	int r = talk_tell(&p->t, json_pack("{s:s}", "has", digest), e);

	if (r == 0)
		r = hear_done(&p->t, said, e);
	return r < 0 ? r : said[0] != '\0';
}

static int tell_blob(struct pushing *p, const char *what, const struct image_blob *b,
	char ret_said[72], struct err *e)
{
	int r = talk_tell(&p->t,
		json_pack("{s:s, s:s, s:I, s:I}", what, b->digest, "title", b->title,
			"size", (json_int_t)b->size, "offset", (json_int_t)b->offset),
		e);

	return r < 0 ? r : hear_done(&p->t, ret_said, e);
}

static int send_blob(void *arg, const struct image_blob *b, struct err *e)
{
	char said[72];
	int r = tell_blob(arg, "blob", b, said, e);

	return r < 0 ? r : !said[0];
}

static int send_manifest(void *arg, const struct image_blob *b, struct err *e)
{
	struct pushing *p = arg;

	return tell_blob(p, "manifest", b, p->digest, e);
}

static int push(struct control *c, const struct image_found *image,
	const struct reference *to, struct sink *s, struct err *e)
{
	struct pushing p = {0};
	const struct image_receiver receiver = {
		.has = has, .blob = send_blob, .manifest = send_manifest, .arg = &p};
	int spool autoclose = spool_file(c, e);
	int r = spool < 0 ? spool : start(c, &p.t, "push", to, spool, 0, s, e);

	if (spool < 0)
		return r;
	if (r == 0)
		r = image_send(c, image, spool, &receiver, s, e);
	talk_end(&p.t);
	if (r == 0) {
		sink_detail(s, "%s", p.digest);
		sink_step(s, "Pushed %s as %s/%s:%s", image->name, to->host, to->path,
			to->tag);
	}
	return r;
}

int registry_push(struct control *c, const struct image_found *image,
	const struct reference *to, struct sink *s, struct err *e)
{
	int r = enter(e);

	if (r < 0)
		return r;
	sink_step(s, "Sending %s to %s", image->name, to->host);
	r = push(c, image, to, s, e);
	leave();
	return r;
}

/* ---- logins ---- */

int registry_login(struct control *c, const char *host, const char *user,
	const char *password, struct sink *s, struct err *e)
{
	struct reference f = {0};
	struct talk t = {.sock = -1};
	char said[72];
	int r = enter(e);

	if (r < 0)
		return r;
	snprintf(f.host, sizeof(f.host), "%s", host);
	r = talk_start(&t, -1, order("login", &f, user, password), s, e);
	if (r == 0)
		r = hear_done(&t, said, e);
	talk_end(&t);
	leave();
	if (r == 0 && (r = db_login_put(c->db, host, user, password)) < 0)
		err_sys(e, -r, "keep the login");
	if (r == 0)
		sink_step(s, "Logged in at %s as %s", host, user);
	return r;
}
