/* Images: what there is, what it is made of, names for it, and what may go. */
#include "control/images/images.h"
#include "control/api/handlers.h"
#include "control/api/transfer.h"
#include "control/data/retention.h"
#include "control/images/import.h"
#include "control/images/portable.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int fail_find(struct request *r, int code, const struct err *e)
{
	return request_fail(r,
		code == -EINVAL	  ? FAIL_USAGE
		: code == -ENOENT ? FAIL_MISSING
				  : FAIL_BERTH,
		"%s", e->text);
}

/* The image that query word `image` names. 0 or -1. */
static int find_image(struct request *r, const char *word, struct image_found *ret)
{
	const char *reference = request_query(r, word);
	struct err e = {0};

	*ret = (struct image_found){0};
	if (!reference)
		return request_fail(
			r, FAIL_USAGE, "which image? APP, APP:vN or NAME[:TAG]");
	int n = image_find(r->c, reference, ret, &e);
	return n < 0 ? fail_find(r, n, &e) : 0;
}

/* Of all layers, as far as they were counted. */
static json_int_t size_of(struct control *c, const json_t *layers)
{
	json_int_t sum = 0;
	json_t *id;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)layers, i, id) {
		struct db_layer l;

		if (db_layer_get(c->db, (uint64_t)json_integer_value(id), &l, NULL) == 0)
			sum += (json_int_t)l.size_bytes;
	}
	return sum;
}

static json_t *row_json(struct control *c, const char *name, const json_t *layers,
	uint64_t created_us, const char *use)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:o}", "name", name, "use", use, "layers",
		(json_int_t)json_array_size(layers), "size", size_of(c, layers),
		"created", json_stamp(created_us));
}

/* The releases of an app whose layers are kept. */
static int add_releases(struct request *r, const struct db_app *app, json_t *list)
{
	struct db_release *rows autofree = NULL;
	uint64_t kept = DB_RELEASES_KEPT;

	db_releases_kept(r->c->db, app->id, &kept);
	int n = db_release_list(r->c->db, app->id, (uint32_t)kept, &rows);

	for (int i = 0; i < n; i++) {
		struct db_image image;
		char name[TAG_NAME_MAX];
		const char *use = rows[i].version == app->live_version	   ? "live"
				  : rows[i].version == app->canary_version ? "canary"
									   : "rollback";

		if (strcmp(rows[i].status, "failed") != 0 &&
			db_image_get(r->c->db, rows[i].image, &image) == 0) {
			snprintf(
				name, sizeof(name), "%s:v%u", app->name, rows[i].version);
			json_array_append_new(list, row_json(r->c, name, image.layers,
							    image.created_us, use));
			db_image_clear(&image);
		}
		db_release_clear(&rows[i]);
	}
	return n;
}

static int add_tags(struct request *r, json_t *list)
{
	struct db_tag *rows autofree = NULL;
	int n = db_tag_list(r->c->db, &rows);

	for (int i = 0; i < n; i++) {
		json_array_append_new(list, row_json(r->c, rows[i].name, rows[i].layers,
						    rows[i].created_us, "tag"));
		db_tag_clear(&rows[i]);
	}
	return n;
}

int images_list(struct request *r)
{
	const char *name = request_query(r, "app");
	struct db_app only, *apps autofree = NULL;
	json_t *list;
	int n;

	if (name && request_app(r, name, &only) < 0)
		return -1;
	retention_count(r->c);
	list = json_array();
	n = name ? add_releases(r, &only, list) : db_app_list(r->c->db, &apps);
	for (int i = 0; !name && i < n; i++)
		if (access_role(&r->access, apps[i].id) >= ROLE_VIEW &&
			add_releases(r, &apps[i], list) < 0)
			n = -EIO;
	if (n >= 0 && !name && access_role(&r->access, 0) >= ROLE_VIEW)
		n = add_tags(r, list);
	if (n < 0) {
		json_decref(list);
		return request_fail_db(r, n, "images");
	}
	return request_reply(r, 200, list);
}

/* What made a layer, as a person reads it. */
static const char *made_by(const struct db_layer *l)
{
	static const char *const words[][2] = {{"stack", "base image"},
		{"toolchain", "packages of the buildpack"},
		{"deps", "dependencies of the lock file"},
		{"source", "files of the commit"}, {"build", "build step"},
		{"import", "imported"}};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcmp(words[i][0], l->kind) == 0)
			return words[i][1];
	return l->kind;
}

static json_t *layer_row(struct control *c, uint64_t id)
{
	struct db_layer l;
	json_t *meta = NULL;

	if (db_layer_get(c->db, id, &l, &meta) < 0)
		return json_pack("{s:I, s:s}", "id", (json_int_t)id, "made_by", "gone");
	const char *said = json_string_value(json_object_get(meta, "created_by"));
	json_t *o = json_pack("{s:I, s:s, s:s, s:I, s:s, s:o}", "id", (json_int_t)id,
		"kind", l.kind, "made_by", said ? said : made_by(&l), "size",
		(json_int_t)l.size_bytes, "digest", l.digest, "created",
		json_stamp(l.created_us));
	json_decref(meta);
	return o;
}

