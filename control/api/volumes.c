/* Volumes: files that outlive instances, and where apps see them. */
#include "control/data/volumes.h"
#include "control/api/handlers.h"
#include "control/api/view.h"
#include "control/data/usage.h"
#include "control/settings.h"
#include "lib/proto.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int find_named(struct request *r, const char *name, struct db_volume *ret)
{
	int n = db_volume_by_name(r->c->db, name, ret);

	if (n == 0)
		return 0;
	if (n != -ENOENT)
		return request_fail_db(r, n, name);
	request_fail(r, FAIL_MISSING, "there is no volume named %.80s", name);
	return request_hint(r, "create it: berth volumes:create %.63s",
		name_valid(name) ? name : "NAME");
}

static int find(struct request *r, struct db_volume *ret)
{
	return find_named(r, r->args[0], ret);
}

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
		json_array_append_new(list,
			json_pack("{s:s, s:s, s:b, s:s?}", "app", a.name, "path",
				rows[i].path, "read_only", rows[i].read_only,
				"process_type", rows[i].type[0] ? rows[i].type : NULL));
	}
	return list;
}

static json_t *number(bool known, uint64_t n)
{
	return known ? json_integer((json_int_t)n) : json_null();
}

/* What it lies on and how full it is. counted: of folders; NULL: those are not counted. */
static void add_state(
	struct request *r, json_t *o, uint64_t id, const struct usage *counted)
{
	static const char *const backings[] = {[VOLUME_FOLDER] = "folder",
		[VOLUME_QUOTA] = "quota",
		[VOLUME_IMAGE] = "image"};
	struct msg_volume_info info;
	struct err e = {0};
	int n = volume_look(r->c, id, &info, &e);
	bool sized = n == 0 && info.size_bytes;
	uint64_t used = info.used_bytes;

	for (size_t i = 0; counted && !sized && i < counted->n; i++)
		if (counted->rows[i].id == id)
			used = counted->rows[i].bytes;
	json_object_set_new(o, "backing",
		n == 0 && info.backing < ARRAY_LEN(backings)
			? json_string(backings[info.backing])
			: json_null());
	json_object_set_new(o, "size_bytes", number(sized, info.size_bytes));
	json_object_set_new(o, "used_bytes", number(sized || counted, used));
	json_object_set_new(o, "files_max", number(sized, info.files_max));
	json_object_set_new(o, "files", number(sized, info.files));
	json_object_set_new(o, "problem", n < 0 ? json_string(e.text) : json_null());
}

static int read_usage(struct request *r, struct usage *ret)
{
	struct err e = {0};

	if (!request_query(r, "usage"))
		return 0;
	return usage_read(r->c, 1u << USAGE_VOLUME, ret, &e) < 0
		       ? request_fail(r, FAIL_BERTH, "%s", e.text)
		       : 1;
}

int volumes_list(struct request *r)
{
	struct usage counted = {0};
	struct db_volume *volumes autofree = NULL;
	struct db_mount *rows autofree = NULL;
	const char *app = request_query(r, "app"), *name = request_query(r, "name");
	struct db_app only = {0};
	struct db_volume one = {0};

	if ((app && request_app(r, app, &only) < 0) ||
		(name && find_named(r, name, &one) < 0))
		return -1;
	int usage = read_usage(r, &counted);
	if (usage < 0) {
		usage_clear(&counted);
		return -1;
	}
	int n = db_volume_list(r->c->db, &volumes);
	int n_rows = db_mount_list(r->c->db, 0, &rows);
	if (n < 0 || n_rows < 0) {
		usage_clear(&counted);
		return request_fail_db(r, n < 0 ? n : n_rows, "volumes");
	}
	json_t *list = json_array();
	for (int i = 0; i < n; i++) {
		bool has;
		json_t *mounts = mounts_of(r, volumes[i].id, rows, n_rows, only.id, &has);
		/* The first app that mounts it stands for the owner, until volumes have
		 * one of their own. */
		json_t *owner = json_object_get(json_array_get(mounts, 0), "app");

		if (has && (!one.id || one.id == volumes[i].id) &&
			access_volume(r->c, &r->access, volumes[i].id, true) >=
				ROLE_VIEW) {
			json_t *row = json_pack("{s:s, s:I, s:O?, s:O, s:o}", "name",
				volumes[i].name, "id", (json_int_t)volumes[i].id, "app",
				owner, "mounts", mounts, "created",
				json_stamp(volumes[i].created_us));
			add_state(r, row, volumes[i].id, usage ? &counted : NULL);
			json_array_append_new(list, row);
		}
		json_decref(mounts);
	}
	usage_clear(&counted);
	return request_reply(r, 200, list);
}

