/* backup:restore: into a berth that runs, which makes the rows its own at the very end. */
#include "backup/blob.h"
#include "backup/run.h"
#include "backup/tree.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

struct restoring {
	struct store *s;
	const json_t *list;
	struct talk *t;
	json_t *plan, *keys; /* keys: what control said to {op: keys} */
	const char *run, *state;
	bool quiet;
};

static const json_t *need(struct restoring *y, const char *kind, const char *name,
	uint64_t id, struct err *e)
{
	const json_t *item = item_find(y->list, kind, name, id);

	if (!item)
		err_set(e, ENOENT, "the backup has no %s %s", kind, name ? name : "");
	return item;
}

static int wait_answer(struct restoring *y, struct err *e)
{
	json_t *said = NULL;
	int r = talk_answer(y->t, &said, e);

	json_decref(said);
	return r;
}

/* ---- before anything is written ---- */

static int check_space(struct restoring *y, struct err *e)
{
	uint64_t bytes = 0, left = number_of(y->plan, "free");
	const json_t *item;
	json_t *row;
	size_t i;

	json_array_foreach (json_object_get(y->plan, "layers"), i, row)
		if (!json_object_get(row, "here") &&
			(item = item_find(y->list, "layer", NULL, number_of(row, "id"))))
			bytes += number_of(item, "bytes");
	json_array_foreach (json_object_get(y->plan, "volumes"), i, row)
		if ((item = item_find(y->list, "volume", NULL, number_of(row, "old"))))
			bytes += number_of(item, "size");
	json_array_foreach (json_object_get(y->plan, "apps"), i, row)
		if ((item = item_find(y->list, "repo", text_of(row, "was"), 0)))
			bytes += number_of(item, "size");
	return bytes > left
		       ? err_set(e, ENOSPC,
				 "what the backup has takes %s, and %s are free for it: "
				 "`berth disk:report` says what takes the rest",
				 size_text(bytes), size_text(left))
		       : 0;
}

static int collect(void *arg, const void *data, size_t size, struct err *e)
{
	return buf_add(arg, data, size) < 0 ? err_set(e, ENOMEM, "out of memory") : 0;
}

static int read_keys(struct restoring *y, struct err *e)
{
	const json_t *item = need(y, "keys", NULL, 0, e);
	autobuf text = {.max = SEALED_MAX};
	int r = item ? blob_read(y->s, json_object_get(item, "chunks"), collect, &text, e)
		     : -ENOENT;

	if (r == 0 &&
		!(y->keys = json_loadb(text.data ? text.data : "", text.len, 0, NULL)))
		r = err_set(e, EBADMSG, "the keys of the backup are damaged");
	if (text.data)
		explicit_bzero(text.data, text.cap);
	return r;
}

static int open_plan(struct restoring *y, const struct options *o, struct err *e)
{
	const json_t *database = need(y, "database", NULL, 0, e);
	int r = database ? read_keys(y, e) : -ENOENT;

	if (r == 0)
		r = talk_open(y->t, y->run,
			json_pack("{s:s, s:s*, s:s*, s:b}", "op", "restore", "app",
				o->app, "as", o->as, "drill", o->drill),
			e);
	if (r == 0)
		r = talk_ask(y->t,
			json_pack("{s:O}", "secret", json_object_get(y->keys, "secret")),
			e);
	if (r == 0)
		r = talk_send_blob(y->t, y->s, database, e);
	if (r == 0)
		r = talk_answer(y->t, &y->plan, e);
	return r < 0 ? r : check_space(y, e);
}

/* ---- layers, volumes ---- */

static int put_layer(struct restoring *y, const json_t *row, struct err *e)
{
	const uint64_t id = number_of(row, "id");
	const json_t *item = need(y, "layer", NULL, id, e);
	int r = item ? talk_ask(y->t,
			       json_pack("{s:s, s:I, s:s}", "op", "layer", "id",
				       (json_int_t)id, "diff_id",
				       text_of(item, "diff_id")),
			       e)
		     : -ENOENT;

	if (r == 0)
		r = talk_send_blob(y->t, y->s, item, e);
	return r < 0 ? r : wait_answer(y, e);
}

static int put_layers(struct restoring *y, struct err *e)
{
	const json_t *layers = json_object_get(y->plan, "layers");
	json_t *row;
	size_t i, n = 0;
	int r = 0;

	json_array_foreach ((json_t *)(uintptr_t)layers, i, row) {
		if (r < 0 || json_object_get(row, "here"))
			continue;
		r = put_layer(y, row, e);
		n++;
	}
	if (r == 0 && !y->quiet)
		say_detail("%zu layers, %zu of them were here", json_array_size(layers),
			json_array_size(layers) - n);
	return r;
}

static int put_tree(
	struct restoring *y, const json_t *item, json_t *request, struct err *e)
{
	int r = talk_ask(y->t, request, e);

	if (r == 0)
		r = talk_failed(y->t, tree_get(y->s, item, y->t->in, e), e);
	return r < 0 ? r : wait_answer(y, e);
}

static int put_volumes(struct restoring *y, struct err *e)
{
	json_t *row;
	size_t i;
	int r = 0;

	json_array_foreach (json_object_get(y->plan, "volumes"), i, row) {
		const uint64_t id = number_of(row, "old");
		const json_t *item = r < 0 ? NULL : need(y, "volume", NULL, id, e);

		if (!item)
			return r < 0 ? r : -ENOENT;
		r = put_tree(y, item,
			json_pack("{s:s, s:I}", "op", "volume", "id", (json_int_t)id), e);
		if (r == 0 && !y->quiet)
			say_detail("volume %s: %llu files, %s", text_of(row, "name"),
				(unsigned long long)number_of(item, "entries"),
				size_text(number_of(item, "size")));
		if (r == 0)
			say_lost(item);
	}
	return r;
}

