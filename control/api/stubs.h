/*
 * For tests of the API: the operations behind it (deploys, processes, berthd), which take
 * the place of the real ones at link time (see the Makefile). Included by one file a
 * program.
 */
#ifndef CONTROL_API_STUBS_H
#define CONTROL_API_STUBS_H

#include "control/config.h"
#include "control/control.h"
#include "control/data/volumes.h"
#include "control/deploy/canary.h"
#include "control/deploy/clone.h"
#include "control/deploy/rename.h"
#include "control/engine.h"
#include "control/network/network.h"
#include "control/network/routes.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static atomic_int sent_certs, deploys, cancelled_deploys, refreshes, stops, abandoned,
	starts;
static atomic_bool fail_next, no_room, wait_for_cancel, hold_start;
static atomic_int one_off_signal;
static int one_off_end[2] = {-1, -1};

static int operate(struct sink *s, struct err *e)
{
	atomic_fetch_add(&deploys, 1);
	sink_step(s, "Working");
	if (atomic_load(&wait_for_cancel)) {
		struct pollfd p = {.fd = s->watch_fd, .events = POLLIN | POLLRDHUP};

		poll(&p, 1, 5000);
		if (sink_cancelled(s))
			atomic_fetch_add(&cancelled_deploys, 1);
		return err_set(e, ECANCELED, "cancelled");
	}
	if (atomic_exchange(&fail_next, false))
		return err_set(e, EIO, "web.1 exited with status 3");
	return 0;
}

bool deploy_ref_behind(struct control *c UNUSED, const struct db_app *app UNUSED,
	struct db_pushed *ret UNUSED)
{
	return false;
}

int deploy_push(struct control *c, const char *app, const struct push *p, struct sink *s,
	struct err *e)
{
	(void)c;
	sink_line(s, "%s %s %s", app, p->ref, p->actor);
	s->write(s, 'r', "refs/heads/main 1111111111111111111111111111111111111111");
	return operate(s, e);
}

int deploy_image(struct control *c, uint32_t app, const char *reference,
	const char *actor, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	sink_detail(s, "%s by %s", reference, actor);
	return operate(s, e);
}

/* As the real one: the config of the moment becomes a live release. */
int deploy_config(struct control *c, uint32_t app, const char *description,
	const char *actor, struct sink *s, struct err *e)
{
	struct db_app a;
	int r;

	sink_detail(s, "%s by %s", description, actor);
	r = operate(s, e);
	return r < 0 || db_app_by_id(c->db, app, &a) < 0
		       ? r
		       : db_release_switch(c->db, app, a.live_version);
}

/* As the real one: what the config becomes is a live release's, else it stays. */
int deploy_config_change(struct control *c, uint32_t app, const struct config_change *ch,
	const char *actor, struct sink *s, struct err *e)
{
	json_t *config = NULL, *before, *after;
	char keys[200];
	int r = db_config_get(c->db, app, &config);

	if (r < 0)
		return err_sys(e, -r, "read the config");
	after = config_changed(config, ch, &before);
	config_describe(before, after, keys, sizeof(keys));
	if (!json_object_size(before))
		sink_line(s, "no change");
	else
		r = deploy_config(c, app, keys, actor, s, e);
	if (r == 0)
		r = config_settle(c, app, before, after);
	json_decref(config);
	json_decref(before);
	json_decref(after);
	return r;
}

int deploy_rollback(struct control *c, uint32_t app, uint32_t version, bool with_data,
	const char *actor, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	(void)actor;
	sink_line(s, "to v%u%s", version, with_data ? " with its data" : "");
	return operate(s, e);
}

int deploy_rebuild(
	struct control *c, uint32_t app, const char *actor, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	(void)actor;
	return operate(s, e);
}

int canary_start(struct control *c, uint32_t app, uint32_t version, uint32_t percent,
	struct sink *s, struct err *e)
{
	sink_line(s, "v%u gets %u %%", version, percent);
	int r = operate(s, e);
	return r < 0 ? r : db_app_set_canary(c->db, app, version, percent);
}

int canary_end(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	int r = operate(s, e);
	return r < 0 ? r : db_app_set_canary(c->db, app, 0, 0);
}

int ps_apply(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	return operate(s, e);
}

int ps_restart(
	struct control *c, uint32_t app, const char *type, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	sink_line(s, "restart %s", type ? type : "all");
	return operate(s, e);
}

int ps_stop(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	return operate(s, e);
}

int ps_start(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	return operate(s, e);
}

int ps_sleep(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	return operate(s, e);
}

int ps_wake(struct control *c, uint32_t app, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	return operate(s, e);
}

int limits_apply(struct control *c, uint32_t app, const char *type, uint32_t rows,
	struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	(void)type;
	(void)rows;
	return operate(s, e);
}

int engine_host(struct engine *g, struct msg_host *ret)
{
	(void)g;
	*ret = (struct msg_host){.memory_bytes = (uint64_t)8 << 30,
		.cpu_millis = 2000,
		.pids = 32768,
		.nofile = 20000,
		.no_io = "a test has no disk"};
	return 0;
}

int app_rename(
	struct control *c, uint32_t app, const char *to, struct sink *s, struct err *e)
{
	(void)c;
	(void)app;
	sink_line(s, "to %s", to);
	return operate(s, e);
}

int app_clone(struct control *c, uint32_t from, const struct clone *k, bool deploy,
	int (*made)(void *arg, uint32_t app), void *arg, struct sink *s, struct err *e)
{
	(void)c;
	(void)from;
	(void)made;
	(void)arg;
	sink_line(s, "as %s by %s%s%s", k->name, k->actor,
		k->with_data ? " with data" : "", deploy ? "" : ", stopped");
	return operate(s, e);
}

