/* Snapshots of volumes. */
#include "control/data/snapshots.h"
#include "control/applock.h"
#include "control/data/snapshot_step.h"
#include "control/data/volumes.h"
#include "control/engine.h"
#include "control/run/fleet.h"
#include "control/thread.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define STACK_BYTES (256 << 10)
#define LOOK_MS 200
#define VOLUME_LOCKS 0x80000000u /* above the apps' numbers */

int volume_lock(uint64_t volume, struct sink *s, struct err *e)
{
	return applock_take(VOLUME_LOCKS | (uint32_t)volume, s, e);
}

void volume_unlock(uint64_t volume)
{
	applock_drop(VOLUME_LOCKS | (uint32_t)volume);
}

int snapshot_parse(const char *word, uint64_t *ret_id)
{
	return num_parse_u64(word[0] == 's' ? word + 1 : word, 1, INT64_MAX, ret_id);
}

/* ---- a job ---- */

enum job_state { JOB_READING, JOB_READY, JOB_READ, JOB_DONE };

struct snapshot_job {
	struct sink sink; /* first: the step's words come here */
	struct control *c;
	struct db_snapshot row;
	bool second, cancel;
	int go[2]; /* a byte: nobody writes any more */
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	enum job_state state;
	int status;
	struct err e;
	json_t *answer;
};

static void job_set(struct snapshot_job *j, enum job_state state)
{
	pthread_mutex_lock(&j->lock);
	j->state = state;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->lock);
}

static void job_word(struct sink *s, char kind, const char *text)
{
	struct snapshot_job *j = (struct snapshot_job *)s;

	(void)kind;
	if (strcmp(text, "ready") == 0)
		job_set(j, JOB_READY);
	else if (strcmp(text, "read") == 0)
		job_set(j, JOB_READ);
	else
		log_info("snapshot s%llu: %s", (unsigned long long)j->row.id, text);
}

static bool job_cancelled(struct sink *s)
{
	struct snapshot_job *j = (struct snapshot_job *)s;

	pthread_mutex_lock(&j->lock);
	bool cancel = j->cancel;
	pthread_mutex_unlock(&j->lock);
	return cancel;
}

static void *job_main(void *arg)
{
	struct snapshot_job *j = arg;
	char name[32], before[48];
	const char *env[] = {before, j->second ? "BERTH_HOLD=1" : NULL, NULL};
	struct db_snapshot *rows autofree = NULL;
	int n = db_snapshot_list(j->c->db, j->row.volume, &rows);
	const struct vault_step v = {.volume = j->row.volume,
		.command = "snapshot",
		.argument = snapshot_name(j->row.id, name),
		.env = env,
		.with_volume = true,
		.in = j->go[0]};

	snprintf(before, sizeof(before), "BERTH_PREVIOUS=%s%llu", n > 0 ? "s" : "",
		n > 0 ? (unsigned long long)rows[0].id : 0);
	j->status = vault_step(j->c, &v, &j->sink, &j->answer, &j->e);
	job_set(j, JOB_DONE);
	return NULL;
}

static void job_free(struct snapshot_job *j)
{
	for (int i = 0; i < 2; i++)
		if (j->go[i] >= 0)
			close(j->go[i]);
	json_decref(j->answer);
	pthread_mutex_destroy(&j->lock);
	pthread_cond_destroy(&j->changed);
	free(j);
}

int snapshot_begin(struct control *c, const struct db_snapshot *row, bool second,
	struct snapshot_job **ret, struct err *e)
{
	struct snapshot_job *j = calloc(1, sizeof(*j));
	int r;

	if (!j)
		return err_set(e, ENOMEM, "out of memory");
	j->sink = (struct sink){
		.write = job_word, .cancelled = job_cancelled, .watch_fd = -1};
	j->c = c;
	j->row = *row;
	j->second = second;
	pthread_mutex_init(&j->lock, NULL);
	pthread_cond_init(&j->changed, NULL);
	j->go[0] = j->go[1] = -1;
	r = pipe2(j->go, O_CLOEXEC) < 0 ? -errno : db_snapshot_begin(c->db, &j->row);
	if (r == 0 && (r = -pthread_create(&j->thread, NULL, job_main, j)) < 0)
		db_snapshot_delete(c->db, j->row.id);
	if (r < 0) {
		job_free(j);
		return err_sys(e, -r, "begin a snapshot");
	}
	*ret = j;
	return 0;
}

uint64_t snapshot_id(const struct snapshot_job *j)
{
	return j->row.id;
}

static int job_failed(const struct snapshot_job *j, struct err *e)
{
	return j->status < 0 ? err_set(e, -j->status, "%s", j->e.text)
			     : err_set(e, EIO, "the snapshot ended too early");
}

