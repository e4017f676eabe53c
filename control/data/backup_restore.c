/* A backup comes back: layers and volumes first, the rows that name them last. */
#include "control/builds/layers.h"
#include "control/certs/certs.h"
#include "control/cron/cron.h"
#include "control/data/backup.h"
#include "control/data/retention.h"
#include "control/data/space.h"
#include "control/data/volumes.h"
#include "control/logs/applog.h"
#include "control/logs/drains.h"
#include "control/logs/loglimits.h"
#include "control/network/network.h"
#include "control/run/liveness.h"
#include "control/spool.h"
#include "db/restore.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/stow.h"
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ACME_NEW "acme.restored"

struct restore {
	struct db_restoring rows;
	json_t *plan, *layers; /* of db_restore_begin, of db_backup_layers */
	json_t *map;	       /* old layer as text: id */
	bool acme;
};

static void layer_word(uint64_t id, char out[24])
{
	snprintf(out, 24, "%llu", (unsigned long long)id);
}

static uint64_t number(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* ---- bytes that come ---- */

/* FRAME_DATA up to FRAME_END. */
static int take_bytes(struct backup_session *b, int to, uint64_t max_bytes, struct err *e)
{
	uint64_t sum = 0;
	int r;

	while ((r = frame_read(b->t->in, &b->f)) == 0 && b->f.kind == FRAME_DATA) {
		sum += b->f.body.len;
		if (sum > max_bytes)
			return err_set(e, EFBIG,
				"it has more than the %llu MB there is room for",
				(unsigned long long)(max_bytes >> 20));
		if ((r = io_write_all(to, b->f.body.data, b->f.body.len)) < 0)
			return err_sys(e, -r, "keep what came");
	}
	if (r == 0 && b->f.kind != FRAME_END)
		r = -EBADMSG;
	return r < 0 ? err_sys(e, -r, "read what berth-backup sends") : 0;
}

/* The key of its secrets comes before it. */
static int take_secret(struct backup_session *b, uint8_t key[DB_KEY_SIZE], struct err *e)
{
	int r = frame_read(b->t->in, &b->f);
	json_t *said = r == 0 && b->f.kind == FRAME_JSON
			       ? json_loadb(b->f.body.data, b->f.body.len, 0, NULL)
			       : NULL;
	const char *hex = json_string_value(json_object_get(said, "secret"));
	bool ok = hex && strlen(hex) == 2 * DB_KEY_SIZE;

	for (size_t i = 0; ok && i < DB_KEY_SIZE; i++) {
		unsigned int byte;

		ok = sscanf(hex + 2 * i, "%2x", &byte) == 1;
		key[i] = (uint8_t)byte;
	}
	json_decref(said);
	return ok ? 0
		  : err_set(e, EBADMSG,
			    "the backup has no key of its database's secrets");
}

static int take_database(struct backup_session *b, struct err *e)
{
	char path[4200];
	uint8_t key[DB_KEY_SIZE] = {0};
	int r = backup_folder(b, e);

	if (r == 0)
		r = take_secret(b, key, e);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s/berth.db", b->folder);
	int fd autoclose = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(e, errno, "make %s", path);
	r = take_bytes(b, fd, (uint64_t)64 << 30, e);
	if (r == 0 && (r = db_open(b->folder, key, &b->copy, e)) < 0)
		err_add(e, "the backup's");
	explicit_bzero(key, sizeof(key));
	return r;
}

/* ---- layers ---- */

static int map_layer(struct backup_session *b, uint64_t old, uint64_t id, struct err *e)
{
	char word[24];
	int r = db_restore_layer(&b->restore->rows, old, id);

	layer_word(old, word);
	json_object_set_new(b->restore->map, word, json_integer((json_int_t)id));
	return r < 0 ? err_sys(e, -r, "record a layer") : 0;
}

static json_t *mapped(struct backup_session *b, const json_t *old)
{
	json_t *list = json_array(), *id;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)old, i, id) {
		char word[24];

		layer_word((uint64_t)json_integer_value(id), word);
		json_array_append(list, json_object_get(b->restore->map, word));
	}
	return list;
}

