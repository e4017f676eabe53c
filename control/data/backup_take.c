/* What a backup is made of, handed out. */
#include "control/data/backup.h"
#include "control/data/snapshots.h"
#include "control/images/images.h"
#include "control/images/portable.h"
#include "db/restore.h"
#include "lib/io.h"
#include "lib/stow.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PART ((size_t)1 << 18)
#define HELD_S 30u /* an app is frozen no longer, whatever the backup's place takes */

/* Up to the end of from, as frames. */
static int send_bytes(int from, int to, struct err *e)
{
	char *part autofree = malloc(PART);
	uint64_t end[3] = {0};
	ssize_t n;
	int r = part ? 0 : -ENOMEM;

	while (r == 0 && (n = read(from, part, PART)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : frame_write(to, FRAME_DATA, part, (size_t)n);
	}
	if (r == 0)
		r = frame_write(to, FRAME_END, end, sizeof(end));
	return r < 0 ? err_sys(e, -r, "send it") : 0;
}

/* ---- the database ---- */

static int copy_database(struct backup_session *b, struct err *e)
{
	char from[4200], to[4200];
	uint8_t key[DB_KEY_SIZE];
	int r = backup_folder(b, e);

	if (r < 0)
		return r;
	db_key(b->c->db, key);
	snprintf(from, sizeof(from), "%s/control", b->c->state);
	snprintf(to, sizeof(to), "%s/berth.db", b->folder);
	r = db_copy_file(from, to, e);
	if (r == 0)
		r = db_open(b->folder, key, &b->copy, e);
	if (r == 0 && b->app && (r = db_keep_only(b->copy, b->app)) < 0)
		err_sys(e, -r, "cut the copy of the database");
	explicit_bzero(key, sizeof(key));
	return r;
}

/* As one file: what lies in the log beside it goes into it first. */
static int op_database(
	struct backup_session *b, const json_t *request UNUSED, struct err *e)
{
	char path[4200], plain[4200];

	snprintf(plain, sizeof(plain), "%s/plain.db", b->folder);
	snprintf(path, sizeof(path), "%s", b->folder);
	int r = db_copy_file(path, plain, e);
	int fd autoclose = r < 0 ? -1 : open(plain, O_RDONLY | O_CLOEXEC);

	if (r == 0 && fd < 0)
		r = err_sys(e, errno, "open %s", plain);
	unlink(plain);
	if (r == 0)
		r = send_bytes(fd, b->t->out, e);
	return r < 0 ? r : backup_answer(b, json_object());
}

/* ---- trees ---- */

/* Its thread alone lets go who is held: when the reading has ended, or takes too long. */
struct hold {
	struct control *c;
	struct snapshot_held held;
	uint64_t pause_us;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	bool ended, late;
};

static void *hold_main(void *arg)
{
	struct hold *h = arg;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += HELD_S;
	pthread_mutex_lock(&h->lock);
	while (!h->ended && !h->late)
		h->late = pthread_cond_clockwait(&h->changed, &h->lock, CLOCK_MONOTONIC,
				  &until) == ETIMEDOUT;
	pthread_mutex_unlock(&h->lock);
	h->pause_us = snapshot_release(h->c, &h->held);
	return NULL;
}

static int hold_begin(struct hold *h, uint64_t volume, struct err *e)
{
	int r = snapshot_hold(h->c, volume, &h->held, e);

	if (r < 0)
		return r;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	r = -pthread_create(&h->thread, NULL, hold_main, h);
	if (r < 0)
		snapshot_release(h->c, &h->held);
	return r < 0 ? err_sys(e, -r, "start a thread") : 0;
}

static void hold_end(struct hold *h)
{
	pthread_mutex_lock(&h->lock);
	h->ended = true;
	pthread_cond_signal(&h->changed);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->changed);
}

/*
 * Held: nobody writes meanwhile. Where that cannot be, it is read as it is, and said.
 */
