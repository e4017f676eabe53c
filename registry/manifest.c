/* The JSON that an image consists of. */
#include "registry/manifest.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define SIZE_MOST ((json_int_t)1 << 40)

bool digest_valid(const char *s)
{
	return s && strlen(s) == 71 && strncmp(s, "sha256:", 7) == 0 &&
	       strspn(s + 7, "0123456789abcdef") == 64;
}

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static int read_descriptor(const json_t *o, struct descriptor *ret, struct err *e)
{
	const char *digest = text_of(o, "digest");
	const json_int_t size = json_integer_value(json_object_get(o, "size"));

	if (!digest_valid(digest) || size <= 0 || size > SIZE_MOST)
		return err_set(e, EBADMSG,
			"refused: the manifest names a blob by %.80s with %lld bytes",
			*digest ? digest : "nothing", (long long)size);
	snprintf(ret->digest, sizeof(ret->digest), "%s", digest);
	ret->size = (uint64_t)size;
	return 0;
}

/* "amd64, arm64/v8", for an error. */
static void list_platforms(const json_t *manifests, char *out, size_t size)
{
	json_t *d;
	size_t i, used = 0;

	out[0] = '\0';
	json_array_foreach ((json_t *)(uintptr_t)manifests, i, d) {
		const json_t *p = json_object_get(d, "platform");
		int n = used < size ? snprintf(out + used, size - used, "%s%.20s/%.20s",
					      used ? ", " : "", text_of(p, "os"),
					      text_of(p, "architecture"))
				    : 0;

		used += n > 0 ? (size_t)n : 0;
	}
}

static int choose(
	const json_t *all, const char *machine, struct manifest *ret, struct err *e)
{
	char platforms[200];
	json_t *d;
	size_t i;

	ret->index = true;
	json_array_foreach ((json_t *)(uintptr_t)all, i, d) {
		const json_t *p = json_object_get(d, "platform");

		if (strcmp(text_of(p, "os"), "linux") == 0 &&
			strcmp(text_of(p, "architecture"), machine) == 0)
			return read_descriptor(d, &ret->chosen, e);
	}
	d = json_array_get(all, 0);
	if (json_array_size(all) == 1 && !json_object_get(d, "platform"))
		return read_descriptor(d, &ret->chosen, e);
	list_platforms(all, platforms, sizeof(platforms));
	return err_set(e, ENOENT, "it is for %s, not for linux/%s", platforms, machine);
}

static bool is_image(const char *config_type)
{
	return !*config_type ||
	       strcmp(config_type, "application/vnd.oci.image.config.v1+json") == 0 ||
	       strcmp(config_type, "application/vnd.docker.container.image.v1+json") == 0;
}

static int read_layers(const json_t *all, struct manifest *ret, struct err *e)
{
	json_t *d;
	size_t i, n = json_array_size(all);
	int r = 0;

	if (n == 0 || n > MANIFEST_LAYERS_MAX)
		return err_set(e, n ? E2BIG : EBADMSG,
			"refused: it has %zu layers, at most %d are possible", n,
			MANIFEST_LAYERS_MAX);
	json_array_foreach ((json_t *)(uintptr_t)all, i, d) {
		if (r == 0 && json_array_size(json_object_get(d, "urls")))
			r = err_set(e, EINVAL,
				"refused: layer %zu lies outside of the registry", i + 1);
		if (r == 0)
			r = read_descriptor(d, &ret->layers[i], e);
	}
	ret->n_layers = n;
	return r;
}

static int read_manifest(
	const json_t *o, const char *machine, struct manifest *ret, struct err *e)
{
	const json_t *all = json_object_get(o, "manifests");
	const json_t *config = json_object_get(o, "config");
	const char *type = text_of(config, "mediaType");

	if (json_integer_value(json_object_get(o, "schemaVersion")) == 1)
		return err_set(e, EINVAL,
			"it is in docker's old format (schema 1): push it again with a "
			"newer program");
	if (json_is_array(all))
		return choose(all, machine, ret, e);
	if (!json_is_object(config) || !json_is_array(json_object_get(o, "layers")))
		return err_set(e, EBADMSG, "refused: it is no manifest of an image");
	if (!is_image(type))
		return err_set(e, EINVAL, "it is no image but %.100s", type);
	int r = read_descriptor(config, &ret->config, e);
	return r == 0 ? read_layers(json_object_get(o, "layers"), ret, e) : r;
}

int manifest_parse(const char *text, size_t len, const char *machine,
	struct manifest *ret, struct err *e)
{
	json_t *o = json_loadb(text, len, 0, NULL);

	*ret = (struct manifest){0};
	int r = json_is_object(o)
			? read_manifest(o, machine, ret, e)
			: err_set(e, EBADMSG, "refused: its manifest is no JSON");
	json_decref(o);
	return r;
}

int manifest_diff_ids(
	const char *text, size_t len, char (*ret)[72], size_t n, struct err *e)
{
	json_t *o = json_loadb(text, len, 0, NULL), *v;
	const json_t *ids = json_object_get(json_object_get(o, "rootfs"), "diff_ids");
	size_t i;
	bool ok = json_array_size(ids) == n;

	json_array_foreach ((json_t *)(uintptr_t)ids, i, v) {
		const char *id = json_string_value(v);

		ok = ok && digest_valid(id);
		if (ok)
			snprintf(ret[i], sizeof(ret[i]), "%s", id);
	}
	json_decref(o);
	return ok ? 0
		  : err_set(e, EBADMSG,
			    "refused: its configuration does not name %zu layers", n);
}
