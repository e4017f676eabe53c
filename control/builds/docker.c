/* The layers of a Dockerfile. */
#include "control/builds/docker.h"
#include "control/builds/build_input.h"
#include "control/builds/key.h"
#include "control/builds/layers.h"
#include "lib/io.h"
#include "receiver/source.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define STAGES_MAX 64 /* buildpacks/dockerfile/docker_plan.h */

/* An image or a stage while it grows. */
struct chain {
	json_t *layers;
	char key[65]; /* of its last step */
};

struct job {
	struct docker_build *d;
	json_t *bases; /* reference -> {"layers", "config"} */
	json_t *plan;
	json_t *kept; /* ids of all layers that were used */
	struct chain stages[STAGES_MAX];
	unsigned int at, total;
	const json_t *step;
	char title[160]; /* of the step */
};

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* ---- what a step reads: orders, then files ---- */

struct orders {
	struct job *w;
	const json_t *todo;
	const json_t *files; /* of the source tree; NULL: none */
	const json_t *from;  /* layers to be packed; NULL: none */
};

int docker_send_orders(const json_t *todo, int fd, struct err *e)
{
	char *body autofree = json_dumps(todo, JSON_COMPACT);
	char head[24];
	int r = -ENOMEM;

	if (body) {
		snprintf(head, sizeof(head), "%015zu\n", strlen(body));
		r = io_write_all(fd, head, 16);
		if (r == 0)
			r = io_write_all(fd, body, strlen(body));
	}
	return r < 0 ? err_sys(e, -r, "tell the step") : 0;
}

static int feed_orders(void *arg, int fd, struct err *e)
{
	const struct orders *o = arg;

	return docker_send_orders(o->todo, fd, e);
}

static bool takes_all(const json_t *files)
{
	return json_array_size(files) == 1 &&
	       strcmp(json_string_value(json_array_get(files, 0)), ".") == 0;
}

static int send_files(const struct orders *o, int fd, struct err *e)
{
	struct docker_build *d = o->w->d;
	size_t n = json_array_size(o->files);
	const char **list autofree = calloc(n + 1, sizeof(*list));
	struct source_filter filter = {.files = list, .n_files = n};
	struct source_report report = {0};
	const json_t *file;
	size_t i;

	if (!list)
		return err_set(e, ENOMEM, "out of memory");
	json_array_foreach (o->files, i, file)
		list[i] = json_string_value(file);
	if (takes_all(o->files))
		filter.files = NULL;
	int r = source_stream(d->repo, d->tree, fd, &filter, &report, e);
	source_report_free(&report);
	return r;
}

/* Another sandbox, on the other image, writes what is copied into the pipe that ours reads. */
static int send_packed(const struct orders *o, int fd, struct err *e)
{
	struct docker_build *d = o->w->d;
	struct orders inner = {.todo = o->todo};
	struct step st = {.app = d->req->app->id,
		.command = "docker-pack",
		.quick = true, /* ours has a turn, and waits for it */
		.title = o->w->title,
		.layers = o->from,
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_NO_NET | START_IMAGE_FILES,
		.feed = feed_orders,
		.feed_arg = &inner,
		.stdin_fd = -1,
		.output_fd = fd};
	json_t *said = NULL;
	int r = step_run(d->c, &st, d->s, &said, e);

	json_decref(said);
	return r;
}

/* What the step is told: todo, and what is no part of its key. */
static json_t *orders_of(const struct job *w, const json_t *todo)
{
	json_t *told = json_copy((json_t *)(uintptr_t)todo), *values = json_object();
	const json_t *secret;
	size_t i;

	json_array_foreach (json_object_get(todo, "secrets"), i, secret)
		json_object_set(values, text(secret, "id"),
			json_object_get(w->d->seen, text(secret, "id")));
	json_object_set_new(told, "values", values);
	json_object_set(told, "predefined", json_object_get(w->plan, "predefined"));
	return told;
}