static int op_volume(struct backup_session *b, const json_t *request, struct err *e)
{
	uint64_t id = (uint64_t)json_integer_value(json_object_get(request, "id"));
	bool frozen = json_is_true(json_object_get(request, "frozen"));
	struct hold h = {.c = b->c};
	struct err why = {0};
	int r = volume_lock(id, b->s, e);

	if (r < 0)
		return r;
	if (frozen && hold_begin(&h, id, &why) < 0) {
		sink_fail(b->s, "it is read while its app writes: %s", why.text);
		frozen = false;
	}
	r = backup_volume(b, "stow", id, true, NULL, e);
	json_t *said = json_object();
	if (frozen) {
		hold_end(&h);
		json_object_set_new(
			said, "pause_us", json_integer((json_int_t)h.pause_us));
	}
	if (frozen && h.late)
		sink_fail(b->s,
			"the last of it was read while its app wrote: it is not frozen "
			"for more than %u s, and the backup's place takes longer",
			HELD_S);
	volume_unlock(id);
	if (r == 0)
		return backup_answer(b, said);
	json_decref(said);
	return r;
}

static int send_tree(
	struct backup_session *b, const char *path, struct stow t, struct err *e)
{
	int fd autoclose = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	t.fd = fd;
	if (fd < 0)
		return err_sys(e, errno, "open %s", path);
	int r = stow_send(&t, b->t->in, b->t->out, e);
	return r < 0 ? r : backup_answer(b, json_object());
}

/* What git is in the middle of, or was when it was killed: it is of no use elsewhere, and may be readable by git alone. */
static bool is_gits_own(const char *name)
{
	size_t len = strlen(name);

	return strncmp(name, "tmp_", 4) == 0 || strncmp(name, "incoming-", 9) == 0 ||
	       (len > 5 && (strcmp(name + len - 5, ".keep") == 0 ||
				   strcmp(name + len - 5, ".lock") == 0));
}

/* Its configuration is berth's own and made where it comes back. What refs name lies in objects before they name it: read in that order, a push meanwhile leaves no hole. */
static int op_repo(struct backup_session *b, const json_t *request, struct err *e)
{
	const char *app = json_string_value(json_object_get(request, "app"));
	char path[4200];

	if (!app || !name_valid(app))
		return err_set(e, EINVAL, "no app's name");
	snprintf(path, sizeof(path), "%.4000s/repos/%s.git", b->c->state, app);
	return send_tree(b, path,
		(struct stow){.last = "objects", .skip = is_gits_own, .omit = "config"},
		e);
}

static void acme_path(const struct backup_session *b, char out[4200])
{
	snprintf(out, 4200, "%.4000s/control/acme", b->c->state);
}

static int op_acme(struct backup_session *b, const json_t *request UNUSED, struct err *e)
{
	char path[4200];

	acme_path(b, path);
	return send_tree(b, path, (struct stow){0}, e);
}

/* ---- layers ---- */

struct pump {
	int from, to, result;
	struct err e;
};

static void *pump_main(void *arg)
{
	struct pump *p = arg;

	p->result = send_bytes(p->from, p->to, &p->e);
	if (p->result < 0) /* the sandbox is to see that nobody reads any more */
		close(p->from), p->from = -1;
	return NULL;
}

static int find_layer(struct backup_session *b, uint64_t id, json_t **ret_all)
{
	json_t *list = NULL, *row;
	size_t i;
	int r = db_backup_layers(b->copy, &list);

	*ret_all = NULL;
	json_array_foreach (list, i, row) {
		if ((uint64_t)json_integer_value(json_object_get(row, "id")) != id)
			continue;
		*ret_all = json_copy(json_object_get(row, "below"));
		json_array_append_new(*ret_all, json_integer((json_int_t)id));
	}
	json_decref(list);
	return r < 0 ? r : *ret_all ? 0 : -ENOENT;
}

/* berth-build writes the tar into a pipe, a thread makes frames of it. */
static int op_layer(struct backup_session *b, const json_t *request, struct err *e)
{
	uint64_t id = (uint64_t)json_integer_value(json_object_get(request, "id"));
	struct pump pump = {.to = b->t->out};
	json_t *layers, *said = NULL;
	pthread_t thread;
	int p[2], r = find_layer(b, id, &layers);

	if (r < 0)
		return err_sys(e, -r, "layer %llu", (unsigned long long)id);
	if (pipe2(p, O_CLOEXEC) < 0) {
		json_decref(layers);
		return err_sys(e, errno, "make a pipe");
	}
	pump.from = p[0];
	r = -pthread_create(&thread, NULL, pump_main, &pump);
	bool pumps = r == 0;
	if (r == 0)
		r = image_layer_tar(
			b->c, layers, json_array_size(layers) - 1, p[1], b->s, &said, e);
	else
		err_sys(e, -r, "start a thread");
	close(p[1]);
	if (pumps)
		pthread_join(thread, NULL);
	if (pump.from >= 0)
		close(pump.from);
	json_decref(layers);
	if (r == 0 && pump.result < 0)
		r = err_set(e, -pump.result, "%s", pump.e.text);
	if (r == 0)
		r = backup_answer(b, said);
	else
		json_decref(said);
	return r;
}

