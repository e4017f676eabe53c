/*
 * berth-control: the database, the deploys, the API. Runs as user _berth without capabilities.
 *
 * Threads: a deploy or a command runs in its request's thread (a deploy is one long story, unreadable as callbacks);
 * one reader each for berthd and the routers; one that waits for all restarts; one for automatic certificates; one for berth-drain; one for scheduled tasks; one for liveness checks; short-lived ones for starts, draining and sleep. Shared state is the database
 * (one lock), the fleet, the routes and the engine, each with a lock of its own and never two held at once; but those of cron/cron.c and run/liveness.c, which are taken first, and whatever
 * changes marks it for the next routing table (network/stale.h), whose lock is the innermost.
 */
#include "control/control.h"
#include "control/api/api.h"
#include "control/api/openapi.h"
#include "control/applock.h"
#include "control/certs/acme.h"
#include "control/certs/certs.h"
#include "control/cron/cron.h"
#include "control/data/backup.h"
#include "control/data/retention.h"
#include "control/deploy/preview.h"
#include "control/engine.h"
#include "control/limits.h"
#include "control/logs/applog.h"
#include "control/logs/drains.h"
#include "control/logs/webhooks.h"
#include "control/network/network.h"
#include "control/network/routes.h"
#include "control/network/stale.h"
#include "control/recover.h"
#include "control/refuse.h"
#include "control/run/fleet.h"
#include "control/run/liveness.h"
#include "control/run/sleep.h"
#include "control/run/supervise.h"
#include "lib/io.h"
#include "lib/log.h"
#include <errno.h>
#include <git2.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define FD_BERTHD 3
#define FD_LOG 4
#define FD_API 5
#define FD_ROUTERS 6
#define REFUSE_MS 10000 /* then berthd starts another try */
#define WAY_LOOK_MS 20
#define WAY_IDLE_MS 3000 /* a connection that only listens (logs -t) is cut after that */
#define WAY_MAX_MS 60000 /* a deploy that takes longer is cut, and its push refused */

static void on_exited(void *arg, const struct msg_exited *e)
{
	supervise_exited(arg, e);
}

static void on_oom(void *arg, const struct msg_oom *o)
{
	limits_oom(arg, o);
}

static void on_restarted(void *arg)
{
	recover_engine(arg);
}

static void on_changed(void *arg, uint32_t app)
{
	stale_mark(arg, app);
}

static const char *need_env(const char *name)
{
	const char *v = getenv(name);

	if (!v || v[0] != '/') {
		log_error("%s is not set: berth-control is started by berthd", name);
		exit(2);
	}
	return v;
}

static unsigned int count_routers(void)
{
	const char *text = getenv("BERTH_NFDS");
	uint64_t n;

	if (!text || num_parse_u64(text, FD_ROUTERS - FD_BERTHD,
			     FD_ROUTERS - FD_BERTHD + PROTO_WORKERS_MAX, &n) < 0) {
		log_error("BERTH_NFDS is not set: berth-control is started by berthd");
		exit(2);
	}
	return (unsigned int)n - (FD_ROUTERS - FD_BERTHD);
}

/* The key is only in memory from here on. */
static int read_key(uint8_t key[PROTO_SECRET_SIZE], struct err *e)
{
	const char *text = getenv("BERTH_SECRET_FD");
	uint64_t n;

	if (!text ||
		num_parse_u64(text, FD_ROUTERS, FD_ROUTERS + PROTO_WORKERS_MAX, &n) < 0)
		return err_set(e, EPROTO,
			"the berthd that runs is older than this berth-control: "
			"berthd --upgrade");
	int fd autoclose = (int)n;
	ssize_t got = pread(fd, key, PROTO_SECRET_SIZE, 0);
	if (got == PROTO_SECRET_SIZE)
		return 0;
	return err_sys(e, got < 0 ? errno : EBADMSG, "secret.key");
}

static int open_database(struct control *c, struct err *e)
{
	uint8_t key[PROTO_SECRET_SIZE];
	char folder[PATH_MAX];
	int r = read_key(key, e);

	_Static_assert(sizeof(key) == DB_KEY_SIZE, "berthd's keys are the database's");
	snprintf(folder, sizeof(folder), "%s/control", c->state);
	if (r == 0)
		r = db_open(folder, key, &c->db, e);
	explicit_bzero(key, sizeof(key));
	return r;
}

