/* Volumes: folders that outlive instances, and where apps see them. */
#include "control/api_handlers.h"
#include "control/settings.h"
#include "control/view.h"
#include "lib/proto.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static json_t *mounts_of(struct request *r, uint64_t volume, const struct db_mount *rows,
	int n, uint32_t only, bool *ret_has)
{
	json_t *list = json_array();

	*ret_has = only == 0;
	for (int i = 0; i < n; i++) {
		struct db_app a;

		if (rows[i].volume != volume ||
			access_role(&r->access, rows[i].app) < ROLE_VIEW ||
			db_app_by_id(r->c->db, rows[i].app, &a) < 0)
			continue;
		if (rows[i].app == only)
			*ret_has = true;
		json_array_append_new(
			list, json_pack("{s:s, s:s, s:b}", "app", a.name, "path",
				      rows[i].path, "read_only", rows[i].read_only));
	}
	return list;
}

int volumes_list(struct request *r)
{
	struct db_volume *volumes autofree = NULL;
	struct db_mount *rows autofree = NULL;
	const char *name = request_query(r, "app");
	struct db_app only = {0};

	if (name && request_app(r, name, &only) < 0)
		return -1;
	int n = db_volume_list(r->c->db, &volumes);
	int n_rows = db_mount_list(r->c->db, 0, &rows);
	if (n < 0 || n_rows < 0)
		return request_fail_db(r, n < 0 ? n : n_rows, "volumes");
	json_t *list = json_array();
	for (int i = 0; i < n; i++) {
		bool has;
		json_t *mounts = mounts_of(r, volumes[i].id, rows, n_rows, only.id, &has);
		/* The first app that mounts it stands for the owner, until volumes have
		 * one of their own. */
		json_t *app = json_object_get(json_array_get(mounts, 0), "app");

		if (has &&
			access_volume(r->c, &r->access, volumes[i].id, true) >= ROLE_VIEW)
			json_array_append_new(list,
				json_pack("{s:s, s:I, s:O?, s:O, s:o}", "name",
					volumes[i].name, "id", (json_int_t)volumes[i].id,
					"app", app, "mounts", mounts, "created",
					json_stamp(volumes[i].created_us)));
		json_decref(mounts);
	}
	return request_reply(r, 200, list);
}

int volumes_create(struct request *r)
{
	const char *name = request_string(r, "name");
	struct err e = {0};
	uint64_t id = 0;

	if (request_name(r, "volume", name) < 0)
		return -1;
	int n = db_volume_create(r->c->db, name, &id);
	if (n == -EEXIST)
		return request_fail(
			r, FAIL_CONFLICT, "there is already a volume named %s", name);
	if (n < 0)
		return request_fail_db(r, n, name);
	if (r->access.member)
		db_volume_set_maker(r->c->db, id, r->access.member);
	n = volume_make(r->c, id, &e);
	if (n == 0)
		n = db_volume_set_whole(r->c->db, id, true);
	if (n < 0) {
		struct err ignored;

		/* Perhaps berthd made it, and died before it could say so. */
		volume_destroy(r->c, id, &ignored);
		return e.text[0] ? request_fail(r, FAIL_BERTH, "%s", e.text)
				 : request_fail_db(r, n, name);
	}
	return request_reply(
		r, 201, json_pack("{s:s, s:I}", "name", name, "id", (json_int_t)id));
}

static int find(struct request *r, struct db_volume *ret)
{
	const char *name = r->args[0];
	int n = db_volume_by_name(r->c->db, name, ret);

	if (n == 0)
		return 0;
	if (n != -ENOENT)
		return request_fail_db(r, n, name);
	request_fail(r, FAIL_MISSING, "there is no volume named %.80s", name);
	return request_hint(r, "create it: berth volumes:create %.63s",
		name_valid(name) ? name : "NAME");
}

static int fail_mounted(struct request *r, const struct db_volume *v)
{
	struct db_mount *rows autofree = NULL;
	int n = db_mount_list(r->c->db, 0, &rows);
	struct db_app a;

	request_fail(r, FAIL_CONFLICT, "%s is mounted by an app", v->name);
	for (int i = 0; i < n; i++) {
		if (rows[i].volume != v->id ||
			db_app_by_id(r->c->db, rows[i].app, &a) < 0)
			continue;
		request_fail(r, FAIL_CONFLICT, "%s is mounted by %s at %s", v->name,
			a.name, rows[i].path);
		return request_hint(r, "unmount it first: berth volumes:unmount %s %s",
			a.name, v->name);
	}
	return -1;
}

int volumes_destroy(struct request *r)
{
	const char *confirm = request_query(r, "confirm");
	struct db_volume v;
	struct err e = {0};

	if (find(r, &v) < 0)
		return -1;
	if (!confirm || strcmp(confirm, v.name) != 0)
		return request_fail(r, FAIL_USAGE,
			"destroying the volume %s must be confirmed with its name",
			v.name);
	int n = volume_destroy(r->c, v.id, &e);
	if (n == -EBUSY)
		return fail_mounted(r, &v);
	if (n != -EAGAIN)
		return n < 0 ? request_fail(r, FAIL_BERTH, "%s", e.text) : 0;
	request_fail(r, FAIL_CONFLICT, "%s is still in use by an instance that is ending",
		v.name);
	return request_hint(r, "try again in a moment");
}

/* ---- mounting: a new release ---- */

static int prepare(struct request *r, struct db_mount *m)
{
	struct db_volume v;

	if (find(r, &v) < 0 || request_app(r, request_string(r, "app"), &r->app) < 0 ||
		request_unlocked(r, &r->app) < 0)
		return -1;
	m->volume = v.id;
	m->app = r->app.id;
	snprintf(m->volume_name, sizeof(m->volume_name), "%s", v.name);
	return 0;
}

