/*
 * What apps may reach: their rules in the database, made into numbers for berthd; the names
 * by which they find each other, with the instances behind them; the addresses of host
 * names, looked up again each minute. All functions are safe from any thread and may block
 * on berthd, network_resolve on the host's resolver.
 */
#ifndef CONTROL_NETWORK_H
#define CONTROL_NETWORK_H

#include "control/control.h"
#include "control/member.h"

#define NETWORK_RULES_MAX 64 /* of one app */
#define NETWORK_HOST_SUFFIX "internal"
#define NETWORK_HOST_TEXT_MAX (NAME_MAX_LEN + 48) /* "worker.api.internal" */

int network_open(struct network **ret);
/*
 * All rules of instances to berthd: before anything is started, and when berthd was started.
 * The next network_refresh tells all names. Rules that berthd did not take, here or in any
 * other call, are told again by network_refresh, and each minute once network_run was called.
 */
void network_send_all(struct control *c);
/* Before an instance of the app is started: if berthd did not take the app's rules, they are
 * told now. 0, also where they have become too many and it has the earlier ones, or -errno
 * with e: it would be without them. */
int network_settle(struct control *c, uint32_t app, struct err *e);
/* Begins to look host names up, and to tell again what berthd did not take. */
int network_run(struct control *c);

/* The rules of the app's instances or builds as numbers, in the order in which they count (those
 * about apps that are being removed do not), and the lines for their hosts files; *m is zero before. 0, -E2BIG or -errno with e. */
int network_compile(struct control *c, uint32_t app, enum net_whose whose,
	struct msg_network *m, struct err *e);
/* The app's rules, or names in them, or what its builds reach, have changed. 0 or -errno
 * with e. */
int network_apply(struct control *c, uint32_t app, struct err *e);
/* Before each step of a build: what builds:set says for all apps holds from the next step
 * on, and berthd need not know of apps that build nothing. 0 or -errno with e. */
int network_apply_builds(struct control *c, uint32_t app, struct err *e);
/* Instances came or went, or an app has other process types: names lead where they should.
 * What goes wrong is logged, and made good by the next call. */
void network_refresh(struct control *c);
/* Apps that may call this one; with denied also those that have a rule against it. Count;
 * *ret allocated, may be NULL when 0. */
int network_callers(struct control *c, uint32_t app, bool denied, uint32_t **ret);
bool network_is_called(struct control *c, uint32_t app);

/* Until no other app has a connection to these instances, out of which new ones are not
 * led any more; at most timeout_ms. Of an app that none calls: at once. */
void network_wait_idle(
	struct control *c, const struct member *m, unsigned int n, int timeout_ms);

/* "api.internal", "worker.api.internal" */
void network_host(const char *app, const char *type, char out[NETWORK_HOST_TEXT_MAX]);
/* Every process type of the app that can have instances has a number afterwards. How many
 * are new, or -errno. */
int network_number(struct control *c, uint32_t app);
/*
 * Looks the name up and keeps the addresses. Count, -ENOENT when there is no such name,
 * -EAGAIN when that cannot be said now; with e.
 */
int network_resolve(struct control *c, const char *host, struct err *e);

#endif