static int take_size(struct request *r, uint64_t *ret)
{
	const char *text = request_string(r, "size");
	char least[24], most[24];

	if (text && num_parse_size(text, ret) == 0 && *ret >= VOLUME_SIZE_MIN &&
		*ret <= VOLUME_SIZE_MAX)
		return 0;
	num_format_size(VOLUME_SIZE_MIN, least);
	num_format_size(VOLUME_SIZE_MAX, most);
	return request_fail(r, FAIL_USAGE, "\"%.40s\" is not a size from %s to %s",
		text ? text : "", least, most);
}

static int fail_size(struct request *r, const struct err *e)
{
	request_fail(r, e->code == ENOSPC ? FAIL_CONFLICT : FAIL_BERTH, "%s", e->text);
	return e->code == ENOSPC
		       ? request_hint(r,
				 "what takes the space: berth disk:report; make room, "
				 "or choose a smaller size")
		       : -1;
}

static int make(struct request *r, void *arg)
{
	const char *name = request_string(r, "name");
	struct db_volume *v = arg;
	int n = db_volume_create(r->c->db, name, v->size_bytes, &v->id);

	if (n == -EEXIST)
		return request_fail(
			r, FAIL_CONFLICT, "there is already a volume named %s", name);
	if (n == 0 && r->access.member)
		n = db_volume_set_maker(r->c->db, v->id, r->access.member);
	return n < 0 ? request_fail_db(r, n, name) : 0;
}

int volumes_create(struct request *r)
{
	const char *name = request_string(r, "name");
	struct err e = {0};
	struct db_volume v = {0};

	if (request_name(r, "volume", name) < 0 ||
		(request_string(r, "size") && take_size(r, &v.size_bytes) < 0))
		return -1;
	if (v.size_bytes && volume_check_room(r->c, v.size_bytes, &e) < 0)
		return fail_size(r, &e);
	if (request_whole(r, name, make, &v) < 0)
		return -1;
	int n = volume_make(r->c, v.id, v.size_bytes, &e);
	if (n == 0)
		n = db_volume_set_whole(r->c->db, v.id, true);
	if (n < 0) {
		struct err ignored;

		/* Perhaps berthd made it, and died before it could say so. */
		volume_destroy(r->c, v.id, &ignored);
		return v.size_bytes && e.text[0] ? fail_size(r, &e)
		       : e.text[0] ? request_fail(r, FAIL_BERTH, "%s", e.text)
				   : request_fail_db(r, n, name);
	}
	return request_reply(
		r, 201, json_pack("{s:s, s:I}", "name", name, "id", (json_int_t)v.id));
}

static int fail_plain(struct request *r, const struct db_volume *v)
{
	request_fail(r, FAIL_CONFLICT,
		"%s was made without a size: it is a folder, which has no limit",
		v->name);
	return request_hint(r,
		"make one with a size, mount both and copy: berth volumes:create "
		"%.50s-new "
		"--size %.20s",
		v->name, request_string(r, "size"));
}

static int fail_shrink(struct request *r, const struct db_volume *v, uint64_t now)
{
	char size[24];

	num_format_size(now, size);
	request_fail(r, FAIL_CONFLICT,
		"%s has %s; a volume only grows: a file system that is mounted cannot "
		"give "
		"space back",
		v->name, size);
	return request_hint(r,
		"make a smaller one, mount both and copy: berth volumes:create %.50s-new "
		"--size %.20s",
		v->name, request_string(r, "size"));
}

