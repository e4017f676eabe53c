/* Base images by name. */
#include "control/builds/docker.h"
#include "control/builds/key.h"
#include "control/builds/layers.h"
#include "control/images/images.h"
#include "control/images/reference.h"
#include "control/settings.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PATH_VALUE "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Names under which people know what a stack is. */
static const struct {
	const char *name, *stack;
} aliases[] = {
	{"debian", "debian-12"},
	{"debian:latest", "debian-12"},
	{"debian:stable", "debian-12"},
	{"debian:stable-slim", "debian-12"},
	{"debian:bookworm", "debian-12"},
	{"debian:bookworm-slim", "debian-12"},
	{"debian:12", "debian-12"},
	{"debian:12-slim", "debian-12"},
	{"debian-12", "debian-12"},
};

/*
 * Languages' images: the stack and a toolchain layer, the same that a buildpack would make. The lines are sorted, as the
 * buildpacks' are.
 */
static const struct language {
	const char *name;
	const char *version; /* that Debian has; NULL: any, named in the lines by %s */
	const char *pack;    /* whose bin/toolchain gets the lines */
	const char *slim;    /* lines of NAME:VERSION-slim */
	const char *full; /* lines that come to these without -slim, sorted in between */
	const char *
		setup; /* a command as root: what such images have besides; NULL: nothing */
	const char *env[3];  /* besides PATH */
	const char *path;    /* before the usual PATH */
	const char *folder;  /* WORKDIR */
	const char *command; /* CMD */
} languages[] = {
	{.name = "node",
		.pack = "node",
		.slim = "node %s\n",
		.full = "apt build-essential\napt git\napt python3\n",
		.setup = "userdel app && groupadd -g 1000 node && useradd -u 1000 -g "
			 "node -m -s /bin/bash node",
		.command = "node"},
	{.name = "python",
		.version = "3.11",
		.pack = "python",
		.slim = "apt python-is-python3\napt python3\napt python3-pip\napt "
			"python3-venv\n",
		.full = "apt build-essential\napt git\n",
		.setup = "rm -f /usr/lib/python3.11/EXTERNALLY-MANAGED",
		.command = "python3"},
	{.name = "ruby",
		.version = "3.1",
		.pack = "ruby",
		.slim = "apt ruby\napt ruby-bundler\n",
		.full = "apt build-essential\napt git\napt ruby-dev\n",
		.command = "irb"},
	{.name = "golang",
		.version = "1.19",
		.pack = "go",
		.slim = "apt gcc\napt git\napt golang-go\napt libc6-dev\n",
		.full = "",
		.setup = "mkdir -p -m 1777 /go/src /go/bin",
		.env = {"GOPATH=/go", "GOTOOLCHAIN=local"},
		.path = "/go/bin",
		.folder = "/go",
		.command = "bash"},
	{.name = "perl",
		.version = "5.36",
		.pack = "perl",
		.slim = "apt cpanminus\napt perl\n",
		.full = "apt build-essential\napt git\n",
		.command = "perl"},
	{.name = "php",
		.version = "8.2",
		.pack = "procfile",
		.slim = "apt php-cli\n",
		.full = "",
		.command = "php"},
	{.name = "gcc",
		.version = "12",
		.pack = "procfile",
		.slim = "apt build-essential\n",
		.full = "apt git\n",
		.command = "bash"},
	{.name = "buildpack-deps",
		.version = "12",
		.pack = "procfile",
		.slim = "apt build-essential\napt curl\napt git\n",
		.full = "",
		.command = "bash"},
};

/*
 * "library/debian:12", at whatever registry, is debian:12: the folder of the images that everybody means. So is what the
 * registry of `builds:set base-registry` calls debian:12.
 */
static const char *short_name(struct control *c, const char *reference)
{
	static const char official[] = "library/";
	char *registry autofree = setting_text(c, 0, "builds", "base-registry");
	size_t len = registry ? strlen(registry) : 0;
	const char *name = reference, *slash = strchr(reference, '/');
	bool meant =
		len && strncmp(reference, registry, len) == 0 && reference[len] == '/';

	if (meant)
		name = reference + len + 1;
	else if (slash && reference_names_host(reference))
		name = slash + 1;
	if (strncmp(name, official, strlen(official)) == 0)
		return name + strlen(official);
	return meant ? name : reference;
}