/* For what is asked without a stream. */
static void say_nothing(struct sink *s UNUSED, char kind UNUSED, const char *text UNUSED)
{
}

static const struct sink nobody = {.write = say_nothing, .watch_fd = -1};

int images_history(struct request *r)
{
	struct image_found f;
	struct sink s = nobody;
	struct err e = {0};
	json_t *id;
	size_t i;

	if (find_image(r, "image", &f) < 0)
		return -1;
	if (image_digests(r->c, f.layers, &s, &e) < 0) {
		image_found_clear(&f);
		return request_fail(r, FAIL_BERTH, "%s", e.text);
	}
	retention_count(r->c);
	json_t *list = json_array();
	json_array_foreach (f.layers, i, id)
		json_array_append_new(
			list, layer_row(r->c, (uint64_t)json_integer_value(id)));
	json_t *o = json_pack(
		"{s:s, s:o, s:O}", "name", f.name, "layers", list, "image", f.document);
	image_found_clear(&f);
	return request_reply(r, 200, o);
}

int images_tag(struct request *r)
{
	struct image_found f = {0};
	struct db_tag t = {0};
	struct err e = {0};
	int n = image_find(r->c, request_string(r, "image"), &f, &e);

	if (n == 0)
		n = image_name(request_string(r, "name"), t.name, &e);
	if (n < 0) {
		image_found_clear(&f);
		return fail_find(r, n, &e);
	}
	t.layers = f.layers;
	t.config = f.document;
	n = db_tag_put(r->c->db, &t);
	image_found_clear(&f);
	return n < 0 ? request_fail_db(r, n, t.name)
		     : request_reply(r, 200, json_pack("{s:s}", "name", t.name));
}

int images_untag(struct request *r)
{
	const char *reference = request_query(r, "image");
	char name[TAG_NAME_MAX];
	struct err e = {0};
	int n = reference ? image_name(reference, name, &e)
			  : err_set(&e, EINVAL, "which image? NAME[:TAG]");

	if (n < 0)
		return fail_find(r, n, &e);
	n = db_tag_remove(r->c->db, name);
	if (n == -ENOENT)
		return request_fail(r, FAIL_MISSING,
			"there is no image %s: `berth images:list` shows all", name);
	return n < 0 ? request_fail_db(r, n, name)
		     : request_reply(r, 200, json_pack("{s:s}", "name", name));
}

int images_prune(struct request *r)
{
	bool dry = request_bool(r, "dry_run", false);
	uint64_t since = retention_since(r->c), *ids autofree = NULL;

	retention_count(r->c);
	if (!dry)
		retention_stray(r->c);
	int n = db_layer_unused(r->c->db, DB_KEPT_USUAL, since, &ids);
	json_int_t bytes = 0;

	if (n < 0)
		return request_fail_db(r, n, "layers");
	json_t *list = json_array();
	for (int i = 0; i < n; i++) {
		json_t *row = layer_row(r->c, ids[i]);

		if (!dry && retention_remove(r->c, ids[i], since) < 0) {
			json_decref(row);
			continue;
		}
		bytes += json_integer_value(json_object_get(row, "size"));
		json_array_append_new(list, row);
	}
	return request_reply(r, 200,
		json_pack("{s:b, s:I, s:I, s:o}", "dry_run", dry, "count",
			(json_int_t)json_array_size(list), "bytes", bytes, "layers",
			list));
}

/* ---- export ---- */

struct export
{
	struct image_found image;
	char format[16];
};

static int export_run(struct transfer *t, struct sink *s, struct err *e)
{
	struct export *x = t->data;

	return image_export(t->c, &x->image, x->format, t->out, s, e);
}

static void export_clear(struct transfer *t)
{
	struct export *x = t->data;

	image_found_clear(&x->image);
	free(x);
}

int images_export(struct request *r)
{
	const char *format = request_string(r, "format");
	const char *compress = request_string(r, "compress");
	bool zstd = compress && strcmp(compress, "zstd") == 0;
	struct err e = {0};

	if (compress && ((!zstd && strcmp(compress, "gzip") != 0) ||
				(format && strcmp(format, "oci") != 0)))
		return request_fail(r, FAIL_USAGE,
			"layers of the format oci are compressed with gzip or zstd, "
			"others "
			"are not");
	struct export *x = calloc(1, sizeof(*x));
	if (!x)
		return request_fail(r, FAIL_BERTH, "out of memory");
	snprintf(x->format, sizeof(x->format), "%s",
		zstd	 ? "oci-zstd"
		: format ? format
			 : "oci");
	int n = image_find(r->c, request_string(r, "image"), &x->image, &e);
	if (n < 0) {
		image_found_clear(&x->image);
		free(x);
		return fail_find(r, n, &e);
	}
	return transfer_start(r,
		&(struct transfer){
			.c = r->c, .run = export_run, .clear = export_clear, .data = x});
}