static int open_parts(struct control *c, unsigned int routers, struct err *e)
{
	const struct engine_events events = {on_exited, on_oom, on_restarted, c};
	int fds[PROTO_WORKERS_MAX];

	for (unsigned int i = 0; i < routers; i++)
		fds[i] = FD_ROUTERS + (int)i;
	int r = open_database(c, e);
	if (r < 0)
		return r;
	r = stale_open(&c->stale);
	if (r == 0)
		r = db_watch(c->db, on_changed, c->stale);
	if (r < 0)
		return err_sys(e, -r, "start");
	if ((r = certs_open(c, &c->certs, e)) < 0 || (r = acme_open(c, &c->acme, e)) < 0)
		return r;
	if ((r = drains_open(c, &c->drains, e)) < 0)
		return r;
	applog_open(FD_LOG);
	io_set_nonblock(FD_LOG, true);
	io_set_nonblock(FD_BERTHD, true);
	r = engine_open(FD_BERTHD, &events, &c->engine);
	if (r == 0)
		r = fleet_open(c, &c->fleet);
	if (r == 0)
		r = sleep_open(c, &c->sleepers);
	if (r == 0)
		r = network_open(&c->network);
	if (r == 0)
		r = cron_open(&c->cron);
	if (r == 0)
		r = liveness_open(&c->liveness);
	if (r == 0)
		r = routes_open(c, fds, routers, &c->routes);
	if (r == 0)
		r = engine_run(c->engine);
	return r < 0 ? err_sys(e, -r, "start") : 0;
}

/* A new berth-control waits for our place: what is under way ends first, callers wait in the socket's queue. */
static void make_way(struct control *c, struct api *api, const sigset_t *stop)
{
	const struct timespec look = {.tv_nsec = WAY_LOOK_MS * 1000000};
	bool quiet = false; /* no task starts */

	log_info("making way for another berth-control");
	api_quiesce(api);
	for (int ms = 0; ms < WAY_MAX_MS; ms += WAY_LOOK_MS) {
		quiet = quiet || cron_quiesce(c);
		if (quiet && !applock_any() &&
			(ms >= WAY_IDLE_MS || !api_connections(api)))
			return;
		if (sigtimedwait(stop, NULL, &look) > 0)
			return;
	}
	log_warn("operations under way are cut off");
}

static void copy_database(const struct control *c)
{
	char folder[PATH_MAX];
	struct err e;

	snprintf(folder, sizeof(folder), "%s/control", c->state);
	if (db_copy_daily(folder, io_now_us(), &e) < 0)
		log_warn("%s", e.text);
}

/* For years, perhaps: once an hour a look at the day. */
static int wait_signal(const struct control *c, const sigset_t *wait)
{
	const struct timespec hour = {.tv_sec = 3600};
	int signo = -1;

	while (signo < 0) {
		copy_database(c);
		signo = sigtimedwait(wait, NULL, &hour);
	}
	return signo;
}

static int serve(struct control *c, const sigset_t *wait, struct err *e)
{
	struct api *api;
	int signo;

	int r = recover_start(c, e);
	if (r == 0 && (r = routes_run(c->routes)) < 0)
		err_sys(e, -r, "start");
	if (r < 0)
		return r;
	certs_came(c, NULL);
	if (keys_write(c, e) < 0)
		log_warn("%s", e->text);
	backup_sweep(c);
	r = api_start(c, FD_API, &api, e);
	if (r < 0)
		return r;
	r = supervise_run(c);
	if (r == 0)
		r = network_run(c);
	if (r == 0)
		r = acme_run(c);
	if (r == 0)
		r = drains_run(c);
	if (r == 0)
		r = previews_run(c);
	if (r == 0)
		r = webhooks_run(c);
	if (r < 0)
		return err_sys(e, -r, "start");
	recover_apps(c);
	retention_soon(c);
	r = cron_run(c);
	if (r == 0)
		r = liveness_run(c);
	if (r < 0)
		return err_sys(e, -r, "start");
	log_info("ready");
	signo = wait_signal(c, wait);
	if (signo == SIGUSR2)
		make_way(c, api, wait);
	else
		log_info("stopping: signal %d", signo);
	return 0;
}

/* Without a host: the installation has the file beside the programs. */
static int print_openapi(void)
{
	json_t *o = openapi_make();

	return o && json_dumpf(o, stdout, JSON_INDENT(1)) == 0 && puts("") >= 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--openapi") == 0)
		return print_openapi();
	struct control c = {.started_us = io_now_us(), .started_ns = io_mono_ns()};
	struct err e = {0};
	sigset_t wait;

	log_open("berth-control");
	mallopt(M_ARENA_MAX, 2); /* threads come and go: an arena each would stay */
	umask(077);
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&wait);
	sigaddset(&wait, SIGTERM);
	sigaddset(&wait, SIGINT);
	sigaddset(&wait, SIGUSR2);
	sigprocmask(SIG_BLOCK, &wait, NULL); /* before any thread: all inherit it */
	c.state = need_env("BERTH_STATE");
	c.run = need_env("BERTH_RUN");
	git_libgit2_init();
	if (open_parts(&c, count_routers(), &e) < 0 || serve(&c, &wait, &e) < 0) {
		log_error("%s", e.text);
		sigprocmask(SIG_UNBLOCK, &wait, NULL);
		refuse_calls(FD_API, e.text, REFUSE_MS);
		return 1;
	}
	/* A deploy under way ends with us: its record is completed or undone at the next start. */
	_exit(0);
}
