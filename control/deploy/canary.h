/*
 * A canary: another release of an app that runs beside the live one for a share of its new clients, with the config that it
 * holds. It has web instances only, its share of the formation's rounded up (web=4 and 30 %: two), numbered from
 * CANARY_FIRST on. Whatever the app does (ps:stop, ps:restart, ps:scale, sleep, a boot) it does too; the next release that
 * goes live ends it, in the transaction of its switch.
 */
#ifndef CONTROL_CANARY_H
#define CONTROL_CANARY_H

#include "control/control.h"

/*
 * The release gets that share (1 .. TABLE_CANARY_MAX per cent) once its instances are ready; of the canary that runs only the
 * share changes, another one is replaced. Blocks as a deploy does, and takes the app's lock. 0 or -errno with e: then all is
 * as before.
 */
int canary_start(struct control *c, uint32_t app, uint32_t version, uint32_t percent,
	struct sink *s, struct err *e);
/* Everybody goes to the live release; the canary's instances drain. -ENOENT: there is none. */
int canary_end(struct control *c, uint32_t app, struct sink *s, struct err *e);
/*
 * Under the app's lock: its instances are brought to their number, or all started anew. What fails is told; the live release
 * does not suffer from it. Does nothing when a has no canary.
 */
void canary_follow(
	struct control *c, const struct db_app *a, bool restart, struct sink *s);

#endif
