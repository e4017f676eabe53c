/*
 * What the routing table is made of, kept in memory: a part for each app, and all hostnames in order. Only the parts of apps
 * that changed (stale.h) are made anew, the rest of a table is copied: at 5,000 apps a change costs a fraction of a millisecond.
 */
#ifndef CONTROL_TABLE_H
#define CONTROL_TABLE_H

#include "control/control.h"

struct table_parts;

int table_open(struct table_parts **ret);
/* Takes NULL. */
void table_close(struct table_parts *t);
/*
 * The table as of now (lib/proto.h), a sealed memfd; for so many workers. One call at a time. The descriptor, or -errno: then
 * the next call reads everything again.
 */
int table_make(struct control *c, struct table_parts *t, unsigned int workers);

#endif