/* ---- keys ---- */

/* Of the copy: without it, config values are noise. */
static json_t *secret_word(const struct db *db)
{
	uint8_t key[DB_KEY_SIZE];
	char hex[2 * DB_KEY_SIZE + 1];

	db_key(db, key);
	for (size_t i = 0; i < DB_KEY_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", key[i]);
	json_t *word = json_string(hex);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(hex, sizeof(hex));
	return word;
}

static int op_keys(struct backup_session *b, const json_t *request UNUSED, struct err *e)
{
	struct db_cert *list = NULL;
	json_t *keys = json_object();
	int n = db_cert_list(b->copy, 0, &list), r = n < 0 ? n : 0;

	for (int i = 0; r == 0 && i < n; i++) {
		char path[4300];
		autobuf key = BUF_INIT;

		snprintf(path, sizeof(path), "%.4000s/control/certs/%s", b->c->state,
			list[i].key_file);
		r = io_read_file(AT_FDCWD, path, &key);
		if (r == 0)
			json_object_set_new(
				keys, list[i].key_file, json_stringn(key.data, key.len));
		if (key.data)
			explicit_bzero(key.data, key.cap);
	}
	db_cert_free(list, n);
	if (r < 0) {
		json_decref(keys);
		return err_sys(e, -r, "read the certificates' keys");
	}
	return backup_answer(
		b, json_pack("{s:o, s:o}", "keys", keys, "secret", secret_word(b->copy)));
}

/* ---- what there is ---- */

static json_t *volumes(struct backup_session *b)
{
	struct db_volume *rows autofree = NULL;
	int n = db_volume_list(b->copy, &rows);
	json_t *list = json_array();
	char user[NAME_MAX_LEN + 1];

	for (int i = 0; i < n; i++)
		if (rows[i].whole)
			json_array_append_new(list,
				json_pack("{s:I, s:s, s:b}", "id", (json_int_t)rows[i].id,
					"name", rows[i].name, "used",
					volume_user(b->c, rows[i].id, user) != -ENOENT));
	return list;
}

static json_t *repos(struct backup_session *b)
{
	struct db_app *apps autofree = NULL;
	int n = db_app_list(b->copy, &apps);
	json_t *list = json_array();
	char path[4200];

	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%.4000s/repos/%s.git", b->c->state,
			apps[i].name);
		if (access(path, R_OK) == 0)
			json_array_append_new(list, json_string(apps[i].name));
	}
	return list;
}

static json_t *apps_of(struct backup_session *b)
{
	struct db_app *apps autofree = NULL;
	int n = db_app_list(b->copy, &apps);
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list, json_string(apps[i].name));
	return list;
}

static int say_what(struct backup_session *b, struct err *e)
{
	json_t *layers = NULL;
	char path[4200];
	int r = db_backup_layers(b->copy, &layers);

	if (r < 0)
		return err_sys(e, -r, "list the layers");
	acme_path(b, path);
	return backup_answer(
		b, json_pack("{s:o, s:o, s:o, s:o, s:b}", "layers", layers, "volumes",
			   volumes(b), "repos", repos(b), "apps", apps_of(b), "acme",
			   !b->app && access(path, R_OK) == 0));
}

int backup_take(struct backup_session *b, struct err *e)
{
	static const struct backup_op ops[] = {{"database", op_database},
		{"volume", op_volume}, {"repo", op_repo}, {"acme", op_acme},
		{"layer", op_layer}, {"keys", op_keys}};
	int r = copy_database(b, e);

	if (r == 0)
		r = say_what(b, e);
	return r < 0 ? r : backup_serve(b, ops, ARRAY_LEN(ops), e);
}
