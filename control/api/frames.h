/*
 * An upgraded connection that cannot pass descriptors, because it came through the router: what goes over a program's
 * descriptors goes in frames, `Upgrade: berth-frames`. A frame is one letter, the length of what follows as 4 bytes, the
 * highest first, at most FRAMES_MAX, and that many bytes:
 *   from the client   0 standard input (no bytes: its end), S one byte: a signal, W a terminal's rows and columns, 2 bytes each
 *   from control      1 standard output, or what the terminal shows; 2 standard error; X one byte: the exit status, the last
 * A thread plays the client that docs/API.md (Upgrade) describes: it gets the descriptors and the status, and ends the
 * program when the connection ends.
 */
#ifndef CONTROL_FRAMES_H
#define CONTROL_FRAMES_H

#include "control/api/request.h"

#define FRAMES_RUN "berth-run"
#define FRAMES_NAME "berth-frames"
#define FRAMES_MAX 65536u

/* The router passes no upgrade with a body: the JSON is in this field, in base64. */
#define FRAMES_BODY_FIELD "Berth-Body"
/* Takes it as r's body, if it is there. 0 or -1. */
int frames_body(struct request *r);

/* The request asks for the upgrade that its connection allows: FRAMES_RUN, through the router FRAMES_NAME. 0 or -1. */
int frames_check(struct request *r);
/*
 * Answers r with that upgrade. Then serve gets r's data, and a socket that takes descriptors: the client's, of which n bytes
 * were read already, or one that stands for it. It runs in the connection's own thread, may block, and the connection ends
 * with it. 0 or -ENOMEM.
 */
int frames_upgrade(struct request *r,
	void (*serve)(void *data, int sock, const char *read, size_t n));

struct frames;

/* What a frame from the client says; how many bytes it takes, 0: not whole yet, -EBADMSG. */
struct frame {
	char kind;
	const char *data;
	uint32_t len;
};
int frame_parse(const char *data, size_t len, struct frame *ret);

/*
 * Serves sock, nonblocking and the caller's, of which n bytes were read already. The end that stands for a client's unix
 * socket, or -errno.
 */
int frames_start(int sock, const char *read, size_t n, struct frames **ret);
/* Closes that end, waits until all has been sent or the client is gone. NULL is fine. */
void frames_end(struct frames *f, int end);

#endif