static int stack_base(
	struct control *c, json_t **ret_layers, json_t **ret_config, struct err *e)
{
	uint64_t id;
	int r = stack_layer(c, &id, e);

	if (r < 0)
		return r;
	*ret_layers = json_pack("[I]", (json_int_t)id);
	*ret_config = json_pack(
		"{s:[s], s:[s]}", "Env", "PATH=" PATH_VALUE, "Cmd", "/bin/bash");
	return *ret_layers && *ret_config ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* ---- languages ---- */

/* A tag without what Debian's names add. false: it names another system. */
static bool read_tag(const char *tag, char version[32], bool *ret_slim)
{
	static const char *const words[] = {"bookworm", "slim", "cli", "debian12"};
	size_t n = strspn(tag, "0123456789.");

	if (strncmp(tag, "latest", 6) == 0 || strncmp(tag, "lts", 3) == 0 ||
		strncmp(tag, "current", 7) == 0)
		n = strcspn(tag, "-");
	snprintf(version, 32, "%.*s", (int)n, tag);
	*ret_slim = false;
	for (const char *s = tag + n; *s;) {
		bool known = false;
		s += *s == '-';
		size_t len = strcspn(s, "-");
		for (size_t i = 0; i < ARRAY_LEN(words); i++)
			known = known || (strlen(words[i]) == len &&
						 strncmp(s, words[i], len) == 0);
		if (!known)
			return false;
		*ret_slim = *ret_slim || strncmp(s, "slim", len) == 0;
		s += len;
	}
	return n < 32;
}

/* "3" and "3.11.4" are Debian's 3.11; "3.12" is not. */
static bool version_fits(const char *has, const char *wanted)
{
	if (!*wanted || strcmp(wanted, "latest") == 0)
		return true;
	size_t n = strlen(has), m = strlen(wanted), shorter = n < m ? n : m;

	return strncmp(has, wanted, shorter) == 0 &&
	       (n == m || (n > m ? has : wanted)[shorter] == '.');
}

/* As packs/node reads a version: "22" and "22.11" stand for their newest. */
static void node_range(const char *version, char out[40])
{
	unsigned int dots = 0;

	for (const char *s = version; *s; s++)
		dots += *s == '.';
	if (!*version || strcmp(version, "latest") == 0 ||
		strcmp(version, "current") == 0)
		snprintf(out, 40, "latest");
	else if (strcmp(version, "lts") == 0)
		snprintf(out, 40, "22.x");
	else
		snprintf(out, 40, "%s%s", version, dots < 2 ? ".x" : "");
}

static void add_lines(
	const struct language *l, const char *version, bool slim, struct buf *out)
{
	char range[40];

	if (!slim)
		buf_adds(out, l->full);
	if (l->version) {
		buf_adds(out, l->slim);
		return;
	}
	node_range(version, range);
	buf_addf(out, "node %s\n", range);
}

static int toolchain_layer(struct docker_build *d, const struct language *l,
	const char *lines, json_t *layers, char key[65], struct err *e)
{
	autobuf input = BUF_INIT;
	const char *env[2] = {NULL, NULL};
	struct step st = {.app = d->req->app->id,
		.command = "toolchain",
		.argument = l->pack,
		.env = env,
		.layers = layers,
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_HOST_APT,
		.stdin_fd = -1};
	uint64_t id;

	buf_addf(&input, "BERTH_TOOLCHAIN=%s", lines);
	if (input.failed)
		return err_set(e, ENOMEM, "out of memory");
	env[0] = input.data;
	build_toolchain_key((uint64_t)json_integer_value(json_array_get(layers, 0)),
		l->pack, lines, false, key);
	int r = layer_get(d->c, "toolchain", key, 0, &st, d->s, &id, NULL, e);
	if (r >= 0)
		json_array_append_new(layers, json_integer((json_int_t)id));
	return r < 0 ? r : 0;
}

static int feed_setup(void *arg, int fd, struct err *e)
{
	return docker_send_orders(arg, fd, e);
}

/* What such images have besides their programs: a user, a link. */
static int setup_layer(struct docker_build *d, const struct language *l,
	const char *below, json_t *layers, struct err *e)
{
	json_t *todo = json_pack("{s:[s,s,s], s:{}, s:s, s:s}", "argv", "/bin/sh", "-c",
		l->setup, "env", "user", "", "cwd", "/");
	struct step st = {.app = d->req->app->id,
		.command = "docker-run",
		.layers = layers,
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_NO_NET | START_IMAGE_FILES,
		.feed = feed_setup,
		.feed_arg = todo,
		.stdin_fd = -1};
	struct key k;
	char key[65];
	uint64_t id;

	key_begin(&k, "docker-setup-1");
	key_adds(&k, below);
	key_adds(&k, l->setup);
	key_end(&k, key);
	int r = todo ? layer_get(d->c, "docker", key, 0, &st, d->s, &id, NULL, e)
		     : err_set(e, ENOMEM, "out of memory");
	if (r >= 0)
		json_array_append_new(layers, json_integer((json_int_t)id));
	json_decref(todo);
	return r < 0 ? r : 0;
}

static json_t *language_config(const struct language *l)
{
	json_t *env = json_array();

	json_array_append_new(env, json_sprintf("PATH=%s%s%s", l->path ? l->path : "",
					   l->path ? ":" : "", PATH_VALUE));
	for (size_t i = 0; i < ARRAY_LEN(l->env) && l->env[i]; i++)
		json_array_append_new(env, json_string(l->env[i]));
	return json_pack("{s:o, s:[s], s:s*}", "Env", env, "Cmd", l->command,
		"WorkingDir", l->folder);
}

static int make_language(struct docker_build *d, const struct language *l,
	const char *version, bool slim, json_t *layers, struct err *e)
{
	autobuf lines = BUF_INIT;
	char key[65];

	add_lines(l, version, slim, &lines);
	if (lines.failed)
		return err_set(e, ENOMEM, "out of memory");
	int r = toolchain_layer(d, l, lines.data, layers, key, e);
	return r == 0 && l->setup ? setup_layer(d, l, key, layers, e) : r;
}

static int language_base(struct docker_build *d, const struct language *l,
	const char *name, json_t **ret_layers, json_t **ret_config, struct err *e)
{
	const char *tag = name[strlen(l->name)] ? name + strlen(l->name) + 1 : "";
	char version[32];
	bool slim;

	if (!read_tag(tag, version, &slim))
		return err_set(e, ENOENT,
			"base image %.100s is not known here: only Debian 12's "
			"(%s:VERSION, "
			"-slim, -bookworm); `berth images:import` brings another",
			name, l->name);
	if (l->version && !version_fits(l->version, version))
		return err_set(e, ENOENT,
			"base image %.100s is not known here: Debian 12 has %s %s; "
			"`berth "
			"images:import` brings another",
			name, l->name, l->version);
	int r = stack_base(d->c, ret_layers, ret_config, e);
	if (r < 0)
		return r;
	json_decref(*ret_config);
	*ret_config = language_config(l);
	r = *ret_config ? make_language(d, l, version, slim, *ret_layers, e)
			: err_set(e, ENOMEM, "out of memory");
	if (r < 0) {
		json_decref(*ret_layers);
		json_decref(*ret_config);
		*ret_layers = *ret_config = NULL;
		return err_add(e, "base image %.100s", name);
	}
	return 0;
}

static const struct language *find_language(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(languages); i++) {
		size_t n = strlen(languages[i].name);
		if (strncmp(name, languages[i].name, n) == 0 &&
			(!name[n] || name[n] == ':'))
			return &languages[i];
	}
	return NULL;
}

int docker_base(struct docker_build *d, const char *reference, json_t **ret_layers,
	json_t **ret_config, struct err *e)
{
	const char *name = short_name(d->c, reference);
	const struct language *l = find_language(name);

	/* one that was imported under the name of another is meant */
	int r = image_base(d->c, name, ret_layers, ret_config, e);
	if (r == -ENOENT && name != reference) /* or one that was pulled */
		r = image_base(d->c, reference, ret_layers, ret_config, e);
	if (r != -ENOENT)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (strcmp(aliases[i].name, name) == 0)
			return stack_base(d->c, ret_layers, ret_config, e);
	if (l)
		return language_base(d, l, name, ret_layers, ret_config, e);
	if (reference_names_host(reference))
		return err_set(e, ENOENT,
			"base image %.200s is not here; `berth images:pull %.200s` "
			"fetches it",
			reference, reference);
	return err_set(e, ENOENT,
		"base image %.200s is not known here; there are scratch, debian:12, "
		"node, python, "
		"ruby, golang, perl, php, gcc (docs/APPS.md) and what `berth "
		"images:list` shows; "
		"`berth images:import` brings another",
		reference);
}
