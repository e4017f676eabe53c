/* What berth-control's parts share, and the operations that API handlers call. */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "db/db.h"
#include "lib/buf.h"
#include "lib/proto.h"

struct engine;	 /* the connection to berthd (engine.h) */
struct routes;	 /* the routing table and the router workers (network/routes.h) */
struct fleet;	 /* the running instances and who restarts them (run/fleet.h) */
struct sleepers; /* who sleeps, and who is about to (run/sleep.h) */
struct network;	 /* what apps may reach (network/network.h) */
struct certs;	 /* certificates, and what of them the router has (certs/certs.h) */
struct acme;	 /* automatic certificates (certs/acme.h) */
struct drains;	 /* where logs are sent (logs/drains.h) */
struct api;	 /* the API (api/api.h) */
struct cron;	 /* scheduled tasks (cron/cron.h) */
struct liveness; /* checks of what runs (run/liveness.h) */
struct undoing;	 /* restores that were interrupted (data/snapshots.h) */
struct stale;	 /* which apps the next routing table shows otherwise (network/stale.h) */

struct control {
	struct db *db;
	struct engine *engine;
	struct routes *routes;
	struct fleet *fleet;
	struct sleepers *sleepers;
	struct network *network;
	struct certs *certs;
	struct acme *acme;
	struct drains *drains;	   /* NULL: none are served (tests) */
	_Atomic(struct api *) api; /* NULL: not yet served */
	struct cron *cron;	   /* NULL: nothing is scheduled (tests) */
	struct liveness *liveness; /* NULL: nothing is checked (tests) */
	struct stale *stale;	   /* NULL: nobody builds tables (tests) */
	struct undoing *undoing;   /* NULL: none, or they are undone */
	const char *state, *run;   /* folders */
	uint64_t started_us;
	uint64_t started_ns; /* of io_mono_ns: how long ago */
};

/*
 * Where an operation's output goes: a push, a command's stream, nowhere. Each deploy runs in the thread of the request
 * that asked for it (a deploy is one long story, unreadable as callbacks), so a sink is used by one thread.
 */
struct sink {
	/* kind: 'o' line, 'p' progress line, 'r' "REF OID", 'd' JSON. text has no newline. */
	void (*write)(struct sink *s, char kind, const char *text);
	/* true when whoever asked is gone: operations cancel before their commit point. May be NULL. */
	bool (*cancelled)(struct sink *s);
	/* A descriptor that becomes readable or hung-up when the asker goes; -1: none. */
	int watch_fd;
};
void sink_line(struct sink *s, const char *fmt, ...)
	PRINTF(2, 3); /* "       detail" is given whole by the caller */
void sink_step(struct sink *s, const char *fmt, ...) PRINTF(2, 3);   /* "-----> ..." */
void sink_detail(struct sink *s, const char *fmt, ...) PRINTF(2, 3); /* "       ..." */
void sink_fail(struct sink *s, const char *fmt, ...)
	PRINTF(2, 3); /* " !     ..." ; several lines allowed */
bool sink_cancelled(struct sink *s);

/*
 * Operations. They block until done, write progress to the sink, and return 0 or -errno with e, never NULL (the caller
 * prints e->text as the failure unless e->told). actor: who asked, for releases and events. All take the app's own lock:
 * a second one waits its turn and says so on the sink.
 */
struct push {
	const char *ref, *old_oid, *new_oid; /* 40 hex digits */
	const json_t *options;		     /* push options, object of strings */
	const char *actor;
};
int deploy_push(struct control *c, const char *app, const struct push *p, struct sink *s,
	struct err *e);
/*
 * Whether a branch, of the app or of one of its previews, is not yet where its newest push, which went live, moves it: git's
 * part of that is still to come, or was killed. *ret: the move; of several, one.
 */
bool deploy_ref_behind(
	struct control *c, const struct db_app *app, struct db_pushed *ret);
/* A new release with the live image and the config as it now stands in the database. */
int deploy_config(struct control *c, uint32_t app, const char *description,
	const char *actor, struct sink *s, struct err *e);
/* The same with a change of the config (control/config.h), which is stored when the release serves. */
struct config_change;
int deploy_config_change(struct control *c, uint32_t app, const struct config_change *ch,
	const char *actor, struct sink *s, struct err *e);
/* version 0: the previous live one. with_data: its writable volumes become what they were when it was replaced. */
int deploy_rollback(struct control *c, uint32_t app, uint32_t version, bool with_data,
	const char *actor, struct sink *s, struct err *e);
