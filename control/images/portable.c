/* Images as archives, and what differs between two. */
#include "control/images/portable.h"
#include "control/builds/step.h"
#include "lib/io.h"
#include "lib/tar.h"
#include <errno.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LAYER "/tmp/layer" /* buildpacks/image/image_steps.c reads them there */
#define BELOW "/tmp/below"
#define MERGED "/tmp/merged"
#define OTHER "/tmp/other"

static void add_mount(struct step *st, struct msg_mount *mounts, uint32_t kind,
	uint64_t id, const char *path)
{
	struct msg_mount *m = &mounts[st->n_mounts++];

	*m = (struct msg_mount){.id = id, .kind = kind};
	snprintf(m->path, sizeof(m->path), "%s", path);
	st->mounts = mounts;
}

/* Runs command over layers: the lowest is the root, as any would do; the mounts number them as they come. */
static int run(struct control *c, struct step *st, const json_t *layers, struct sink *s,
	json_t **ret, struct err *e)
{
	json_t *root = json_array(), *others = json_array(), *id;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)layers, i, id)
		json_array_append(i ? others : root, id);
	st->app = STEP_NO_APP;
	st->profile = PROFILE_BUILD_ROOT;
	st->flags = START_NO_NET;
	st->stdin_fd = -1;
	st->layers = root;
	st->others = others;
	int r = json_array_size(layers) > PROTO_LAYERS_MAX
			? err_set(e, E2BIG, "more than %d layers", PROTO_LAYERS_MAX)
			: step_run(c, st, s, ret, e);
	json_decref(root);
	json_decref(others);
	return r;
}

/* What an import could not set in a sandbox; allocated, NULL: nothing. */
static char *capabilities_of(struct control *c, uint64_t layer)
{
	struct db_layer l;
	json_t *meta = NULL, *all;
	char *text = NULL, *pair = NULL;

	if (db_layer_get(c->db, layer, &l, &meta) < 0)
		return NULL;
	all = json_object_get(meta, "capabilities");
	if (json_object_size(all))
		text = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(meta);
	if (text && asprintf(&pair, "BERTH_CAPABILITIES=%s", text) < 0)
		pair = NULL;
	free(text);
	return pair;
}

static void keep_digests(
	struct control *c, uint64_t layer, const char *form, const json_t *said)
{
	db_layer_set_digest(
		c->db, layer, json_string_value(json_object_get(said, "diff_id")));
	if (strcmp(form, "oci") == 0)
		db_layer_set_blob(c->db, layer,
			json_string_value(json_object_get(said, "digest")),
			(uint64_t)json_integer_value(json_object_get(said, "size")));
}

/* One layer by `berth-build layer FORM`. */
static int read_layer(struct control *c, const json_t *layers, size_t i, const char *form,
	int fd, struct sink *s, json_t **ret, struct err *e)
{
	char *capabilities autofree = capabilities_of(
		c, (uint64_t)json_integer_value(json_array_get(layers, i)));
	const char *env[] = {capabilities, NULL};
	struct step st = {
		.command = "layer", .argument = form, .output_fd = fd, .env = env};
	struct msg_mount mounts[3];
	json_t *below = json_array();

	for (size_t k = 0; k <= i; k++)
		json_array_append(below, json_array_get(layers, k));
	add_mount(&st, mounts, MOUNT_LAYER,
		(uint64_t)json_integer_value(json_array_get(layers, i)), LAYER);
	if (i > 0) {
		add_mount(&st, mounts, MOUNT_MERGED, MERGED_ID(0, i), BELOW);
		add_mount(&st, mounts, MOUNT_MERGED, MERGED_ID(0, i + 1), MERGED);
	}
	int r = run(c, &st, below, s, ret, e);
	json_decref(below);
	const char *digest = json_string_value(json_object_get(*ret, "diff_id"));
	if (r == 0 && (!digest || strlen(digest) != 71)) {
		json_decref(*ret);
		*ret = NULL;
		return err_set(e, EBADMSG, "a layer was read without a digest");
	}
	if (r == 0)
		keep_digests(c, (uint64_t)json_integer_value(json_array_get(layers, i)),
			form, *ret);
	return r;
}

int image_layer_tar(struct control *c, const json_t *layers, size_t i, int fd,
	struct sink *s, json_t **ret, struct err *e)
{
	return read_layer(c, layers, i, "rootfs", fd, s, ret, e);
}