/* What this host has under the same key need not come. */
static int find_layers(struct backup_session *b, struct err *e)
{
	json_t *row;
	size_t i;
	int r = db_backup_layers(b->copy, &b->restore->layers);

	json_array_foreach (b->restore->layers, i, row) {
		uint64_t id;

		if (r < 0)
			break;
		if (db_layer_find(b->c->db,
			    json_string_value(json_object_get(row, "kind")),
			    json_string_value(json_object_get(row, "key")), &id,
			    NULL) < 0)
			continue;
		json_object_set_new(row, "here", json_integer((json_int_t)id));
		r = map_layer(b, number(row, "id"), id, e);
	}
	return r < 0 ? err_sys(e, -r, "look for layers") : 0;
}

static const json_t *layer_row(struct backup_session *b, uint64_t old)
{
	json_t *row;
	size_t i;

	json_array_foreach (b->restore->layers, i, row)
		if (number(row, "id") == old)
			return row;
	return NULL;
}

struct wanted {
	struct backup_session *b;
	uint64_t old;
	struct db_layer was;
	json_t *meta;
};

/* As the row was, with the numbers of now. */
static void note(void *arg, json_t *said)
{
	struct wanted *w = arg;
	json_t *below = json_object_get(w->meta, "below");

	if (below)
		json_object_set_new(w->meta, "below", mapped(w->b, below));
	json_object_update(said, w->meta);
}

static int fetch(
	void *arg, int to, uint64_t max_bytes, struct sink *s UNUSED, struct err *e)
{
	return take_bytes(arg, to, max_bytes, e);
}

static int unpack(struct backup_session *b, struct wanted *w, const char *diff_id, int fd,
	uint64_t max_bytes, const json_t *below, uint64_t *ret, struct err *e)
{
	char words[3][120];
	const char *env[] = {"BERTH_LAYER=", words[0], words[1], words[2], NULL};
	struct step st = {.app = STEP_NO_APP,
		.command = "import-layer",
		.env = env,
		.layers = below,
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_NO_NET | START_BARE,
		.quick = true,
		.untimed = true,
		.stdin_fd = fd,
		.note = note,
		.feed_arg = w};

	snprintf(words[0], sizeof(words[0]), "BERTH_DIFF_ID=%.80s", diff_id);
	snprintf(words[1], sizeof(words[1]), "BERTH_MAX_BYTES=%llu",
		(unsigned long long)max_bytes);
	snprintf(words[2], sizeof(words[2]), "BERTH_MAX_FILES=%u", UINT32_MAX);
	return layer_get(b->c, w->was.kind, w->was.key, 0, &st, b->s, ret, NULL, e);
}

/* The owner's number of now. */
static uint32_t app_of(struct backup_session *b, uint32_t old)
{
	json_t *row;
	size_t i;

	json_array_foreach (json_object_get(b->restore->plan, "apps"), i, row)
		if (number(row, "old") == old)
			return (uint32_t)number(row, "id");
	return 0;
}

static int op_layer(struct backup_session *b, const json_t *request, struct err *e)
{
	struct wanted w = {.b = b, .old = number(request, "id")};
	const char *diff_id = json_string_value(json_object_get(request, "diff_id"));
	const json_t *row = layer_row(b, w.old);
	struct spool spool = SPOOL_NONE;
	json_t *below;
	uint64_t id = 0;
	char digest[80];

	if (!row || !diff_id || strlen(diff_id) != 64 ||
		db_layer_get(b->copy, w.old, &w.was, &w.meta) < 0)
		return err_set(e, ENOENT, "the backup has no such layer");
	below = mapped(b, json_object_get(row, "below"));
	int r = json_array_size(below) == json_array_size(json_object_get(row, "below"))
			? spool_fill(&spool, b->c, fetch, b, b->s, e)
			: err_set(e, ENOENT, "what the layer lies on is not here yet");
	if (r == 0)
		r = unpack(b, &w, diff_id, spool.fd, UINT64_MAX, below, &id, e);
	spool_drop(&spool);
	json_decref(below);
	json_decref(w.meta);
	if (r < 0)
		return r;
	snprintf(digest, sizeof(digest), "sha256:%s", diff_id);
	db_layer_set_digest(b->c->db, id, digest);
	if (w.was.app)
		db_layer_set_app(b->c->db, id, app_of(b, w.was.app));
	r = map_layer(b, w.old, id, e);
	return r < 0 ? r : backup_answer(b, json_pack("{s:I}", "id", (json_int_t)id));
}

