/* What an archive of an image is, and what is in it. */
#include "buildpacks/image/image_plan.h"
#include "buildpacks/image/blob.h"
#include "buildpacks/image/layer_in.h"
#include "lib/buf.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define FILES_MAX                                                                        \
	1000 /* of an image archive: layers, manifests, old docker's extra files */
#define JSON_MAX ((size_t)1 << 20) /* of one manifest or configuration */
#define INDEX_DEPTH 3

struct file {
	char path[512], link[512]; /* link: of a symlink, as older dockers write */
	char hex[65];
	uint64_t size;
	struct buf text; /* of small files that may be JSON */
};

struct plan {
	int fd;
	uint64_t max_bytes, bytes;
	bool partial;
	struct file *files;
	size_t n;
	struct err *e;
};

/* ---- reading ---- */

static const struct file *find(const struct plan *p, const char *path)
{
	for (size_t i = 0; i < p->n; i++)
		if (strcmp(p->files[i].path, path) == 0)
			return &p->files[i];
	return NULL;
}

/* Target, seen from the folder that path lies in, with its ".." resolved. */
static void resolve(const char *path, const char *target, char out[1024])
{
	const char *slash = strrchr(path, '/');
	size_t len = slash && *target != '/' ? (size_t)(slash - path) : 0;

	snprintf(out, 1024, "%.*s", (int)len, path);
	while (*target) {
		size_t n = strcspn(target, "/");

		if (n == 2 && target[0] == '.' && target[1] == '.') {
			char *up = strrchr(out, '/');
			*(up ? up : out) = '\0';
		} else if (n > 0 && !(n == 1 && target[0] == '.')) {
			size_t used = strlen(out);
			snprintf(out + used, 1024 - used, "%s%.*s", used ? "/" : "",
				(int)n, target);
		}
		target += n + (target[n] == '/');
	}
}

/* The regular file that path is, or leads to. */
static const struct file *follow(const struct plan *p, const char *path)
{
	const struct file *f = find(p, path);
	char at[1024];

	for (int i = 0; f && f->link[0] && i < 8; i++) {
		resolve(f->path, f->link, at);
		f = find(p, at);
	}
	return f && !f->link[0] ? f : NULL;
}

static int read_content(struct plan *p, struct archive *a, struct file *f)
{
	static char part[65536];
	SHA2_CTX hash;
	la_ssize_t n;

	SHA256Init(&hash);
	while ((n = archive_read_data(a, part, sizeof(part))) > 0) {
		SHA256Update(&hash, (const uint8_t *)part, (size_t)n);
		p->bytes += (uint64_t)n;
		f->size += (uint64_t)n;
		if (p->bytes > p->max_bytes)
			return err_set(p->e, EFBIG,
				"refused: the archive is larger than %llu MB unpacked",
				(unsigned long long)(p->max_bytes >> 20));
		if (f->size <= JSON_MAX &&
			(f->text.len || part[0] == '{' || part[0] == '['))
			buf_add(&f->text, part, (size_t)n);
		else
			buf_reset(&f->text);
	}
	if (n < 0)
		return tar_in_error(a, f->path, p->e);
	if (f->text.failed)
		return err_set(p->e, ENOMEM, "out of memory");
	blob_hex(&hash, f->hex);
	return 0;
}

static int read_file(struct plan *p, struct archive *a, struct archive_entry *entry)
{
	char path[TAR_PATH_MAX];
	const mode_t type = archive_entry_filetype(entry);
	const char *link = type == AE_IFLNK ? archive_entry_symlink(entry)
					    : archive_entry_hardlink(entry);
	struct file *f;
	int r = tar_in_path(archive_entry_pathname(entry), path, p->e);

	if (r < 0 || !path[0] || (type != AE_IFREG && type != AE_IFLNK && !link))
		return r;
	if (p->n == FILES_MAX)
		return err_set(p->e, EFBIG, "refused: more than %d files in the archive",
			FILES_MAX);
	if (strlen(path) >= sizeof(f->path) || (link && strlen(link) >= sizeof(f->link)))
		return err_set(p->e, ENAMETOOLONG, "refused: the name %.60s...", path);
	if (find(p, path))
		return err_set(p->e, EEXIST, "refused: %s is in the archive twice", path);
	f = &p->files[p->n++];
	memcpy(f->path, path, strlen(path) + 1);
	if (link && type == AE_IFLNK) {
		snprintf(f->link, sizeof(f->link), "%s", link);
		return 0;
	}
	if (link) { /* a hard link's target counts from the root */
		snprintf(f->link, sizeof(f->link), "/%.500s", link);
		return 0;
	}
	return read_content(p, a, f);
}

