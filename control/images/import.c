/* Images from archives that other tools wrote. */
#include "control/images/import.h"
#include "control/builds/layers.h"
#include "control/builds/step.h"
#include "control/data/retention.h"
#include "control/images/images.h"
#include "control/spool.h"
#include "lib/io.h"
#include <errno.h>
#include <sha2.h>
#include <stdio.h>
#include <string.h>

/* ---- the archive ---- */

struct import {
	struct control *c;
	const struct image_import *i;
	struct sink *s;
	struct spool spool;
	json_t *plan;
	json_t *layers; /* ids so far */
	struct made {
		uint64_t id, ready_us;
	} made[PROTO_LAYERS_MAX]; /* by this import */
	size_t n_made;
};

/* ---- steps ---- */

static struct step step_of(
	const struct import *m, const char *command, const char *const *env)
{
	return (struct step){.app = STEP_NO_APP,
		.command = command,
		.env = env,
		.layers = m->layers,
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_NO_NET | START_BARE,
		.stdin_fd = m->spool.fd};
}

/* Its sandbox has no layer below: an empty one of its own serves, and goes. */
static int read_plan(struct import *m, struct err *e)
{
	char max[64];
	const char *env[] = {max, m->i->fetch ? "BERTH_PARTIAL=1" : NULL, NULL};
	struct step st = step_of(m, "import-plan", env);
	int r = db_layer_begin(m->c->db, "import", "", 0, &st.upper);

	if (r < 0)
		return err_sys(e, -r, "record a layer");
	snprintf(max, sizeof(max), "BERTH_MAX_BYTES=%llu",
		(unsigned long long)m->spool.max_bytes);
	r = step_run(m->c, &st, m->s, &m->plan, e);
	layer_drop(m->c, st.upper);
	if (r == 0 && !json_is_array(json_object_get(m->plan, "layers")))
		r = err_set(e, EBADMSG, "the archive was read without a result");
	return r;
}

/* image-spec, config.md, "Layer ChainID". */
static void chain(char key[65], const char *diff_id)
{
	char text[160];
	int n = key[0] ? snprintf(text, sizeof(text), "sha256:%s sha256:%s", key, diff_id)
		       : 0;

	if (!key[0])
		snprintf(key, 65, "%s", diff_id);
	else
		SHA256Data((const uint8_t *)text, (size_t)n, key);
}

void image_import_has(
	struct control *c, const char (*diff_ids)[65], size_t n, bool *ret_has)
{
	char key[65] = "";
	uint64_t id;

	for (size_t i = 0; i < n; i++) {
		chain(key, diff_ids[i]);
		ret_has[i] = db_layer_find(c->db, "import", key, &id, NULL) == 0;
	}
}

struct making {
	const struct import *m;
	size_t i; /* of its layers */
};

/* What made it, as the image's history says. */
static void note(void *arg, json_t *said)
{
	const struct making *y = arg;
	json_t *history =
		json_object_get(json_object_get(y->m->plan, "config"), "history");
	json_t *item;
	size_t k, at = 0;

	json_array_foreach (history, k, item) {
		if (json_is_true(json_object_get(item, "empty_layer")) || at++ != y->i)
			continue;
		const char *by = json_string_value(json_object_get(item, "created_by"));
		if (by)
			json_object_set_new(
				said, "created_by", json_sprintf("%.100s", by));
	}
	json_int_t skipped = json_integer_value(json_object_get(said, "skipped"));
	if (skipped)
		sink_detail(y->m->s, "layer %zu: %lld devices and the like left out",
			y->i + 1, (long long)skipped);
}

/* 1: it was here. */
static int get_layer(struct import *m, size_t i, const json_t *row, const char *key,
	uint64_t *ret, struct err *e)
{
	const char *path = json_string_value(json_object_get(row, "path"));
	const char *diff_id = json_string_value(json_object_get(row, "diff_id"));
	char words[4][700];
	const char *env[] = {words[0], words[1], words[2], words[3], NULL};
	struct making y = {m, i};
	struct step st = step_of(m, "import-layer", env);

	st.note = note;
	st.feed_arg = &y;
	if (m->i->fetch && (!path || !*path) &&
		db_layer_find(m->c->db, "import", key, ret, NULL) == -ENOENT)
		return err_set(e, EAGAIN,
			"layer %zu was here and is gone: the same command fetches it",
			i + 1);
	snprintf(words[0], sizeof(words[0]), "BERTH_LAYER=%s", path ? path : "");
	snprintf(words[1], sizeof(words[1]), "BERTH_DIFF_ID=%s", diff_id);
	snprintf(words[2], sizeof(words[2]), "BERTH_MAX_BYTES=%llu",
		(unsigned long long)m->spool.max_bytes);
	snprintf(words[3], sizeof(words[3]), "BERTH_MAX_FILES=%u", IMPORT_FILES_MAX);
	int r = layer_get(m->c, "import", key, 0, &st, m->s, ret, NULL, e);
	if (r == 0)
		m->made[m->n_made++] = (struct made){*ret, io_now_us() + 1};
	return r;
}