/* Until it has come so far. s may be NULL. */
static int job_wait(
	struct snapshot_job *j, enum job_state state, struct sink *s, struct err *e)
{
	pthread_mutex_lock(&j->lock);
	while (j->state < state) {
		struct timespec t;

		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += LOOK_MS * 1000000L;
		t.tv_sec += t.tv_nsec / 1000000000L;
		t.tv_nsec %= 1000000000L;
		pthread_cond_timedwait(&j->changed, &j->lock, &t);
		if (s && !j->cancel && sink_cancelled(s))
			j->cancel = true;
	}
	int r = j->cancel	   ? err_set(e, ECANCELED, "cancelled")
		: j->state > state ? job_failed(j, e)
				   : 0;
	pthread_mutex_unlock(&j->lock);
	return r;
}

int snapshot_await(struct snapshot_job *j, struct sink *s, struct err *e)
{
	return job_wait(j, JOB_READY, s, e);
}

int snapshot_read(struct snapshot_job *j, struct err *e)
{
	if (write(j->go[1], "!", 1) != 1)
		return err_sys(e, errno, "go on with the snapshot");
	pthread_mutex_lock(&j->lock);
	while (j->state < JOB_READ)
		pthread_cond_wait(&j->changed, &j->lock);
	/* it may have come to its end meanwhile */
	int r = j->state == JOB_DONE && j->status < 0 ? job_failed(j, e) : 0;
	pthread_mutex_unlock(&j->lock);
	return r;
}

static json_int_t number(const json_t *answer, const char *key)
{
	return json_integer_value(json_object_get(answer, key));
}

static int job_record(struct snapshot_job *j, uint64_t pause_us, struct err *e)
{
	j->row.files = (uint64_t)number(j->answer, "files");
	j->row.bytes = (uint64_t)number(j->answer, "bytes");
	j->row.added_bytes = (uint64_t)number(j->answer, "new_bytes");
	j->row.pause_us = pause_us;
	int r = db_snapshot_ready(j->c->db, &j->row);
	return r < 0 ? err_sys(e, -r, "record the snapshot") : 0;
}

int snapshot_end(
	struct snapshot_job *j, uint64_t pause_us, struct db_snapshot *ret, struct err *e)
{
	int r;

	close(j->go[1]); /* one that still waits for its second reading gives up */
	j->go[1] = -1;
	pthread_join(j->thread, NULL);
	r = j->status < 0 ? job_failed(j, e) : job_record(j, pause_us, e);
	if (r < 0)
		db_snapshot_delete(j->c->db, j->row.id);
	else if (ret)
		*ret = j->row;
	if (r == 0)
		snapshots_forget_soon(j->c, j->row.volume);
	job_free(j);
	return r;
}

/* ---- a snapshot of what is ---- */

/* With those held that write. One that cannot be is not waited for. */
static int read_held(struct control *c, struct snapshot_job *j, uint64_t volume,
	uint64_t *ret_pause_us, struct sink *s, struct err *e)
{
	struct snapshot_held held;
	struct err why;
	int r = snapshot_hold(c, volume, &held, &why);

	if (r < 0)
		sink_fail(s,
			"%s: the snapshot is taken while it runs, and may show some "
			"files newer than others",
			why.text);
	r = snapshot_read(j, e);
	if (held.ids)
		*ret_pause_us = snapshot_release(c, &held);
	return r;
}

static int take_locked(struct control *c, const struct db_volume *v,
	struct db_snapshot *row, struct sink *s, struct err *e)
{
	struct snapshot_job *j;
	uint64_t pause_us = 0;
	struct err ended;
	int r;

	row->volume = v->id;
	r = snapshot_begin(c, row, true, &j, e);
	if (r < 0)
		return r;
	r = snapshot_await(j, s, e);
	if (r == 0)
		r = read_held(c, j, v->id, &pause_us, s, e);
	int end = snapshot_end(j, pause_us, row, &ended);
	if (r == 0 && end < 0)
		r = err_set(e, -end, "%s", ended.text);
	return r;
}

int snapshot_take(struct control *c, const struct db_volume *v, struct db_snapshot *row,
	struct sink *s, struct err *e)
{
	int r = volume_lock(v->id, s, e);

	if (r < 0)
		return r;
	r = take_locked(c, v, row, s, e);
	volume_unlock(v->id);
	return r;
}

/* ---- back ---- */

int snapshot_settle(struct control *c, uint64_t volume)
{
	return db_volume_set_undo(c->db, volume, 0);
}