/* berthd first: a size that the row does not know is better than one that is not there. */
int volumes_resize(struct request *r)
{
	struct msg_volume_info info;
	struct db_volume v;
	struct err e = {0};
	uint64_t size = 0;

	if (find(r, &v) < 0 || take_size(r, &size) < 0)
		return -1;
	if (volume_look(r->c, v.id, &info, &e) < 0)
		return request_fail(r, FAIL_BERTH, "%s: %s", v.name, e.text);
	if (!info.size_bytes)
		return fail_plain(r, &v);
	if (size < info.size_bytes)
		return fail_shrink(r, &v, info.size_bytes);
	if (volume_check_room(r->c, size - info.size_bytes, &e) < 0 ||
		volume_grow(r->c, v.id, size, &info, &e) < 0)
		return fail_size(r, &e);
	int n = db_volume_resize(r->c->db, v.id, info.size_bytes);
	if (n < 0)
		return request_fail_db(r, n, v.name);
	return request_reply(r, 200,
		json_pack("{s:s, s:I, s:b}", "name", v.name, "size_bytes",
			(json_int_t)info.size_bytes, "later",
			(info.flags & VOLUME_LATER) != 0));
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

static bool is_inside(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	return strncmp(path, folder, len) == 0 && path[len] == '/';
}

static int check_free(struct request *r, const struct db_mount *m, struct err *e)
{
	struct db_mount *rows autofree = NULL;
	int n = db_mount_list(r->c->db, m->app, &rows);

	if (n < 0)
		return err_sys(e, -n, "list the volumes of %s", r->app.name);
	for (int i = 0; i < n; i++) {
		if (rows[i].volume == m->volume)
			return err_set(e, EEXIST, "%s has %s already, at %s", r->app.name,
				m->volume_name, rows[i].path);
		if (strcmp(rows[i].path, m->path) == 0)
			return err_set(e, EEXIST, "%s has %s at %s already", r->app.name,
				rows[i].volume_name, m->path);
		if (is_inside(m->path, rows[i].path) || is_inside(rows[i].path, m->path))
			return err_set(e, EEXIST,
				"%s has %s at %s: of two volumes, none may lie in the "
				"other; choose a path beside it",
				r->app.name, rows[i].volume_name, rows[i].path);
	}
	if (n + 1 >= PROTO_MOUNTS_MAX)
		return err_set(e, EEXIST,
			"%s has %d volumes, the most that an app can have", r->app.name,
			n);
	return 0;
}

/* A writable volume is for one instance of a type, unless the app says that it can share.
 */
static int check_shared(struct request *r, const struct db_mount *m)
{
	json_t *processes = view_processes(r->c, r->app.id), *command;
	const char *type;

	if (settings_is_on(r->c, r->app.id, "ps", "overlap", false)) {
		json_decref(processes);
		return 0;
	}
	json_object_foreach (processes, type, command) {
		uint32_t n = app_quantity(r->c, r->app.id, type);

		if (n <= 1 || strcmp(type, "release") == 0 || !mount_is_of(m, type))
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

static int take_type(struct request *r, struct db_mount *m)
{
	const char *type = request_string(r, "process_type");
	char known[256];

	if (!type)
		return 0;
	if (!name_type_valid(type) || strlen(type) >= sizeof(m->type))
		return request_fail(
			r, FAIL_USAGE, "\"%.80s\" is not a process type", type);
	snprintf(m->type, sizeof(m->type), "%s", type);
	json_t *processes = view_processes(r->c, r->app.id);
	if (r->app.live_version && !json_object_get(processes, type)) {
		view_type_names(processes, known, sizeof(known));
		request_fail(r, FAIL_USAGE,
			"%s has no process type \"%s\"; its types: %s", r->app.name, type,
			known[0] ? known : "none");
	}
	json_decref(processes);
	return r->failure.set ? -1 : 0;
}

int mount_check(struct request *r)
{
	const char *path = request_string(r, "path");
	struct db_mount *m = calloc(1, sizeof(*m));
	struct err e;

	if (!m)
		return request_fail(r, FAIL_BERTH, "out of memory");
	r->data = m;
	r->data_free = free;
	if (prepare(r, m) < 0 || take_type(r, m) < 0)
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
	if (!m->read_only && check_shared(r, m) < 0)
		return -1;
	if (check_free(r, m, &e) == 0)
		return 0;
	return request_fail(
		r, e.code == EEXIST ? FAIL_CONFLICT : FAIL_BERTH, "%s", e.text);
}

/* Is there a release to make at once? */
static bool is_due(struct request *r)
{
	return r->app.live_version && request_bool(r, "restart", true);
}

static int redeploy(
	struct request *r, const char *description, struct sink *s, struct err *e)
{
	if (!is_due(r)) {
		sink_line(s, r->app.live_version
				     ? "It takes effect when its instances start next"
				     : "It takes effect with the first deploy");
		return 0;
	}
	return deploy_config(r->c, r->app.id, description, r->who.actor, s, e);
}

/* Looked at once more: another one may have been mounted since. */
static int add_mount(struct request *r, const struct db_mount *m, struct err *e)
{
	int n = db_begin(r->c->db);

	if (n < 0)
		return err_sys(e, -n, "record the mount");
	n = check_free(r, m, e);
	if (n == 0 && (n = db_mount_add(r->c->db, m)) < 0)
		err_sys(e, -n, "%s could not be mounted at %s", m->volume_name, m->path);
	int ended = db_end(r->c->db, n == 0);
	return n == 0 && ended < 0 ? err_sys(e, -ended, "record the mount") : n;
}

int mount_run(struct request *r, struct sink *s, struct err *e)
{
	struct db_mount *m = r->data;
	char description[256];

	m->pending = is_due(r) ? DB_COMES : DB_SETTLED;
	int n = add_mount(r, m, e);
	if (n < 0)
		return n;
	snprintf(description, sizeof(description), "Mount %s at %.150s", m->volume_name,
		m->path);
	n = redeploy(r, description, s, e);
	if (n < 0)
		db_mount_remove(r->c->db, m->app, m->volume);
	return n;
}

int unmount_check(struct request *r)
{
	const char *path = request_string(r, "path");
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
		if (path && strcmp(path, rows[i].path) != 0)
			return request_fail(r, FAIL_MISSING,
				"%s has %s at %s, not at %.80s", r->app.name,
				m->volume_name, rows[i].path, path);
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
	int n = is_due(r) ? db_mount_set_pending(r->c->db, m->app, m->volume, DB_GOES)
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
