/*
 * Answers that go on: what an operation says, the log as it comes, the audit trail as it grows. A source gives lines as they
 * are; who asks with `Accept: text/event-stream` gets them as server-sent events (the HTML standard, 9.2), made here of the
 * same lines: with ids where a later request can go on from there, a comment every FEED_HEARTBEAT_MS so that no proxy thinks
 * the connection dead, and the event "end" when nothing more comes.
 */
#ifndef CONTROL_FEED_H
#define CONTROL_FEED_H

#include "lib/base.h"
#include "lib/buf.h"

struct MHD_Connection;
struct MHD_Response;

#define FEED_EVENTS_TYPE "text/event-stream"
#define FEED_HEARTBEAT_MS 10000
#define FEED_ID_MAX 64

enum feed_kind {
	FEED_STREAM, /* docs/API.md: a letter, a space, a text; the end comes as "x STATUS" */
	FEED_LOG, /* {"time": "STAMP", ...}: its id is STAMP, of another of the same microsecond STAMP/2 and so on */
	FEED_TRAIL, /* {"id":12,...}: its id is that */
};

enum feed_read { FEED_NOTHING, FEED_SOME, FEED_OVER };

struct feed_source {
	enum feed_kind kind;
	/* Adds to out what there is now, also parts of lines. enum feed_read or -errno. */
	int (*read)(void *arg, struct buf *out);
	/* Waits until there may be more, at most ms (-1: no limit). False: nobody reads it any longer. */
	bool (*wait)(void *arg, int ms);
	void (*close)(void *arg);
};

/* Whether events are asked for. */
bool feed_wants_events(struct MHD_Connection *connection);
/* The last id that was seen, of a client that goes on; NULL: from the beginning. */
const char *feed_last_id(struct MHD_Connection *connection);
/* A FEED_LOG id. 0 or -EINVAL: stamp, and how many lines with it were seen. */
int feed_parse_log_id(const char *id, uint64_t *ret_us, uint32_t *ret_seen);

/*
 * The response, which closes the source at its end. type: of the lines as they are; events: they become events, those of a log
 * up to last_id left out, as far as they have its time. NULL: out of memory, arg is still the caller's.
 */
struct MHD_Response *feed_start(const struct feed_source *source, void *arg,
	const char *type, bool events, const char *last_id);

/* For tests: what the response's reader gives. A count, or MHD_CONTENT_READER_END_*. */
struct feed;
struct feed *feed_make(const struct feed_source *source, void *arg, bool events,
	const char *last_id, int heartbeat_ms);
ssize_t feed_read(void *feed, uint64_t pos, char *out, size_t max);
void feed_close(void *feed);

#endif
