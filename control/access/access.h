/*
 * Who may do what, decided in one place (docs/ACCESS.md). A row of the API's table needs a role: on the app or the volume
 * that its path names, else for all apps and the host. Roles, each with those before it:
 *   view    lists and reports
 *   logs    logs, what builds printed
 *   deploy  pushes, fetches, config, instances, one-offs: all that changes an app, and its secrets
 *   admin   who has access, destroying; given for all apps: all of the host
 * Root may do everything. A token may at most what it was made for, and never more than its member at that moment.
 */
#ifndef CONTROL_ACCESS_H
#define CONTROL_ACCESS_H

#include "control/control.h"

struct request;
struct route;

struct access {
	bool root;
	uint32_t member; /* 0: root, or nobody */
	enum role most;	 /* what the token is for; ROLE_ADMIN without one */
	uint32_t only;	 /* the app that the token is for; 0: any */
	uint64_t token;	 /* 0: none */
	char only_name[NAME_MAX_LEN + 1];
	char name[NAME_MAX_LEN + 1]; /* of the member, "root" */
	struct db_grant *grants;     /* the member's */
	int n_grants;
	struct db_preview *previews; /* of all apps: a role on its parent is one on it */
	int n_previews;
};

const char *role_name(enum role role);
/* ROLE_NONE: no such role. */
enum role role_parse(const char *name);

/* Of the connection's key, or of the token in the Authorization header, which stands in its place. 0 or -1. */
int access_open(struct request *r);
void access_close(struct access *a);

/* The role on an app; app 0: for all apps and the host. */
enum role access_role(const struct access *a, uint32_t app);
/* The highest on anything. */
enum role access_anywhere(const struct access *a);
/* The role on a volume: on every app that mounts it (seen: on any of them). One that no app mounts is its maker's and of who
 * has the role for all apps. */
enum role access_volume(
	struct control *c, const struct access *a, uint64_t volume, bool seen);
/* Apps are made by who is admin of all, and, where apps:set --global members-create is on, by any member; a token that is for
 * less than that makes none. */
bool access_creates(struct control *c, const struct access *a);
/* Who made the app is admin of it. 0 or -errno. */
int access_made(struct control *c, struct access *a, uint32_t app);

/* What a row needs, defaults applied. */
enum role access_route_role(const struct route *row);
/* The check of the row, before its handler runs; finds r->app where the row names one. 0 or -1. */
int access_check(struct request *r);
/* The role on r->app, or without one for all apps, that a request which began goes on needing; ROLE_NONE: its handler knows. */
enum role access_needed(const struct request *r);
/* The part of it that the body decides: ROUTE_BODY_APP. */
int access_check_body(struct request *r);
/* -1 with the sentence about the role that is missing; app NULL: for all apps. */
int access_need(struct request *r, const struct db_app *app, enum role role);
/* -1 when without this member's key nobody is left who may do everything; root may end that, too. */
int access_check_last(struct request *r, uint32_t member);
/* Takes out of the answer's list the rows of apps that may not be seen: route->of. */
void access_filter(struct request *r);

#endif
