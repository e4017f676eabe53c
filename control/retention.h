/* Disk: layers are counted, and those that nothing can need any more removed. */
#ifndef CONTROL_RETENTION_H
#define CONTROL_RETENTION_H

#include "control/control.h"

/* In the background, at most once a minute; the request in between is kept for the next call. */
void retention_soon(struct control *c);
/* berthd counts a layer some seconds after it was made: asks it for the sizes that are not known yet. */
void retention_count(struct control *c);
/* At once, before it returns. */
void retention_now(struct control *c);
/* Removes a layer that was last used before then and that nothing can need. 0, -ENOENT: it is needed after all, -errno. */
int retention_remove(struct control *c, uint64_t id, uint64_t older_than_us);

#endif
