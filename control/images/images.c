/* Images as things with names: references, and what an image says of itself. */
#include "control/images/images.h"
#include "control/command.h"
#include "control/images/reference.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define FIXED_TIME "1970-01-01T00:00:00Z" /* equal images, equal digests */

/* Lower-case words of letters and digits, joined by '.', '-', '_' and '/'. */
static bool name_ok(const char *s, size_t len)
{
	bool word = false;

	for (size_t i = 0; i < len; i++) {
		bool alnum = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9');
		bool joins = s[i] == '.' || s[i] == '/' || s[i] == '-' || s[i] == '_' ||
			     s[i] == ':';

		if (!alnum && !(joins && word))
			return false;
		if (alnum || s[i] == '/' || s[i] == '.')
			word = alnum;
	}
	return len > 0 && word && len <= 190;
}

static bool tag_ok(const char *s)
{
	static const char word[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
	size_t n = strlen(s);

	return n > 0 && n <= 60 && strchr(word, s[0]) &&
	       strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
			 ".-") == n;
}

/* The colon before the tag, not that of a port. */
static const char *tag_of(const char *reference)
{
	const char *slash = strrchr(reference, '/');
	const char *colon = strrchr(slash ? slash : reference, ':');

	return colon;
}

int image_name(const char *reference, char out[TAG_NAME_MAX], struct err *e)
{
	const char *colon = tag_of(reference);
	size_t len = colon ? (size_t)(colon - reference) : strlen(reference);

	if (!name_ok(reference, len) || (colon && !tag_ok(colon + 1)))
		return err_set(e, EINVAL,
			"\"%.80s\" is not the name of an image: NAME[:TAG] of a-z, 0-9, "
			"'.', '-', '_' and '/'",
			reference);
	snprintf(out, TAG_NAME_MAX, "%.*s:%s", (int)len, reference,
		colon ? colon + 1 : "latest");
	return 0;
}

int image_pulled_name(const struct reference *from, char out[TAG_NAME_MAX], struct err *e)
{
	char name[DB_LOGIN_HOST_MAX + REFERENCE_PATH_MAX + REFERENCE_TAG_MAX + 4];

	if (from->digest[0])
		snprintf(name, sizeof(name), "%s/%s:sha256-%.12s", from->host, from->path,
			from->digest + 7);
	else
		snprintf(name, sizeof(name), "%s/%s:%s", from->host, from->path,
			from->tag);
	return image_name(name, out, e) == 0
		       ? 0
		       : err_set(e, EINVAL,
				 "%.200s cannot be a name here: say another with --as "
				 "NAME[:TAG]",
				 name);
}

static int no_image(const char *name, struct err *e)
{
	if (reference_names_host(name))
		return err_set(e, ENOENT,
			"there is no image %s here: `berth images:pull %s` fetches it",
			name, name);
	return err_set(e, ENOENT,
		"there is no image %s: `berth images:list` shows all, `berth "
		"images:import "
		"FILE --as %s` brings one in",
		name, name);
}

static int find_tag(
	struct control *c, const char *reference, struct db_tag *ret, struct err *e)
{
	char name[TAG_NAME_MAX];
	struct reference pulled;
	struct err ignored;
	bool by_digest = strchr(reference, '@') &&
			 reference_parse(reference, &pulled, &ignored) == 0;
	int r = by_digest ? image_pulled_name(&pulled, name, e)
			  : image_name(reference, name, e);

	if (r < 0)
		return r;
	r = db_tag_get(c->db, name, ret);
	if (r == -ENOENT)
		return no_image(by_digest ? reference : name, e);
	return r < 0 ? err_sys(e, -r, "read image %s", name) : 0;
}

int image_base(struct control *c, const char *reference, json_t **ret_layers,
	json_t **ret_config, struct err *e)
{
	struct db_tag t = {0};
	int r = find_tag(c, reference, &t, e);

	if (r < 0)
		return r;
	json_t *config = json_object_get(t.config, "config");
	*ret_layers = json_incref(t.layers);
	*ret_config = json_is_object(config) ? json_incref(config) : json_object();
	db_tag_clear(&t);
	return 0;
}

/* ---- what an app's image says of itself ---- */

static const char *architecture(void)
{
	struct utsname u;

	if (uname(&u) < 0 || strcmp(u.machine, "x86_64") == 0)
		return "amd64";
	return strcmp(u.machine, "aarch64") == 0 ? "arm64" : "unknown";
}

