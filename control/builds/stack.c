/* Base images: mmdebstrap's tar, straight from its pipe into the sandbox that unpacks it as a layer. */
#include "control/builds/build.h"
#include "control/builds/step.h"
#include "control/data/space.h"
#include "control/engine.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define STACK_BYTES ((uint64_t)256 << 20) /* 170 MB, and what is on its way */

struct maker {
	struct control *c;
	struct sink *s;
	uint64_t id;	 /* of mmdebstrap's process at berthd */
	int words;	 /* its stderr */
	struct buf kept; /* the last lines, for a failure */
	uint64_t began_ns;
	int status; /* 0, or -errno */
	char reason[160];
};

static void say_progress(struct maker *m, char *line)
{
	char text[256];

	line[strcspn(line, "\r\n")] = '\0';
	if (m->kept.len > 8192)
		buf_consume(&m->kept, 4096);
	buf_addf(&m->kept, "%s\n", line);
	if (strncmp(line, "I: ", 3) == 0) {
		snprintf(text, sizeof(text), "       %3.0f s  %.200s",
			(double)(io_mono_ns() - m->began_ns) / 1e9, line + 3);
		m->s->write(m->s, 'o', text);
	}
}

/* A thread beside the unpacking step: relays what mmdebstrap says, then takes its exit. */
static void *watch_main(void *arg)
{
	struct maker *m = arg;
	struct msg_exited x;
	FILE *f = fdopen(m->words, "r");
	char *line autofree = NULL;
	size_t cap = 0;

	while (f && getline(&line, &cap, f) > 0)
		say_progress(m, line);
	if (f)
		fclose(f);
	else
		close(m->words); /* mmdebstrap ends when it has nobody to talk to */
	m->status = -EIO;
	if (engine_wait_exit(m->c->engine, m->id, 20000, &x) == 0) {
		exit_text(&x, m->reason);
		m->status = x.reason != EXIT_REASON_EXITED ? -EINTR
			    : x.value			   ? -ECHILD
							   : 0;
	}
	engine_forget(m->c->engine, m->id);
	return NULL;
}

static int start_maker(struct maker *m, int tar_w, int words_w, struct err *e)
{
	struct db_instance row = {.kind = "build",
		.type = "stack",
		.number = 1,
		.state = "starting",
		.started_us = io_now_us()};
	int fds[2] = {tar_w, words_w};
	int r = db_instance_create(m->c->db, &row);

	if (r < 0)
		return err_sys(e, -r, "record it");
	m->id = row.id;
	m->began_ns = io_mono_ns();
	struct msg_stack ask = {.id = row.id, .suite = 1};
	r = engine_expect(m->c->engine, row.id);
	if (r == 0)
		r = engine_call(
			m->c->engine, MSG_STACK_BUILD, &ask, sizeof(ask), fds, 2, NULL);
	if (r < 0) {
		engine_forget(m->c->engine, row.id);
		return err_sys(e, -r, "start mmdebstrap");
	}
	return 0;
}

static int make_layer(
	struct maker *m, int tar_r, uint64_t layer, json_t **meta, struct err *e)
{
	struct step st = {.app = STEP_NO_APP,
		.command = "unpack",
		.upper = layer,
		.profile = PROFILE_BUILD_ROOT,
		.flags = START_NO_NET,
		.quick = true,
		.stdin_fd = tar_r};
	pthread_t watcher;
	struct err unpack = {0};

	if (pthread_create(&watcher, NULL, watch_main, m)) {
		close(tar_r);
		close(m->words);
		engine_stop(m->c->engine, m->id, 0);
		engine_forget(m->c->engine, m->id);
		return err_set(e, EAGAIN, "no thread");
	}
	int r = step_run(m->c, &st, m->s, meta, &unpack);
	if (r < 0)
		engine_stop(m->c->engine, m->id, 0);
	close(tar_r);
	pthread_join(watcher, NULL);
	if (r == -ECANCELED)
		return err_set(e, ECANCELED, "cancelled");
	/* Whichever failed first tells why: the other was stopped by it. */
	if (r < 0 && m->status != -ECHILD)
		return err_set(e, -r, "%s", unpack.text);
	if (m->status < 0) {
		sink_line(m->s, "%s", m->kept.data ? m->kept.data : "");
		return err_set(e, -m->status, "mmdebstrap failed: %s", m->reason);
	}
	return r < 0 ? err_set(e, -r, "%s", unpack.text) : 0;
}

