/*
 * The text/x-berth-stream answer (docs/API.md): an operation runs in a thread of its own
 * and writes to a sink; the connection's thread sends what was written. Neither waits for
 * the other: a reader that stalls never holds a deploy.
 */
#ifndef CONTROL_STREAM_H
#define CONTROL_STREAM_H

#include "control/control.h"

struct MHD_Connection;
struct MHD_Response;

#define STREAM_TYPE "text/x-berth-stream"
#define STREAM_WAITING_MAX                                                               \
	((size_t)4                                                                       \
		<< 20) /* lines written and not yet sent; beyond that output is       \
			     dropped */

/* Runs in the stream's thread, writes to s, returns the exit status for the last line. */
typedef int (*stream_run)(void *arg, struct sink *s);
/* Called once when the operation is over, asker there or not. */
typedef void (*stream_end)(void *arg);

/*
 * Starts run and returns the response that carries its output, as lines or as server-sent events (api/feed.h). connection_fd is watched
 * through a duplicate: its hang-up is what sink_cancelled tells. 0 or -errno; end is
 * called only after success.
 */
int stream_start(struct MHD_Connection *connection, int connection_fd, stream_run run,
	stream_end end, void *arg, struct MHD_Response **ret);
/* Whether the other end of a connected socket has hung up or shut down its sending side.
 */
bool stream_hung_up(int fd);

#endif