static json_t *environment(const struct db_image *image)
{
	json_t *list = json_array(), *value;
	const char *key;
	char pair[4096];

	json_array_append_new(list,
		json_string(
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:"
			"/bin"));
	json_array_append_new(list, json_string("HOME=/app"));
	json_array_append_new(list, json_string("LANG=C.UTF-8"));
	json_array_append_new(list, json_string("PORT=5000"));
	json_object_foreach (image->env, key, value) {
		if (json_is_string(value) &&
			snprintf(pair, sizeof(pair), "%s=%s", key,
				json_string_value(value)) < (int)sizeof(pair))
			json_array_append_new(list, json_string(pair));
	}
	return list;
}

/* Its web process as berth starts it, through the image's shell. */
static json_t *own_config(const struct db_image *image)
{
	const char *web = json_string_value(json_object_get(image->processes, "web"));
	char *processes autofree =
		json_dumps(image->processes, JSON_COMPACT | JSON_SORT_KEYS);
	json_t *config = json_pack("{s:o, s:s, s:s, s:{s:{}}, s:{s:s, s:s}}", "Env",
		environment(image), "WorkingDir", "/app", "User", "1000:1000",
		"ExposedPorts", "5000/tcp", "Labels", "berth.processes",
		processes ? processes : "{}", "org.opencontainers.image.revision",
		image->commit);

	if (web) {
		autobuf text = BUF_INIT;

		command_text(web, image->profile_d, &text);
		json_object_set_new(config, "Cmd",
			json_pack("[s, s, s]", image->profile_d ? "/bin/bash" : "/bin/sh",
				"-c", text.data ? text.data : ""));
	}
	return config;
}

json_t *image_document(const struct db_image *image)
{
	json_t *config = json_object_size(image->config) ? json_deep_copy(image->config)
							 : own_config(image);

	json_object_del(
		config, "Berth"); /* what was found out here (builds/own_start.h) */
	return json_pack("{s:s, s:s, s:s, s:o}", "architecture", architecture(), "os",
		"linux", "created", FIXED_TIME, "config", config);
}

/* ---- references ---- */

static int of_release(struct control *c, const struct db_app *app, uint32_t version,
	struct image_found *ret, struct err *e)
{
	struct db_release release = {0};
	struct db_image image = {0};
	int r = db_release_get(c->db, app->id, version, &release);

	if (r == -ENOENT)
		return version ? err_set(e, ENOENT,
					 "%s has no release v%u: `berth releases %s`",
					 app->name, version, app->name)
			       : err_set(e, ENOENT, "%s has no release yet", app->name);
	if (r == 0)
		r = db_image_get(c->db, release.image, &image);
	if (r < 0) {
		db_release_clear(&release);
		return err_sys(e, -r, "read the image of %s", app->name);
	}
	snprintf(ret->name, sizeof(ret->name), "%s:v%u", app->name, release.version);
	ret->app = app->id;
	ret->version = release.version;
	ret->layers = json_incref(image.layers);
	ret->processes = json_incref(image.processes);
	ret->document = image_document(&image);
	ret->created_us = image.created_us;
	db_image_clear(&image);
	db_release_clear(&release);
	return ret->document ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* APP or APP:vN of an app that exists: 1. */
static int find_app(struct control *c, const char *reference, struct db_app *app,
	uint32_t *ret_version)
{
	const char *colon = strchr(reference, ':');
	size_t len = colon ? (size_t)(colon - reference) : strlen(reference);
	char name[NAME_MAX_LEN + 1];
	uint64_t version = 0;

	if (len > NAME_MAX_LEN ||
		(colon && (colon[1] != 'v' ||
				  num_parse_u64(colon + 2, 1, UINT32_MAX, &version) < 0)))
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)len, reference);
	*ret_version = (uint32_t)version;
	return name_valid(name) && db_app_by_name(c->db, name, app) == 0;
}

int image_find(
	struct control *c, const char *reference, struct image_found *ret, struct err *e)
{
	struct db_tag t = {0};
	struct db_app app;
	uint32_t version;

	*ret = (struct image_found){0};
	if (find_app(c, reference, &app, &version))
		return of_release(c, &app, version, ret, e);
	int r = find_tag(c, reference, &t, e);
	if (r < 0)
		return r;
	memcpy(ret->name, t.name, sizeof(ret->name));
	ret->layers = t.layers;
	ret->document = t.config;
	ret->created_us = t.created_us;
	return 0;
}

void image_found_clear(struct image_found *f)
{
	json_decref(f->layers);
	json_decref(f->document);
	json_decref(f->processes);
	f->layers = f->document = f->processes = NULL;
}