static int read_files(struct plan *p)
{
	struct archive *a = tar_in_open(p->fd, p->e);
	struct archive_entry *entry;
	int r = a ? 0 : -EBADMSG, n = ARCHIVE_OK;

	while (r == 0 && (n = archive_read_next_header(a, &entry)) >= ARCHIVE_WARN &&
		n != ARCHIVE_EOF)
		r = read_file(p, a, entry);
	if (r == 0 && n != ARCHIVE_EOF)
		r = tar_in_error(a, "the archive", p->e);
	archive_read_free(a);
	return r;
}

/* What it is, from the names at its top alone. "" with e: no tar. */
static const char *recognise(struct plan *p)
{
	struct archive *a = tar_in_open(p->fd, p->e);
	struct archive_entry *entry;
	bool layout = false, index = false, manifest = false;
	char path[TAR_PATH_MAX];
	unsigned int count = 0;
	int n = ARCHIVE_FATAL;
	struct err ignored = {0};

	while (a && (n = archive_read_next_header(a, &entry)) >= ARCHIVE_WARN &&
		n != ARCHIVE_EOF && count++ < FILES_MAX * 4) {
		if (tar_in_path(archive_entry_pathname(entry), path, &ignored) < 0)
			continue;
		layout |= strcmp(path, "oci-layout") == 0;
		index |= strcmp(path, "index.json") == 0;
		manifest |= strcmp(path, "manifest.json") == 0;
	}
	if (a && n < ARCHIVE_WARN)
		tar_in_error(a, "no archive of an image", p->e);
	archive_read_free(a);
	if (!a || n < ARCHIVE_WARN || count == 0)
		return "";
	return layout && index ? "oci" : manifest ? "docker" : "rootfs";
}

/* ---- JSON ---- */

static json_t *parse(struct plan *p, const struct file *f)
{
	json_error_t je;
	json_t *v =
		f && f->text.len ? json_loadb(f->text.data, f->text.len, 0, &je) : NULL;

	if (!v)
		err_set(p->e, EBADMSG, "%s is no JSON", f ? f->path : "a manifest");
	return v;
}

