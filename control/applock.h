/* One operation an app at a time: deploys, config changes, scaling. */
#ifndef CONTROL_APPLOCK_H
#define CONTROL_APPLOCK_H

#include "control/control.h"

/*
 * Waits its turn (first come, first served) and says so on the sink. 0, or -ECANCELED when the asker went away. Any
 * thread; not recursive.
 */
int applock_take(uint32_t app, struct sink *s, struct err *e);
/* Only when nobody has it or waits for it. */
bool applock_try(uint32_t app);
void applock_drop(uint32_t app);
/* Some app's operation is under way. */
bool applock_any(void);

#endif
