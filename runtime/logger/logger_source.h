/*
 * The instances' output: one FIFO each, read without ever losing a byte: lines are copied
 * out (tee), written to the store, and only then taken from the FIFO. After a crash in
 * between they are read, and written, again.
 */
#ifndef RUNTIME_LOGGER_SOURCE_H
#define RUNTIME_LOGGER_SOURCE_H

#include "lib/loop.h"
#include "lib/proto.h"
#include "runtime/logger/logger_store.h"

#define SOURCE_PARTIAL_MS                                                                \
	200 /* a line without an end (a prompt, a progress bar) is shown after so long   \
	     */

struct sources;

/* done(arg, id) is called when everything up to the end of a source is in the store's
 * files. */
struct sources *sources_new(
	struct loop *l, struct store *s, void (*done)(void *arg, uint64_t id), void *arg);
/* Takes fd (nonblocking read end). An id that is attached already keeps what it has. 0 or
 * -errno. */
int sources_attach(struct sources *s, const struct msg_log_attach *a, int fd);
void sources_free(struct sources *s);

/*
 * For the record pipe as well. A scratch pipe and buffer to look at what a pipe holds.
 */
#define PEEK_SIZE (128u << 10)
struct peek {
	int pipe[2];
	int null;
	char data[PEEK_SIZE];
	size_t len;
};
/* 0 or -errno. */
int peek_open(struct peek *p);
void peek_close(struct peek *p);
/* Copies what fd holds (from its start, up to PEEK_SIZE) into p->data. 1, 0 at the end,
 * -EAGAIN, -errno. */
int peek_fill(struct peek *p, int fd);
/* Takes n bytes, seen by peek_fill, out of fd. 0 or -errno. */
int peek_consume(struct peek *p, int fd, size_t n);

#endif