int app_destroy(struct control *c, uint32_t app, bool with_volumes, const char *actor,
	struct sink *s, struct err *e)
{
	(void)actor;
	sink_line(s, with_volumes ? "volumes go" : "volumes stay");
	int r = db_app_delete(c->db, app);
	return r < 0 ? err_sys(e, -r, "destroy") : 0;
}

int stack_create(
	struct control *c, const char *name, bool newer, struct sink *s, struct err *e)
{
	(void)c;
	(void)name;
	(void)newer;
	return operate(s, e);
}

int routes_refresh(struct control *c, struct err *e)
{
	(void)c;
	(void)e;
	atomic_fetch_add(&refreshes, 1);
	return 0;
}

int routes_send_certs(struct routes *r, int fd, struct err *e)
{
	(void)r;
	(void)e;
	close(fd);
	atomic_fetch_add(&sent_certs, 1);
	if (atomic_exchange(&fail_next, false))
		return err_set(e, EIO, "the router does not answer");
	return 0;
}

int network_apply(struct control *c, uint32_t app, struct err *e)
{
	(void)c;
	(void)app;
	if (atomic_exchange(&no_room, false))
		return err_set(e, E2BIG, "the app's rules come to too many addresses");
	if (atomic_exchange(&fail_next, false))
		return err_set(e, EIO, "berthd does not answer");
	return 0;
}

void network_refresh(struct control *c)
{
	(void)c;
	atomic_fetch_add(&refreshes, 1);
}

/* Names below example have an address, those below test none now, no other is there. */
int network_resolve(struct control *c, const char *host, struct err *e)
{
	if (strstr(host, ".test"))
		return err_set(e, EAGAIN, "%s: not now", host);
	if (!strstr(host, ".example"))
		return err_set(e, ENOENT, "%s: there is no host of that name", host);
	return db_net_address_seen(c->db, host, "192.0.2.1", 1) < 0 ? -EIO : 1;
}

/* What the test says of the disk. */
static struct msg_volume_info volume_stub;

int volume_look(
	struct control *c, uint64_t id, struct msg_volume_info *ret, struct err *e)
{
	(void)c;
	(void)e;
	*ret = volume_stub;
	ret->id = id;
	return 0;
}

int volume_grow(struct control *c, uint64_t id, uint64_t size_bytes,
	struct msg_volume_info *ret, struct err *e)
{
	(void)e;
	volume_stub.size_bytes = size_bytes;
	return volume_look(c, id, ret, e);
}

int volume_check_room(struct control *c, uint64_t bytes, struct err *e)
{
	(void)c;
	return bytes > (uint64_t)1 << 40 ? err_set(e, ENOSPC, "8T do not fit on the disk")
					 : 0;
}

int volume_make(struct control *c, uint64_t id, uint64_t size_bytes, struct err *e)
{
	(void)c;
	(void)id;
	volume_stub.size_bytes = size_bytes;
	volume_stub.backing = size_bytes ? VOLUME_IMAGE : VOLUME_FOLDER;
	if (atomic_exchange(&fail_next, false))
		return err_set(e, ENOSPC, "the disk is full");
	return 0;
}

int volume_destroy(struct control *c, uint64_t id, struct err *e)
{
	(void)e;
	return db_volume_delete(c->db, id);
}

int keys_write(struct control *c, struct err *e)
{
	(void)c;
	if (atomic_exchange(&fail_next, false))
		return err_set(e, EIO, "berthd does not answer");
	return 0;
}

int disk_free(struct control *c, uint64_t *ret_free, uint64_t *ret_total)
{
	(void)c;
	*ret_free = 5;
	*ret_total = 10;
	return 0;
}

/* A one-off is a pipe here: its "stdin" is read by the test, and it ends when the test
 * writes its status. */
int oneoff_start(struct control *c, uint32_t app, const struct oneoff *o,
	struct oneoff_handle *ret, struct err *e)
{
	(void)c;
	(void)app;
	if (atomic_exchange(&fail_next, false))
		return err_set(
			e, ENOENT, "no such program: %s", o->argv ? o->argv[0] : "");
	atomic_fetch_add(&starts, 1);
	while (atomic_load(&hold_start))
		poll(NULL, 0, 5);
	ret->id = 7;
	snprintf(ret->name, sizeof(ret->name), "run.1");
	for (int i = 0; i < 3; i++)
		ret->fds[i] = o->detach || (o->tty && i)
				      ? -1
				      : fcntl(one_off_end[1], F_DUPFD_CLOEXEC, 3);
	return 0;
}

int oneoff_signal(struct control *c, uint64_t id, int signo)
{
	(void)c;
	(void)id;
	atomic_store(&one_off_signal, signo);
	return 0;
}

int oneoff_stop(struct control *c, uint64_t id)
{
	(void)c;
	(void)id;
	atomic_fetch_add(&stops, 1);
	return 0;
}

void oneoff_abandon(struct control *c, uint64_t id)
{
	oneoff_stop(c, id);
	atomic_fetch_add(&abandoned, 1);
}

int oneoff_wait(
	struct control *c, uint64_t id, int watch_fd, int *ret_status, char reason[160])
{
	struct pollfd p[2] = {{.fd = one_off_end[0], .events = POLLIN},
		{.fd = watch_fd, .events = POLLIN}};

	(void)c;
	(void)id;
	(void)reason;
	if (watch_fd < 0) { /* stopped: ends at once */
		*ret_status = 143;
		return 0;
	}
	poll(p, 2, 5000);
	if (!p[0].revents)
		return -EAGAIN;
	char status = 0;
	ssize_t n UNUSED = read(one_off_end[0], &status, 1);
	*ret_status = status;
	return 0;
}

#endif
