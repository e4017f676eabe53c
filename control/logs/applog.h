/* berth's own lines in an app's log: "berth[deploy]: ...", written to berth-logger's record pipe. */
#ifndef CONTROL_APPLOG_H
#define CONTROL_APPLOG_H

#include "lib/base.h"

/* fd: the record pipe, kept. Call once. */
void applog_open(int fd);
/* source: "berth[deploy]". Never blocks for long; a text over about 4,000 bytes is cut. Any thread. */
void applog(uint32_t app, const char *source, const char *fmt, ...) PRINTF(3, 4);

#endif
