/* What an app is set to: numbers of the settings and limits, with berth's defaults where nothing is set. */
#ifndef CONTROL_SETTINGS_H
#define CONTROL_SETTINGS_H

#include "control/control.h"
#include "control/run/restart.h"

/* Instances a type should have: the formation in the database, else 1 for web, 0 for others. */
uint32_t app_quantity(struct control *c, uint32_t app, const char *type);
/* Instances of a canary with that share, in per cent (0: none): its share of web's, rounded up. */
uint32_t app_canary_quantity(struct control *c, uint32_t app, uint32_t percent);
/* The port a web process is told and probed on: 5000, or what ports:set says. With unix it is told the port too. */
uint16_t app_port(struct control *c, uint32_t app);
/* The same where nothing is set, but for an image that exposes another. */
uint16_t app_image_port(struct control *c, uint32_t app, const struct db_image *image);
/* Where an app listens that berth gives a listening unix socket, instead of a port. */
#define PORT_UNIX "unix"
/* What ports:set says: unix or not; where it says nothing, whether command runs the built-in file server. */
bool app_listens(struct control *c, uint32_t app, const char *command);
bool command_serves_files(const char *command);
/* Seconds between SIGTERM and SIGKILL, ms. */
uint32_t app_stop_timeout_ms(struct control *c, uint32_t app);
/* Seconds that one step of its builds may take. */
uint32_t app_build_timeout_s(struct control *c, uint32_t app);
/* What its builds reach besides what rules say. */
enum build_network { BUILD_INTERNET, BUILD_REGISTRIES, BUILD_NOTHING };
enum build_network app_build_network(struct control *c, uint32_t app);
/* internet registries none; -EINVAL. */
int build_network_parse(const char *text);
const char *build_network_text(enum build_network mode);
/* The app's own value, else that of all apps, else NULL; the caller's. */
char *setting_text(struct control *c, uint32_t app, const char *topic, const char *key);
/* A setting as a number: app, else global, else fallback. */
uint64_t setting_u64(struct control *c, uint32_t app, const char *topic, const char *key,
	uint64_t fallback);
/* The same for a size such as 512M. */
uint64_t setting_size(struct control *c, uint32_t app, const char *topic, const char *key,
	uint64_t fallback);

/*
 * What follows an end of an instance of that type: `ps:set APP restart-policy.TYPE`, else restart-policy of the app, else
 * of the host, else always.
 */
void app_restart_policy(
	struct control *c, uint32_t app, const char *type, struct restart_policy *ret);

/*
 * The limits a process type gets: its own, else the app's, else berth's defaults (512M, 1.0, 512, 1G). "build" has
 * defaults of its own (2G, 2.0) and none of the app's; "run", the one-offs, is as web where it has none of its own.
 */
void app_limits(
	struct control *c, uint32_t app, const char *type, struct msg_limits_body *ret);
const struct msg_limits_body *default_limits(const char *type);

/* After so long without a request it sleeps; 0: never, as when other apps may call it. */
uint32_t app_idle_after_ms(struct control *c, uint32_t app);
/* The setting as it is written, but for other apps' calls; NULL: not set. */
uint32_t idle_after_parse(const char *text);
/* Asleep it is frozen, not stopped: as set, else where the host has swap for its memory. */
bool app_sleep_freezes(struct control *c, uint32_t app);
/* What holds where nothing is set. */
const char *settings_sleep_default(void);

#define IDLE_AFTER_MAX_S 2592000u /* 30 days; in ms it fits 32 bits */

#endif