static int make_layers(struct import *m, struct err *e)
{
	json_t *rows = json_object_get(m->plan, "layers"), *row;
	char key[65] = "";
	size_t i, found = 0, n = json_array_size(rows);

	if (n == 0 || n > PROTO_LAYERS_MAX)
		return err_set(e, E2BIG,
			"the image has %zu layers, at most %d are possible", n,
			PROTO_LAYERS_MAX);
	json_array_foreach (rows, i, row) {
		const char *diff_id = json_string_value(json_object_get(row, "diff_id"));
		uint64_t id;

		if (!diff_id || strlen(diff_id) != 64)
			return err_set(e, EBADMSG, "a layer has no digest");
		chain(key, diff_id);
		int r = get_layer(m, i, row, key, &id, e);
		if (r < 0)
			return r;
		found += r == 1;
		json_array_append_new(m->layers, json_integer((json_int_t)id));
	}
	sink_detail(m->s, "%zu layers, %zu of them were here", n, found);
	return 0;
}

/* ---- the image ---- */

static void set_words(json_t *config, const char *key, json_t *words)
{
	if (words)
		json_object_set(config, key, words);
}

/* Its configuration, with what the caller says in place of what it says. NULL: out of memory. */
static json_t *document(const struct import *m)
{
	json_t *doc = json_deep_copy(json_object_get(m->plan, "config"));
	json_t *config = json_object_get(doc, "config");

	if (!json_object_size(doc)) { /* a root file system */
		json_decref(doc);
		const struct db_image none = {0};
		doc = image_document(&none);
		json_object_set_new(doc, "config",
			json_pack("{s:[s]}", "Env",
				"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/"
				"sbin:"
				"/bin"));
		config = json_object_get(doc, "config");
	}
	if (!json_is_object(config)) {
		json_object_set_new(doc, "config", json_object());
		config = json_object_get(doc, "config");
	}
	if (m->i->cmd)
		json_object_del(config, "Entrypoint");
	set_words(config, "Cmd", m->i->cmd);
	if (m->i->env) {
		json_t *env = json_object_get(config, "Env");
		if (json_is_array(env))
			json_array_extend(env, m->i->env);
		else
			set_words(config, "Env", m->i->env);
	}
	if (m->i->workdir)
		json_object_set_new(config, "WorkingDir", json_string(m->i->workdir));
	if (m->i->user)
		json_object_set_new(config, "User", json_string(m->i->user));
	json_object_del(doc, "rootfs");
	return doc;
}

/* The name that was asked for, else the archive's; a tag alone is no name. */
static int find_name(const struct import *m, char out[TAG_NAME_MAX], struct err *e)
{
	const char *own = json_string_value(json_object_get(m->plan, "name"));
	const char *name = m->i->name ? m->i->name : own && strchr(own, ':') ? own : NULL;

	if (!name)
		return err_set(e, EINVAL,
			"the archive names no image: say how it is to be called with "
			"--as "
			"NAME[:TAG]");
	return image_name(name, out, e);
}

static int keep(struct import *m, const char *name, struct err *e)
{
	struct db_tag t = {.layers = m->layers, .config = document(m)};
	int r = t.config ? 0 : -ENOMEM;

	snprintf(t.name, sizeof(t.name), "%s", name);
	if (r == 0)
		r = db_tag_put(m->c->db, &t);
	json_decref(t.config);
	return r < 0 ? err_sys(e, -r, "record the image") : 0;
}

static int import(struct import *m, char ret_name[TAG_NAME_MAX], struct err *e)
{
	int r = m->i->name ? image_name(m->i->name, ret_name, e) : 0;

	if (r < 0)
		return r;
	if (m->i->fetch)
		r = spool_fill(&m->spool, m->c, m->i->fetch, m->i->fetch_arg, m->s, e);
	else
		r = spool_take(&m->spool, m->c, m->i->fd, m->s, e);
	if (r < 0)
		return r;
	if (!m->i->fetch)
		sink_step(m->s, "Reading the archive");
	r = read_plan(m, e);
	if (r == 0)
		r = find_name(m, ret_name, e);
	if (r < 0)
		return r;
	sink_step(m->s, "Unpacking the layers");
	r = make_layers(m, e);
	return r == 0 ? keep(m, ret_name, e) : r;
}

int image_import(struct control *c, const struct image_import *i, struct sink *s,
	char ret_name[TAG_NAME_MAX], struct err *e)
{
	struct import m = {
		.c = c, .i = i, .s = s, .spool = SPOOL_NONE, .layers = json_array()};
	int r = import(&m, ret_name, e);

	/* What nobody else has found meanwhile. */
	for (size_t k = 0; r < 0 && k < m.n_made; k++)
		retention_remove(c, m.made[k].id, m.made[k].ready_us);
	spool_drop(&m.spool);
	json_decref(m.plan);
	json_decref(m.layers);
	return r;
}
