/* What must be true after a start. */
#include "control/recover.h"
#include "control/cron/cron.h"
#include "control/data/retention.h"
#include "control/data/snapshots.h"
#include "control/data/volumes.h"
#include "control/deploy/clone.h"
#include "control/deploy/rename.h"
#include "control/deploy/rollout.h"
#include "control/engine.h"
#include "control/logs/loglimits.h"
#include "control/network/network.h"
#include "control/run/fleet.h"
#include "control/run/sleep.h"
#include "control/run/supervise.h"
#include "control/settings.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define STOP_MS 5000 /* for an instance that nobody wants any more */
#define INTERRUPTED "berth was interrupted before the switch; push again"

struct running {
	uint64_t *ids, *frozen,
		*listen; /* frozen, listen: those of ids that are, or do */
	size_t n, n_frozen, n_listen;
};

static void running_free(struct running *r)
{
	free(r->ids);
	free(r->frozen);
	free(r->listen);
}

static int grow(uint64_t **list, size_t room)
{
	uint64_t *grown = realloc(*list, room * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	*list = grown;
	return 0;
}

static int add_page(struct running *r, const struct msg_list *l, uint64_t *ret_last)
{
	size_t room = r->n + l->n + 1;

	if (grow(&r->ids, room) < 0 || grow(&r->frozen, room) < 0 ||
		grow(&r->listen, room) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n && i < ARRAY_LEN(l->rows); i++) {
		*ret_last = l->rows[i].id;
		if (l->rows[i].state == LIST_ENDED)
			continue;
		r->ids[r->n++] = l->rows[i].id;
		if (l->rows[i].state == LIST_FROZEN)
			r->frozen[r->n_frozen++] = l->rows[i].id;
		if (l->rows[i].flags & START_LISTEN)
			r->listen[r->n_listen++] = l->rows[i].id;
	}
	return 0;
}

static int list_running(struct control *c, struct running *ret)
{
	struct msg *reply autofree = calloc(1, sizeof(*reply));
	struct msg_instance after = {0};
	uint32_t more = 1;

	*ret = (struct running){0};
	while (reply && more) {
		int r = engine_call(
			c->engine, MSG_LIST, &after, sizeof(after), NULL, 0, reply);
		const struct msg_list *l =
			(const struct msg_list *)(const void *)reply->body;
		if (r < 0)
			return r;
		r = add_page(ret, l, &after.id);
		if (r < 0)
			return r;
		more = l->more && l->n;
	}
	return reply ? 0 : -ENOMEM;
}

static bool is_in(const uint64_t *list, size_t n, uint64_t id)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i] == id)
			return true;
	}
	return false;
}

static bool is_running(const struct running *r, uint64_t id)
{
	return is_in(r->ids, r->n, id);
}

/* During a restart two have the same place for a moment: the newer one was probed before the older was told to go. */
static bool replaced(const struct db_instance *rows, int n, const struct db_instance *i,
	const struct running *run)
{
	for (int j = 0; j < n; j++) {
		if (rows[j].id > i->id && rows[j].app == i->app &&
			rows[j].number == i->number && rows[j].version == i->version &&
			strcmp(rows[j].type, i->type) == 0 &&
			strcmp(rows[j].kind, "app") == 0 &&
			strcmp(rows[j].state, "running") == 0 &&
			is_running(run, rows[j].id))
			return true;
	}
	return false;
}

/* The one that it was started with. */
static uint16_t port_of(struct control *c, const struct db_instance *i)
{
	struct db_release release = {0};
	struct db_image image = {0};
	uint16_t port = app_port(c, i->app);

	if (db_release_get(c->db, i->app, i->version, &release) == 0 &&
		db_image_get(c->db, release.image, &image) == 0)
		port = app_image_port(c, i->app, &image);
	db_image_clear(&image);
	db_release_clear(&release);
	return port;
}

/* An instance that served the live release goes on serving; a half-started or unwanted one is stopped. */
static bool adopt(
	struct control *c, const struct db_instance *i, const struct running *run)
{
	struct member m = {.id = i->id,
		.app = i->app,
		.version = i->version,
		.number = i->number,
		.restarts = i->restarts,
		.state = MEMBER_READY,
		.listens = is_in(run->listen, run->n_listen, i->id),
		.started_us = i->started_us,
		.since_us = i->started_us};

	snprintf(m.type, sizeof(m.type), "%s", i->type);
	if (strcmp(i->kind, "app") != 0 || strcmp(i->state, "running") != 0 ||
		!fleet_wanted(c, &m))
		return false;
	if (strcmp(i->type, "web") == 0)
		m.port = port_of(c, i);
	fleet_adopt(c, &m);
	supervise_adopted(c, m.id);
	return true;
}

/* The next one in the place of such an instance must not meet it. A step of no app may be writing to a volume, and has its snapshots locked. */
static bool ends_first(struct control *c, const struct db_instance *i)
{
	if (strcmp(i->kind, "build") == 0)
		return !i->app;
	return strcmp(i->kind, "app") == 0 && rollout_stop_first(c, i->app, i->type);
}

static void stop_unwanted(struct control *c, const struct db_instance *i)
{
	struct msg_exited x;
	bool wait = ends_first(c, i) && engine_expect(c->engine, i->id) == 0;

	if (engine_stop(c->engine, i->id, STOP_MS) == 0 && wait)
		engine_wait_exit(c->engine, i->id, STOP_MS + 1000, &x);
	if (wait)
		engine_forget(c->engine, i->id);
}

