/* What an operator does with berthd beside running it: prepare, stop, remove. */
#ifndef RUNTIME_OPERATE_H
#define RUNTIME_OPERATE_H

#include "lib/err.h"
#include "runtime/settings.h"

/* Users exist, folders are there with their owners. 0 or -errno with the sentence. */
int operate_prepare(const struct settings *s, struct err *e);
/* Tells the running berthd to stop and waits for it; everything: apps too. The exit
 * status. */
int operate_stop(const struct settings *s, bool everything);
/* Removes what is left outside the state folder, and the run folder's files. The exit
 * status. */
int operate_remove(const struct settings *s);

#endif
