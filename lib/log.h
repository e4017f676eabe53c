/* A program's own diagnostics: one line each on stderr, "berth-x[pid]: text". Thread-safe. */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "lib/base.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Call once from main; level INFO, or DEBUG when BERTH_DEBUG is set. name is kept, not copied. */
void log_open(const char *name);
void log_error(const char *fmt, ...) PRINTF(1, 2);
void log_warn(const char *fmt, ...) PRINTF(1, 2);
void log_info(const char *fmt, ...) PRINTF(1, 2);
void log_debug(const char *fmt, ...) PRINTF(1, 2);

#define LOG_RATE_LINES 20
#define LOG_RATE_WINDOW_S 10

/* Of one kind of line that others can cause at will; zeroed is the start. */
struct log_rate {
	uint64_t since_ns;
	unsigned int lines, dropped;
};

/* Whether one more line may be written: LOG_RATE_LINES in LOG_RATE_WINDOW_S. The first one after
 * that says how many were left out. Not for use across threads. */
bool log_rate_ok(struct log_rate *r);

#endif
