/* What berth-backup asks of control: the frame of both kinds of a transfer. */
#include "control/data/backup.h"
#include "control/api/handlers.h"
#include "control/builds/layers.h"
#include "control/data/retention.h"
#include "control/data/space.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER "/tmp/files" /* buildpacks/volume/stow_steps.c finds it there */

int backup_folder(struct backup_session *b, struct err *e)
{
	static atomic_uint number;
	int r;

	snprintf(b->folder, sizeof(b->folder), "%.4000s/control/backup/%u", b->c->state,
		atomic_fetch_add(&number, 1));
	r = io_mkdirs(b->folder, 0700);
	return r < 0 ? err_sys(e, -r, "make %s", b->folder) : 0;
}

void backup_sweep(struct control *c)
{
	char path[4096];

	snprintf(path, sizeof(path), "%.4000s/control/backup", c->state);
	io_remove_tree(AT_FDCWD, path);
}

int backup_answer(struct backup_session *b, json_t *v)
{
	char *text autofree = json_dumps(v, JSON_COMPACT);

	json_decref(v);
	return text ? frame_write(b->t->out, FRAME_JSON, text, strlen(text)) : -ENOMEM;
}

/* What went wrong, told once; a full disk with its figures. */
static void answer_failure(struct backup_session *b, struct err *e)
{
	char words[256];

	if (space_words(b->c, e->text, words))
		backup_answer(b, json_pack("{s:o}", "error",
					 json_sprintf("%s; %s", e->text, words)));
	else
		backup_answer(b, json_pack("{s:s}", "error", e->text));
	e->told = true;
	e->text[0] = '\0';
}

/* ---- files of a volume ---- */

/* Any layer serves; where there is none, an empty one. */
static int find_root(struct backup_session *b, struct err *e)
{
	struct db_layer *layers autofree = NULL;
	int n = db_layer_list(b->c->db, &layers);

	for (int i = 0; i < n && !b->root; i++)
		if (layers[i].ready)
			b->root = layers[i].id;
	if (b->root)
		return 0;
	struct step st = {.app = STEP_NO_APP,
		.command = "empty",
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_NO_NET | START_BARE,
		.quick = true,
		.stdin_fd = -1};
	int r = layer_get(b->c, "import", "empty", 0, &st, b->s, &b->root, NULL, e);
	return r < 0 ? r : 0;
}

int backup_volume(struct backup_session *b, const char *command, uint64_t volume,
	bool read_only, const char *const *env, struct err *e)
{
	struct msg_mount mount = {.id = volume,
		.kind = MOUNT_VOLUME,
		.flags = read_only ? MOUNT_READ_ONLY_FLAG : 0,
		.path = FOLDER};
	struct step st = {.app = STEP_NO_APP,
		.command = command,
		.env = env,
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_NO_NET,
		.mounts = &mount,
		.n_mounts = 1,
		.stdin_fd = b->t->in,
		.output_fd = b->t->out,
		.quick = true,
		.untimed = true};
	json_t *layers, *said = NULL;
	int r = find_root(b, e);

	if (r < 0)
		return r;
	layers = json_pack("[I]", (json_int_t)b->root);
	st.layers = layers;
	r = step_run(b->c, &st, b->s, &said, e);
	json_decref(layers);
	json_decref(said);
	return r;
}

/* ---- requests ---- */

static int run_op(struct backup_session *b, const struct backup_op *ops, size_t n,
	const json_t *request, struct err *e)
{
	const char *op = json_string_value(json_object_get(request, "op"));

	for (size_t i = 0; op && i < n; i++)
		if (strcmp(ops[i].op, op) == 0)
			return ops[i].run(b, request, e);
	return err_set(e, EBADMSG, "no such request: %.40s", op ? op : "");
}

int backup_serve(
	struct backup_session *b, const struct backup_op *ops, size_t n, struct err *e)
{
	for (;;) {
		int r = frame_read(b->t->in, &b->f);

		if (r == -EPIPE)
			return 0;
		json_t *request =
			r == 0 && b->f.kind == FRAME_JSON
				? json_loadb(b->f.body.data, b->f.body.len, 0, NULL)
				: NULL;
		r = request ? run_op(b, ops, n, request, e)
			    : err_set(e, EBADMSG, "berth-backup sent what is no request");
		json_decref(request);
		if (r < 0) {
			answer_failure(b, e);
			return r;
		}
	}
}

/* ---- the route ---- */

struct asked {
	json_t *body;
};

static int find_app(struct backup_session *b, struct err *e)
{
	const char *app = json_string_value(json_object_get(b->body, "app"));
	struct db_app a;

	if (!app ||
		strcmp(json_string_value(json_object_get(b->body, "op")), "take") != 0)
		return 0;
	if (db_app_by_name(b->c->db, app, &a) < 0)
		return err_set(e, ENOENT, "there is no app %.80s", app);
	b->app = a.id;
	return 0;
}

static int session_run(struct transfer *t, struct sink *s, struct err *e)
{
	struct backup_session b = {.c = t->c, .t = t, .s = s, .body = t->data};
	const char *op = json_string_value(json_object_get(b.body, "op"));
	int r = find_app(&b, e);

	if (r == 0) {
		retention_hold(true);
		r = strcmp(op, "take") == 0 ? backup_take(&b, e) : backup_restore(&b, e);
		retention_hold(false);
	}
	if (r < 0 && e->text[0])
		answer_failure(&b, e);
	db_close(b.copy);
	if (b.folder[0])
		io_remove_tree(AT_FDCWD, b.folder);
	frame_free(&b.f);
	return r;
}

static void session_clear(struct transfer *t)
{
	json_decref(t->data);
}

int backup_start(struct request *r)
{
	const char *op = request_string(r, "op"), *as = request_string(r, "as");

	if (strcmp(op, "take") != 0 && strcmp(op, "restore") != 0)
		return request_fail(r, FAIL_USAGE, "op is take or restore");
	if (as && request_name(r, "app", as) < 0)
		return -1;
	if (as && !request_string(r, "app"))
		return request_fail(
			r, FAIL_USAGE, "which app? as is the new name of one");
	return transfer_start(r, &(struct transfer){.c = r->c,
					 .run = session_run,
					 .clear = session_clear,
					 .data = json_incref(r->body)});
}
