/* What must be true after a start of control, or of berthd: the database, the sandboxes and the layers agree. */
#ifndef CONTROL_RECOVER_H
#define CONTROL_RECOVER_H

#include "control/control.h"

/* Once, before the API opens: unfinished records are completed or undone, running instances adopted. */
int recover_start(struct control *c, struct err *e);
/* After the API opened: apps are brought to their formation, in the background. */
void recover_apps(struct control *c);
/* berthd restarted: sandboxes it does not have any more have ended; those nobody wants are stopped. */
void recover_engine(struct control *c);

#endif
