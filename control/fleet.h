/*
 * The instances that run: who they are, which of them requests go to, and who restarts them when they crash. State in
 * memory, every change written to the database first. Safe from any thread.
 */
#ifndef CONTROL_FLEET_H
#define CONTROL_FLEET_H

#include "control/control.h"

enum member_state {
	MEMBER_STARTING, /* started, not ready yet */
	MEMBER_READY,    /* serves (web) or runs (others) */
	MEMBER_RETIRING, /* out of the table: drains, then stops; its end is wanted */
};

struct member {
	uint64_t id;
	uint32_t app, version, number, restarts;
	char type[32];
	enum member_state state;
	uint16_t port; /* web only */
	uint64_t started_us;
};

/* What an instance is started with. */
struct fleet_start {
	const struct db_app *app;
	const struct db_release *release;
	const struct db_image *image;
	const char *type;    /* "web"; also "release" and "run" (not members: no restart) */
	const char *command; /* through the image's shell; NULL: argv */
	const char *const *argv;
	const json_t *env; /* extra; may be NULL */
	const char *term;
	const char *kind; /* "app", "run" */
	uint32_t number, restarts, flags; /* enum start_flags */
	const int *stdio; /* three, with START_STDIO */
};

int fleet_open(struct control *c, struct fleet **ret);
/*
 * Starts one sandbox and waits for berthd's word. The exit is expected (engine_expect): the caller calls engine_forget.
 * kind "app" also makes it a member, STARTING. *ret_pty may be NULL.
 */
int fleet_start(struct control *c, const struct fleet_start *s, struct member *ret, int *ret_pty, struct err *e);
/* STARTING to READY; false when it ended meanwhile or is not wanted any more (the caller stops it). */
bool fleet_ready(struct control *c, uint64_t id);
/* A running instance found at start-up. */
void fleet_adopt(struct control *c, const struct member *m);
/* Members of an app (0: all); type NULL: all. Count; *ret allocated, may be NULL when 0. */
int fleet_list(struct control *c, uint32_t app, const char *type, struct member **ret);
void fleet_retire(struct control *c, const uint64_t *ids, unsigned int n);
/* While on: the router holds the app's requests, and nothing of it is restarted. */
void fleet_hold(struct control *c, uint32_t app, bool on);
bool fleet_held(struct control *c, uint32_t app);
/* Sends SIGTERM and waits for the end (SIGKILL after the app's stop timeout). */
void fleet_stop(struct control *c, const struct member *m, unsigned int n);
/* Instance n of a type is missing: start it soon, with backoff by `restarts`. */
void fleet_restart_later(struct control *c, const struct member *m, uint64_t delay_ms);
/* Starts in the background, after delay_ms, whatever the live release and the formation want and is not there. */
void fleet_fill(struct control *c, uint32_t app, uint64_t delay_ms);
/* From the engine's reader thread: a sandbox ended. */
void fleet_exited(struct control *c, const struct msg_exited *e);
/* Instances a type should have: the formation in the database, else 1 for web, 0 for others. */
uint32_t fleet_quantity(struct control *c, uint32_t app, const char *type);
/* The port a web process is told and probed on: 5000, or what ports:set says. */
uint16_t fleet_port(struct control *c, uint32_t app);
/* Seconds between SIGTERM and SIGKILL, ms. */
uint32_t fleet_stop_timeout_ms(struct control *c, uint32_t app);
/* A setting as a number: app, else global, else fallback. */
uint64_t setting_u64(struct control *c, uint32_t app, const char *topic, const char *key, uint64_t fallback);

#endif
