/* Small operations: keys, disk, addresses, destroying an app. */
#include "control/applock.h"
#include "control/certs/certs.h"
#include "control/data/volumes.h"
#include "control/deploy/preview.h"
#include "control/engine.h"
#include "control/logs/drains.h"
#include "control/network/network.h"
#include "control/network/routes.h"
#include "control/run/fleet.h"
#include "lib/io.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define END_MS 5000 /* for what was killed */
#define END_LOOK_MS 20

int keys_write(struct control *c, struct err *e)
{
	struct db_key *keys autofree = NULL;
	int n = db_key_list(c->db, &keys);
	autobuf records = BUF_INIT;

	for (int i = 0; i < n; i++) {
		struct msg_key k = {.id = keys[i].id};
		memcpy(k.type, keys[i].type, sizeof(k.type));
		memcpy(k.blob, keys[i].blob, sizeof(k.blob));
		buf_add(&records, &k, sizeof(k));
	}
	int fd autoclose = n < 0 || records.failed
				   ? -ENOMEM
				   : io_memfd_sealed("keys", records.data, records.len);
	if (fd < 0)
		return err_sys(e, -fd, "collect the keys");
	int r = engine_call(c->engine, MSG_KEYS_WRITE, NULL, 0, &fd, 1, NULL);
	return r < 0 ? err_sys(e, -r, "write authorized_keys") : 0;
}

static int disk_look(struct control *c, struct msg_disk *ret)
{
	struct msg *reply autofree = calloc(1, sizeof(*reply));

	if (!reply)
		return -ENOMEM;
	int r = engine_call(c->engine, MSG_DISK, NULL, 0, NULL, 0, reply);
	if (r == 0)
		memcpy(ret, reply->body, sizeof(*ret));
	msg_close_fds(reply);
	return r;
}

int disk_free(struct control *c, uint64_t *ret_free, uint64_t *ret_total)
{
	struct msg_disk d;
	int r = disk_look(c, &d);

	if (r == 0) {
		*ret_free = d.free_bytes;
		*ret_total = d.total_bytes;
	}
	return r;
}

bool disk_removing(struct control *c)
{
	struct msg_disk d;

	return disk_look(c, &d) == 0 && d.removing;
}

/* Of "HOST:PORT[,...]", for an address; the usual port is left out. */
static void port_suffix(const char *addresses, const char *usual, char out[16])
{
	size_t n = addresses ? strcspn(addresses, ",") : 0;
	const char *colon = addresses ? memrchr(addresses, ':', n) : NULL;
	int digits = colon ? (int)(addresses + n - colon - 1) : 0;

	out[0] = '\0';
	if (digits >= 1 && digits <= 5)
		snprintf(out, 16, ":%.*s", digits, colon + 1);
	if (strcmp(out + (out[0] == ':'), usual) == 0)
		out[0] = '\0';
}

bool https_is_served(void)
{
	const char *addresses = getenv("BERTH_HTTPS");

	return addresses && addresses[0];
}

void host_url(struct control *c, const char *host, char *out, size_t size)
{
	bool tls = https_is_served() && certs_serve(c->certs, host);
	char port[16];

	if (tls)
		port_suffix(getenv("BERTH_HTTPS"), "443", port);
	else
		port_suffix(getenv("BERTH_HTTP"), "80", port);
	snprintf(out, size, "%s://%s%s", tls ? "https" : "http", host, port);
}

void app_url(struct control *c, const struct db_app *a, char *out, size_t size)
{
	json_t *own = NULL, *global = NULL;
	char host[HOST_MAX_LEN + NAME_MAX_LEN + 2];

	db_domain_list(c->db, a->id, &own);
	db_domain_list(c->db, 0, &global);
	const char *first = json_string_value(json_array_get(own, 0));
	const char *domain = json_string_value(json_array_get(global, 0));
	if (first && strncmp(first, "*.", 2) != 0)
		snprintf(host, sizeof(host), "%s", first);
	else
		snprintf(host, sizeof(host), "%s.%s", a->name,
			domain ? domain : "localhost");
	host_url(c, host, out, size);
	json_decref(own);
	json_decref(global);
}

/* An end that was told before somebody expected it is not told again: then its row knows. */
static void await_end(struct control *c, uint64_t id)
{
	struct db_instance now;
	struct msg_exited x;

	for (int ms = 0; ms < END_MS; ms += END_LOOK_MS)
		if (engine_wait_exit(c->engine, id, END_LOOK_MS, &x) != -EAGAIN ||
			db_instance_get(c->db, id, &now) < 0 ||
			strcmp(now.state, "exited") == 0)
			return;
}

