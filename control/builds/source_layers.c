/* The files of a commit as layers: all of them, or what changed. */
#include "control/builds/source_layers.h"
#include "control/builds/key.h"
#include "control/builds/layers.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What a layer is made on. */
struct ground {
	json_t *below; /* ids, bottom first; NULL: the stack alone, and then the tree is written as a whole */
	git_oid tree;
	uint64_t entries, bytes; /* of the tree, at most */
};

struct making {
	const struct source_layers *q;
	struct ground on;
	struct source_report report;
};

static void tree_key(const struct source_layers *q, const git_oid *tree, char out[65])
{
	json_int_t stack = (json_int_t)q->stack;
	struct key k;

	key_begin(&k, "source-3");
	key_add(&k, &stack, sizeof(stack));
	key_add_pack(&k, ".");
	key_add_host_packs(&k, q->c->state);
	key_adds(&k, q->packs[0]);
	key_adds(&k, q->packs[1]);
	key_add(&k, tree, sizeof(*tree));
	if (q->no_cache)
		key_addu(&k, io_mono_ns());
	key_end(&k, out);
}

/* What lies on an app's earlier layers has seen what they are made of: it is the app's own. */
static void changes_key(const struct source_layers *q, const char *tree, char out[65])
{
	struct key k;

	key_begin(&k, "changes-1");
	key_adds(&k, tree);
	key_addu(&k, q->app->id);
	key_end(&k, out);
}

/* ---- the layer being made ---- */

static int feed(void *arg, int fd, struct err *e)
{
	struct making *m = arg;
	struct source_filter f = {.base = m->on.below ? &m->on.tree : NULL};

	return source_stream(m->q->repo, m->q->tree, fd, &f, &m->report, e);
}

static void note_submodules(json_t *plan, const struct source_report *report)
{
	json_t *warnings = json_object_get(plan, "warnings");
	char text[512];

	if (!json_is_array(warnings)) {
		warnings = json_array();
		json_object_set_new(plan, "warnings", warnings);
	}
	for (unsigned int i = 0; i < report->n_submodules && i < SOURCE_NOTES_MAX; i++) {
		snprintf(text, sizeof(text),
			"submodule %s is not fetched: add its files to the repository",
			report->submodules[i]);
		json_array_append_new(warnings, json_string(text));
	}
}

/* What the next layer needs to know of this one. */
static void note(void *arg, json_t *plan)
{
	struct making *m = arg;
	char hex[GIT_OID_HEXSZ + 1];

	git_oid_tostr(hex, sizeof(hex), m->q->tree);
	json_object_set_new(plan, "tree", json_string(hex));
	json_object_set_new(plan, "entries",
		json_integer((json_int_t)(m->on.entries + m->report.entries)));
	json_object_set_new(
		plan, "bytes", json_integer((json_int_t)(m->on.bytes + m->report.bytes)));
	if (m->on.below) {
		json_object_set(plan, "below", m->on.below);
		json_object_set_new(
			plan, "created_by", json_string("changed files of the commit"));
	}
	if (!m->report.n_submodules)
		return;
	note_submodules(plan, &m->report);
	json_object_set_new(plan, "whole", json_true());
}

static int make(struct making *m, const char *key, struct sink *s, uint64_t *ret_id,
	json_t **ret_plan, struct err *e)
{
	const struct source_layers *q = m->q;
	const char *env[3] = {NULL, NULL, NULL};
	struct step st = {.app = q->app->id,
		.command = "source",
		.argument = m->on.below ? "changes" : NULL,
		.quick = true,
		.profile = PROFILE_APP,
		.flags = START_NO_NET,
		.feed = feed,
		.feed_arg = m,
		.note = note,
		.stdin_fd = -1};
	json_t *layers = json_pack("[I]", (json_int_t)q->stack);
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(q->packs); i++)
		if (q->packs[i])
			env[n++] = q->packs[i];
	st.env = env;
	if (m->on.below)
		json_array_extend(layers, m->on.below);
	st.layers = layers;
	int r = layer_get(q->c, "source", key, m->on.below ? q->app->id : 0, &st, s,
		ret_id, ret_plan, e);
	json_decref(layers);
	source_report_free(&m->report);
	return r < 0 ? r : 0;
}

/* ---- what it can lie on ---- */

/*
 * Warnings about files are made when these are written, so a tree with some is written as a whole each time; so is one
 * of which files were left out, and one whose buildpack is the repository's own: what that leaves in the folder is nobody's to know.
 */
static bool can_carry(const json_t *plan)
{
	const char *pack = json_string_value(json_object_get(plan, "pack"));

	return json_object_get(plan, "tree") && !json_object_get(plan, "whole") &&
	       !(pack && strcmp(pack, "classic") == 0);
}

static int ground_on(const json_t *plan, uint64_t id, struct ground *ret)
{
	const char *tree = json_string_value(json_object_get(plan, "tree"));
	json_t *below = json_object_get(plan, "below");

	if (!can_carry(plan) || git_oid_fromstr(&ret->tree, tree) < 0)
		return -ENOENT;
	ret->below = json_is_array(below) ? json_copy(below) : json_array();
	json_array_append_new(ret->below, json_integer((json_int_t)id));
	ret->entries = (uint64_t)json_integer_value(json_object_get(plan, "entries"));
	ret->bytes = (uint64_t)json_integer_value(json_object_get(plan, "bytes"));
	return ret->below ? 0 : -ENOMEM;
}