static const char *machine(void)
{
	static struct utsname u;

	if (uname(&u) < 0 || strcmp(u.machine, "x86_64") == 0)
		return "amd64";
	return strcmp(u.machine, "aarch64") == 0 ? "arm64" : u.machine;
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static void blob_path(const json_t *descriptor, char out[128])
{
	const char *digest = text(descriptor, "digest");

	snprintf(out, 128, "blobs/sha256/%.64s",
		strncmp(digest, "sha256:", 7) == 0 ? digest + 7 : "?");
}

/* The blob of a descriptor, with the digest and the size that it says. */
static const struct file *blob_of(struct plan *p, const json_t *descriptor)
{
	const char *digest = text(descriptor, "digest");
	const json_t *size = json_object_get(descriptor, "size");
	char path[128];

	blob_path(descriptor, path);
	const struct file *f = follow(p, path);
	if (!f) {
		err_set(p->e, ENOENT, "the archive lacks %.71s", digest);
		return NULL;
	}
	if (strlen(digest) != 71 || strcmp(f->hex, digest + 7) != 0 ||
		(json_is_integer(size) &&
			(uint64_t)json_integer_value(size) != f->size)) {
		err_set(p->e, EBADMSG, "refused: %s holds other bytes than its name says",
			path);
		return NULL;
	}
	return f;
}

/* Layers from paths and the configuration's diff_ids. */
static int finish(struct plan *p, const char *kind, const char *name, json_t *config,
	json_t *paths, json_t **ret)
{
	const json_t *ids =
		json_object_get(json_object_get(config, "rootfs"), "diff_ids");
	json_t *layers = json_array(), *path;
	size_t i, n = json_array_size(paths);
	int r = 0;

	if (n == 0 || n != json_array_size(ids) || n > IMAGE_LAYERS_MAX)
		r = err_set(p->e, n > IMAGE_LAYERS_MAX ? E2BIG : EBADMSG,
			"refused: %zu layers, %zu diff_ids (at most %d)", n,
			json_array_size(ids), IMAGE_LAYERS_MAX);
	json_array_foreach (paths, i, path) {
		const char *id = json_string_value(json_array_get(ids, i));

		if (r == 0 && (!id || strlen(id) != 71 || strncmp(id, "sha256:", 7) != 0))
			r = err_set(p->e, EBADMSG, "refused: a diff_id is no sha256");
		if (r == 0)
			json_array_append_new(layers,
				json_pack("{s:O, s:s}", "path", path, "diff_id", id + 7));
	}
	*ret = r == 0 ? json_pack("{s:s, s:s, s:O, s:o}", "kind", kind, "name", name,
				"config", config, "layers", layers)
		      : NULL;
	if (r < 0)
		json_decref(layers);
	return r == 0 && !*ret ? err_set(p->e, EBADMSG, "the image's name is no text")
			       : r;
}

/* ---- OCI: image-spec, image-layout.md, image-index.md, manifest.md ---- */

static const json_t *choose(struct plan *p, const json_t *index)
{
	const json_t *all = json_object_get(index, "manifests"), *d, *found = NULL;
	size_t i, fit = 0;

	json_array_foreach ((json_t *)(uintptr_t)all, i, d) {
		const json_t *platform = json_object_get(d, "platform");

		if (platform && (strcmp(text(platform, "architecture"), machine()) != 0 ||
					strcmp(text(platform, "os"), "linux") != 0))
			continue;
		found = found ? found : d;
		fit++;
	}
	if (!found)
		err_set(p->e, ENOENT, "the archive has no image for linux/%s", machine());
	else if (fit > 1)
		err_set(p->e, EINVAL,
			"the archive has %zu images; take one out, as with skopeo copy "
			"oci-archive:FILE:TAG oci-archive:ONE",
			fit);
	return fit == 1 ? found : NULL;
}

static int plan_manifest(
	struct plan *p, const json_t *manifest, const char *name, json_t **ret)
{
	json_t *paths = json_array(), *config = NULL, *d;
	size_t i;
	int r = 0;

	json_array_foreach (json_object_get(manifest, "layers"), i, d) {
		char path[128];

		blob_path(d, path);
		if (r == 0 && p->partial && !find(p, path)) {
			json_array_append_new(paths, json_string(""));
			continue;
		}
		const struct file *f = r == 0 ? blob_of(p, d) : NULL;

		r = f ? json_array_append_new(paths, json_string(f->path)) : -EBADMSG;
	}
	const struct file *f =
		r == 0 ? blob_of(p, json_object_get(manifest, "config")) : NULL;
	config = f ? parse(p, f) : NULL;
	r = config ? finish(p, "oci", name, config, paths, ret) : -EBADMSG;
	json_decref(config);
	json_decref(paths);
	return r;
}

static int plan_oci(struct plan *p, json_t **ret)
{
	char name[256] = "";
	json_t *at = parse(p, find(p, "index.json"));
	int r = at ? -EBADMSG : -EINVAL;

	for (int depth = 0; at && json_object_get(at, "manifests"); depth++) {
		const json_t *d = choose(p, at);
		const char *tag = text(json_object_get(d, "annotations"),
			"org.opencontainers.image.ref.name");

		if (*tag && !name[0])
			snprintf(name, sizeof(name), "%.250s", tag);
		const struct file *f = d && depth < INDEX_DEPTH ? blob_of(p, d) : NULL;
		json_t *next = f ? parse(p, f) : NULL;
		json_decref(at);
		at = next;
	}
	if (at)
		r = plan_manifest(p, at, name, ret);
	json_decref(at);
	return r;
}

/* ---- docker save ---- */

static int docker_layers(struct plan *p, const json_t *entry, json_t *paths)
{
	json_t *v;
	size_t i;

	json_array_foreach (json_object_get(entry, "Layers"), i, v) {
		const struct file *f =
			json_is_string(v) ? follow(p, json_string_value(v)) : NULL;

		if (!f)
			return err_set(p->e, ENOENT, "the archive lacks the layer %.200s",
				json_is_string(v) ? json_string_value(v) : "?");
		json_array_append_new(paths, json_string(f->path));
	}
	return 0;
}

static int plan_docker(struct plan *p, json_t **ret)
{
	json_t *all = parse(p, find(p, "manifest.json")), *paths = json_array();
	json_t *entry = json_array_get(all, 0), *config = NULL;
	const struct file *f = follow(p, text(entry, "Config"));
	const char *name =
		json_string_value(json_array_get(json_object_get(entry, "RepoTags"), 0));
	int r = all ? 0 : -EBADMSG;

	if (r == 0 && json_array_size(all) != 1)
		r = err_set(p->e, EINVAL,
			"the archive has %zu images; save one alone: docker save IMAGE",
			json_array_size(all));
	if (r == 0 && !f)
		r = err_set(p->e, ENOENT, "the archive lacks its configuration");
	const char *base = r == 0 ? strrchr(f->path, '/') : NULL;
	base = base ? base + 1 : r == 0 ? f->path : "";
	if (r == 0 && strspn(base, "0123456789abcdef") == 64 &&
		strncmp(base, f->hex, 64) != 0)
		r = err_set(p->e, EBADMSG,
			"refused: %s holds other bytes than its name says", f->path);
	if (r == 0)
		r = docker_layers(p, entry, paths);
	if (r == 0)
		config = parse(p, f);
	if (r == 0)
		r = config ? finish(p, "docker", name ? name : "", config, paths, ret)
			   : -EBADMSG;
	json_decref(config);
	json_decref(paths);
	json_decref(all);
	return r;
}

/* ---- a root file system ---- */

static int plan_rootfs(struct plan *p, json_t **ret)
{
	struct layer_in *l = layer_in_open(p->fd, "", p->max_bytes, p->e);
	char hex[65];
	int r = l ? layer_in_end(l, hex, p->e) : -EBADMSG;

	layer_in_close(l);
	if (r == 0)
		*ret = json_pack("{s:s, s:s, s:{}, s:[{s:s, s:s}]}", "kind", "rootfs",
			"name", "", "config", "layers", "path", "", "diff_id", hex);
	return r;
}

int image_plan(int fd, uint64_t max_bytes, bool partial, json_t **ret, struct err *e)
{
	struct plan p = {.fd = fd, .max_bytes = max_bytes, .partial = partial, .e = e};
	const char *kind = recognise(&p);
	int r = *kind	     ? 0
		: e->text[0] ? -EBADMSG
			     : err_set(e, EBADMSG, "the archive is empty");

	if (r == 0 && strcmp(kind, "rootfs") == 0)
		return plan_rootfs(&p, ret);
	if (r == 0) {
		p.files = calloc(FILES_MAX, sizeof(*p.files));
		r = p.files ? read_files(&p) : err_set(e, ENOMEM, "out of memory");
	}
	if (r == 0)
		r = strcmp(kind, "oci") == 0 ? plan_oci(&p, ret) : plan_docker(&p, ret);
	for (size_t i = 0; i < p.n; i++)
		buf_free(&p.files[i].text);
	free(p.files);
	return r;
}
