/*
 * The logs of all apps (segments: logger_segments.h): lines are made safe, stamped, written many at once, kept within the
 * app's budget and rate (logger_limits.h); what could not be kept is counted, and told in the log.
 */
#ifndef RUNTIME_LOGGER_STORE_H
#define RUNTIME_LOGGER_STORE_H

#include "lib/base.h"
#include "lib/proto.h"

#define STORE_SOURCE "berth[logs]" /* of what the log says of itself */
#define STORE_FLUSH_SIZE                                                                 \
	(256u << 10) /* records of one app waiting for a flush: written above this */
#define STORE_RETRY_US                                                                   \
	200000 /* after a failed write (full disk) nothing is tried for so long */
#define STORE_TELL_US 1000000 /* lines over the rate are told of no more often */

struct store;

/* dirfd is the folder of all logs; it stays the caller's. NULL when out of memory. */
struct store *store_new(int dirfd);
/* Flushes, closes all. NULL is allowed. */
void store_free(struct store *s);

/* What an instance has written. */
struct store_input {
	uint32_t app, release; /* as in msg_log_attach */
	const char *source;
	const char *data;
	size_t len;
	bool at_end; /* what follows the last newline is a line too */
};
/*
 * All whole lines of in are in the app's file afterwards, or dropped and counted. Times are not before the app's last one,
 * so lines never run backwards. Returns how many bytes they are.
 */
size_t store_lines(struct store *s, const struct store_input *in, uint64_t now_us);

/* One line of berth's own; text without newline. Waits for store_flush. shaped: it counts for the app's rate. */
struct store_record {
	uint32_t app;
	const char *source, *text;
	size_t len;
	bool shaped;
};
/* time_us: the line's own, which may be before now; the rate goes by now. */
void store_add(
	struct store *s, const struct store_record *r, uint64_t time_us, uint64_t now_us);
/* Everything added is in the files afterwards, or dropped and counted. Never blocks for
 * space. */
void store_flush(struct store *s);

/* Some log does not say yet what it has dropped. */
bool store_owes(const struct store *s);
/* Says it, where that is possible now. */
void store_tell(struct store *s);

/* From now on, and for the next logger. Logs above a budget become smaller at once. 0, or -errno as limits_set. */
int store_set_limits(struct store *s, const struct msg_log_limits *l);
/* The app is going: its files are closed, and lines for it are dropped from now on. */
void store_close_app(struct store *s, uint32_t app);
/* It is there (again): an instance of it runs. */
void store_open_app(struct store *s, uint32_t app);

#endif