static int feed_step(void *arg, int fd, struct err *e)
{
	const struct orders *o = arg;
	json_t *told = orders_of(o->w, o->todo);
	int r = docker_send_orders(told, fd, e);

	json_decref(told);
	if (r == 0 && o->from)
		return send_packed(o, fd, e);
	return r == 0 && json_array_size(o->files) ? send_files(o, fd, e) : r;
}

/* ---- keys ---- */

/* Content and mode of a file or folder of the commit; times and owners are no part of it. */
static int add_file(
	struct docker_build *d, git_tree *tree, struct key *k, const char *path)
{
	git_tree_entry *entry = NULL;

	key_adds(k, path);
	if (git_tree_entry_bypath(&entry, tree, path) != 0)
		return 0;
	key_add(k, git_tree_entry_id(entry), sizeof(git_oid));
	key_addu(k, git_tree_entry_filemode(entry));
	git_tree_entry_free(entry);
	(void)d;
	return 0;
}

static int add_files(struct docker_build *d, struct key *k, const json_t *files)
{
	git_tree *tree = NULL;
	const json_t *file;
	size_t i;

	if (takes_all(files)) {
		key_add(k, d->tree, sizeof(*d->tree));
		return 0;
	}
	if (git_tree_lookup(&tree, d->repo, d->tree) != 0)
		return -EIO;
	json_array_foreach (files, i, file)
		add_file(d, tree, k, json_string_value(file));
	git_tree_free(tree);
	return 0;
}

/* ---- stages ---- */

static void chain_clear(struct chain *c)
{
	json_decref(c->layers);
	*c = (struct chain){0};
}

/* One that was built; else NULL. */
static const struct chain *stage_of(const struct job *w, const json_t *number)
{
	json_int_t n = json_integer_value(number);

	return n >= 0 && n < STAGES_MAX && w->stages[n].layers ? &w->stages[n] : NULL;
}

/* The start of a stage, or what is copied from: another stage, or an image. */
static int find_chain(struct job *w, const json_t *from, struct chain *ret, struct err *e)
{
	const json_t *n = json_object_get(from, "stage");
	const json_t *base = json_object_get(w->bases, text(from, "image"));
	struct key k;

	if (n) {
		const struct chain *c = stage_of(w, n);
		if (!c)
			return err_set(
				e, EBADMSG, "the plan names a stage that is not built");
		*ret = (struct chain){.layers = json_copy(c->layers)};
		memcpy(ret->key, c->key, sizeof(ret->key));
	} else {
		char *ids autofree =
			base ? json_dumps(json_object_get(base, "layers"), JSON_COMPACT)
			     : NULL;
		*ret = (struct chain){
			.layers = base ? json_copy(json_object_get(base, "layers"))
				       : json_array()};
		key_begin(&k, "docker-base-1");
		key_adds(&k, ids);
		key_end(&k, ret->key);
	}
	return ret->layers ? 0 : err_set(e, ENOMEM, "out of memory");
}

/* It sees values or a cache of the app's: no other app may get its layer. */
static bool is_own(const struct job *w)
{
	const json_t *todo = json_object_get(w->step, "do");

	return json_is_true(json_object_get(w->step, "private")) ||
	       json_array_size(json_object_get(todo, "secrets")) > 0 ||
	       json_array_size(json_object_get(todo, "caches")) > 0;
}

static int step_key(struct job *w, const struct chain *below, const struct chain *from,
	char out[65], struct err *e)
{
	const json_t *files = json_object_get(w->step, "context");
	char *todo autofree =
		json_dumps(json_object_get(w->step, "do"), JSON_COMPACT | JSON_SORT_KEYS);
	struct key k;

	if (!todo)
		return err_set(e, ENOMEM, "out of memory");
	key_begin(&k, "docker-1");
	key_adds(&k, below->key);
	key_adds(&k, text(w->step, "op"));
	key_adds(&k, todo);
	key_adds(&k, from ? from->key : "");
	if (files && add_files(w->d, &k, files) < 0)
		return err_set(e, EIO, "the commit's tree cannot be read");
	if (is_own(w))
		key_addu(&k, w->d->req->app->id);
	if (w->d->req->no_cache)
		key_addu(&k, io_mono_ns());
	key_end(&k, out);
	return 0;
}