int image_digests(struct control *c, const json_t *layers, struct sink *s, struct err *e)
{
	for (size_t i = 0; i < json_array_size(layers); i++) {
		struct db_layer l;
		json_t *said = NULL;
		uint64_t id = (uint64_t)json_integer_value(json_array_get(layers, i));

		if (db_layer_get(c->db, id, &l, NULL) < 0 || l.digest[0])
			continue;
		int r = read_layer(c, layers, i, "digest", 0, s, &said, e);
		json_decref(said);
		if (r < 0)
			return r;
	}
	return 0;
}

int image_compare(struct control *c, const struct image_found *from,
	const struct image_found *to, struct sink *s, json_t **ret, struct err *e)
{
	struct step st = {.command = "diff"};
	struct msg_mount mounts[2];
	size_t n = json_array_size(from->layers), m = json_array_size(to->layers);
	json_t *all = json_copy(from->layers);

	json_array_extend(all, to->layers);
	add_mount(&st, mounts, MOUNT_MERGED, MERGED_ID(0, n), MERGED);
	add_mount(&st, mounts, MOUNT_MERGED, MERGED_ID(n, m), OTHER);
	int r = run(c, &st, all, s, ret, e);
	json_decref(all);
	return r;
}

/* ---- the JSON around the layers ---- */

struct text {
	char *data;
	char digest[72]; /* sha256:HEX */
};

static int text_of(json_t *v, struct text *ret)
{
	char hex[SHA256_DIGEST_STRING_LENGTH];

	ret->data = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(v);
	if (!ret->data)
		return -ENOMEM;
	SHA256Data((const uint8_t *)ret->data, strlen(ret->data), hex);
	snprintf(ret->digest, sizeof(ret->digest), "sha256:%s", hex);
	return 0;
}

/* Of an image that came with one, when it fits what is there. */
static json_t *history(struct control *c, const struct image_found *f)
{
	json_t *own = json_object_get(f->document, "history"), *item, *list;
	size_t i, n = 0;

	json_array_foreach (own, i, item)
		n += !json_is_true(json_object_get(item, "empty_layer"));
	if (json_is_array(own) && n == json_array_size(f->layers))
		return json_incref(own);
	list = json_array();
	json_array_foreach (f->layers, i, item) {
		struct db_layer l = {.kind = "layer"};
		char by[64];

		db_layer_get(c->db, (uint64_t)json_integer_value(item), &l, NULL);
		snprintf(by, sizeof(by), "berth %s", l.kind);
		json_array_append_new(
			list, json_pack("{s:s, s:O?}", "created_by", by, "created",
				      json_object_get(f->document, "created")));
	}
	return list;
}

static json_t *members(const json_t *blobs, const char *key)
{
	json_t *list = json_array(), *blob;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)blobs, i, blob)
		json_array_append(list, json_object_get(blob, key));
	return list;
}

static json_t *configuration(
	struct control *c, const struct image_found *f, const json_t *blobs)
{
	json_t *o = json_deep_copy(f->document);

	json_object_set_new(o, "history", history(c, f));
	json_object_set_new(o, "rootfs",
		json_pack("{s:s, s:o}", "type", "layers", "diff_ids",
			members(blobs, "diff_id")));
	return o;
}

static json_t *descriptor(const char *type, const char *digest, size_t size)
{
	return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest, "size",
		(json_int_t)size);
}

#define LAYER_GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define LAYER_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"

static json_t *oci_manifest(
	const struct text *config, const json_t *blobs, const char *type)
{
	json_t *layers = json_array(), *blob;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)blobs, i, blob)
		json_array_append_new(layers,
			descriptor(type,
				json_string_value(json_object_get(blob, "digest")),
				(size_t)json_integer_value(
					json_object_get(blob, "size"))));
	return json_pack("{s:i, s:s, s:o, s:o}", "schemaVersion", 2, "mediaType",
		"application/vnd.oci.image.manifest.v1+json", "config",
		descriptor("application/vnd.oci.image.config.v1+json", config->digest,
			strlen(config->data)),
		"layers", layers);
}

static json_t *oci_index(const struct image_found *f, const struct text *manifest,
	const char *architecture)
{
	json_t *d = descriptor("application/vnd.oci.image.manifest.v1+json",
		manifest->digest, strlen(manifest->data));
	const char *colon = strrchr(f->name, ':');

	json_object_set_new(d, "annotations",
		json_pack("{s:s}", "org.opencontainers.image.ref.name", colon + 1));
	json_object_set_new(d, "platform",
		json_pack("{s:s, s:s}", "architecture", architecture, "os", "linux"));
	return json_pack("{s:i, s:s, s:[o]}", "schemaVersion", 2, "mediaType",
		"application/vnd.oci.image.index.v1+json", "manifests", d);
}