/* ---- volumes ---- */

static const json_t *volume_row(struct backup_session *b, uint64_t old)
{
	json_t *row;
	size_t i;

	json_array_foreach (json_object_get(b->restore->plan, "volumes"), i, row)
		if (number(row, "old") == old)
			return row;
	return NULL;
}

static int op_volume(struct backup_session *b, const json_t *request, struct err *e)
{
	const json_t *row = volume_row(b, number(request, "id"));
	uint64_t id = number(row, "id");
	int r;

	if (!row)
		return err_set(e, ENOENT, "the backup has no such volume");
	r = db_restore_volume(&b->restore->rows, id);
	if (r < 0)
		return err_sys(e, -r, "record the volume");
	r = volume_make(b->c, id, number(json_object_get(row, "row"), "size_bytes"), e);
	if (r == 0)
		r = backup_volume(b, "unstow", id, false, NULL, e);
	return r < 0 ? r : backup_answer(b, json_object());
}

/* ---- accounts and keys ---- */

static int control_folder(struct backup_session *b, struct err *e)
{
	char path[4200];

	snprintf(path, sizeof(path), "%.4000s/control", b->c->state);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "open %s", path) : fd;
}

static int op_acme(struct backup_session *b, const json_t *request UNUSED, struct err *e)
{
	int control autoclose = control_folder(b, e), r;

	if (control < 0)
		return control;
	io_remove_tree(control, ACME_NEW);
	if (mkdirat(control, ACME_NEW, 0700) < 0)
		return err_sys(e, errno, "make " ACME_NEW);
	int to autoclose = openat(control, ACME_NEW, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = stow_receive(to, b->t->in, false, (uint64_t)1 << 30, e);
	b->restore->acme = r == 0;
	return r < 0 ? r : backup_answer(b, json_object());
}

static const char *new_key(struct backup_session *b, const char *old)
{
	json_t *row;
	size_t i;

	json_array_foreach (json_object_get(b->restore->plan, "keys"), i, row)
		if (strcmp(json_string_value(json_object_get(row, "old")), old) == 0)
			return json_string_value(json_object_get(row, "new"));
	return NULL;
}

static int op_keys(struct backup_session *b, const json_t *request, struct err *e)
{
	int control autoclose = control_folder(b, e), r = 0;
	int certs autoclose = control < 0 ? -1
					  : openat(control, "certs",
						    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const char *old, *name;
	json_t *pem;

	if (certs < 0)
		return err_sys(e, errno, "open control/certs");
	json_object_foreach (json_object_get(request, "keys"), old, pem) {
		if (r < 0 || !(name = new_key(b, old)))
			continue;
		r = io_replace_file(certs, name, json_string_value(pem),
			json_string_length(pem), 0600);
	}
	return r < 0 ? err_sys(e, -r, "keep a certificate's key")
		     : backup_answer(b, json_object());
}

/* ---- commit ---- */

/* Accounts of this host stay when it has some. */
static void place_acme(struct backup_session *b)
{
	int control autoclose = control_folder(b, NULL);

	if (!b->restore->acme || control < 0)
		return;
	unlinkat(control, "acme", AT_REMOVEDIR);
	if (renameat2(control, ACME_NEW, control, "acme", RENAME_NOREPLACE) < 0) {
		sink_detail(b->s, "the accounts at certificate authorities stay those of "
				  "this host");
		io_remove_tree(control, ACME_NEW);
	}
}

static int op_start(
	struct backup_session *b, const json_t *request UNUSED, struct err *e UNUSED)
{
	json_t *row;
	size_t i;

	json_array_foreach (json_object_get(b->restore->plan, "apps"), i, row) {
		struct db_app a;
		struct err why = {0};

		if (db_app_by_id(b->c->db, (uint32_t)number(row, "id"), &a) < 0)
			continue;
		if (a.stopped || !a.live_version)
			continue;
		sink_step(b->s, "Starting %s", a.name);
		if (ps_apply(b->c, a.id, b->s, &why) < 0)
			sink_fail(b->s, "%s: %s", a.name, why.text);
	}
	return backup_answer(b, json_object());
}

static int op_commit(
	struct backup_session *b, const json_t *request UNUSED, struct err *e)
{
	json_t *did = NULL;
	int r = db_restore_commit(&b->restore->rows, &did, e);

	if (r == 0 && (r = db_settle(b->c->db)) < 0)
		err_sys(e, -r, "write the database to disk");
	if (r < 0) {
		json_decref(did);
		return r;
	}
	place_acme(b);
	struct err said = {0};
	if (!b->restore->rows.app && keys_write(b->c, &said) < 0)
		sink_fail(b->s, "%s", said.text);
	certs_came(b->c, NULL);
	network_send_all(b->c);
	loglimits_apply_all(b->c);
	drains_changed(b->c);
	cron_changed(b->c);
	liveness_changed(b->c);
	return backup_answer(b, did);
}

/* ---- the whole ---- */

static int find_app(struct backup_session *b, struct err *e)
{
	const char *name = json_string_value(json_object_get(b->body, "app"));
	struct db_app a;

	if (!name)
		return 0;
	if (db_app_by_name(b->copy, name, &a) < 0)
		return err_set(e, ENOENT, "the backup has no app %.80s", name);
	b->restore->rows.app = a.id;
	return 0;
}

static int begin(struct backup_session *b, struct err *e)
{
	struct restore *y = b->restore;
	char file[4200];
	int r = take_database(b, e);

	if (r == 0)
		r = find_app(b, e);
	if (r < 0)
		return r;
	y->rows.db = b->c->db;
	y->rows.copy = b->copy;
	y->rows.as = json_string_value(json_object_get(b->body, "as"));
	y->rows.drill = json_is_true(json_object_get(b->body, "drill"));
	if (y->rows.app && (r = db_keep_only(b->copy, y->rows.app)) < 0)
		return err_sys(e, -r, "cut the backup's database");
	snprintf(file, sizeof(file), "%s/berth.db", b->folder);
	r = db_restore_begin(&y->rows, file, &y->plan, e);
	return r == 0 ? find_layers(b, e) : r;
}

static int say_plan(struct backup_session *b)
{
	struct space now = {0};
	json_t *o = json_copy(b->restore->plan);

	space_look(b->c, &now);
	json_object_set(o, "layers", b->restore->layers);
	json_object_set_new(o, "free", json_integer((json_int_t)space_room(&now)));
	json_object_set_new(o, "acme", json_boolean(!b->restore->rows.app));
	return backup_answer(b, o);
}

/* Whatever is not named by a whole row now goes again. */
static void undo(struct backup_session *b)
{
	struct db_volume *rows autofree = NULL;
	int n = db_volume_list(b->c->db, &rows);
	struct err e = {0};

	for (int i = 0; i < n; i++)
		if (!rows[i].whole && strncmp(rows[i].name, ".restore-", 9) == 0 &&
			volume_destroy(b->c, rows[i].id, &e) < 0)
			log_warn("%s: %s", rows[i].name, e.text);
	retention_soon(b->c);
}

int backup_restore(struct backup_session *b, struct err *e)
{
	static const struct backup_op ops[] = {{"layer", op_layer}, {"volume", op_volume},
		{"acme", op_acme}, {"keys", op_keys}, {"commit", op_commit},
		{"start", op_start}};
	static atomic_flag busy = ATOMIC_FLAG_INIT;
	struct restore y = {.map = json_object()};
	int r;

	b->restore = &y;
	if (atomic_flag_test_and_set(&busy)) {
		json_decref(y.map);
		return err_set(e, EBUSY, "another restore is under way on this host");
	}
	certs_keys_first(b->c, true);
	r = begin(b, e);
	if (r == 0)
		r = say_plan(b) < 0 ? err_set(e, EPIPE, "berth-backup has gone")
				    : backup_serve(b, ops, ARRAY_LEN(ops), e);
	if (y.rows.db)
		db_restore_end(&y.rows);
	undo(b);
	certs_keys_first(b->c, false);
	atomic_flag_clear(&busy);
	json_decref(y.plan);
	json_decref(y.layers);
	json_decref(y.map);
	return r;
}
