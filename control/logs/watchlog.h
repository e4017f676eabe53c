/*
 * Knows when there may be more in the folder of a log, also while that is not there yet, and when it has gone: by inotify,
 * so that waiting costs nothing.
 */
#ifndef CONTROL_WATCHLOG_H
#define CONTROL_WATCHLOG_H

#include "lib/base.h"

struct watchlog;

/* At once: the host allows a user 128 (fs.inotify.max_user_instances), and berth-drain, which has the same one, needs its own. */
#define WATCHLOG_MAX 64

/* NULL: out of memory, or there are as many as may be: who follows looks now and then. */
struct watchlog *watchlog_open(const char *folder);
void watchlog_close(struct watchlog *w);
/* Readable when something happened; then watchlog_read, then look. */
int watchlog_fd(const struct watchlog *w);
/* False once the folder has gone for good: removed, or moved away. */
bool watchlog_read(struct watchlog *w);

#endif
