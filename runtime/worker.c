/* The worker: one event loop for the message tables, the daemons and the sandboxes. */
#include "runtime/worker.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/context.h"
#include "runtime/disk/layers.h"
#include "runtime/disk/volume_size.h"
#include "runtime/monitor.h"
#include "runtime/usage.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

#define MESSAGES_A_TURN 32 /* of one peer, then the others get theirs */
#define EXIT_FAILED 1
#define WAY_TRIES 50
#define WAY_RETRY_MS 20

struct peer {
	struct worker *worker;
	int fd;
	enum peer_kind kind;
	int (*handle)(struct context *ctx, int fd, struct msg *m);
};

struct worker {
	struct context ctx;
	struct peer peers[2 + PROTO_WORKERS_MAX];
	unsigned int n_peers;
	struct msg msg;
	int signals, monitor;
	bool stopping;
	unsigned int way_tries;
	int status;
};

/* --- messages --- */

static int from_control(struct context *ctx, int fd UNUSED, struct msg *m)
{
	return dispatch_control(ctx, m);
}

static int from_logger(struct context *ctx, int fd UNUSED, struct msg *m)
{
	return dispatch_logger(ctx, m);
}

static void on_peer(void *arg, uint32_t events UNUSED)
{
	struct peer *p = arg;
	struct msg *m = &p->worker->msg;
	int r = 1;

	for (int n = 0; n < MESSAGES_A_TURN && r == 1; n++) {
		r = msg_recv(p->fd, m);
		if (r == 1) {
			(void)p->handle(&p->worker->ctx, p->fd, m);
			msg_close_fds(m);
		} else if (r == -EPROTO) {
			dispatch_malformed(&p->worker->ctx, p->kind);
			r = 1;
		}
	}
}

static int add_peer(struct worker *w, int fd, enum peer_kind kind,
	int (*handle)(struct context *ctx, int fd, struct msg *m))
{
	struct peer *p = &w->peers[w->n_peers++];

	*p = (struct peer){.worker = w, .fd = fd, .kind = kind, .handle = handle};
	return loop_add(w->ctx.loop, fd, EPOLLIN, on_peer, p) ? 0 : -ENOMEM;
}

static int add_peers(struct worker *w)
{
	const struct handoff *h = w->ctx.handoff;
	int r = add_peer(w, h->fds[HANDOFF_CONTROL_OURS], PEER_CONTROL, from_control);

	if (r == 0)
		r = add_peer(w, h->fds[HANDOFF_LOGGER_OURS], PEER_LOGGER, from_logger);
	for (unsigned int i = 0; r == 0 && i < h->n_workers; i++)
		r = add_peer(w, handoff_router_fd(h, i, HANDOFF_ROUTER_OURS), PEER_ROUTER,
			dispatch_router);
	return r;
}

/* Whoever still runs learns that requests of before are lost. */
static void say_hello(struct worker *w)
{
	struct msg_hello body = {.epoch = io_now_us() * 1000, .pid = (uint32_t)getpid()};

	for (unsigned int i = 0; i < w->n_peers; i++)
		if (msg_send(w->peers[i].fd, MSG_HELLO, 0, 0, &body, sizeof(body), NULL,
			    0) < 0)
			log_warn("a peer's queue is full");
}

/* --- stopping --- */

static void all_ended(void *arg)
{
	struct worker *w = arg;

	w->status = WORKER_EXIT_DONE;
	loop_stop(w->ctx.loop);
}

static void instances_ended(void *arg)
{
	struct worker *w = arg;

	daemons_stop(w->ctx.daemons, true, all_ended, w);
}

static void front_ended(void *arg)
{
	struct worker *w = arg;

	instances_stop_all(w->ctx.instances, instances_ended, w);
}

/* Between two messages nothing is half done, but for an app's log that is being closed. */
static void make_way(void *arg)
{
	struct worker *w = arg;

	for (unsigned int i = 0; i < CLOSING_MAX; i++) {
		if (w->ctx.closing[i].seq && w->way_tries++ < WAY_TRIES) {
			loop_after(w->ctx.loop, WAY_RETRY_MS, make_way, w);
			return;
		}
	}
	w->status = WORKER_EXIT_WAY;
	loop_stop(w->ctx.loop);
}

/* SIGUSR2: another takes this one's place. SIGTERM: our programs end, apps go on. SIGINT: everything ends; control first, which
 * would start apps again. */
static void on_signal(void *arg, uint32_t events UNUSED)
{
	struct worker *w = arg;
	struct signalfd_siginfo si;

	while (read(w->signals, &si, sizeof(si)) == sizeof(si)) {
		if (w->stopping)
			continue;
		w->stopping = true;
		if (si.ssi_signo == SIGUSR2) {
			make_way(w);
			continue;
		}
		log_info(si.ssi_signo == SIGINT ? "stopping everything"
						: "stopping; apps go on");
		if (si.ssi_signo == SIGINT)
			daemons_stop(w->ctx.daemons, false, front_ended, w);
		else
			daemons_stop(w->ctx.daemons, true, all_ended, w);
	}
}