/* Makes it as a layer of that key, which is not ready yet: *ret_layer, and what is in it in *meta. */
static int create(struct control *c, const char *name, const char *key, struct sink *s,
	uint64_t *ret_layer, json_t **meta, struct err *e)
{
	struct maker m = {.c = c, .s = s};
	int tar[2], words[2];

	int r = space_for(c, STACK_BYTES, "a base image", 0, s, e);
	if (r < 0)
		return r;
	r = db_layer_begin(c->db, "stack", key, 0, ret_layer);
	if (r < 0)
		return err_sys(e, -r, "record a layer");
	if (pipe2(tar, O_CLOEXEC) < 0)
		return err_sys(e, errno, "make a pipe");
	if (pipe2(words, O_CLOEXEC) < 0) {
		r = err_sys(e, errno, "make a pipe");
		close(tar[0]);
		close(tar[1]);
		return r;
	}
	m.words = words[0];
	sink_step(s,
		"Making the base image %s with mmdebstrap from this host's Debian "
		"sources",
		name);
	r = start_maker(&m, tar[1], words[1], e);
	close(tar[1]);
	close(words[1]);
	if (r < 0) {
		close(tar[0]);
		close(words[0]);
	} else {
		r = make_layer(&m, tar[0], *ret_layer, meta, e);
	}
	if (r == 0 && *meta)
		json_object_set_new(*meta, "name", json_string(name));
	buf_free(&m.kept);
	return r;
}

static void drop(struct control *c, uint64_t layer)
{
	struct msg_layer l = {.id = layer};

	engine_call(c->engine, MSG_LAYER_REMOVE, &l, sizeof(l), NULL, 0, NULL);
	db_layer_delete(c->db, layer);
}

static int make(struct control *c, const char *name, struct sink *s, struct err *e)
{
	uint64_t layer = 0, began_ns = io_mono_ns();
	json_t *meta = NULL;
	int r = create(c, name, name, s, &layer, &meta, e);

	if (r == 0 && (r = db_layer_ready(c->db, layer, meta, 0)) < 0)
		err_sys(e, -r, "record the layer");
	if (r == 0)
		sink_step(s, "%s is ready (%.0f s)", name,
			(double)(io_mono_ns() - began_ns) / 1e9);
	else if (layer)
		drop(c, layer);
	json_decref(meta);
	return r;
}

/* ---- newer ones ---- */

json_t *stack_changes(const json_t *from, const json_t *to)
{
	const json_t *a = json_object_get(from, "packages"),
		     *b = json_object_get(to, "packages");
	json_t *list = json_array(), *v;
	const char *name;

	json_object_foreach ((json_t *)(uintptr_t)a, name, v)
		if (!json_equal(v, json_object_get(b, name)))
			json_array_append_new(
				list, json_pack("{s:s, s:O, s:O?}", "name", name, "from",
					      v, "to", json_object_get(b, name)));
	json_object_foreach ((json_t *)(uintptr_t)b, name, v)
		if (!json_object_get(a, name))
			json_array_append_new(list, json_pack("{s:s, s:n, s:O}", "name",
							    name, "from", "to", v));
	return list;
}

static void tell_changes(struct sink *s, const json_t *changes)
{
	const json_t *change;
	size_t i;

	json_array_foreach ((json_t *)(uintptr_t)changes, i, change) {
		const char *from = json_string_value(json_object_get(change, "from")),
			   *to = json_string_value(json_object_get(change, "to"));

		sink_detail(s, "%s: %s -> %s",
			json_string_value(json_object_get(change, "name")),
			from ? from : "not there", to ? to : "gone");
	}
}

/* Two bases with the same packages in the same versions are the same to an app. */
static int exchange(struct control *c, const char *name, uint64_t layer,
	const json_t *before, const json_t *meta, struct sink *s, struct err *e)
{
	json_t *changes = stack_changes(before, meta);
	bool known = json_object_get(before, "packages"), same;
	int r = 0;

	same = known && !json_array_size(changes);
	if (same) {
		drop(c, layer);
		sink_step(s, "%s is up to date", name);
	} else {
		r = db_layer_ready(c->db, layer, meta, 0);
		if (r >= 0)
			r = db_stack_replace(c->db, name, layer);
	}
	if (!same && r >= 0) {
		if (known)
			tell_changes(s, changes);
		sink_step(s,
			"%s is new: what is built from now on is built on it; "
			"`berth apps:rebase APP` moves an app",
			name);
	}
	json_decref(changes);
	return r < 0 ? err_sys(e, -r, "record the new base image") : 0;
}

static int update(struct control *c, const char *name, const json_t *before,
	struct sink *s, struct err *e)
{
	uint64_t layer = 0;
	json_t *meta = NULL;
	char key[64];

	snprintf(key, sizeof(key), "%s@new", name);
	int r = create(c, name, key, s, &layer, &meta, e);
	if (r == 0)
		r = exchange(c, name, layer, before, meta, s, e);
	if (r < 0 && layer)
		drop(c, layer);
	json_decref(meta);
	return r;
}

int stack_create(
	struct control *c, const char *name, bool newer, struct sink *s, struct err *e)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	json_t *before = NULL;
	uint64_t id;

	if (strcmp(name, "debian-12") != 0)
		return err_set(
			e, EINVAL, "no stack is called %s; there is debian-12", name);
	pthread_mutex_lock(&one);
	int r = db_layer_find(c->db, "stack", name, &id, &before);
	if (r < 0)
		r = make(c, name, s, e);
	else if (newer)
		r = update(c, name, before, s, e);
	else
		sink_step(s,
			"%s is there already; `berth stacks:update %s` makes a newer one",
			name, name);
	pthread_mutex_unlock(&one);
	json_decref(before);
	return r;
}