/* Builds the live release's commit again without cached dependency layers, and deploys it. */
int deploy_rebuild(struct control *c, uint32_t app, const char *actor, struct sink *s,
	struct err *e);

/* A new release of the live image on the newest base image: as it is where that can be, else built anew. */
int deploy_rebase(struct control *c, uint32_t app, const char *actor, struct sink *s,
	struct err *e);
/* An image that was imported or tagged (control/images/images.h), started as it says itself. */
int deploy_image(struct control *c, uint32_t app, const char *reference,
	const char *actor, struct sink *s, struct err *e);

/* Brings the running instances to the formation in the database. */
int ps_apply(struct control *c, uint32_t app, struct sink *s, struct err *e);
/* New instances of the same release, then the old ones drain. type NULL: all. */
int ps_restart(
	struct control *c, uint32_t app, const char *type, struct sink *s, struct err *e);
int ps_stop(struct control *c, uint32_t app, struct sink *s, struct err *e);
int ps_start(struct control *c, uint32_t app, struct sink *s, struct err *e);
/* The web processes sleep until the next request; fails while one is in flight. */
int ps_sleep(struct control *c, uint32_t app, struct sink *s, struct err *e);
int ps_wake(struct control *c, uint32_t app, struct sink *s, struct err *e);
/* Changed limits (bits of limit_rows) reach running instances of the type ("": all), live where the kernel allows. */
int limits_apply(struct control *c, uint32_t app, const char *type, uint32_t rows,
	struct sink *s, struct err *e);

int app_destroy(struct control *c, uint32_t app, bool with_volumes, const char *actor,
	struct sink *s, struct err *e);
/* Makes the base image, or (newer) a newer one beside it, which takes its name when a package differs. */
int stack_create(
	struct control *c, const char *name, bool newer, struct sink *s, struct err *e);
/* Packages that differ in what two base images hold (`packages` of their layers' meta): [{name, from, to}]. The caller's. */
json_t *stack_changes(const json_t *from, const json_t *to);
/* Domains or settings changed: send the router a new table, wait for every worker's word (at most 5 s). */
int routes_refresh(struct control *c, struct err *e);
/* authorized_keys from the database. */
int keys_write(struct control *c, struct err *e);
int disk_free(struct control *c, uint64_t *ret_free, uint64_t *ret_total);
/* Does what was removed still take space? */
bool disk_removing(struct control *c);
/* http://HOST[:PORT], or https:// where the router workers have a certificate for the host. */
void host_url(struct control *c, const char *host, char *out, size_t size);
/* berthd listens for it at all. */
bool https_is_served(void);
/* That of the app's first hostname. */
void app_url(struct control *c, const struct db_app *a, char *out, size_t size);

/* One-off programs and entering instances. */
#define ONEOFF_WORDS_MAX 1000
struct oneoff {
	const char *const *argv; /* at most so many, then NULL */
	const json_t *env;	 /* extra, may be NULL */
	const char *term;	 /* value of TERM for a tty */
	bool tty, detach;
	unsigned int rows, cols;
	const char *
		type; /* process type whose command and limits are taken; NULL: argv only */
	const char *instance; /* enter: "web.1"; NULL: a new one-off run.N */
	const char *
		cron; /* the run of a task, cron.N: its command, as text; its end stays expected: engine_forget */
	const char *actor; /* who asked; NULL: nobody */
};
struct oneoff_handle {
	uint64_t id;
	char name[48]; /* run.1 */
	uint32_t number;
	int fds[3]; /* tty: fds[0] is the pty master, others -1; else stdin (write), stdout, stderr (read); the caller's */
};
int oneoff_start(struct control *c, uint32_t app, const struct oneoff *o,
	struct oneoff_handle *ret, struct err *e);
int oneoff_signal(struct control *c, uint64_t id, int signo);
int oneoff_stop(struct control *c, uint64_t id);
/* Stops one whose end nobody will wait for. */
void oneoff_abandon(struct control *c, uint64_t id);
/*
 * A command inside an instance, without input and output. 0 with its status as oneoff_wait, -EAGAIN: it took longer than timeout_ms and was
 * killed; -errno: it could not be started.
 */
int oneoff_check(struct control *c, uint64_t instance, const char *const *argv,
	int timeout_ms, int *ret_status, char reason[160]);
/* Waits for the end or for watch_fd to become readable or hang up (then -EAGAIN). Status: exit code or 128 + signal. */
int oneoff_wait(
	struct control *c, uint64_t id, int watch_fd, int *ret_status, char reason[160]);

#endif