static int put_file(struct tar *t, const char *name, const struct text *text)
{
	return tar_file(t, name, false, text->data, strlen(text->data));
}

static int put_blob(struct tar *t, const struct text *text)
{
	char name[96];

	snprintf(name, sizeof(name), "blobs/sha256/%s", text->digest + 7);
	return put_file(t, name, text);
}

static int end_oci(struct tar *t, const struct image_found *f, const struct text *config,
	const json_t *blobs, bool zstd)
{
	char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	const struct text layout = {.data = version};
	const char *architecture =
		json_string_value(json_object_get(f->document, "architecture"));
	struct text manifest = {0}, index = {0};
	int r = text_of(
		oci_manifest(config, blobs, zstd ? LAYER_ZSTD : LAYER_GZIP), &manifest);

	if (r == 0)
		r = text_of(
			oci_index(f, &manifest, architecture ? architecture : "amd64"),
			&index);
	if (r == 0)
		r = put_blob(t, config);
	if (r == 0)
		r = put_blob(t, &manifest);
	if (r == 0)
		r = put_file(t, "index.json", &index);
	if (r == 0)
		r = put_file(t, "oci-layout", &layout);
	free(manifest.data);
	free(index.data);
	return r;
}

static int end_docker(struct tar *t, const struct image_found *f,
	const struct text *config, const json_t *blobs)
{
	json_t *layers = json_array(), *blob;
	struct text manifest = {0};
	char name[96];
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)blobs, i, blob) {
		const char *digest = json_string_value(json_object_get(blob, "digest"));

		json_array_append_new(layers, json_sprintf("%s.tar", digest + 7));
	}
	snprintf(name, sizeof(name), "%s.json", config->digest + 7);
	int r = text_of(json_pack("[{s:s, s:[s], s:o}]", "Config", name, "RepoTags",
				f->name, "Layers", layers),
		&manifest);
	if (r == 0)
		r = put_file(t, name, config);
	if (r == 0)
		r = put_file(t, "manifest.json", &manifest);
	free(manifest.data);
	return r;
}

static int write_end(struct control *c, const struct image_found *f, const char *format,
	const json_t *blobs, int fd)
{
	bool docker = strcmp(format, "docker") == 0;
	struct text config = {0};
	struct tar t;
	int r = text_of(configuration(c, f, blobs), &config);

	if (r == 0 && (r = tar_open(&t, fd, 0)) == 0) {
		r = docker ? end_docker(&t, f, &config, blobs)
			   : end_oci(&t, f, &config, blobs,
				     strcmp(format, "oci-zstd") == 0);
		if (r == 0)
			r = tar_end(&t);
		tar_free(&t);
	}
	free(config.data);
	return r;
}

/* ---- export ---- */

static int export_layers(struct control *c, const struct image_found *f,
	const char *format, int fd, struct sink *s, json_t *blobs, struct err *e)
{
	for (size_t i = 0; i < json_array_size(f->layers); i++) {
		json_t *said = NULL;
		int r = read_layer(c, f->layers, i, format, fd, s, &said, e);

		if (r < 0)
			return r;
		json_array_append_new(blobs, said);
	}
	return 0;
}

static int export_rootfs(struct control *c, const struct image_found *f, int fd,
	struct sink *s, struct err *e)
{
	struct step st = {.command = "layer", .argument = "rootfs", .output_fd = fd};
	struct msg_mount mounts[1];
	json_t *said = NULL;

	add_mount(&st, mounts, MOUNT_MERGED, MERGED_ID(0, json_array_size(f->layers)),
		LAYER);
	int r = run(c, &st, f->layers, s, &said, e);
	json_decref(said);
	return r;
}

int image_export(struct control *c, const struct image_found *f, const char *format,
	int fd, struct sink *s, struct err *e)
{
	if (strcmp(format, "rootfs") == 0)
		return export_rootfs(c, f, fd, s, e);
	if (strcmp(format, "oci") != 0 && strcmp(format, "oci-zstd") != 0 &&
		strcmp(format, "docker") != 0)
		return err_set(e, EINVAL,
			"the formats are oci, docker and rootfs, not %.40s", format);
	json_t *blobs = json_array();
	int r = export_layers(c, f, format, fd, s, blobs, e);
	if (r == 0 && (r = write_end(c, f, format, blobs, fd)) < 0)
		err_sys(e, -r, "write the archive");
	json_decref(blobs);
	return r;
}

