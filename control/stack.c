/* Base images: mmdebstrap's tar, straight from its pipe into the sandbox that unpacks it as a layer. */
#include "control/build.h"
#include "control/engine.h"
#include "control/step.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

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

	if (pthread_create(&watcher, NULL, watch_main, m))
		return err_set(e, EAGAIN, "no thread");
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

static int create(struct control *c, const char *name, struct sink *s, struct err *e)
{
	struct maker m = {.c = c, .s = s};
	int tar[2], words[2];
	uint64_t layer;
	json_t *meta = NULL;

	int r = db_layer_begin(c->db, "stack", name, 0, &layer);
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
		r = make_layer(&m, tar[0], layer, &meta, e);
	}
	if (r == 0) {
		json_t *named = json_pack("{s:s}", "name", name);
		r = db_layer_ready(c->db, layer, named, 0);
		json_decref(named);
		sink_step(s, "%s is ready (%.0f s)", name,
			(double)(io_mono_ns() - m.began_ns) / 1e9);
	} else {
		struct msg_layer l = {.id = layer};
		engine_call(c->engine, MSG_LAYER_REMOVE, &l, sizeof(l), NULL, 0, NULL);
		db_layer_delete(c->db, layer);
	}
	json_decref(meta);
	buf_free(&m.kept);
	return r;
}

int stack_create(struct control *c, const char *name, struct sink *s, struct err *e)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
	uint64_t id;

	if (strcmp(name, "debian-12") != 0)
		return err_set(
			e, EINVAL, "no stack is called %s; there is debian-12", name);
	pthread_mutex_lock(&one);
	int r = db_layer_find(c->db, "stack", name, &id, NULL);
	if (r == 0)
		sink_step(s, "%s is there already", name);
	else
		r = create(c, name, s, e);
	pthread_mutex_unlock(&one);
	return r;
}