/* ---- repositories: the user who owns them writes them ---- */

static pid_t start_shell(
	const struct restoring *y, const char *app, int *ret_to, struct err *e)
{
	char self[PATH_MAX - 64], path[PATH_MAX], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int p[2];
	pid_t pid;

	self[n > 0 ? n : 0] = '\0';
	if ((slash = strrchr(self, '/')))
		*slash = '\0';
	snprintf(path, sizeof(path), "%s/berth-shell", self);
	if (pipe2(p, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return err_sys(e, errno, "start %s", path);
	if (pid == 0) {
		dup2(p[0], STDIN_FILENO);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		if (y->run)
			setenv("BERTH_RUN", y->run, 1);
		if (y->state)
			setenv("BERTH_STATE", y->state, 1);
		execl(path, path, "--restore", app, (char *)NULL);
		_exit(127);
	}
	close(p[0]);
	*ret_to = p[1];
	return pid;
}

static int put_repo(
	struct restoring *y, const json_t *item, const char *app, struct err *e)
{
	int to = -1, status = 0, r;
	pid_t pid = start_shell(y, app, &to, e);

	if (pid < 0)
		return pid;
	r = tree_get(y->s, item, to, e);
	close(to);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if ((r == 0 || r == -EPIPE) && status != 0)
		r = err_set(e, EIO, "the repository of %s cannot be written", app);
	if (r == 0)
		say_lost(item);
	return r;
}

static int put_repos(struct restoring *y, struct err *e)
{
	json_t *row;
	size_t i;
	int r = 0;

	json_array_foreach (json_object_get(y->plan, "apps"), i, row) {
		const json_t *item = item_find(y->list, "repo", text_of(row, "was"), 0);

		if (r == 0 && item)
			r = put_repo(y, item, text_of(row, "name"), e);
	}
	return r;
}

/* ---- accounts and keys ---- */

static int put_keys(struct restoring *y, struct err *e)
{
	int r = talk_ask(y->t,
		json_pack("{s:s, s:O}", "op", "keys", "keys",
			json_object_get(y->keys, "keys")),
		e);

	return r < 0 ? r : wait_answer(y, e);
}

static int put_acme(struct restoring *y, struct err *e)
{
	const json_t *item = item_find(y->list, "acme", NULL, 0);

	if (!item || !json_is_true(json_object_get(y->plan, "acme")))
		return 0;
	int r = put_tree(y, item, json_pack("{s:s}", "op", "acme"), e);
	if (r == 0)
		say_lost(item);
	return r;
}

/* ---- the whole ---- */

int restore_into(struct store *s, const json_t *list, const char *run, const char *state,
	const struct options *o, struct talk *t, json_t **ret, struct err *e)
{
	struct restoring y = {.s = s,
		.list = list,
		.t = t,
		.run = run,
		.state = state,
		.quiet = o->quiet};
	int r = open_plan(&y, o, e);

	if (r == 0)
		r = put_layers(&y, e);
	if (r == 0)
		r = put_volumes(&y, e);
	if (r == 0)
		r = put_repos(&y, e);
	if (r == 0)
		r = put_keys(&y, e);
	if (r == 0)
		r = put_acme(&y, e);
	if (r == 0)
		r = talk_ask(t, json_pack("{s:s}", "op", "commit"), e);
	if (r == 0)
		r = talk_answer(t, ret, e);
	if (r == 0)
		json_object_set(*ret, "plan", y.plan);
	json_decref(y.plan);
	json_decref(y.keys);
	return r;
}

static int start_all(struct talk *t, struct err *e)
{
	json_t *said = NULL;
	int r = talk_ask(t, json_pack("{s:s}", "op", "start"), e);

	if (r == 0)
		r = talk_answer(t, &said, e);
	json_decref(said);
	return r;
}

static void say_taken(const json_t *plan)
{
	json_t *row;
	size_t i;

	json_array_foreach (json_object_get(plan, "taken"), i, row)
		say_fail("%s stays with the app that has it here", text_of(row, "name"));
}

int run_restore(const struct options *o, struct err *e)
{
	struct talk t = {.client.fd = -1, .in = -1, .out = -1, .words = -1};
	json_t *list = NULL, *did = NULL;
	struct store *s = NULL;
	int r = store_open(o->place, &o->secret, &s, e);

	if (r == 0)
		r = list_read(s, o->id, &list, e);
	if (r == 0) {
		say_step("Restoring %s of backup %s of %s", o->app ? o->app : "all",
			text_of(list, "id"), text_of(list, "host"));
		r = restore_into(s, list, NULL, NULL, o, &t, &did, e);
	}
	if (r == 0) {
		say_detail("%llu rows, %llu differ",
			(unsigned long long)number_of(did, "rows"),
			(unsigned long long)number_of(did, "differ"));
		say_taken(json_object_get(did, "plan"));
		r = start_all(&t, e);
	}
	if (r == 0)
		say_step("Restored %zu apps, %zu volumes",
			json_array_size(
				json_object_get(json_object_get(did, "plan"), "apps")),
			json_array_size(json_object_get(
				json_object_get(did, "plan"), "volumes")));
	talk_close(&t);
	store_close(s);
	json_decref(list);
	json_decref(did);
	return r;
}