/* ---- steps ---- */

static uint64_t cache_id(const char *id)
{
	struct key k;
	char hex[65], *end;

	key_begin(&k, "docker-cache-1");
	key_adds(&k, id);
	key_end(&k, hex);
	hex[16] = '\0';
	return strtoull(hex, &end, 16);
}

static unsigned int fill_caches(const json_t *todo, struct msg_mount *mounts)
{
	const json_t *cache;
	size_t i;
	unsigned int n = 0;

	json_array_foreach (json_object_get(todo, "caches"), i, cache) {
		const char *path = text(cache, "target");
		if (n == PROTO_MOUNTS_MAX || strlen(path) >= sizeof(mounts[n].path))
			break;
		mounts[n] = (struct msg_mount){
			.id = cache_id(text(cache, "id")), .kind = MOUNT_CACHE_PART};
		snprintf(mounts[n++].path, sizeof(mounts[0].path), "%s", path);
	}
	return n;
}

/* It comes out of a sandbox: nothing that a terminal would obey. */
static void take_title(struct job *w)
{
	snprintf(w->title, sizeof(w->title), "%s", text(w->step, "title"));
	for (char *s = w->title; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static void say_begin(struct job *w, bool cached)
{
	sink_step(w->d->s, "[%u/%u] %s%s", w->at, w->total, w->title,
		cached ? " (unchanged)" : "");
}

/* Found by its key, or made; `below` grows by it. */
static int make_layer(struct job *w, struct chain *below, const struct chain *from,
	const char *key, struct err *e)
{
	struct docker_build *d = w->d;
	const json_t *todo = json_object_get(w->step, "do");
	bool run = strcmp(text(w->step, "op"), "run") == 0;
	bool online = run && !json_is_true(json_object_get(todo, "offline"));
	struct msg_mount *mounts autofree = calloc(PROTO_MOUNTS_MAX, sizeof(*mounts));
	struct orders o = {.w = w,
		.todo = todo,
		.files = json_object_get(w->step, "context"),
		.from = from ? from->layers : NULL};
	struct step st = {.app = d->req->app->id,
		.command = run ? "docker-run" : "docker-copy",
		.title = w->title,
		.layers = below->layers,
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_IMAGE_FILES | (online ? START_HOST_APT : START_NO_NET),
		.feed = feed_step,
		.feed_arg = &o,
		.stdin_fd = -1,
		.mounts = mounts};
	uint64_t began = io_mono_ns(), id;

	if (!mounts)
		return err_set(e, ENOMEM, "out of memory");
	if (run && json_array_size(below->layers) == 0)
		return err_set(e, EINVAL,
			"RUN in an empty image (scratch): there is no program in it; "
			"COPY one "
			"first");
	st.n_mounts = fill_caches(todo, mounts);
	bool cached = db_layer_find(d->c->db, "docker", key, &id, NULL) == 0;
	say_begin(w, cached);
	int r = layer_get(d->c, "docker", key, is_own(w) ? d->req->app->id : 0, &st, d->s,
		&id, NULL, e);
	if (r < 0)
		return r;
	if (r == 0)
		sink_detail(d->s, "%.1f s", (double)(io_mono_ns() - began) / 1e9);
	json_array_append_new(below->layers, json_integer((json_int_t)id));
	json_array_append_new(w->kept, json_integer((json_int_t)id));
	memcpy(below->key, key, sizeof(below->key));
	return 0;
}

static int one_step(struct job *w, struct chain *below, struct err *e)
{
	const json_t *from = json_object_get(w->step, "from");
	struct chain other = {0};
	char key[65];
	int r = 0;

	w->at++;
	take_title(w);
	if (json_array_size(below->layers) >= PROTO_LAYERS_MAX - 1)
		return err_set(e, E2BIG,
			"the image would have more than %d layers; join RUN lines with "
			"&&, and "
			"COPYs of the same folder",
			PROTO_LAYERS_MAX - 1);
	if (from)
		r = find_chain(w, from, &other, e);
	if (r == 0 && from && json_array_size(other.layers) == 0)
		r = err_set(e, ENOENT, "that stage is empty: there is nothing to copy");
	if (r == 0)
		r = step_key(w, below, from ? &other : NULL, key, e);
	if (r == 0)
		r = make_layer(w, below, from ? &other : NULL, key, e);
	chain_clear(&other);
	return r;
}

static int build_stage(
	struct job *w, const json_t *stage, struct chain *chain, struct err *e)
{
	const json_t *steps = json_object_get(stage, "steps");
	size_t i;
	int r = find_chain(w, json_object_get(stage, "from"), chain, e);

	json_array_foreach (steps, i, w->step) {
		if (r == 0)
			r = one_step(w, chain, e);
		if (r < 0) {
			int line =
				(int)json_integer_value(json_object_get(w->step, "line"));
			return r == -ECANCELED ? r : err_add(e, "Dockerfile:%d", line);
		}
	}
	return r;
}

static int build_stages(struct job *w, struct err *e)
{
	const json_t *stages = json_object_get(w->plan, "stages"), *stage;
	size_t i;
	int r = 0;

	json_array_foreach (stages, i, stage)
		if (r == 0 && json_is_object(stage))
			r = build_stage(w, stage, &w->stages[i], e);
	return r;
}

/* ---- the plan ---- */

/* Files of the tree are named, before any of them is looked for. */
static bool names_files(const json_t *step)
{
	const json_t *context = json_object_get(step, "context"), *file;
	size_t i;

	if (context && !json_is_array(context))
		return false;
	json_array_foreach (context, i, file)
		if (!json_is_string(file))
			return false;
	return true;
}

/* It comes out of a sandbox. */
static bool plan_fits(const json_t *plan)
{
	const json_t *stages = json_object_get(plan, "stages"), *stage, *step;
	size_t i, k;

	if (json_array_size(stages) > STAGES_MAX)
		return false;
	json_array_foreach (stages, i, stage)
		json_array_foreach (json_object_get(stage, "steps"), k, step)
			if (!names_files(step))
				return false;
	return true;
}

static int find_bases(struct job *w, struct err *e)
{
	const json_t *name;
	size_t i;

	json_array_foreach (json_object_get(w->d->asked, "bases"), i, name) {
		const char *reference = json_string_value(name);
		json_t *layers = NULL, *config = NULL;
		if (!reference)
			continue;
		int r = docker_base(w->d, reference, &layers, &config, e);
		if (r < 0)
			return r;
		json_array_extend(w->kept, layers);
		json_object_set_new(w->bases, reference,
			json_pack("{s:o, s:o}", "layers", layers, "config", config));
	}
	return 0;
}

static json_t *names_of(const json_t *object)
{
	json_t *names = json_array(), *value;
	const char *key;

	json_object_foreach ((json_t *)(uintptr_t)object, key, value)
		json_array_append_new(names, json_string(key));
	return names;
}

static int make_plan(struct job *w, struct err *e)
{
	struct docker_build *d = w->d;
	json_t *configs = json_object(), *base;
	const char *name;

	json_object_foreach (w->bases, name, base)
		json_object_set(configs, name, json_object_get(base, "config"));
	json_t *input = json_pack("{s:o, s:o, s:o}", "bases", configs, "args",
		build_args(d->c, d->req->app->id), "config", names_of(d->seen));
	struct orders o = {.w = w, .todo = input};
	struct step st = {.app = d->req->app->id,
		.command = "docker-plan",
		.quick = true,
		.title = "reading the Dockerfile",
		.layers = d->source,
		.profile = PROFILE_APP,
		.flags = START_NO_NET,
		.feed = feed_orders,
		.feed_arg = &o,
		.stdin_fd = -1};
	int r = input ? step_run(d->c, &st, d->s, &w->plan, e)
		      : err_set(e, ENOMEM, "out of memory");
	json_decref(input);
	if (r == 0 && !plan_fits(w->plan))
		r = err_set(e, EBADMSG, "the Dockerfile was read without a plan");
	return r;
}

static void print_warnings(struct job *w)
{
	const json_t *item;
	size_t i;

	json_array_foreach (json_object_get(w->plan, "warnings"), i, item)
		sink_fail(w->d->s, "%s", json_string_value(item));
}

int docker_find_user(struct control *c, uint32_t app, const json_t *layers,
	json_t *config, struct sink *s, struct err *e)
{
	json_t *todo = json_pack("{s:s}", "user", text(config, "User")), *said = NULL;
	struct orders o = {.todo = todo};
	struct step st = {.app = app,
		.command = "docker-user",
		.quick = true,
		.title = "looking up the image's user",
		.layers = layers,
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_NO_NET | START_IMAGE_FILES,
		.feed = feed_orders,
		.feed_arg = &o,
		.stdin_fd = -1};
	int r = todo ? step_run(c, &st, s, &said, e)
		     : err_set(e, ENOMEM, "out of memory");

	if (r == 0 && json_object_set_new(config, "Berth", said) < 0)
		r = err_set(e, EIO, "the image's user is not known");
	json_decref(todo);
	return r;
}

static int finish(struct job *w, struct err *e)
{
	struct docker_build *d = w->d;
	const struct chain *last = stage_of(w, json_object_get(w->plan, "target"));

	if (!last || json_array_size(last->layers) == 0)
		return err_set(e, EINVAL, "the image is empty: COPY something into it");
	d->layers = json_incref(last->layers);
	d->config = json_deep_copy(json_object_get(w->plan, "config"));
	/* it goes into a request line as it is */
	const char *path = text(w->plan, "health_path");
	if (*path == '/' && !strpbrk(path, " \t\r\n") &&
		strlen(path) < sizeof(d->health_path))
		snprintf(d->health_path, sizeof(d->health_path), "%s", path);
	if (!json_is_object(d->config))
		return err_set(e, EBADMSG, "the plan has no configuration");
	int r = docker_find_user(d->c, d->req->app->id, d->layers, d->config, d->s, e);
	if (r == 0)
		json_object_set(json_object_get(d->config, "Berth"), "kept", w->kept);
	return r;
}

static int build(struct job *w, struct err *e)
{
	int r = find_bases(w, e);

	if (r == 0)
		r = make_plan(w, e);
	if (r < 0)
		return r;
	print_warnings(w);
	w->total = (unsigned int)json_integer_value(json_object_get(w->plan, "n_steps"));
	r = build_stages(w, e);
	return r < 0 ? r : finish(w, e);
}

int docker_build(struct docker_build *d, struct err *e)
{
	struct job *w = calloc(1, sizeof(*w));

	if (!w)
		return err_set(e, ENOMEM, "out of memory");
	w->d = d;
	w->bases = json_object();
	w->kept = json_array();
	int r = w->bases && w->kept ? build(w, e) : err_set(e, ENOMEM, "out of memory");
	for (size_t i = 0; i < STAGES_MAX; i++)
		chain_clear(&w->stages[i]);
	json_decref(w->bases);
	json_decref(w->kept);
	json_decref(w->plan);
	free(w);
	return r;
}

void docker_build_clear(struct docker_build *d)
{
	json_decref(d->layers);
	json_decref(d->config);
	d->layers = d->config = NULL;
}
