/* From a commit to an image: plan, keys, and only those steps whose key is new. */
#include "control/builds/build.h"
#include "control/builds/appjson.h"
#include "control/builds/build_input.h"
#include "control/builds/docker.h"
#include "control/builds/key.h"
#include "control/builds/layers.h"
#include "control/builds/manifest.h"
#include "control/builds/own_start.h"
#include "control/builds/packs.h"
#include "control/builds/source_layers.h"
#include "control/builds/step.h"
#include "control/repos.h"
#include "lib/io.h"
#include "lib/log.h"
#include "receiver/source.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define STACK_NAME "debian-12"
#define DEPS_FILES_MAX 64

struct build {
	struct control *c;
	const struct build_request *req;
	struct sink *s;
	git_repository *repo;
	git_oid tree;
	json_t *procfile, *app_json;
	json_t *config; /* what of the app's its steps may see */
	json_t *plan;	/* what the source step said */
	json_t *result; /* what the compile step said, or NULL */
	json_t *layers; /* so far, bottom first */
	const char *pack;
	struct buf packs, app_packs; /* variables that name buildpacks, or empty */
	char source_key[65], toolchain_key[65], deps_key[65], build_key[65];
};

int stack_layer(struct control *c, uint64_t *ret_id, struct err *e)
{
	int r = db_layer_find(c->db, "stack", STACK_NAME, ret_id, NULL);

	if (r == -ENOENT)
		return err_set(e, ENOENT,
			"there is no base image yet; on the host: berth stacks:create %s",
			STACK_NAME);
	return r < 0 ? err_sys(e, -r, "look for the base image") : 0;
}

static void push_layer(struct build *b, uint64_t id)
{
	json_array_append_new(b->layers, json_integer((json_int_t)id));
}

/* ---- reading the commit ---- */

static int read_manifest(struct build *b, const char *name, char **ret, struct err *e)
{
	struct buf text = BUF_INIT;
	int r = source_file(b->repo, &b->tree, name, MANIFEST_MAX, &text, e);

	*ret = NULL;
	if (r == 0) {
		buf_add(&text, "", 0);
		if (text.data && strlen(text.data) != text.len)
			r = err_set(e, EINVAL, "%s holds a NUL byte", name);
		else
			*ret = buf_take(&text);
	}
	buf_free(&text);
	if (r == -EFBIG)
		return err_set(
			e, EFBIG, "%s is larger than %u kB", name, MANIFEST_MAX >> 10);
	return r == -ENOENT ? 0 : r;
}

static int parse_app_json(struct build *b, const char *text, struct err *e)
{
	json_t *warnings = json_array(), *line;
	size_t i;
	int r = appjson_parse(text, &b->app_json, warnings, e);

	json_array_foreach (warnings, i, line)
		sink_fail(b->s, "%s", json_string_value(line));
	json_decref(warnings);
	return r;
}

static int read_manifests(struct build *b, struct err *e)
{
	char *procfile autofree = NULL, *app_json autofree = NULL;
	int r = read_manifest(b, "Procfile", &procfile, e);

	if (r == 0)
		r = read_manifest(b, "app.json", &app_json, e);
	if (r == 0)
		r = procfile_parse(procfile, &b->procfile, e);
	if (r == 0 && app_json)
		r = parse_app_json(b, app_json, e);
	return r;
}

static int open_commit(struct build *b, struct err *e)
{
	char path[PATH_MAX];

	repo_path(b->c, b->req->app, path);
	int r = source_open(path, &b->repo, e);
	if (r == -ENOENT)
		return err_set(e, ENOENT,
			"%s has no commit to build: its repository is empty until "
			"something is pushed to it",
			b->req->app->name);
	return r < 0 ? r : source_commit(b->repo, b->req->commit, &b->tree, NULL, e);
}

/* ---- steps ---- */

struct feed {
	struct build *b;
	struct source_filter filter;
	struct source_report report;
};

static int feed_source(void *arg, int fd, struct err *e)
{
	struct feed *f = arg;

	return source_stream(f->b->repo, &f->b->tree, fd, &f->filter, &f->report, e);
}

/*
 * Finds the layer of kind and key, or makes it by st. ret_meta: what the step said, then and now. app: 0 when any app may
 * use the layer.
 */
static int layer_of(struct build *b, const char *kind, const char *key, uint32_t app,
	struct step *st, json_t **ret_meta, struct err *e)
{
	uint64_t id;

