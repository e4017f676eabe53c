/*
 * The instances that run: who they are, which of them requests go to, and who restarts them when they crash. State in
 * memory, every change written to the database first. Safe from any thread.
 */
#ifndef CONTROL_FLEET_H
#define CONTROL_FLEET_H

#include "control/control.h"
#include "control/member.h"

/* What an instance is started with. */
struct fleet_start {
	const struct db_app *app;
	const struct db_release *release;
	const struct db_image *image;
	const char *type; /* "web"; also "release" and "run" (not members: no restart) */
	const char *command; /* through the image's shell; NULL: argv */
	const char *const *argv;
	const json_t *env; /* extra; may be NULL */
	const char *term;
	const char *kind;		  /* "app", "run" */
	uint32_t number, restarts, flags; /* enum start_flags */
	const int *stdio;		  /* three, with START_STDIO */
};

int fleet_open(struct control *c, struct fleet **ret);
/*
 * Starts one sandbox and waits for berthd's word. The exit is expected (engine_expect): the caller calls engine_forget.
 * kind "app" also makes it a member, STARTING. *ret_pty may be NULL.
 */
int fleet_start(struct control *c, const struct fleet_start *s, struct member *ret,
	int *ret_pty, struct err *e);
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
#endif
