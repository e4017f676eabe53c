/* The record pipe: lines from berth-control and the router workers (struct log_record in
 * lib/proto.h). */
#ifndef RUNTIME_LOGGER_RECORD_H
#define RUNTIME_LOGGER_RECORD_H

#include "lib/proto.h"
#include "runtime/logger/logger_source.h"
#include "runtime/logger/logger_store.h"

#define RECORD_CLOCK_SLACK_US                                                            \
	(60ull * 1000000) /* a time farther from now than this is not believed */

/*
 * Adds the records at the start of data to the store; garbage between them is skipped.
 * Returns how many bytes are done with; the rest is the beginning of a record.
 */
size_t record_parse(struct store *s, const char *data, size_t len, uint64_t now_us);
/* Everything that is in the pipe now; takes turns with the other sources. 0, or -errno
 * when it is broken. */
int record_pump(struct store *s, struct peek *p, int fd);

#endif