	st->app = b->req->app->id;
	st->layers = b->layers;
	int r = layer_get(b->c, kind, key, app, st, b->s, &id, ret_meta, e);
	if (r < 0)
		return r;
	push_layer(b, id);
	return 0;
}

static void salt(struct build *b, struct key *k)
{
	if (b->req->no_cache)
		key_addu(k, io_mono_ns());
}

/* The variables that name buildpacks, into env, which has room for two; how many. */
static size_t add_packs(const struct build *b, const char **env)
{
	size_t n = 0;

	if (b->packs.len)
		env[n++] = b->packs.data;
	if (b->app_packs.len)
		env[n++] = b->app_packs.data;
	return n;
}

static int source_step(struct build *b, uint64_t stack, struct err *e)
{
	struct source_layers q = {.c = b->c,
		.app = b->req->app,
		.repo = b->repo,
		.tree = &b->tree,
		.stack = stack,
		.packs = {b->packs.data, b->app_packs.data},
		.no_cache = b->req->no_cache};
	int r = source_layers_get(&q, b->s, b->layers, &b->plan, e);

	memcpy(b->source_key, q.key, sizeof(b->source_key));
	return r;
}

static int check_plan(struct build *b, struct err *e)
{
	const json_t *wanted = json_object_get(b->plan, "looked_for");
	const json_t *item;
	size_t i;

	json_array_foreach (json_object_get(b->plan, "warnings"), i, item)
		sink_fail(b->s, "%s", json_string_value(item));
	b->pack = json_string_value(json_object_get(b->plan, "pack"));
	if (b->pack && name_valid(b->pack)) {
		const char *name = json_string_value(json_object_get(b->plan, "name"));
		sink_step(b->s, "%s app detected", name ? name : b->pack);
		return 0;
	}
	sink_step(b->s, "Looked for one of these files");
	json_array_foreach (wanted, i, item)
		sink_detail(b->s, "%s", json_string_value(item));
	return err_set(e, EINVAL,
		"no buildpack fits this repository: none of them is in its top folder; a "
		"Procfile says how to start what needs none");
}

/* "classic" runs others. */
static void add_pack(struct key *k, const char *pack)
{
	key_add_pack(k, strcmp(pack, "classic") == 0 ? "." : pack);
}

/* Packs that only name Debian packages share their layers. */
static void add_toolchain_script(struct key *k, const char *pack)
{
	char script[NAME_MAX_LEN + 1];

	if (strcmp(pack, "classic") == 0)
		add_pack(k, pack);
	else if (snprintf(script, sizeof(script), "%s/bin/toolchain", pack) <
		 (int)sizeof(script))
		key_add_pack(k, script);
	key_add_pack(k, "registry.sh");
}

void build_toolchain_key(
	uint64_t stack, const char *pack, const char *lines, bool no_cache, char out[65])
{
	struct key k;

	key_begin(&k, "toolchain-1");
	key_addu(&k, stack);
	add_toolchain_script(&k, pack);
	key_adds(&k, lines);
	if (no_cache)
		key_addu(&k, io_mono_ns());
	key_end(&k, out);
}

static int toolchain_step(struct build *b, struct err *e)
{
	struct step st = {.command = "toolchain",
		.argument = b->pack,
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_HOST_APT,
		.stdin_fd = -1};
	const json_t *t = json_object_get(b->plan, "toolchain");
	autobuf input = BUF_INIT;
	const char *env[2] = {NULL, NULL};
	json_t *said = NULL;

	if (!json_is_object(t))
		return 0;
	const char *key_input = json_string_value(json_object_get(t, "key_input"));
	buf_addf(&input, "BERTH_TOOLCHAIN=%s", key_input ? key_input : "");
	if (input.failed)
		return err_set(e, ENOMEM, "out of memory");
	env[0] = input.data;
	st.env = env;
	build_toolchain_key((uint64_t)json_integer_value(json_array_get(b->layers, 0)),
		b->pack, key_input, b->req->no_cache, b->toolchain_key);
	int r = layer_of(b, "toolchain", b->toolchain_key, 0, &st, &said, e);
	json_decref(said);
	return r;
}