void snapshot_settle_whole(struct control *c, uint64_t volume, struct sink *s)
{
	const struct timespec again = {.tv_sec = 1};
	bool told = false;
	int r;

	/* -EBUSY: nobody had it, and it was destroyed */
	while ((r = snapshot_settle(c, volume)) < 0 && r != -EBUSY) {
		if (!told) {
			log_error("volume %llu is whole, but that cannot be recorded: "
				  "%s; berth goes on trying",
				(unsigned long long)volume, strerror(-r));
			sink_fail(s,
				"the volume is whole, but that cannot be recorded: %s; "
				"berth goes on trying",
				strerror(-r));
		}
		told = true;
		nanosleep(&again, NULL);
	}
}

static int give(struct control *c, uint64_t volume, uint64_t id, uint64_t now,
	json_t **ret, struct err *e)
{
	struct sink quiet = vault_quiet();
	char name[32], hint[48];
	const char *env[] = {hint, NULL};
	json_t *answer = NULL;
	const struct vault_step v = {.volume = volume,
		.command = "restore",
		.argument = snapshot_name(id, name),
		.env = env,
		.with_volume = true,
		.in = -1};

	snprintf(hint, sizeof(hint), "BERTH_NOW=%s%llu", now ? "s" : "",
		(unsigned long long)now);
	int r = vault_step(c, &v, &quiet, &answer, e);
	if (ret)
		*ret = answer;
	else
		json_decref(answer);
	return r;
}

/* Half of one and half of the other must not be started with. 0 or -errno. */
static int stop_apps_of(struct control *c, uint64_t volume, uint64_t undo)
{
	struct db_mount *mounts autofree = NULL;
	int n = db_mount_list(c->db, 0, &mounts), r = n < 0 ? n : 0;

	for (int i = 0; r >= 0 && i < n; i++) {
		if (mounts[i].volume != volume)
			continue;
		r = db_app_set_stopped(c->db, mounts[i].app, true);
		log_error("volume %s is half restored: its apps stay stopped; `berth "
			  "volumes:restore %s s%llu --force`, then `berth ps:start`",
			mounts[i].volume_name, mounts[i].volume_name,
			(unsigned long long)undo);
	}
	return r;
}

int snapshot_give_back(struct control *c, uint64_t volume, uint64_t undo, struct sink *s)
{
	struct err e = {0};
	int r = give(c, volume, undo, 0, NULL, &e);

	if (r == 0) {
		snapshot_settle_whole(c, volume, s);
		return 0;
	}
	log_error("volume %llu could not be put back: %s", (unsigned long long)volume,
		e.text);
	stop_apps_of(c, volume, undo);
	sink_fail(s,
		"the volume could not be put back: %s; its apps stay stopped. Berth "
		"tries again at its next start, and `berth volumes:restore VOLUME s%llu` "
		"does",
		e.text, (unsigned long long)undo);
	return r;
}

int snapshot_give(struct control *c, uint64_t volume, uint64_t id, uint64_t undo,
	json_t **ret, struct err *e)
{
	struct sink quiet = vault_quiet();
	int r = db_volume_set_undo(c->db, volume, undo);

	if (r < 0)
		return err_sys(e, -r, "record the restore");
	/* before the first byte of the volume changes */
	r = db_settle(c->db);
	if (r < 0) {
		snapshot_settle_whole(c, volume, &quiet);
		return err_sys(e, -r, "record the restore");
	}
	r = give(c, volume, id, undo, ret, e);
	if (r < 0 && snapshot_give_back(c, volume, undo, &quiet) < 0)
		err_add(e,
			"the volume is half restored, and its apps stay stopped (`berth "
			"ps:start` after berth's next start, which puts it back)");
	return r;
}

/* ---- forgetting ---- */

static int forget(struct control *c, uint64_t volume)
{
	struct sink quiet = vault_quiet();
	struct db_snapshot *rows autofree = NULL;
	uint64_t *gone autofree = NULL;
	autobuf keep = BUF_INIT;
	json_t *answer = NULL;
	struct err e;
	int n = db_snapshot_surplus(c->db, volume, io_now_us(), &gone);

	for (int i = 0; i < n; i++)
		db_snapshot_delete(c->db, gone[i]);
	if (n <= 0)
		return n;
	n = db_snapshot_list(c->db, volume, &rows);
	buf_adds(&keep, "BERTH_KEEP=");
	for (int i = 0; i < n; i++)
		buf_addf(&keep, " s%llu", (unsigned long long)rows[i].id);
	if (n < 0 || keep.failed)
		return -ENOMEM;
	const char *env[] = {keep.data, NULL};
	const struct vault_step v = {
		.volume = volume, .command = "forget", .env = env, .in = -1};
	int r = vault_step(c, &v, &quiet, &answer, &e);
	if (r < 0)
		log_warn("old snapshots of volume %llu stay: %s",
			(unsigned long long)volume, e.text);
	json_decref(answer);
	return r;
}