/* ---- to a registry ---- */

struct sending {
	struct control *c;
	const struct image_found *f;
	const struct image_receiver *to;
	int fd;
	struct sink *s;
	json_t *blobs; /* as export_layers leaves them */
};

static int empty_spool(const struct sending *x, struct err *e)
{
	return ftruncate(x->fd, 0) < 0 || lseek(x->fd, 0, SEEK_SET) < 0
		       ? err_sys(e, errno, "empty the spool file")
		       : 0;
}

/* 1: it need not be made, as the receiver has what was made of it before. */
static int is_there(struct sending *x, uint64_t layer, struct err *e)
{
	struct db_layer l;

	if (db_layer_get(x->c->db, layer, &l, NULL) < 0 || !l.blob[0] || !l.digest[0])
		return 0;
	int r = x->to->has(x->to->arg, l.blob, e);
	if (r > 0)
		json_array_append_new(x->blobs,
			json_pack("{s:s, s:s, s:I}", "diff_id", l.digest, "digest",
				l.blob, "size", (json_int_t)l.blob_size));
	return r;
}

/* What berth-build wrote is an entry of a tar: the blob ends at the last whole block. */
static int send_layer(struct sending *x, size_t i, struct err *e)
{
	char title[64], line[96];
	json_t *said = NULL;
	int r = empty_spool(x, e);

	snprintf(title, sizeof(title), "layer %zu of %zu", i + 1,
		json_array_size(x->f->layers));
	snprintf(line, sizeof(line), "       %s: packing", title);
	x->s->write(x->s, 'p', line);
	if (r == 0)
		r = read_layer(x->c, x->f->layers, i, "oci", x->fd, x->s, &said, e);
	if (r < 0)
		return r;
	json_array_append_new(x->blobs, said);
	const uint64_t size = (uint64_t)json_integer_value(json_object_get(said, "size"));
	const uint64_t padded = (size + 511) / 512 * 512;
	const off_t end = lseek(x->fd, 0, SEEK_END);
	const struct image_blob b = {.title = title,
		.digest = json_string_value(json_object_get(said, "digest")),
		.size = size,
		.offset = (uint64_t)end - padded};
	if (end < 0 || (uint64_t)end < padded || !b.digest)
		return err_set(e, EBADMSG, "a layer was read without a result");
	return x->to->blob(x->to->arg, &b, e);
}

static int send_layers(struct sending *x, struct err *e)
{
	size_t there = 0, n = json_array_size(x->f->layers);

	for (size_t i = 0; i < n; i++) {
		int r = is_there(x,
			(uint64_t)json_integer_value(json_array_get(x->f->layers, i)), e);

		if (r == 0)
			r = send_layer(x, i, e);
		if (r < 0)
			return r;
		there += r > 0;
	}
	sink_detail(x->s, "%zu layers, %zu of them were there", n, there);
	return 0;
}

static int send_text(struct sending *x, const char *title, const struct text *t,
	int (*send)(void *arg, const struct image_blob *b, struct err *e), struct err *e)
{
	const struct image_blob b = {
		.title = title, .digest = t->digest, .size = strlen(t->data)};
	int r = empty_spool(x, e);

	if (r == 0 && (r = io_write_all(x->fd, t->data, b.size)) < 0)
		err_sys(e, -r, "write the spool file");
	return r == 0 ? send(x->to->arg, &b, e) : r;
}

static int send_end(struct sending *x, struct err *e)
{
	struct text config = {0}, manifest = {0};
	int r = text_of(configuration(x->c, x->f, x->blobs), &config);

	if (r == 0)
		r = text_of(oci_manifest(&config, x->blobs, LAYER_GZIP), &manifest);
	if (r < 0)
		err_sys(e, -r, "write the manifest");
	if (r == 0)
		r = send_text(x, "configuration", &config, x->to->blob, e);
	if (r >= 0)
		r = send_text(x, "manifest", &manifest, x->to->manifest, e);
	free(config.data);
	free(manifest.data);
	return r;
}

int image_send(struct control *c, const struct image_found *f, int fd,
	const struct image_receiver *to, struct sink *s, struct err *e)
{
	struct sending x = {
		.c = c, .f = f, .to = to, .fd = fd, .s = s, .blobs = json_array()};
	int r = send_layers(&x, e);

	if (r == 0)
		r = send_end(&x, e);
	json_decref(x.blobs);
	return r;
}