static int add_blob(struct build *b, struct key *k, const char *path)
{
	git_tree *tree = NULL;
	git_tree_entry *entry = NULL;
	int r = git_tree_lookup(&tree, b->repo, &b->tree);

	key_adds(k, path);
	if (r == 0 && git_tree_entry_bypath(&entry, tree, path) == 0) {
		key_add(k, git_tree_entry_id(entry), sizeof(git_oid));
		key_addu(k, git_tree_entry_filemode(entry));
	}
	git_tree_entry_free(entry);
	git_tree_free(tree);
	return r;
}

static int deps_step(struct build *b, struct err *e)
{
	const char *files[DEPS_FILES_MAX];
	struct feed f = {.b = b, .filter.files = files};
	struct step st = {.command = "deps",
		.argument = b->pack,
		.profile = PROFILE_APP,
		.flags = START_HOST_APT,
		.feed = feed_source,
		.feed_arg = &f,
		.stdin_fd = -1};
	const json_t *d = json_object_get(b->plan, "deps"), *file;
	autobuf input = BUF_INIT;
	const char *env[2] = {NULL, NULL};
	json_t *said = NULL;
	struct key k;
	size_t i;

	if (!json_is_object(d))
		return 0;
	key_begin(&k, "deps-1");
	key_adds(&k, b->toolchain_key);
	key_addu(&k, (uint64_t)json_integer_value(json_array_get(b->layers, 0)));
	add_pack(&k, b->pack);
	const char *key_input = json_string_value(json_object_get(d, "key_input"));
	key_adds(&k, key_input);
	buf_addf(&input, "BERTH_DEPS=%s", key_input ? key_input : "");
	if (input.failed)
		return err_set(e, ENOMEM, "out of memory");
	env[0] = input.data;
	st.env = env;
	json_array_foreach (json_object_get(d, "files"), i, file) {
		if (i >= DEPS_FILES_MAX || !json_is_string(file))
			return err_set(e, E2BIG, "the buildpack names more than %d files",
				DEPS_FILES_MAX);
		files[f.filter.n_files++] = json_string_value(file);
		add_blob(b, &k, json_string_value(file));
	}
	salt(b, &k);
	key_end(&k, b->deps_key);
	int r = layer_of(b, "deps", b->deps_key, 0, &st, &said, e);
	source_report_free(&f.report);
	json_decref(said);
	return r;
}

/* The compile step sees config of the app's (as files) and its cache, so its layer is the app's own. */
static int compile_step(struct build *b, struct err *e)
{
	struct step st = {.command = "compile",
		.argument = b->pack,
		.profile = PROFILE_APP,
		.flags = START_HOST_APT,
		.cache = true,
		.stdin_fd = -1};
	char *config autofree = json_dumps(b->config, JSON_COMPACT | JSON_SORT_KEYS);
	char commit[128];
	struct key k;

	if (!json_is_true(json_object_get(b->plan, "compile")))
		return 0;
	key_begin(&k, "build-1");
	key_adds(&k, b->source_key);
	key_adds(&k, b->deps_key);
	key_adds(&k, b->toolchain_key);
	key_adds(&k, config);
	key_addu(&k, b->req->app->id);
	salt(b, &k);
	key_end(&k, b->build_key);

	const char **env = calloc(json_object_size(b->config) + 5, sizeof(*env));
	struct buf keys = BUF_INIT;
	const char *name;
	json_t *value;
	size_t n = 0;
	json_object_foreach (b->config, name, value) {
		if (!env || !json_is_string(value))
			continue;
		struct buf pair = BUF_INIT;
		buf_addf(&pair, "%s=%s", name, json_string_value(value));
		buf_addf(&keys, "%s%s", keys.len ? "\n" : "BERTH_CONFIG_KEYS=", name);
		env[n++] = buf_take(&pair);
	}
	size_t owned = n;
	snprintf(commit, sizeof(commit), "SOURCE_VERSION=%s", b->req->commit);
	if (env) {
		env[n++] = commit;
		if (keys.len)
			env[n++] = keys.data;
		add_packs(b, env + n);
		st.env = env;
	}
	int r = layer_of(b, "build", b->build_key, b->req->app->id, &st, &b->result, e);
	for (size_t i = 0; i < owned; i++)
		free((char *)(uintptr_t)env[i]);
	free(env);
	buf_free(&keys);
	return r;
}

/* ---- scripts.predeploy ---- */

static int feed_orders(void *arg, int fd, struct err *e)
{
	return docker_send_orders(arg, fd, e);
}

static void add_env(json_t *env, const json_t *from)
{
	if (json_is_object(from))
		json_object_update(env, (json_t *)(uintptr_t)from);
}

