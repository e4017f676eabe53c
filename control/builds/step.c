/* One build step: a sandbox that makes a layer. */
#include "control/builds/step.h"
#include "control/builds/work.h"
#include "control/data/space.h"
#include "control/engine.h"
#include "control/network/network.h"
#include "control/settings.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/plain.h"
#include "lib/spec.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_LEN 2000
#define FEED_STACK (512 << 10)
#define LOOK_MS 200 /* how late a wish to cancel is seen */
#define DISK_LOOK_NS                                                                     \
	1000000000u /* a build that fills the disk is stopped before it is full for all */

struct run {
	struct control *c;
	const struct step *st;
	struct sink *s;
	uint64_t id;
	int in_w, out_r, err_r; /* our ends; -1 when closed */
	int in_r, out_w, err_w; /* the sandbox's ends */
	struct buf answer, words;
	uint64_t until_ns,
		disk_ns; /* when its time is over, when the disk is looked at */
	unsigned int timeout_s;
	pthread_t feeder;
	bool feeding;
	struct err feed_error;
	int feed_status;
};

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int make_pipe(int *r, int *w)
{
	int p[2];

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	*r = p[0];
	*w = p[1];
	return 0;
}

static int make_pipes(struct run *r)
{
	int status = 0;

	if (r->st->feed)
		status = make_pipe(&r->in_r, &r->in_w);
	else if (r->st->stdin_fd >= 0)
		r->in_r = fcntl(r->st->stdin_fd, F_DUPFD_CLOEXEC, 3);
	else
		r->in_r = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (status == 0 && r->in_r < 0)
		status = -errno;
	if (status == 0 && r->st->output_fd)
		r->out_w = fcntl(r->st->output_fd, F_DUPFD_CLOEXEC, 3);
	else if (status == 0)
		status = make_pipe(&r->out_r, &r->out_w);
	if (status == 0 && r->out_w < 0)
		status = -errno;
	if (status == 0)
		status = make_pipe(&r->err_r, &r->err_w);
	if (r->in_w >= 0)
		fcntl(r->in_w, F_SETPIPE_SZ,
			1 << 20); /* a small tree goes over in one turn */
	return status;
}

static void fill(struct run *r, struct msg_start *m)
{
	const struct step *st = r->st;
	const json_t *layer;
	size_t i;

	m->id = r->id;
	m->app = st->app;
	m->profile = st->profile;
	m->flags = st->flags | START_STDIO | START_BUILDER;
	m->upper = st->upper;
	m->stop_timeout_ms = 2000;
	app_limits(r->c, st->app, "build", &m->limits);
	snprintf(m->name, sizeof(m->name), "build.%llu", (unsigned long long)r->id);
	json_array_foreach (st->layers, i, layer) {
		if (m->n_layers < PROTO_LAYERS_MAX)
			m->layers[m->n_layers++] = (uint64_t)json_integer_value(layer);
	}
	json_array_foreach (st->others, i, layer) {
		if (m->n_layers + m->n_others < PROTO_LAYERS_MAX)
			m->layers[m->n_layers + m->n_others++] =
				(uint64_t)json_integer_value(layer);
	}
	for (i = 0; i < st->n_mounts && m->n_mounts < PROTO_MOUNTS_MAX; i++)
		m->mounts[m->n_mounts++] = st->mounts[i];
	if (st->cache && m->n_mounts < PROTO_MOUNTS_MAX)
		m->mounts[m->n_mounts++] = (struct msg_mount){
			.id = st->app, .kind = MOUNT_CACHE, .path = "/cache"};
}

static int start(struct run *r, struct err *e)
{
	const char *argv[4] = {"berth-build", r->st->command, r->st->argument, NULL};
	const char *none[1] = {NULL};
	struct msg_start *m autofree = calloc(1, sizeof(*m));

	if (!m)
		return err_set(e, ENOMEM, "out of memory");
	fill(r, m);
	int spec autoclose = spec_pack(argv, r->st->env ? r->st->env : none, "/");
	if (spec < 0)
		return err_sys(e, -spec, "pack the build step's environment");
	int fds[4] = {spec, r->in_r, r->out_w, r->err_w};
	return engine_start(r->c->engine, m, fds, 4, NULL, e);
}

static void *feed_main(void *arg)
{
	struct run *r = arg;

	r->feed_status = r->st->feed(r->st->feed_arg, r->in_w, &r->feed_error);
	shut(&r->in_w);
	return NULL;
}

static int start_feeder(struct run *r)
{
	pthread_attr_t attr;

	if (!r->st->feed)
		return 0;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, FEED_STACK);
	int code = pthread_create(&r->feeder, &attr, feed_main, r);
	pthread_attr_destroy(&attr);
	r->feeding = code == 0;
	return -code;
}

