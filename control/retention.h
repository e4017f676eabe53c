/* Disk: layers are counted, and those that nothing can need any more removed. */
#ifndef CONTROL_RETENTION_H
#define CONTROL_RETENTION_H

#include "control/control.h"

/* In the background, at most once a minute; the request in between is kept for the next call. */
void retention_soon(struct control *c);

#endif