/* What the script sees: as the app, but for what is known only when that runs. */
static json_t *predeploy_orders(
	const struct build *b, const struct db_image *image, const char *script)
{
	json_t *env = json_pack("{s:s}", "HOME", own_start_home(image));
	const char *user = json_string_value(json_object_get(image->config, "User"));
	const char *key;
	json_t *value;

	add_env(env, json_object_get(b->plan, "env"));
	add_env(env, json_object_get(b->result, "env"));
	json_object_foreach (b->config, key, value)
		if (json_is_string(value))
			json_object_set(env, key, value);
	return json_pack("{s:[s,s,s], s:o, s:s, s:s}", "argv",
		image->profile_d ? "/bin/bash" : "/bin/sh", "-c", script, "env", env,
		"user", own_start(image) ? (user ? user : "") : "1000:1000", "cwd",
		own_start(image) ? own_start_folder(image) : "/app");
}

static void predeploy_key(struct build *b, const json_t *todo, char out[65])
{
	char *text autofree = json_dumps(todo, JSON_COMPACT | JSON_SORT_KEYS);
	const json_t *layer;
	struct key k;
	size_t i;

	key_begin(&k, "predeploy-1");
	key_addu(&k, b->req->app->id);
	key_adds(&k, text);
	json_array_foreach (b->layers, i, layer)
		key_addu(&k, (uint64_t)json_integer_value(layer));
	salt(b, &k);
	key_end(&k, out);
}

/* What it changes becomes the image's uppermost layer. */
static int predeploy_step(struct build *b, const struct db_image *image, struct err *e)
{
	const char *script = appjson_script(b->app_json, SCRIPT_PREDEPLOY);
	json_t *todo = script ? predeploy_orders(b, image, script) : NULL;
	struct step st = {.command = "docker-run",
		.title = "scripts.predeploy",
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_IMAGE_FILES | START_HOST_APT,
		.feed = feed_orders,
		.feed_arg = todo,
		.stdin_fd = -1};
	char key[65];

	if (!script)
		return 0;
	predeploy_key(b, todo, key);
	sink_step(b->s, "Running scripts.predeploy: %.200s", script);
	int r = layer_of(b, "build", key, b->req->app->id, &st, NULL, e);
	json_decref(todo);
	return r;
}

/* ---- the image ---- */

static void merge(json_t *into, const json_t *from, const char *field)
{
	json_t *o = json_object_get(from, field);

	if (json_is_object(o))
		json_object_update(into, o);
}

static int make_image(struct build *b, struct db_image *ret, struct err *e)
{
	ret->app = b->req->app->id;
	ret->processes = json_object();
	ret->env = json_object();
	ret->checks = b->app_json ? json_incref(b->app_json) : json_object();
	merge(ret->processes, b->plan, "processes");
	merge(ret->processes, b->result, "processes");
	json_object_update(ret->processes, b->procfile);
	merge(ret->env, b->plan, "env");
	merge(ret->env, b->result, "env");
	snprintf(ret->pack, sizeof(ret->pack), "%s", b->pack);
	snprintf(ret->commit, sizeof(ret->commit), "%s", b->req->commit);
	ret->profile_d = json_is_true(json_object_get(b->plan, "profile_d")) ||
			 json_is_true(json_object_get(b->result, "profile_d"));
	int r = predeploy_step(b, ret, e);
	if (r < 0)
		return r;
	ret->layers = json_incref(b->layers);
	if (json_object_size(ret->processes) == 0)
		return err_set(e, EINVAL,
			"no start command: add a Procfile with a line such as `web: "
			"./server`");
	r = db_image_create(b->c->db, ret);
	return r < 0 ? err_sys(e, -r, "record the image") : 0;
}

/* A Dockerfile says all by itself; a Procfile names further commands, or another one for web. */
static int docker_steps(struct build *b, struct db_image *ret, struct err *e)
{
	struct docker_build d = {.c = b->c,
		.req = b->req,
		.seen = b->config,
		.s = b->s,
		.repo = b->repo,
		.tree = &b->tree,
		.source = b->layers,
		.asked = json_object_get(b->plan, "docker")};
	json_t *checks = b->app_json ? json_incref(b->app_json) : json_object();
	int r = docker_build(&d, e);

	if (r == 0) {
		json_decref(b->layers);
		b->layers = json_incref(d.layers);
		ret->config = json_incref(d.config);
		r = own_start_processes(ret->config, b->procfile, &b->result, e);
	}
	if (r == 0 && d.health_path[0] && !json_object_get(checks, "healthchecks"))
		json_object_set_new(checks, "healthchecks",
			json_pack("{s:[{s:s, s:s}]}", "web", "type", "startup", "path",
				d.health_path));
	json_decref(b->app_json);
	b->app_json = checks;
	docker_build_clear(&d);
	return r < 0 ? r : make_image(b, ret, e);
}

