/* What a volume holds, replaced as a whole: by one of its snapshots, by an archive; and as an archive. */
#include "control/applock.h"
#include "control/data/snapshot_step.h"
#include "control/data/snapshots.h"
#include "control/data/space.h"
#include "control/data/volumes.h"
#include "control/engine.h"
#include "lib/name.h"
#include "lib/stamp.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define IMPORT_FILES_MAX 5000000ull

/* Nothing that has the volume is started or changed meanwhile: the locks of its apps, by number, then its own. */
struct locked {
	uint32_t apps[PROTO_MOUNTS_MAX * 16];
	unsigned int n;
	uint64_t volume;
	struct volume_shut shut;
};

static void unlock(struct locked *l)
{
	if (l->volume) {
		volume_open(&l->shut);
		volume_unlock(l->volume);
	}
	while (l->n > 0)
		applock_drop(l->apps[--l->n]);
}

static int lock(struct control *c, uint64_t volume, struct locked *l, struct sink *s,
	struct err *e)
{
	struct db_mount *mounts autofree = NULL;
	int n = db_mount_list(c->db, 0, &mounts); /* by app */
	int r = 0;

	*l = (struct locked){0};
	for (int i = 0; r == 0 && i < n; i++) {
		if (mounts[i].volume != volume)
			continue;
		if (l->n == ARRAY_LEN(l->apps))
			r = err_set(e, E2BIG, "more than %zu apps have the volume",
				ARRAY_LEN(l->apps));
		else if ((r = applock_take(mounts[i].app, s, e)) == 0)
			l->apps[l->n++] = mounts[i].app;
	}
	if (r == 0 && (r = volume_lock(volume, s, e)) == 0) {
		volume_shut(&l->shut, volume);
		l->volume = volume;
	}
	if (r < 0)
		unlock(l);
	return r;
}

static int refuse_used(struct control *c, const struct db_volume *v, struct err *e)
{
	char app[NAME_MAX_LEN + 1];

	int r = volume_user(c, v->id, app);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(e, -r, "look who runs with %s", v->name);
	return err_set(e, EBUSY,
		"%s runs with %s: `berth ps:stop %s` first, and `berth ps:start %s` "
		"afterwards",
		app, v->name, app, app);
}

static json_int_t number(const json_t *answer, const char *key)
{
	return json_integer_value(json_object_get(answer, key));
}

static void say_restored(
	struct sink *s, const struct db_volume *v, const json_t *answer, uint64_t before)
{
	char wrote[24];

	num_format_size((uint64_t)number(answer, "wrote_bytes"), wrote);
	sink_detail(s,
		"%lld files written (%s), %lld removed, the rest was as it should be",
		(long long)number(answer, "wrote_files"), wrote,
		(long long)number(answer, "removed"));
	sink_detail(s, "what it was before is s%llu: `berth volumes:restore %s s%llu`",
		(unsigned long long)before, v->name, (unsigned long long)before);
}

/* Nobody runs with it: a snapshot of now, and what undoes all else. */
static int take_now(struct control *c, const struct db_volume *v, const char *why,
	struct db_snapshot *ret, struct err *e)
{
	struct snapshot_job *j;
	int r;

	*ret = (struct db_snapshot){.volume = v->id};
	snprintf(ret->why, sizeof(ret->why), "%s", why);
	r = snapshot_begin(c, ret, false, &j, e);
	if (r == 0)
		r = snapshot_end(j, 0, ret, e);
	return r < 0 ? err_add(e, "a snapshot of what there is now") : 0;
}

static int replace(struct control *c, const struct db_volume *v, uint64_t id,
	uint64_t now, struct sink *s, struct err *e)
{
	json_t *answer = NULL;
	int r = snapshot_give(c, v->id, id, now, &answer, e);

	if (r == 0) {
		snapshot_settle_whole(c, v->id, s);
		say_restored(s, v, answer, now);
	}
	json_decref(answer);
	return r;
}

static int restore_locked(struct control *c, const struct db_volume *v, uint64_t id,
	struct sink *s, struct err *e)
{
	struct db_snapshot now;
	int r = refuse_used(c, v, e);

	if (r == 0)
		r = take_now(c, v, "restore", &now, e);
	if (r < 0)
		return r;
	sink_step(s, "Restoring %s to s%llu", v->name, (unsigned long long)id);
	return replace(c, v, id, now.id, s, e);
}

int volume_restore(struct control *c, const struct db_volume *v, uint64_t id,
	struct sink *s, struct err *e)
{
	struct locked l;
	int r = refuse_used(c, v, e);

	if (r == 0)
		r = lock(c, v->id, &l, s, e);
	if (r < 0)
		return r;
	r = restore_locked(c, v, id, s, e);
	unlock(&l);
	return r;
}

/* ---- import ---- */