/* Below these lie files that make a sandbox what it is. */
static bool path_reserved(const char *path)
{
	static const char *const reserved[] = {"/", "/proc", "/sys", "/dev", "/berth",
		"/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/run", "/tmp",
		"/cache"};

	for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
		size_t len = strlen(reserved[i]);

		if (strcmp(path, reserved[i]) == 0)
			return true;
		if ((i >= 1 && i <= 4) && strncmp(path, reserved[i], len) == 0 &&
			path[len] == '/')
			return true;
	}
	return false;
}

static int check_free(struct request *r, const struct db_mount *m)
{
	struct db_mount *rows autofree = NULL;
	int n = db_mount_list(r->c->db, m->app, &rows);

	if (n < 0)
		return request_fail_db(r, n, r->app.name);
	for (int i = 0; i < n; i++) {
		if (rows[i].volume == m->volume)
			return request_fail(r, FAIL_CONFLICT, "%s has %s already, at %s",
				r->app.name, m->volume_name, rows[i].path);
		if (strcmp(rows[i].path, m->path) == 0)
			return request_fail(r, FAIL_CONFLICT, "%s has %s at %s already",
				r->app.name, rows[i].volume_name, m->path);
	}
	if (n + 1 >= PROTO_MOUNTS_MAX)
		return request_fail(r, FAIL_CONFLICT,
			"%s has %d volumes, the most that an app can have", r->app.name,
			n);
	return 0;
}

/* A writable volume is for one instance of a type, unless the app says that it can share.
 */
static int check_shared(struct request *r)
{
	json_t *processes = view_processes(r->c, r->app.id), *command;
	const char *type;

	if (settings_is_on(r->c, r->app.id, "ps", "overlap", false)) {
		json_decref(processes);
		return 0;
	}
	json_object_foreach (processes, type, command) {
		uint32_t n = app_quantity(r->c, r->app.id, type);

		if (n <= 1 || strcmp(type, "release") == 0)
			continue;
		request_fail(r, FAIL_CONFLICT,
			"%u instances of %s would share the writable volume", n, type);
		request_hint(r,
			"berth ps:scale %s %s=1, or where the app can share: berth "
			"ps:set %s overlap on",
			r->app.name, type, r->app.name);
		break;
	}
	json_decref(processes);
	return r->failure.set ? -1 : 0;
}

int mount_check(struct request *r)
{
	const char *path = request_string(r, "path");
	struct db_mount *m = calloc(1, sizeof(*m));

	if (!m)
		return request_fail(r, FAIL_BERTH, "out of memory");
	r->data = m;
	r->data_free = free;
	if (prepare(r, m) < 0)
		return -1;
	if (!name_mount_path_valid(path))
		return request_fail(r, FAIL_USAGE,
			"\"%.80s\" is not a path to mount at: absolute, without . and .. "
			"and a slash at the end",
			path);
	if (path_reserved(path))
		return request_fail(r, FAIL_USAGE,
			"nothing can be mounted at %s; choose a path such as /app/data",
			path);
	snprintf(m->path, sizeof(m->path), "%s", path);
	m->read_only = request_bool(r, "read_only", false);
	if (!m->read_only && check_shared(r) < 0)
		return -1;
	return check_free(r, m);
}

static int redeploy(
	struct request *r, const char *description, struct sink *s, struct err *e)
{
	if (!r->app.live_version) {
		sink_line(s, "It takes effect with the first deploy");
		return 0;
	}
	return deploy_config(r->c, r->app.id, description, r->who.actor, s, e);
}

int mount_run(struct request *r, struct sink *s, struct err *e)
{
	struct db_mount *m = r->data;
	char description[256];

	m->pending = r->app.live_version ? DB_COMES : DB_SETTLED;
	int n = db_mount_add(r->c->db, m);
	if (n < 0)
		return err_sys(
			e, -n, "%s could not be mounted at %s", m->volume_name, m->path);
	snprintf(description, sizeof(description), "Mount %s at %.150s", m->volume_name,
		m->path);
	n = redeploy(r, description, s, e);
	if (n < 0)
		db_mount_remove(r->c->db, m->app, m->volume);
	return n;
}

int unmount_check(struct request *r)
{
	struct db_mount *rows autofree = NULL, *m = calloc(1, sizeof(*m));

	if (!m)
		return request_fail(r, FAIL_BERTH, "out of memory");
	r->data = m;
	r->data_free = free;
	if (prepare(r, m) < 0)
		return -1;
	int n = db_mount_list(r->c->db, m->app, &rows);
	for (int i = 0; i < n; i++) {
		if (rows[i].volume != m->volume)
			continue;
		*m = rows[i];
		return 0;
	}
	return request_fail(
		r, FAIL_MISSING, "%s does not mount %s", r->app.name, m->volume_name);
}

int unmount_run(struct request *r, struct sink *s, struct err *e)
{
	const struct db_mount *m = r->data;
	char description[128];
	int n = r->app.live_version
			? db_mount_set_pending(r->c->db, m->app, m->volume, DB_GOES)
			: db_mount_remove(r->c->db, m->app, m->volume);

	if (n < 0)
		return err_sys(e, -n, "%s could not be unmounted", m->volume_name);
	snprintf(description, sizeof(description), "Unmount %s", m->volume_name);
	n = redeploy(r, description, s, e);
	if (n < 0)
		db_mount_set_pending(r->c->db, m->app, m->volume, DB_SETTLED);
	return n;
}

int volume_find(struct request *r, struct db_volume *ret)
{
	return find(r, ret);
}