/* Dependencies wrote it: a terminal gets text and colours, and what is kept is what was shown. */
static void say(struct run *r, char kind, const char *line)
{
	char clean[LINE_MAX_LEN * PLAIN_FACTOR + PLAIN_END_LEN + 1];
	size_t n = plain_copy(clean, line, strlen(line), PLAIN_WITH_COLOURS);

	clean[n] = '\0';
	r->s->write(r->s, kind, clean);
}

/* Hands over whole lines; '\r' ends a progress line. */
static void relay(struct run *r, bool at_end)
{
	for (;;) {
		size_t n = r->words.len ? strcspn(r->words.data, "\r\n") : 0;
		bool whole = n < r->words.len;
		if (r->words.len == 0 || (!whole && !at_end && n < LINE_MAX_LEN))
			return;
		char kind = whole && r->words.data[n] == '\r' ? 'p' : 'o';
		if (whole)
			r->words.data[n] = '\0';
		else if (n > LINE_MAX_LEN)
			n = LINE_MAX_LEN;
		char line[LINE_MAX_LEN + 1];
		snprintf(line, sizeof(line), "%.*s", (int)n, r->words.data);
		if (r->st->output_fd && line[0] == '{') {
			buf_reset(&r->answer);
			buf_adds(&r->answer, line);
		} else if (kind == 'o' || line[0])
			say(r, kind, line);
		buf_consume(&r->words, whole ? n + 1 : n);
	}
}

static void take(int *fd, struct buf *into)
{
	char *at = buf_room(into, 16384);
	ssize_t n = at ? read(*fd, at, 16384) : 0;

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		shut(fd);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (!at[i])
			at[i] = ' ';
	}
	into->len += (size_t)n;
	into->data[into->len] = '\0';
}

/* Only one that makes a layer: the others take nothing. */
static int check_disk(struct run *r, struct err *e)
{
	uint64_t left, total, now = io_mono_ns();

	if (!r->st->upper || now < r->disk_ns)
		return 0;
	r->disk_ns = now + DISK_LOOK_NS;
	if (disk_free(r->c, &left, &total) < 0 || left >= space_reserve(r->c, total))
		return 0;
	return err_set(e, ENOSPC,
		SPACE_FULL
		"the build was stopped with %llu MB free in "
		"%s, which are kept for what runs; `berth disk:report` says what takes "
		"the rest",
		(unsigned long long)(left >> 20), r->c->state);
}

/* Why it must not go on, or 0. */
static int check_end(struct run *r, struct err *e)
{
	if (sink_cancelled(r->s))
		return err_set(e, ECANCELED, "cancelled");
	if (io_mono_ns() >= r->until_ns)
		return err_set(e, ETIME,
			"%s took longer than %u s and was stopped: `berth builds:set APP "
			"timeout %um` gives it more",
			r->st->command, r->timeout_s, r->timeout_s / 30);
	return check_disk(r, e);
}

/* Whether that is done: a berthd that started anew in the middle does not know of it. */
static bool stop(struct run *r)
{
	int status = engine_stop(r->c->engine, r->id, 0);

	return status == 0 || status == -ESRCH;
}

/* Until both outputs ended, which is when the last process of the sandbox is gone. */
static int collect(struct run *r, struct err *e)
{
	bool stopped = false;
	int status = 0;

	while (r->out_r >= 0 || r->err_r >= 0) {
		struct pollfd p[3] = {{.fd = r->out_r, .events = POLLIN},
			{.fd = r->err_r, .events = POLLIN},
			{.fd = status ? -1 : r->s->watch_fd, .events = POLLRDHUP}};
		if (poll(p, 3, LOOK_MS) < 0 && errno != EINTR)
			return err_sys(e, errno, "poll");
		if (p[0].revents)
			take(&r->out_r, &r->answer);
		if (p[1].revents)
			take(&r->err_r, &r->words);
		relay(r, r->err_r < 0);
		if (status == 0)
			status = check_end(r, e);
		if (status < 0 && !stopped)
			stopped = stop(r);
	}
	return status;
}

static int finish(struct run *r, int status, struct err *e)
{
	struct msg_exited x;
	char reason[160], limit[24];

	if (status < 0)
		engine_stop(r->c->engine, r->id, 0);
	if (engine_wait_exit(r->c->engine, r->id, 20000, &x) < 0)
		return status < 0 ? status
				  : err_set(e, EIO, "the build step's end was lost");
	if (status < 0)
		return status;
	exit_text(&x, reason);
	if (x.reason == EXIT_REASON_EXITED && x.value == 0)
		return 0;
	/* often only the compiler is killed, and make says it failed */
	if (x.reason == EXIT_REASON_OOM || engine_oom_kills(r->c->engine, r->id)) {
		num_format_size(x.memory_limit_bytes, limit);
		return err_set(e, ENOMEM,
			"the build ran out of memory at %s: `berth resource:limit APP "
			"--process-type build --memory 4G` gives it more",
			limit);
	}
	return err_set(e, ECHILD, "%s failed: %s",
		r->st->title ? r->st->title : r->st->command, reason);
}