/* 0: none. */
static uint64_t size_of(struct control *c, uint64_t volume)
{
	struct msg *reply autofree = calloc(1, sizeof(*reply));
	const struct msg_volume ask = {volume};
	struct msg_volume_info info = {0};

	if (reply && engine_call(c->engine, MSG_VOLUME_INFO, &ask, sizeof(ask), NULL, 0,
			     reply) == 0)
		memcpy(&info, reply->body, sizeof(info));
	return info.size_bytes;
}

/* As much as the disk takes, or the volume when it has a size. */
static uint64_t most_bytes(struct control *c, uint64_t volume)
{
	uint64_t size = size_of(c, volume), room = INT64_MAX;
	struct space sp;

	if (space_look(c, &sp) == 0)
		room = sp.free > sp.reserve ? sp.free - sp.reserve : 0;
	return size && size < room ? size : room;
}

/* The archive becomes a snapshot, whose row is filled in. */
static int read_archive(struct control *c, const struct volume_archive *a,
	struct db_snapshot *row, struct sink *s, struct err *e)
{
	char name[32], bytes[64], files[64];
	const char *env[] = {
		bytes, files, a->unverified ? "BERTH_UNVERIFIED=1" : NULL, NULL};
	json_t *answer = NULL;
	int r = db_snapshot_begin(c->db, row);

	if (r < 0)
		return err_sys(e, -r, "record the import");
	snprintf(bytes, sizeof(bytes), "BERTH_MAX_BYTES=%llu",
		(unsigned long long)most_bytes(c, row->volume));
	snprintf(files, sizeof(files), "BERTH_MAX_FILES=%llu", IMPORT_FILES_MAX);
	const struct vault_step v = {.volume = row->volume,
		.command = "volume-import",
		.argument = snapshot_name(row->id, name),
		.env = env,
		.in = a->fd};
	r = vault_step(c, &v, s, &answer, e);
	if (r == 0) {
		row->files = (uint64_t)number(answer, "files");
		row->bytes = (uint64_t)number(answer, "bytes");
		row->added_bytes = (uint64_t)number(answer, "new_bytes");
		r = db_snapshot_ready(c->db, row);
	}
	if (r < 0)
		db_snapshot_delete(c->db, row->id);
	json_decref(answer);
	return r;
}

static int refuse_full(const struct db_volume *v, const struct db_snapshot *now,
	const struct volume_archive *a, struct err *e)
{
	if (a->force || now->files == 0)
		return 0;
	return err_set(e, EEXIST,
		"%s holds %llu files: --force replaces them (a snapshot of them, s%llu, "
		"is "
		"kept)",
		v->name, (unsigned long long)now->files, (unsigned long long)now->id);
}

static int import_locked(struct control *c, const struct db_volume *v,
	const struct volume_archive *a, struct sink *s, struct err *e)
{
	struct db_snapshot now, in = {.volume = v->id, .why = "import"};
	int r = refuse_used(c, v, e);

	if (r == 0)
		r = take_now(c, v, "restore", &now, e);
	if (r == 0)
		r = refuse_full(v, &now, a, e);
	if (r == 0)
		r = read_archive(c, a, &in, s, e);
	if (r < 0)
		return r;
	sink_step(
		s, "Importing %llu files into %s", (unsigned long long)in.files, v->name);
	return replace(c, v, in.id, now.id, s, e);
}

int volume_import(struct control *c, const struct db_volume *v,
	const struct volume_archive *a, struct sink *s, struct err *e)
{
	struct locked l;
	int r = refuse_used(c, v, e);

	if (r == 0)
		r = lock(c, v->id, &l, s, e);
	if (r < 0)
		return r;
	r = import_locked(c, v, a, s, e);
	unlock(&l);
	return r;
}

/* ---- export ---- */

static int write_archive(struct control *c, const struct db_volume *v, uint64_t id,
	int fd, struct sink *s, struct err *e)
{
	char name[32], size[24];
	const char *env[] = {NULL};
	json_t *answer = NULL;
	const struct vault_step step = {.volume = v->id,
		.command = "volume-export",
		.argument = snapshot_name(id, name),
		.env = env,
		.in = -1,
		.out = fd};
	int r = volume_lock(v->id, s, e);

	if (r < 0)
		return r;
	r = vault_step(c, &step, s, &answer, e);
	volume_unlock(v->id);
	if (r == 0) {
		num_format_size((uint64_t)number(answer, "bytes"), size);
		sink_step(s, "Exported %s: %lld files, %s, with a checksum at the end",
			v->name, (long long)number(answer, "files"), size);
	}
	json_decref(answer);
	return r;
}

int volume_export(struct control *c, const struct db_volume *v, uint64_t id, int fd,
	struct sink *s, struct err *e)
{
	struct db_snapshot now = {.why = "export"};
	int r;

	if (id)
		return write_archive(c, v, id, fd, s, e);
	r = snapshot_take(c, v, &now, s, e);
	if (r < 0)
		return r;
	r = write_archive(c, v, now.id, fd, s, e);
	db_snapshot_delete(
		c->db, now.id); /* its pieces go with the next that is forgotten */
	return r;
}
