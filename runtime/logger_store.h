/*
 * The log segments of all apps: FOLDER/APPID/SEGMENT.log, SEGMENT the time of its first
 * line in µs as 16 digits. Lines are collected and written in one write; a segment is
 * closed at a twentieth of the app's budget, and the oldest segments are removed when the
 * budget is used up.
 */
#ifndef RUNTIME_LOGGER_STORE_H
#define RUNTIME_LOGGER_STORE_H

#include "lib/base.h"

#define STORE_BUDGET_DEFAULT (100ull << 20)
#define STORE_SEGMENTS 20 /* of one budget */
#define STORE_SOURCE_MAX 80
#define STORE_FLUSH_SIZE                                                                 \
	(256u << 10) /* lines of one app waiting for a flush: written above this */
#define STORE_RETRY_US                                                                   \
	200000 /* after a failed write (full disk) nothing is tried for so long */

struct store;

/* dirfd is the folder of all logs; it stays the caller's. NULL when out of memory. */
struct store *store_new(int dirfd, uint64_t budget_bytes);
/* Flushes, closes all. NULL is allowed. */
void store_free(struct store *s);
/*
 * Adds one line; the text is made safe here. time_us is raised to the app's last one, so
 * lines never run backwards. A line that cannot be kept (full disk, no memory) is
 * counted, and the log tells how many later.
 */
void store_add(struct store *s, uint32_t app, uint64_t time_us, const char *source,
	const char *text, size_t len, bool cut);
/* Everything added is in the files afterwards, or dropped and counted. Never blocks for
 * space. */
void store_flush(struct store *s);
/* The app is going: its files are closed, and lines for it are dropped from now on. */
void store_close_app(struct store *s, uint32_t app);
/* It is there (again): an instance of it runs. */
void store_open_app(struct store *s, uint32_t app);

#endif