struct forgetting {
	struct control *c;
	uint64_t volume;
};

static void *forget_main(void *arg)
{
	struct forgetting *f = arg;
	struct sink quiet = vault_quiet();
	struct err e;

	if (volume_lock(f->volume, &quiet, &e) == 0) {
		forget(f->c, f->volume);
		volume_unlock(f->volume);
	}
	free(f);
	return NULL;
}

void snapshots_forget_soon(struct control *c, uint64_t volume)
{
	uint64_t *gone autofree = NULL;
	struct forgetting *f;

	if (db_snapshot_surplus(c->db, volume, io_now_us(), &gone) <= 0)
		return;
	f = calloc(1, sizeof(*f));
	if (!f)
		return;
	*f = (struct forgetting){c, volume};
	if (thread_detached(forget_main, f, STACK_BYTES) < 0)
		free(f);
}

/* ---- after a start ---- */

/* Whether somebody may have it now; else it is to be tried again. */
static bool undo_one(struct control *c, uint64_t volume)
{
	struct db_volume_snapshots set;
	struct sink quiet = vault_quiet();
	struct err e = {0};
	int r = db_volume_snapshots(c->db, volume, &set);

	if (r == 0 && give(c, volume, set.undo, 0, NULL, &e) == 0) {
		snapshot_settle_whole(c, volume, &quiet);
		log_info("volume %llu: an interrupted restore is undone",
			(unsigned long long)volume);
		return true;
	}
	if (r == 0) {
		log_error("volume %llu: %s", (unsigned long long)volume, e.text);
		r = stop_apps_of(c, volume, set.undo);
	}
	if (r < 0)
		log_error("volume %llu: its interrupted restore cannot be undone: %s; "
			  "berth goes on trying",
			(unsigned long long)volume, strerror(-r));
	return r >= 0;
}

struct undoing {
	uint64_t *volumes;
	struct volume_shut *shut; /* as many */
	uint32_t *apps;		  /* whose locks are held */
	unsigned int n_volumes, n_apps;
};

static void undoing_free(struct undoing *u)
{
	free(u->volumes);
	free(u->shut);
	free(u->apps);
	free(u);
}

/* The same locks as of a restore. Nobody else has any yet: one that is taken is ours, of an app that has two of the volumes. */
static int hold(struct control *c, struct undoing *u)
{
	struct db_mount *mounts autofree = NULL;
	struct sink quiet = vault_quiet();
	struct err e = {0};
	int n = db_mount_list(c->db, 0, &mounts), r = n < 0 ? n : 0;

	u->apps = calloc((size_t)(n > 0 ? n : 0) + 1, sizeof(*u->apps));
	u->shut = calloc(u->n_volumes, sizeof(*u->shut));
	if (!u->apps || !u->shut)
		return -ENOMEM;
	for (unsigned int i = 0; r == 0 && i < u->n_volumes; i++) {
		for (int k = 0; k < n; k++)
			if (mounts[k].volume == u->volumes[i] &&
				applock_try(mounts[k].app))
				u->apps[u->n_apps++] = mounts[k].app;
		r = volume_lock(u->volumes[i], &quiet, &e);
		volume_shut(&u->shut[i], u->volumes[i]);
	}
	return r;
}

int snapshots_hold(struct control *c)
{
	struct undoing *u = calloc(1, sizeof(*u));
	int n = u ? db_volume_undone(c->db, &u->volumes) : -ENOMEM;

	if (n > 0) {
		u->n_volumes = (unsigned int)n;
		n = hold(c, u);
		c->undoing = n < 0 ? NULL : TAKE_PTR(u);
	}
	if (u)
		undoing_free(u);
	return n < 0 ? n : 0;
}

void snapshots_recover(struct control *c)
{
	const struct timespec again = {.tv_sec = 5};
	struct undoing *u = TAKE_PTR(c->undoing);

	db_snapshot_drop_unready(c->db, c->started_us);
	if (!u)
		return;
	for (unsigned int i = 0; i < u->n_volumes; i++) {
		while (!undo_one(c, u->volumes[i]))
			nanosleep(&again, NULL);
		volume_open(&u->shut[i]);
		volume_unlock(u->volumes[i]);
	}
	for (unsigned int i = 0; i < u->n_apps; i++)
		applock_drop(u->apps[i]);
	undoing_free(u);
}