static void stop_everything(struct control *c, uint32_t app)
{
	struct member *m autofree = NULL;
	struct db_instance *rows autofree = NULL;
	int n = fleet_list(c, app, NULL, &m);

	for (int i = 0; i < n; i++)
		fleet_retire(c, &m[i].id, 1);
	routes_refresh(c, NULL);
	fleet_stop(c, m, (unsigned int)n);
	n = db_instance_list(c->db, app, false, &rows);
	for (int i = 0; i < n; i++) {
		engine_expect(c->engine, rows[i].id);
		if (engine_stop(c->engine, rows[i].id, 0) == 0)
			await_end(c, rows[i].id);
		engine_forget(c->engine, rows[i].id);
	}
}

/* An app that was cloned from this one has some of its layers. */
static bool is_others(const struct db_need *needs, int n, uint64_t layer, uint32_t app)
{
	for (int i = 0; i < n; i++)
		if (needs[i].layer == layer && needs[i].app && needs[i].app != app)
			return true;
	return false;
}

/* The app's own layers go with it; shared ones and those of tags stay until nobody uses them. */
static void remove_layers(struct control *c, uint32_t app)
{
	struct db_layer *layers autofree = NULL;
	struct db_need *needs autofree = NULL;
	int n_needs = db_layer_needs(c->db, &needs);
	int n = n_needs < 0 ? 0 : db_layer_list(c->db, &layers);

	for (int i = 0; i < n; i++) {
		struct msg_layer l = {.id = layers[i].id};

		if (layers[i].app == app && is_others(needs, n_needs, l.id, app))
			db_layer_set_app(c->db, l.id, 0);
		else if (layers[i].app == app && !db_layer_tagged(c->db, l.id) &&
			 engine_call(c->engine, MSG_LAYER_REMOVE, &l, sizeof(l), NULL, 0,
				 NULL) == 0)
			db_layer_delete(c->db, layers[i].id);
	}
}

static int remove_volumes(struct control *c, const struct db_mount *mounts, int n,
	struct sink *s, struct err *e)
{
	struct err one;
	int status = 0;

	for (int i = 0; i < n; i++) {
		int r = volume_destroy(c, mounts[i].volume, &one);

		if (r == -EBUSY)
			sink_detail(s, "volume %s stays: another app uses it",
				mounts[i].volume_name);
		else if (r == 0)
			sink_detail(s, "volume %s and its snapshots are gone",
				mounts[i].volume_name);
		else if (r != -ENOENT && status == 0) /* it may be mounted twice */
			status = err_set(e, one.code, "%s", one.text);
	}
	return status;
}

/* Nobody's rules lead to the app any more when its numbers are given to another. */
static int cut_off(struct control *c, uint32_t app, struct err *e)
{
	uint32_t *callers autofree = NULL;
	int n = network_callers(c, app, true, &callers), r = 0;
	struct db_app caller;

	if (n < 0)
		return err_sys(e, -n, "find the apps that may call it");
	for (int i = 0; i < n && r == 0; i++) {
		r = network_apply(c, callers[i], e);
		if (r < 0 && db_app_by_id(c->db, callers[i], &caller) == 0)
			err_add(e, "%s, which may call it", caller.name);
	}
	return r;
}

static int destroy_locked(struct control *c, const struct db_app *a, bool with_volumes,
	const char *actor, struct sink *s, struct err *e)
{
	struct db_mount *mounts autofree = NULL;
	struct msg_app gone = {.id = a->id};
	int n = db_mount_list(c->db, a->id, &mounts);

	snprintf(gone.name, sizeof(gone.name), "%s", a->name);
	int r = db_app_set_removing(c->db, a->id, with_volumes);
	if (r < 0)
		return err_sys(e, -r, "record it");
	r = preview_destroy_all(c, a->id, actor, s, e);
	if (r < 0)
		return r;
	stop_everything(c, a->id);
	remove_layers(c, a->id);
	r = cut_off(c, a->id, e);
	if (r < 0)
		return r;
	r = engine_call(c->engine, MSG_APP_REMOVE, &gone, sizeof(gone), NULL, 0, NULL);
	if (r < 0)
		return err_sys(e, -r, "remove the app's folders");
	r = with_volumes ? db_app_delete_with_volumes(c->db, a->id)
			 : db_app_delete(c->db, a->id);
	if (r < 0)
		return err_sys(e, -r, "remove the app");
	certs_app_gone(c);
	drains_changed(c);
	if (with_volumes)
		r = remove_volumes(c, mounts, n, s, e);
	for (int i = 0; !with_volumes && i < n; i++)
		sink_detail(s,
			"volume %s is kept, with its snapshots; `berth volumes:destroy "
			"%s`",
			mounts[i].volume_name, mounts[i].volume_name);
	return r;
}

int app_destroy(struct control *c, uint32_t app, bool with_volumes, const char *actor,
	struct sink *s, struct err *e)
{
	struct db_app a;
	int r = applock_take(app, s, e);

	if (r < 0)
		return r;
	r = db_app_by_id(c->db, app, &a);
	if (r < 0) {
		err_set(e, ENOENT, "the app is gone already");
	} else {
		sink_step(s, "Destroying %s", a.name);
		r = destroy_locked(c, &a, with_volumes, actor, s, e);
	}
	applock_drop(app);
	return r;
}
