/*
 * Another name for an app. Its number, and with it releases, volumes, logs and instances, stay; its repository moves, which
 * only berthd can do, its default hostname becomes another, and its events go along.
 *
 * Written down first: rename_to of its row keeps the new name free. Then the repository moves, then the row and the events
 * change in one transaction: the commit point. A start that finds one in the middle completes it, or takes it back where
 * the repository cannot move.
 */
#ifndef CONTROL_RENAME_H
#define CONTROL_RENAME_H

#include "control/control.h"

/*
 * Takes the app's lock. 0 or -errno with e: -EEXIST the name is taken, -EBUSY something is pushed to it just now. Instances
 * are not touched: they see the new BERTH_APP when they start the next time.
 */
int app_rename(
	struct control *c, uint32_t app, const char *to, struct sink *s, struct err *e);
/*
 * None of the default hostnames it would get is a domain of another app: of the two, the older one would get the requests.
 * 0 or -errno with e, -EEXIST: one is.
 */
int rename_check_hosts(
	struct control *c, const struct db_app *a, const char *to, struct err *e);
/* At start-up, before requests are served. */
void rename_recover(struct control *c);

#endif
