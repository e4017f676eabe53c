/*
 * What an app's owner has set (struct table_options): looked at before a request goes on. An
 * app without options has no policy, and its requests pass one branch.
 */
#ifndef ROUTER_POLICY_H
#define ROUTER_POLICY_H

#include "router/conn.h"
#include "router/table.h"

/*
 * Finds or makes the policies of t, which becomes the current table: 0, or -ENOMEM. List,
 * called when it has: they hold from now on. Sweep lets go of those that it does not have.
 */
int policies_enlist(struct worker *w, struct table *t);
void policies_list(struct worker *w);
void policies_sweep(struct worker *w);
/*
 * May x go on to app, which has options? Else it was answered and is gone. Called again under
 * each new table, and counts x once.
 */
bool policy_admit(struct exchange *x, const struct table_app *app);
/* x has its answer, or needs none any more; it was admitted. */
void policy_leave(struct exchange *x);
/* What the client's cookie says when it means the instance id, or the enum group, of an app with that key. */
uint64_t policy_sticky(uint64_t key, uint64_t id);
/*
 * Writes Set-Cookie lines for x's instance and group at out, at most POLICY_COOKIES_MAX; their length, 0 when its client
 * has them or they are none.
 */
size_t policy_cookies(const struct exchange *x, char *out);
#define POLICY_COOKIES_MAX 192u
/* The owner's page for an answer of the router's own to x; len 0: none. */
struct page policy_page(const struct exchange *x, unsigned int status, enum hcode code);

#endif