static int watch_signals(struct worker *w)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR2);
	/* SIGCHLD stays blocked and unread: ends are seen by pidfd. */
	w->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (w->signals < 0)
		return -errno;
	return loop_add(w->ctx.loop, w->signals, EPOLLIN, on_signal, w) ? 0 : -ENOMEM;
}

static void on_monitor_gone(void *arg, uint32_t events UNUSED)
{
	struct worker *w = arg;

	log_warn("the monitor is gone; this process takes its place");
	w->status = monitor_take_over(w->ctx.handoff);
	log_error("cannot take the monitor's place: %s", strerror(-w->status));
	w->status = EXIT_FAILED;
	loop_stop(w->ctx.loop);
}

/* --- start --- */

static int open_parts(struct context *c, struct err *e)
{
	const struct runtime_config config = {.state = c->settings->state,
		.run = c->settings->run,
		.lib = c->settings->programs};
	int r;

	if ((r = daemon_ids_load(&c->ids, c->settings->ssh_user, e)) < 0 ||
		(r = folders_open(&c->folders, c->settings, e)) < 0)
		return r;
	c->loop = loop_new();
	c->chores = c->loop ? chores_new(c->loop, &c->folders) : NULL;
	c->daemons =
		c->loop ? daemons_new(c->loop, c->settings, c->handoff, &c->ids) : NULL;
	if (!c->chores || !c->daemons)
		return err_sys(e, ENOMEM, "worker");
	return runtime_open(&config, &c->rt, e);
}

static int make_instances(struct context *c, struct err *e)
{
	const struct instances_config config = {
		.loop = c->loop,
		.rt = c->rt,
		.settings = c->settings,
		.ids = &c->ids,
		.folders = &c->folders,
		.chores = c->chores,
		.control_fd = c->handoff->fds[HANDOFF_CONTROL_OURS],
		.logger_fd = c->handoff->fds[HANDOFF_LOGGER_OURS],
	};

	c->instances = instances_new(&config);
	c->usage = c->instances ? usage_new(c->loop, &c->folders, c->instances) : NULL;
	c->gitrun = gitrun_new(c->loop, c->settings, &c->ids);
	return c->usage && c->gitrun ? 0 : err_sys(e, ENOMEM, "worker");
}

static int setup(struct worker *w, struct err *e)
{
	struct context *c = &w->ctx;
	int r = open_parts(c, e);

	if (r < 0 || (r = make_instances(c, e)) < 0)
		return r;
	if ((r = watch_signals(w)) < 0 || (r = add_peers(w)) < 0)
		return err_sys(e, -r, "worker");
	if (!loop_add(c->loop, w->monitor, EPOLLIN, on_monitor_gone, w))
		return err_sys(e, ENOMEM, "worker");
	volume_sweep(c->folders.volumes);
	r = layers_check(c->chores, c->folders.layers, records_boot());
	if (r < 0)
		return err_sys(e, -r, "cannot read the layers");
	return 0;
}

static void on_filter_changed(void *arg, uint32_t events UNUSED)
{
	runtime_network_check(arg);
}

static int start_network(struct context *c, struct err *e)
{
	int r = runtime_network(c->rt, e);

	if (r == 0 && !loop_add(c->loop, runtime_network_fd(c->rt), EPOLLIN,
			      on_filter_changed, c->rt))
		r = err_sys(e, ENOMEM, "worker");
	return r;
}

static void teardown(struct context *c)
{
	daemons_free(c->daemons);
	gitrun_free(c->gitrun);
	usage_free(c->usage);
	instances_free(c->instances);
	chores_free(c->chores);
	runtime_close(c->rt);
	folders_close(&c->folders);
	loop_free(c->loop);
}

int worker_run(const struct settings *s, const struct handoff *h, int monitor_pidfd,
	bool clean, uint64_t upgraded)
{
	static struct worker w;
	struct err e = {0};

	w.ctx.settings = s;
	w.ctx.handoff = h;
	w.monitor = monitor_pidfd;
	w.status = EXIT_FAILED;
	if (setup(&w, &e) < 0) {
		log_error("%s", e.text);
		return WORKER_EXIT_SETUP;
	}
	if (!clean)
		say_hello(&w);
	instances_adopt(w.ctx.instances);
	if (start_network(&w.ctx, &e) < 0) {
		log_error("%s", e.text);
		return WORKER_EXIT_SETUP;
	}
	daemons_start(w.ctx.daemons);
	daemons_replace(w.ctx.daemons, upgraded);
	chores_empty_trash(w.ctx.chores);
	malloc_trim(0); /* what the start needed */
	(void)loop_run(w.ctx.loop);
	teardown(&w.ctx);
	return w.status;
}