/* 1: there, with its plan. */
static int find(const struct source_layers *q, const char *key, uint64_t *ret_id,
	json_t **ret_plan)
{
	char own[65];
	int r = db_layer_find(q->c->db, "source", key, ret_id, ret_plan);

	if (r == -ENOENT) {
		changes_key(q, key, own);
		r = db_layer_find(q->c->db, "source", own, ret_id, ret_plan);
	}
	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

/* The topmost of an image's layers that holds files of a commit. Another app's may go with that app. */
static int find_in(const struct source_layers *q, const struct db_image *image,
	uint64_t *ret_id, json_t **ret_plan)
{
	for (size_t i = json_array_size(image->layers); i-- > 0;) {
		json_t *plan = NULL;
		struct db_layer l;
		uint64_t id =
			(uint64_t)json_integer_value(json_array_get(image->layers, i));

		if (db_layer_get(q->c->db, id, &l, &plan) == 0 &&
			strcmp(l.kind, "source") == 0 &&
			(l.app == 0 || l.app == q->app->id)) {
			*ret_id = id;
			*ret_plan = plan;
			return 1;
		}
		json_decref(plan);
	}
	return 0;
}

/* The image of a Dockerfile is not made of them: it was built from those of its commit. */
static int find_commit(const struct source_layers *q, const struct db_image *image,
	uint64_t *ret_id, json_t **ret_plan)
{
	struct err ignored;
	char key[65];
	git_oid tree;

	if (source_commit(q->repo, image->commit, &tree, NULL, &ignored) < 0)
		return 0;
	tree_key(q, &tree, key);
	return find(q, key, ret_id, ret_plan);
}

static int find_live(const struct source_layers *q, uint64_t *ret_id, json_t **ret_plan)
{
	struct db_release live = {0};
	struct db_image image = {0};
	int r = q->app->live_version ? db_release_get(q->c->db, q->app->id,
					       q->app->live_version, &live)
				     : -ENOENT;

	if (r == 0)
		r = db_image_get(q->c->db, live.image, &image);
	if (r == 0)
		r = find_in(q, &image, ret_id, ret_plan);
	if (r == 0)
		r = find_commit(q, &image, ret_id, ret_plan);
	db_image_clear(&image);
	db_release_clear(&live);
	return r;
}

/* With so many layers of changes, the next has all since the lowest layer in one. */
static int choose(const struct source_layers *q, struct ground *ret)
{
	json_t *plan = NULL;
	struct db_layer l;
	uint64_t id;
	int r = find_live(q, &id, &plan);

	if (r <= 0)
		return -ENOENT;
	const json_t *below = json_object_get(plan, "below");
	if (json_array_size(below) >= SOURCE_CHANGES_MAX) {
		id = (uint64_t)json_integer_value(json_array_get(below, 0));
		json_decref(plan);
		plan = NULL;
		r = db_layer_get(q->c->db, id, &l, &plan);
	}
	r = r < 0 ? r : ground_on(plan, id, ret);
	json_decref(plan);
	return r;
}

/* Half a tree is not worth a layer beside the whole. */
static bool is_small(const struct making *m)
{
	struct source_filter f = {.base = &m->on.tree};
	struct source_report r = {0};
	struct err ignored;
	bool small = source_stream(m->q->repo, m->q->tree, -1, &f, &r, &ignored) == 0 &&
		     2 * (r.entries + r.gone) < m->on.entries &&
		     2 * r.bytes < m->on.bytes && !r.n_submodules &&
		     m->on.entries + r.entries <= SOURCE_ENTRIES_MAX &&
		     m->on.bytes + r.bytes <= SOURCE_TOTAL_MAX;

	source_report_free(&r);
	return small;
}

/* 1: made. 0: the tree is to be written as a whole, whatever the cause. */
static int make_changes(const struct source_layers *q, struct sink *s, uint64_t *ret_id,
	json_t **ret_plan, struct err *e)
{
	struct making m = {.q = q};
	char own[65];
	int r = q->no_cache || q->packs[0] || q->packs[1] ? -ENOENT : choose(q, &m.on);

	if (r == 0 && is_small(&m)) {
		changes_key(q, q->key, own);
		r = make(&m, own, s, ret_id, ret_plan, e);
		r = r == 0 ? 1 : r == -ECANCELED || r == -ETIME || r == -ENOSPC ? r : 0;
		if (r == 0)
			log_warn("%s: its changes could not be written, so the whole "
				 "tree is: %s",
				q->app->name, e->text);
	}
	json_decref(m.on.below);
	return r == -ENOENT ? 0 : r;
}

int source_layers_get(struct source_layers *q, struct sink *s, json_t *layers,
	json_t **ret_plan, struct err *e)
{
	struct making whole = {.q = q};
	const json_t *item;
	uint64_t id;
	size_t i;

	tree_key(q, q->tree, q->key);
	int r = find(q, q->key, &id, ret_plan);
	if (r < 0)
		return err_sys(e, -r, "look for a layer");
	if (r == 0)
		r = make_changes(q, s, &id, ret_plan, e);
	if (r == 0)
		r = make(&whole, q->key, s, &id, ret_plan, e);
	if (r < 0)
		return r;
	json_array_foreach (json_object_get(*ret_plan, "below"), i, item)
		json_array_append(layers, (json_t *)(uintptr_t)item);
	json_array_append_new(layers, json_integer((json_int_t)id));
	return 0;
}
