/* Fixed-layout messages with descriptors over a SOCK_SEQPACKET pair. */
#ifndef LIB_MSG_H
#define LIB_MSG_H

#include "lib/base.h"

#define MSG_BODY_MAX                                                                     \
	(16 << 10)     /* a start message with 64 layers and 16 mounts is below 8 kB */
#define MSG_FDS_MAX 64 /* SCM_MAX_FD is 253; a batch of router sockets is 32 */

struct msg_head {
	uint32_t type;	/* of the row in the receiver's table */
	uint32_t seq;	/* of the request; a reply repeats it; 0 in events */
	int32_t status; /* replies: 0 or -errno */
	uint32_t size;	/* of the body that follows, bytes */
};

struct msg {
	struct msg_head head;
	_Alignas(8) char body[MSG_BODY_MAX];
	int fds[MSG_FDS_MAX]; /* CLOEXEC; owned by whoever holds the struct */
	unsigned int nfds;
	bool cut; /* descriptors did not fit into this process: nfds is 0, the rest is whole */
};

/* Sends one message; fds stay the caller's. 0, -EAGAIN when the socket is full (nonblocking), -errno. */
int msg_send(int fd, uint32_t type, uint32_t seq, int status, const void *body,
	size_t size, const int *fds, unsigned int nfds);
/*
 * Receives one message. 1, 0 at end of stream, -EAGAIN, -EPROTO when the size in the head is not
 * what arrived, nothing did, or descriptors were cut (those that came are closed), or -errno.
 */
int msg_recv(int fd, struct msg *m);
/* Closes the descriptors still in m (those set to -1 were taken). */
void msg_close_fds(struct msg *m);

#endif
