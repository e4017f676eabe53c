/* Fixed-layout messages with descriptors over a SOCK_SEQPACKET pair. */
#include "lib/msg.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

int msg_send(int fd, uint32_t type, uint32_t seq, int status, const void *body,
	size_t size, const int *fds, unsigned int nfds)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];
	} control = {0};
	struct msg_head head = {type, seq, status, (uint32_t)size};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)body, size}};
	struct msghdr mh = {.msg_iov = iov, .msg_iovlen = size ? 2 : 1};

	if (size > MSG_BODY_MAX || nfds > MSG_FDS_MAX)
		return -EMSGSIZE;
	if (nfds) {
		mh.msg_control = control.space;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	}
	while (sendmsg(fd, &mh, MSG_NOSIGNAL) < 0) {
		if (errno != EINTR)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	}
	return 0;
}

static void take_fds(struct msghdr *mh, struct msg *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int got;
			memcpy(&got, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (m->nfds < MSG_FDS_MAX)
				m->fds[m->nfds++] = got;
			else
				close(got);
		}
	}
}

/* A message without a byte and the end of the stream look the same to recvmsg(2); who may not ask takes it for the end. */
static bool at_end(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) != 0;
}

int msg_recv(int fd, struct msg *m)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * MSG_FDS_MAX)];
	} control;
	struct iovec iov[2] = {{&m->head, sizeof(m->head)}, {m->body, sizeof(m->body)}};
	struct msghdr mh = {.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	ssize_t n;

	m->nfds = 0;
	m->cut = false;
	do {
		n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	take_fds(&mh, m); /* also of an empty message: else they would stay open */
	if (n == 0 && m->nfds == 0 && at_end(fd))
		return 0;
	if ((mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (size_t)n < sizeof(m->head) ||
		m->head.size != (size_t)n - sizeof(m->head)) {
		msg_close_fds(m);
		m->cut = !(mh.msg_flags & MSG_TRUNC) && (size_t)n >= sizeof(m->head) &&
			 m->head.size == (size_t)n - sizeof(m->head);
		return -EPROTO;
	}
	return 1;
}

void msg_close_fds(struct msg *m)
{
	for (unsigned int i = 0; i < m->nfds; i++) {
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	}
	m->nfds = 0;
}
