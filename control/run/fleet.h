/*
 * The instances that run: who they are, which of them requests go to, starting and stopping them. State in memory, every
 * change written to the database first. Safe from any thread. Who starts them again is supervise.h.
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
	const char
		*limits; /* process type whose limits and config it has; NULL: its own */
	const char *command; /* through the image's shell; NULL: argv */
	const char *const *argv;
	const json_t *env; /* extra; may be NULL */
	const char *term;
	const char *kind;		  /* "app", "run", "cron" */
	const char *actor;		  /* who asked for a one-off; NULL */
	bool detached;			  /* it goes on without who asked */
	uint32_t number, restarts, flags; /* enum start_flags */
	uint32_t key;	  /* kind "app": the member that is started again; 0: a new one */
	const int *stdio; /* three, with START_STDIO */
};

int fleet_open(struct control *c, struct fleet **ret);
/* Takes NULL; nothing may use it any more. */
void fleet_close(struct fleet *f);
/*
 * Starts one sandbox and waits for berthd's word. The exit is expected (engine_expect): the caller calls engine_forget.
 * kind "app" without a key also makes it a member, STARTING; one that waited in its place is forgotten. *ret_pty may be NULL.
 */
int fleet_start(struct control *c, const struct fleet_start *s, struct member *ret,
	int *ret_pty, struct err *e);
/* STARTING to READY; false when it ended meanwhile or is not wanted any more (the caller stops it). */
bool fleet_ready(struct control *c, uint64_t id);
/* A running instance found at start-up. */
void fleet_adopt(struct control *c, const struct member *m);
/* Members of an app (0: all) that have a sandbox; type NULL: all. Count; *ret allocated, may be NULL when 0. */
int fleet_list(struct control *c, uint32_t app, const char *type, struct member **ret);
/* As fleet_list, with those that wait for a start or ended for good; such a one may be wanted no more (fleet_wanted). */
int fleet_list_all(struct control *c, uint32_t app, struct member **ret);
/* The release is live or the canary, the app runs and is awake (web), and its number is in the formation. */
bool fleet_wanted(struct control *c, const struct member *m);
void fleet_retire(struct control *c, const uint64_t *ids, unsigned int n);
/* While on: the router holds the app's requests, and nothing of it is started again. */
void fleet_hold(struct control *c, uint32_t app, bool on);
bool fleet_held(struct control *c, uint32_t app);
/* Sends SIGTERM and waits for the end (SIGKILL after the app's stop timeout). */
void fleet_stop(struct control *c, const struct member *m, unsigned int n);
/* Stops one after timeout_ms, also when berthd's restart swallows the first message. Does not wait. 0 or -errno. */
int fleet_send_stop(struct control *c, uint64_t id, uint32_t timeout_ms);

#endif