static int plan_steps(struct build *b, struct err *e)
{
	uint64_t stack;
	int r = stack_layer(b->c, &stack, e);

	b->config = build_config(b->c, b->req->app->id, b->req->config);
	if (r == 0 && !b->config)
		r = err_set(e, ENOMEM, "out of memory");
	if (r == 0)
		r = open_commit(b, e);
	if (r == 0)
		r = read_manifests(b, e);
	if (r == 0)
		r = packs_env(b->c, b->req->app->id, b->req->config, b->app_json,
			&b->packs, &b->app_packs, e);
	if (r < 0)
		return r;
	push_layer(b, stack);
	r = source_step(b, stack, e);
	return r < 0 ? r : check_plan(b, e);
}

static int build_steps(struct build *b, struct db_image *ret, struct err *e)
{
	int r = plan_steps(b, e);

	if (r < 0)
		return r;
	if (json_object_get(b->plan, "docker"))
		return docker_steps(b, ret, e);
	/* The source lies above what it is built with: it was planned over the bare stack. */
	json_t *source = b->layers;
	b->layers = json_pack("[O]", json_array_get(source, 0));
	json_array_remove(source, 0);
	r = toolchain_step(b, e);
	if (r == 0)
		r = deps_step(b, e);
	size_t n_tools = json_array_size(b->layers) - 1;
	json_array_extend(b->layers, source);
	json_decref(source);
	if (r == 0)
		r = compile_step(b, e);
	/* A compiled program leaves its compiler behind. */
	for (; json_is_false(json_object_get(b->plan, "launch")) && n_tools > 0;
		n_tools--)
		json_array_remove(b->layers, 1);
	return r < 0 ? r : make_image(b, ret, e);
}

static void build_free(struct build *b)
{
	git_repository_free(b->repo);
	json_decref(b->procfile);
	json_decref(b->app_json);
	json_decref(b->config);
	json_decref(b->plan);
	json_decref(b->result);
	json_decref(b->layers);
	buf_free(&b->packs);
	buf_free(&b->app_packs);
}

int build_image(struct control *c, const struct build_request *req, struct sink *s,
	struct db_image *ret, struct err *e)
{
	struct build b = {.c = c, .req = req, .s = s, .layers = json_array()};

	*ret = (struct db_image){0};
	int r = build_steps(&b, ret, e);
	if (r < 0)
		db_image_clear(ret);
	build_free(&b);
	return r;
}

int build_app_json(
	struct control *c, const struct build_request *req, json_t **ret, struct err *e)
{
	struct build b = {.c = c, .req = req};
	char *text autofree = NULL;
	int r = open_commit(&b, e);

	*ret = NULL;
	if (r == 0)
		r = read_manifest(&b, "app.json", &text, e);
	if (r == 0 && text)
		r = appjson_parse(text, ret, NULL, e);
	build_free(&b);
	return r;
}

static void say_lines(struct sink *s, const char *what, const char *lines)
{
	char *copy autofree = strdup(lines ? lines : "");

	for (char *save, *line = copy ? strtok_r(copy, "\n", &save) : NULL; line;
		line = strtok_r(NULL, "\n", &save))
		sink_detail(s, "%s: %s", what, line);
}

int build_detect(
	struct control *c, const struct build_request *req, struct sink *s, struct err *e)
{
	struct build b = {.c = c, .req = req, .s = s, .layers = json_array()};
	const char *type;
	json_t *command;
	int r = plan_steps(&b, e);

	if (r == 0) {
		const json_t *tools = json_object_get(b.plan, "toolchain");
		say_lines(s, "needs",
			json_string_value(json_object_get(tools, "key_input")));
		json_t *types = json_object_get(b.plan, "processes");
		if (json_is_object(types))
			json_object_update(types, b.procfile);
		json_object_foreach (types, type, command)
			sink_detail(s, "starts %s: %s", type, json_string_value(command));
	}
	build_free(&b);
	return r;
}