/* ---- differences ---- */

/* The keys that differ; values of config are nobody's business here. */
static json_t *keys_diff(const json_t *from, const json_t *to, bool values)
{
	json_t *added = json_array(), *removed = json_array(), *changed = json_array();
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)(uintptr_t)from, key, v) {
		json_t *w = json_object_get(to, key);

		if (!w)
			json_array_append_new(removed, json_string(key));
		else if (!json_equal(v, w))
			json_array_append_new(
				changed, values ? json_pack("{s:s, s:O, s:O}", "name",
							  key, "from", v, "to", w)
						: json_string(key));
	}
	json_object_foreach ((json_t *)(uintptr_t)to, key, v)
		if (!json_object_get(from, key))
			json_array_append_new(added, json_string(key));
	return json_pack("{s:o, s:o, s:o}", "added", added, "removed", removed, "changed",
		changed);
}

/* files and packages of two images, and the process types of apps' images. NULL: failed, said in r. */
static json_t *images_compare(
	struct request *r, const struct image_found *a, const struct image_found *b)
{
	struct sink s = nobody;
	struct err e = {0};
	json_t *o = NULL;

	s.watch_fd = r->fd;
	if (image_compare(r->c, a, b, &s, &o, &e) < 0) {
		request_fail(r, FAIL_BERTH, "%s", e.text);
		return NULL;
	}
	json_object_set_new(o, "from", json_string(a->name));
	json_object_set_new(o, "to", json_string(b->name));
	if (a->processes && b->processes)
		json_object_set_new(
			o, "processes", keys_diff(a->processes, b->processes, true));
	return o;
}

int images_diff(struct request *r)
{
	struct image_found a = {0}, b = {0};
	json_t *o = NULL;

	if (find_image(r, "from", &a) == 0 && find_image(r, "to", &b) == 0)
		o = images_compare(r, &a, &b);
	image_found_clear(&a);
	image_found_clear(&b);
	return o ? request_reply(r, 200, o) : -1;
}

static int find_release(struct request *r, const char *word, struct db_release *ret,
	struct image_found *image)
{
	const char *text = request_query(r, word);
	char reference[TAG_NAME_MAX];
	struct err e = {0};
	uint64_t version;

	if (!text || num_parse_u64(
			     *text == 'v' ? text + 1 : text, 1, UINT32_MAX, &version) < 0)
		return request_fail(
			r, FAIL_USAGE, "which two releases? From one like v3 to another");
	snprintf(reference, sizeof(reference), "%s:v%u", r->app.name,
		(unsigned int)version);
	int n = image_find(r->c, reference, image, &e);
	if (n < 0)
		return fail_find(r, n, &e);
	n = db_release_get(r->c->db, r->app.id, (uint32_t)version, ret);
	return n < 0 ? request_fail_db(r, n, reference) : 0;
}

int releases_diff(struct request *r)
{
	struct image_found a = {0}, b = {0};
	struct db_release from = {0}, to = {0};
	json_t *o = NULL;

	if (find_release(r, "from", &from, &a) == 0 &&
		find_release(r, "to", &to, &b) == 0)
		o = images_compare(r, &a, &b);
	if (o)
		json_object_set_new(
			o, "config", keys_diff(from.config, to.config, false));
	db_release_clear(&from);
	db_release_clear(&to);
	image_found_clear(&a);
	image_found_clear(&b);
	return o ? request_reply(r, 200, o) : -1;
}

/* ---- import ---- */

static int import_run(struct transfer *t, struct sink *s, struct err *e)
{
	const json_t *body = t->data;
	struct image_import i = {.fd = t->in,
		.name = json_string_value(json_object_get(body, "name")),
		.cmd = json_object_get(body, "cmd"),
		.env = json_object_get(body, "env"),
		.workdir = json_string_value(json_object_get(body, "workdir")),
		.user = json_string_value(json_object_get(body, "user"))};
	char name[TAG_NAME_MAX];
	int r = image_import(t->c, &i, s, name, e);

	if (r == 0)
		sink_step(s, "Imported %s", name);
	return r;
}

static void import_clear(struct transfer *t)
{
	json_decref(t->data);
}

static bool all_words(const json_t *list)
{
	json_t *v;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)list, i, v)
		if (!json_is_string(v) ||
			strlen(json_string_value(v)) != json_string_length(v))
			return false;
	return true;
}

int images_import(struct request *r)
{
	const char *workdir = request_string(r, "workdir");

	if (!all_words(request_json(r, "cmd")) || !all_words(request_json(r, "env")))
		return request_fail(r, FAIL_USAGE,
			"cmd and env are lists of words without NUL bytes");
	if (workdir && workdir[0] != '/')
		return request_fail(r, FAIL_USAGE, "workdir must be an absolute path");
	return transfer_start(r, &(struct transfer){.c = r->c,
					 .run = import_run,
					 .clear = import_clear,
					 .data = json_incref(r->body)});
}