static int commit_layer(struct run *r, struct err *e)
{
	struct msg_layer l = {.id = r->st->upper};

	if (!l.id || r->st->discard)
		return 0;
	int status =
		engine_call(r->c->engine, MSG_LAYER_COMMIT, &l, sizeof(l), NULL, 0, NULL);

	return status < 0 ? err_sys(e, -status, "keep the layer") : 0;
}

static int parse_answer(struct run *r, json_t **ret, struct err *e)
{
	json_error_t je;

	*ret = NULL;
	if (r->answer.len == 0)
		return 0;
	*ret = json_loads(r->answer.data, 0, &je);
	if (!json_is_object(*ret)) {
		json_decref(*ret);
		*ret = NULL;
		return err_set(e, EBADMSG, "%s answered what is no JSON object: %s",
			r->st->command, je.text);
	}
	return 0;
}

static int run(struct run *r, json_t **ret, struct err *e)
{
	int status = make_pipes(r);

	if (status < 0)
		return err_sys(e, -status, "make pipes");
	status = engine_expect(r->c->engine, r->id);
	if (status < 0)
		return err_sys(e, -status, "start a build step");
	if (!(r->st->flags & START_NO_NET))
		status = network_apply_builds(r->c, r->st->app, e);
	if (status == 0)
		status = start(r, e);
	shut(&r->in_r);
	shut(&r->out_w);
	shut(&r->err_w);
	if (status == 0) {
		status = start_feeder(r);
		if (status < 0)
			err_sys(e, -status, "start a thread");
		else
			status = collect(r, e);
		status = finish(r, status, e);
	} else {
		engine_stop(r->c->engine, r->id,
			0); /* it may have started when only the answer was lost */
		db_instance_exit(r->c->db, r->id, "not started", io_now_us());
	}
	if (r->feeding)
		pthread_join(r->feeder, NULL);
	/* A step that stopped reading says why itself, by its answer or its exit; any other end of the feed is news. */
	if (r->feeding && r->feed_status < 0 && r->feed_status != -EPIPE)
		status = err_set(e, -r->feed_status, "%s", r->feed_error.text);
	engine_forget(r->c->engine, r->id);
	if (status == 0)
		status = parse_answer(r, ret, e);
	/* A refusal is told, not kept: its cause may be gone at the next push. */
	const char *refusal =
		status == 0 ? json_string_value(json_object_get(*ret, "error")) : NULL;
	if (refusal)
		return err_set(e, EINVAL, "%s", refusal);
	if (status == 0 && r->feeding && r->feed_status < 0)
		return err_set(e, -r->feed_status, "%s", r->feed_error.text);
	return status == 0 ? commit_layer(r, e) : status;
}

static int begin_row(struct run *r)
{
	struct db_instance row = {.app = r->st->app == STEP_NO_APP ? 0 : r->st->app,
		.number = 1,
		.kind = "build",
		.state = "starting",
		.started_us = io_now_us()};

	snprintf(row.type, sizeof(row.type), "%s", r->st->command);
	int status = db_instance_create(r->c->db, &row);
	r->id = row.id;
	return status;
}

static int run_in_turn(struct run *r, json_t **ret, struct err *e)
{
	unsigned int max = (unsigned int)setting_u64(
		r->c, 0, "builds", "parallel", work_parallel_default());
	int status = r->st->quick ? 0 : work_turn_take(max, r->s, e);

	if (status < 0)
		return status;
	r->timeout_s = app_build_timeout_s(r->c, r->st->app);
	r->until_ns = r->st->untimed ? UINT64_MAX
				     : io_mono_ns() + r->timeout_s * UINT64_C(1000000000);
	status = run(r, ret, e);
	if (!r->st->quick)
		work_turn_drop();
	return status;
}

int step_run(struct control *c, const struct step *st, struct sink *s,
	json_t **ret_answer, struct err *e)
{
	struct run r = {.c = c,
		.st = st,
		.s = s,
		.in_w = -1,
		.out_r = -1,
		.err_r = -1,
		.in_r = -1,
		.out_w = -1,
		.err_w = -1,
		.answer.max = STEP_ANSWER_MAX};
	int status = begin_row(&r);

	*ret_answer = NULL;
	if (status < 0)
		return err_sys(e, -status, "record the build step");
	status = run_in_turn(&r, ret_answer, e);
	if (status < 0) {
		struct msg_layer l = {.id = st->upper};
		if (l.id)
			engine_call(c->engine, MSG_LAYER_REMOVE, &l, sizeof(l), NULL, 0,
				NULL);
		json_decref(*ret_answer);
		*ret_answer = NULL;
	}
	int *ends[] = {&r.in_w, &r.out_r, &r.err_r, &r.in_r, &r.out_w, &r.err_w};
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		shut(ends[i]);
	buf_free(&r.answer);
	buf_free(&r.words);
	return status;
}