/* Nobody waits for it: it needs no berth-control. */
static bool goes_on(struct control *c, const struct db_instance *i)
{
	if (strcmp(i->kind, "cron") == 0)
		return cron_keeps(c, i);
	return i->detached && strcmp(i->state, "running") == 0 &&
	       strcmp(i->kind, "run") == 0;
}

static void reconcile_instances(struct control *c, const struct running *run)
{
	struct db_instance *rows autofree = NULL;
	int n = db_instance_list(c->db, 0, false, &rows);

	for (int i = 0; i < n; i++) {
		if (!is_running(run, rows[i].id)) {
			/* Its exit may still come with the true reason; that overwrites this. */
			db_instance_exit(c->db, rows[i].id, "ended while berth was down",
				io_now_us());
			continue;
		}
		if (goes_on(c, &rows[i]))
			continue;
		if (replaced(rows, n, &rows[i], run) || !adopt(c, &rows[i], run))
			stop_unwanted(c, &rows[i]);
	}
}

static void stop_unknown(struct control *c, const struct running *run)
{
	struct db_instance row;

	for (size_t i = 0; i < run->n; i++) {
		if (db_instance_get(c->db, run->ids[i], &row) < 0 ||
			strcmp(row.state, "exited") == 0)
			engine_stop(c->engine, run->ids[i], 0);
	}
}

/* A row without its layer: the host went down before that was on disk, and berthd has dropped it. */
static void drop_lost_layers(struct control *c, const uint64_t *ids, int n)
{
	struct db_layer *rows autofree = NULL;
	int n_rows = db_layer_list(c->db, &rows);

	for (int i = 0, at = 0; i < n_rows; i++) {
		while (at < n && ids[at] < rows[i].id)
			at++;
		if ((at < n && ids[at] == rows[i].id) || !rows[i].ready)
			continue;
		log_warn("layer %llu is lost: a push makes it again",
			(unsigned long long)rows[i].id);
		db_layer_delete_lost(c->db, rows[i].id);
	}
}

static void compare_layers(struct control *c)
{
	uint64_t *ids autofree = NULL;
	int n = retention_list(c, &ids);

	if (n < 0)
		return;
	drop_lost_layers(c, ids, n);
	retention_drop_stray(c, ids, n);
}

/* Before anybody can begin another one. */
static void drop_half_clones(struct control *c)
{
	struct db_app *apps autofree = NULL;
	int n = db_app_list(c->db, &apps);

	for (int i = 0; i < n; i++)
		if (clone_is_half(c, &apps[i]) &&
			db_app_set_removing(c->db, apps[i].id, true) < 0)
			log_warn("%s is a clone that was begun only, and cannot be "
				 "removed",
				apps[i].name);
}

int recover_start(struct control *c, struct err *e)
{
	struct running run;
	int r = list_running(c, &run);

	if (r == -ECONNRESET) /* berthd started in the middle of the question */
		r = list_running(c, &run);
	if (r < 0) {
		running_free(&run);
		return err_sys(e, -r, "ask berthd what runs");
	}
	rename_recover(c);
	drop_half_clones(c);
	db_release_fail_pending(c->db, INTERRUPTED);
	if (db_config_settle(c->db) < 0)
		log_warn("the config of an app cannot be put back");
	db_build_fail_running(c->db);
	network_send_all(c); /* before anything is started */
	loglimits_apply_all(c);
	sleep_recover(c, &(struct sleep_found){run.ids, run.frozen, run.n, run.n_frozen});
	reconcile_instances(c, &run);
	cron_recover(c);
	stop_unknown(c, &run);
	retention_drop_half(c, UINT64_MAX);
	volumes_recover(c);
	compare_layers(c);
	db_instance_prune(c->db);
	running_free(&run);
	r = snapshots_hold(c);
	return r < 0 ? err_sys(e, -r, "find interrupted restores") : 0;
}

/* ---- apps to their formation ---- */

static void quiet_write(struct sink *s, char kind, const char *text)
{
	(void)s;
	if (kind == 'o')
		log_info("%s", text);
}

static void *apps_main(void *arg)
{
	struct control *c = arg;
	struct db_app *apps autofree = NULL;
	struct sink quiet = {.write = quiet_write, .watch_fd = -1};
	struct err e;
	int n = db_app_list(c->db, &apps);

	snapshots_recover(c);
	supervise_boot(c);
	for (int i = 0; i < n; i++) {
		if (apps[i].removing &&
			app_destroy(c, apps[i].id, apps[i].removing_volumes, "berth",
				&quiet, &e) < 0)
			log_warn("%s: %s", apps[i].name, e.text);
	}
	return NULL;
}

void recover_apps(struct control *c)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, apps_main, c) == 0)
		pthread_detach(thread);
	else
		log_error("no thread to start the apps");
}

/* ---- berthd restarted ---- */

static void *engine_main(void *arg)
{
	struct control *c = arg;
	struct running run;

	if (list_running(c, &run) == 0)
		stop_unknown(c, &run);
	running_free(&run);
	network_send_all(c);
	network_refresh(c);
	return NULL;
}

void recover_engine(struct control *c)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, engine_main, c) == 0)
		pthread_detach(thread);
}
