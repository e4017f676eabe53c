/* The client's end of the API (docs/API.md): HTTP/1.1 over one unix socket, blocking, one
 * request at a time. */
#ifndef LIB_CLIENT_H
#define LIB_CLIENT_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/err.h"
#include <sys/types.h>

#define CLIENT_IN_MAX                                                                    \
	16384 /* a response's head fits in it; control sends a few hundred bytes */
#define CLIENT_LINE_MAX                                                                  \
	((size_t)1                                                                       \
		<< 20) /* of a stream; a build's longest output line is cut far below */
#define CLIENT_FDS_MAX 3

/*
 * Zero bytes beyond the current response are ever read ahead while control only answers,
 * so several processes may use one connection after each other, each with its own struct
 * client.
 */
struct client {
	int fd;			 /* closed by client_close, whoever opened it */
	int fds[CLIENT_FDS_MAX]; /* descriptors that came along, CLOEXEC; whoever takes
				    one sets it to -1 */
	unsigned int nfds;
	/* the response whose head client_reply read */
	int status;
	char type[64]; /* its Content-Type without parameters, "" when absent */
	bool stream;   /* type is text/x-berth-stream */
	bool last;     /* the connection ends after this response */
	/* private */
	enum { CLIENT_DONE, CLIENT_LENGTH, CLIENT_CHUNKED, CLIENT_TO_END } body;
	uint64_t left;
	bool in_chunk;
	size_t start, end;
	struct buf text; /* body not yet given out by client_line */
	size_t given;	 /* of it, the line given last */
	char in[CLIENT_IN_MAX];
};

/* Uses a connected socket. */
void client_init(struct client *c, int fd);
/* Connects to the socket at path. 0 or -errno (-ENOENT, -ECONNREFUSED: control does not
 * run). */
int client_open(struct client *c, const char *path, struct err *e);
/* Closes the socket and what descriptors are left. */
void client_close(struct client *c);

/*
 * Sends a request. headers: further lines each with its CRLF, or NULL. body NULL: none,
 * else JSON of len bytes. 0 or -errno (-EPIPE: control went away).
 */
int client_send(struct client *c, const char *method, const char *path,
	const char *headers, const void *body, size_t len, struct err *e);
/* Reads the head of the answer: status, type, stream, last. 0, -EPIPE, -EPROTO, -errno.
 */
int client_reply(struct client *c, struct err *e);
/* The next at most n bytes of the body. 0 at its end, -EPIPE when it was cut off,
 * -EPROTO, -errno. */
ssize_t client_read(struct client *c, void *data, size_t n);
/* Appends the rest of the body to out. 0 or as client_read; -EMSGSIZE over out's maximum.
 */
int client_body(struct client *c, struct buf *out);
/*
 * The next line of the body, without its newline, in *ret (in the client's memory, until
 * the next call). 1, 0 at the end, or as client_read; -EMSGSIZE over CLIENT_LINE_MAX.
 */
int client_line(struct client *c, char **ret);
/* Whether the next read can go on without waiting for the other end. */
bool client_buffered(const struct client *c);
/* After status 101: the next raw bytes of the connection, descriptors go to fds. 0 at its
 * end, -errno. */
ssize_t client_raw(struct client *c, void *data, size_t n);

#endif
