/* backup:create: everything of a host, or of one app, into a store. */
#include "backup/run.h"
#include "backup/tree.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct creating {
	const struct options *o;
	struct store *s;
	struct talk t;
	json_t *list, *items, *before; /* before: the list of the last backup, or NULL */
	uint64_t read, all;	       /* bytes of files that came, and that there are */
};

/* ---- bytes ---- */

struct taking {
	struct blob blob;
	EVP_MD_CTX *digest;
};

/* FRAME_DATA up to FRAME_END. */
static int take_blob(struct creating *c, struct taking *y, struct err *e)
{
	int r;

	while ((r = frame_read(c->t.out, &c->t.f)) == 0 && c->t.f.kind == FRAME_DATA) {
		EVP_DigestUpdate(y->digest, c->t.f.body.data, c->t.f.body.len);
		r = blob_write(&y->blob, c->t.f.body.data, c->t.f.body.len, e);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return err_sys(e, -r, "what berth sends was cut off");
	if (c->t.f.kind != FRAME_END)
		return err_set(e, EIO, "%.*s", (int)c->t.f.body.len, c->t.f.body.data);
	return blob_end(&y->blob, e);
}

static json_t *blob_item(const char *kind, struct taking *y)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char hex[2 * ID_SIZE + 1];

	EVP_DigestFinal_ex(y->digest, digest, NULL);
	id_hex(digest, hex);
	return json_pack("{s:s, s:I, s:s, s:o}", "kind", kind, "bytes",
		(json_int_t)y->blob.bytes, "digest", hex, "chunks",
		ids_json(&y->blob.ids));
}

static void taking_open(struct taking *y, struct store *s)
{
	blob_open(&y->blob, s);
	y->digest = EVP_MD_CTX_new();
	if (!y->digest || EVP_DigestInit_ex(y->digest, EVP_sha256(), NULL) != 1)
		abort();
}

static void taking_free(struct taking *y)
{
	blob_free(&y->blob);
	EVP_MD_CTX_free(y->digest);
}

/* Asks for bytes; *ret is the item, *ret_said (may be NULL) what follows them. */
static int get_blob(struct creating *c, const char *kind, json_t *request, json_t **ret,
	json_t **ret_said, struct err *e)
{
	struct taking y;
	json_t *said = NULL;
	int r = talk_ask(&c->t, request, e);

	taking_open(&y, c->s);
	if (r == 0)
		r = take_blob(c, &y, e);
	if (r == 0)
		r = talk_answer(&c->t, &said, e);
	if (r == 0)
		*ret = blob_item(kind, &y);
	if (ret_said)
		*ret_said = json_incref(said);
	json_decref(said);
	taking_free(&y);
	return r;
}

static int get_database(struct creating *c, struct err *e)
{
	json_t *item;
	int r = get_blob(
		c, "database", json_pack("{s:s}", "op", "database"), &item, NULL, e);

	if (r == 0)
		json_array_append_new(c->items, item);
	return r;
}

