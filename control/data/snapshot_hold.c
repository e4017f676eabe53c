/* Who runs with a volume, and is held while its files are read. */
#include "control/data/snapshots.h"
#include "control/data/volumes.h"
#include "control/engine.h"
#include "control/run/fleet.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool writes(const struct db_mount *mounts, int n, uint64_t volume, uint32_t app)
{
	for (int i = 0; i < n; i++)
		if (mounts[i].volume == volume && mounts[i].app == app &&
			!mounts[i].read_only)
			return true;
	return false;
}

/* Its web processes are frozen, and stay so. */
static bool is_frozen(struct control *c, const struct db_instance *i)
{
	struct db_app a;

	return strcmp(i->type, "web") == 0 && db_app_by_id(c->db, i->app, &a) == 0 &&
	       a.asleep == DB_ASLEEP_FROZEN;
}

static bool runs(const struct db_instance *i)
{
	return i->app && strcmp(i->kind, "build") != 0 && strcmp(i->type, "enter") != 0;
}

/* Typed mounts: of what --type a one-off was given its row does not tell. */
static bool may_have(const struct db_instance *i, const struct db_mount *m)
{
	if (m->app != i->app)
		return false;
	return strcmp(i->kind, "cron") != 0 || mount_is_of(m, "cron") ||
	       mount_is_of(m, "run");
}

/* The first instance that has it; oneoffs: of those that are none of the app's processes. 0, -ENOENT: none, or -errno. */
static int find_user(struct control *c, uint64_t volume, bool oneoffs,
	struct db_instance *ret, struct db_app *ret_app)
{
	struct db_mount *mounts autofree = NULL;
	struct db_instance *rows autofree = NULL;
	int n_mounts = db_mount_list(c->db, 0, &mounts);
	int n = db_instance_list(c->db, 0, false, &rows);

	if (n_mounts < 0 || n < 0)
		return n_mounts < 0 ? n_mounts : n;
	for (int i = 0; i < n; i++)
		for (int k = 0; runs(&rows[i]) && k < n_mounts; k++) {
			if (mounts[k].volume != volume ||
				!may_have(&rows[i], &mounts[k]) ||
				(oneoffs && strcmp(rows[i].kind, "app") == 0) ||
				db_app_by_id(c->db, rows[i].app, ret_app) < 0)
				continue;
			*ret = rows[i];
			return 0;
		}
	return -ENOENT;
}

int volume_user(struct control *c, uint64_t volume, char app[NAME_MAX_LEN + 1])
{
	struct db_instance i;
	struct db_app a;
	int r = find_user(c, volume, false, &i, &a);

	if (r == 0)
		snprintf(app, NAME_MAX_LEN + 1, "%s", a.name);
	return r;
}

int volume_check_oneoffs(struct control *c, const struct db_volume *v, struct err *e)
{
	struct db_instance i;
	struct db_app a;
	int r = find_user(c, v->id, true, &i, &a);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(e, -r, "look who runs with %s", v->name);
	return err_set(e, EBUSY,
		"%s.%u of %s runs with %s: wait for its end, or `berth run:stop %s "
		"%s.%u`",
		i.type, i.number, a.name, v->name, a.name, i.type, i.number);
}

/* berthd forgot the question when it restarted meanwhile: once more. */
static int call(struct control *c, uint32_t type, const void *body, size_t size)
{
	int r = engine_call(c->engine, type, body, size, NULL, 0, NULL);

	return r == -ECONNRESET ? engine_call(c->engine, type, body, size, NULL, 0, NULL)
				: r;
}

int snapshot_hold(
	struct control *c, uint64_t volume, struct snapshot_held *ret, struct err *e)
{
	struct db_mount *mounts autofree = NULL;
	struct db_instance *rows autofree = NULL;
	int n_mounts = db_mount_list(c->db, 0, &mounts);
	int n = db_instance_list(c->db, 0, false, &rows), r = 0;

	*ret = (struct snapshot_held){.since_ns = io_mono_ns()};
	ret->ids = calloc((size_t)(n > 0 ? n : 0) + 1, sizeof(*ret->ids));
	if (!ret->ids)
		return err_set(e, ENOMEM, "out of memory");
	for (int i = 0; r == 0 && i < n; i++) {
		const struct msg_freeze m = {.id = rows[i].id};

		if (!runs(&rows[i]) || !writes(mounts, n_mounts, volume, rows[i].app) ||
			is_frozen(c, &rows[i]))
			continue;
		r = call(c, MSG_FREEZE, &m, sizeof(m));
		if (r == 0)
			ret->ids[ret->n++] = m.id;
		else if (r == -ESRCH)
			r = 0; /* it ended meanwhile */
		else
			err_sys(e, -r, "%s.%u cannot be held", rows[i].type,
				rows[i].number);
	}
	if (r < 0)
		snapshot_release(c, ret);
	return r;
}

uint64_t snapshot_release(struct control *c, struct snapshot_held *h)
{
	for (unsigned int i = 0; i < h->n; i++) {
		const struct msg_instance m = {h->ids[i]};
		int r = call(c, MSG_THAW, &m, sizeof(m));

		if (r < 0 && r != -ESRCH) {
			log_error("instance %llx does not go on, it is ended: %s",
				(unsigned long long)m.id, strerror(-r));
			fleet_send_stop(c, m.id, 0);
		}
	}
	uint64_t us = h->n ? (io_mono_ns() - h->since_ns) / 1000 : 0;
	free(h->ids);
	*h = (struct snapshot_held){0};
	return us;
}