/* Small: their text is a blob. */
static int get_keys(struct creating *c, struct err *e)
{
	json_t *said = NULL;
	struct taking y;
	int r = talk_ask(&c->t, json_pack("{s:s}", "op", "keys"), e);

	if (r == 0)
		r = talk_answer(&c->t, &said, e);
	if (r < 0)
		return r;
	char *text autofree = json_dumps(said, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(said);
	taking_open(&y, c->s);
	EVP_DigestUpdate(y.digest, text ? text : "", text ? strlen(text) : 0);
	r = text ? blob_write(&y.blob, text, strlen(text), e) : -ENOMEM;
	if (r == 0)
		r = blob_end(&y.blob, e);
	if (r == 0)
		json_array_append_new(c->items, blob_item("keys", &y));
	taking_free(&y);
	if (text)
		explicit_bzero(text, strlen(text));
	return r;
}

/* ---- trees ---- */

int tree_again(
	struct talk *t, struct store *s, json_t *request, json_t **ret, struct err *e)
{
	struct known none = {0};
	json_t *said = NULL;
	int r = talk_ask(t, request, e);

	if (r == 0)
		r = talk_failed(t, known_send(&none, t->in, e), e);
	if (r == 0)
		r = tree_put(s, NULL, t->out, ret, e);
	if (r == 0)
		r = talk_answer(t, &said, e);
	json_decref(said);
	return r;
}

/* One reading; with next NULL the last one. */
static int read_tree(struct creating *c, json_t *request, struct known *known,
	struct known *next, json_t **ret, json_t **ret_said, struct err *e)
{
	int r = talk_ask(&c->t, request, e);

	if (r == 0)
		r = talk_failed(&c->t, known_send(known, c->t.in, e), e);
	if (r == 0)
		r = next ? tree_put_first(c->s, known, c->t.out, next, e)
			 : tree_put(c->s, known, c->t.out, ret, e);
	return r == 0 ? talk_answer(&c->t, ret_said, e) : r;
}

static void say_tree(struct creating *c, const json_t *item, const json_t *said)
{
	const char *kind = text_of(item, "kind"), *name = text_of(item, "name");
	const json_t *pause = json_object_get(said, "pause_us");
	char frozen[64] = "";

	if (pause)
		snprintf(frozen, sizeof(frozen), ", frozen for %.1f ms",
			(double)json_integer_value(pause) / 1000);
	if (!c->o->quiet)
		say_detail("%s %s: %llu files, %llu of them not read again, %s read%s",
			kind, name, (unsigned long long)number_of(item, "entries"),
			(unsigned long long)number_of(item, "same"),
			size_text(number_of(item, "bytes")), frozen);
	if (number_of(item, "left_out"))
		say_detail("%s %s: %llu sockets, devices and the like left out", kind,
			name, (unsigned long long)number_of(item, "left_out"));
	say_lost(item);
}

static int get_tree(struct creating *c, const char *kind, const char *name, uint64_t id,
	bool twice, json_t *request, struct err *e)
{
	const json_t *last = item_find(c->before, kind, name, id);
	struct known known, next = {0};
	struct err why = {0};
	json_t *item = NULL, *said = NULL;
	int r = 0;

	if (known_read(&known, c->s, json_object_get(last, "chunks"), &why) < 0)
		say_fail("%s %s is read whole: of the last backup, %s", kind, name,
			why.text);
	if (twice) {
		r = read_tree(c, json_copy(request), &known, &next, NULL, &said, e);
		json_decref(said);
		said = NULL;
		json_object_set_new(request, "frozen", json_true());
	}
	if (r == 0)
		r = read_tree(c, json_incref(request), twice ? &next : &known, NULL,
			&item, &said, e);
	json_decref(request);
	known_free(&known);
	known_free(&next);
	if (r == 0) {
		json_object_set_new(item, "kind", json_string(kind));
		json_object_set_new(item, "name", json_string(name));
		if (id)
			json_object_set_new(item, "id", json_integer((json_int_t)id));
		json_array_append(c->items, item);
		say_tree(c, item, said);
	}
	json_decref(item);
	json_decref(said);
	return r;
}

static int get_trees(struct creating *c, const json_t *plan, struct err *e)
{
	json_t *row;
	size_t i;
	int r = 0;

	json_array_foreach (json_object_get(plan, "volumes"), i, row) {
		const uint64_t id = number_of(row, "id");

		if (r == 0)
			r = get_tree(c, "volume", text_of(row, "name"), id,
				json_is_true(json_object_get(row, "used")),
				json_pack("{s:s, s:I}", "op", "volume", "id",
					(json_int_t)id),
				e);
	}
	json_array_foreach (json_object_get(plan, "repos"), i, row)
		if (r == 0)
			r = get_tree(c, "repo", json_string_value(row), 0, false,
				json_pack("{s:s, s:O}", "op", "repo", "app", row), e);
	if (r == 0 && json_is_true(json_object_get(plan, "acme")))
		r = get_tree(c, "acme", "accounts", 0, false,
			json_pack("{s:s}", "op", "acme"), e);
	return r;
}

/* ---- layers ---- */

/* The same layer of the same host in the last backup, with all its chunks there. */
static const json_t *layer_before(struct creating *c, const json_t *row)
{
	const json_t *last =
		item_find(c->before, "layer", text_of(row, "key"), number_of(row, "id"));
	unsigned char id[ID_SIZE];
	json_t *v;
	size_t i;

	if (!last || strcmp(text_of(c->before, "host"), text_of(c->list, "host")) != 0)
		return NULL;
	json_array_foreach (json_object_get(last, "chunks"), i, v)
		if (id_parse(json_string_value(v), id) < 0 || !store_has(c->s, id))
			return NULL;
	return last;
}

static int get_layer(struct creating *c, const json_t *row, struct err *e)
{
	const json_t *last = layer_before(c, row);
	json_t *item = last ? json_deep_copy(last) : NULL, *said = NULL;
	int r = 0;

	if (!item) {
		r = get_blob(c, "layer",
			json_pack("{s:s, s:O}", "op", "layer", "id",
				json_object_get(row, "id")),
			&item, &said, e);
		if (r < 0)
			return r;
		const char *diff_id = text_of(said, "diff_id");
		json_object_set_new(item, "diff_id",
			json_string(strncmp(diff_id, "sha256:", 7) == 0 ? diff_id + 7
									: diff_id));
		json_decref(said);
		/* The tar that came is the layer whose digest was told. */
		if (strcmp(text_of(item, "diff_id"), text_of(item, "digest")) != 0)
			r = err_set(e, EBADMSG, "a layer changed on its way");
		c->read += number_of(item, "bytes");
	}
	json_object_set(item, "id", json_object_get(row, "id"));
	json_object_set(item, "name", json_object_get(row, "key"));
	json_object_set(item, "layer", json_object_get(row, "kind"));
	json_array_append_new(c->items, item);
	return r;
}

static int get_layers(struct creating *c, const json_t *plan, struct err *e)
{
	const json_t *layers = json_object_get(plan, "layers");
	json_t *row;
	size_t i;
	int r = 0;

	json_array_foreach ((json_t *)(uintptr_t)layers, i, row)
		if (r == 0)
			r = get_layer(c, row, e);
	if (r == 0 && !c->o->quiet)
		say_detail("%zu layers, %s of them read", json_array_size(layers),
			size_text(c->read));
	return r;
}

/* ---- the whole ---- */

/* Names are in the order of time: microseconds come after the second, then what is random. */
static void make_id(char out[STORE_ID_MAX])
{
	uint16_t random = 0;
	struct timespec now;
	struct tm tm;
	char stamp[32];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	RAND_bytes((unsigned char *)&random, sizeof(random));
	snprintf(out, STORE_ID_MAX, "%s-%05lx%03x", stamp, now.tv_nsec / 1000,
		random & 0xfffu);
}

/* Of the same app or of all, newest first. */
static json_t *last_list(struct creating *c)
{
	char(*ids)[STORE_ID_MAX] autofree = NULL;
	struct err e = {0};
	int n = store_is_folder(c->s) ? store_list(c->s, &ids, &e) : 0;
	const char *app = c->o->app ? c->o->app : "";

	for (int i = n - 1; i >= 0; i--) {
		json_t *list = NULL;

		if (list_read(c->s, ids[i], &list, &e) < 0) {
			say_fail("%s", e.text);
			continue;
		}
		if (strcmp(text_of(list, "app"), app) == 0)
			return list;
		json_decref(list);
	}
	return NULL;
}

static json_t *new_list(struct creating *c)
{
	char id[STORE_ID_MAX], host[256] = "";

	make_id(id);
	gethostname(host, sizeof(host) - 1);
	c->items = json_array();
	return json_pack("{s:i, s:s, s:I, s:s, s:s, s:o}", "format", LIST_FORMAT, "id",
		id, "time", (json_int_t)time(NULL), "host", host, "app",
		c->o->app ? c->o->app : "", "items", c->items);
}

static int get_all(struct creating *c, struct err *e)
{
	json_t *plan = NULL;
	int r = talk_open(
		&c->t, NULL, json_pack("{s:s, s:s*}", "op", "take", "app", c->o->app), e);

	if (r == 0)
		r = talk_answer(&c->t, &plan, e);
	json_object_set(c->list, "apps", json_object_get(plan, "apps"));
	if (r == 0)
		r = get_database(c, e);
	if (r == 0)
		r = get_keys(c, e);
	if (r == 0)
		r = get_trees(c, plan, e);
	if (r == 0)
		r = get_layers(c, plan, e);
	json_decref(plan);
	talk_close(&c->t);
	return r;
}

static void say_done(struct creating *c)
{
	struct store_sums n = store_sums(c->s);

	if (c->o->json && strcmp(c->o->place, "-") != 0)
		printf("{\"id\":\"%s\",\"chunks\":%llu,\"new_chunks\":%llu,\"new_bytes\":"
		       "%llu,"
		       "\"written\":%llu}\n",
			text_of(c->list, "id"), (unsigned long long)n.chunks,
			(unsigned long long)n.new_chunks, (unsigned long long)n.new_bytes,
			(unsigned long long)n.written);
	else
		say_step("Backup %s: %zu apps, %s new, %s written",
			text_of(c->list, "id"),
			json_array_size(json_object_get(c->list, "apps")),
			size_text(n.new_bytes), size_text(n.written));
}

int run_create(const struct options *o, struct err *e)
{
	struct creating c = {.o = o};
	int r;

	if (strcmp(o->place, "-") == 0 && isatty(STDOUT_FILENO))
		return err_set(e, EINVAL,
			"a backup is no text: send it into a file with >, or --to FILE");
	r = store_make(o->place, &o->secret, &c.s, e);
	if (r < 0)
		return r;
	c.t.client.fd = -1;
	c.before = last_list(&c);
	c.list = new_list(&c);
	r = get_all(&c, e);
	if (r == 0)
		r = store_finish(c.s, text_of(c.list, "id"), c.list, e);
	if (r == 0)
		say_done(&c);
	else if (!store_is_folder(c.s) && strcmp(o->place, "-") != 0)
		unlink(o->place);
	store_close(c.s);
	json_decref(c.before);
	json_decref(c.list);
	return r;
}
