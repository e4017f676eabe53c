/* The line between berthd and a new process: what it is told, and what it tells. */
#include "runtime/inside.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define FDS_MAX 84 /* both ways: of orders, and of a report with every mount */

_Static_assert(ARRAY_LEN(((struct mount_fds *)0)->fds) <= FDS_MAX, "they fit");
_Static_assert(ORDER_FDS <= 32, "struct orders has a bit for each");

union fd_space {
	struct cmsghdr head;
	char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

static int send_with(int line, const void *p, size_t size, const int *fds, unsigned int n)
{
	struct iovec iov = {(void *)(uintptr_t)p, size};
	union fd_space control = {0};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n * sizeof(int));
		control.head = (struct cmsghdr){
			CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	}
	return sendmsg(line, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* 1, 0 at the end of the stream, -EPROTO when it is no datagram of that size, -errno. */
static int recv_with(
	int line, void *p, size_t size, int fds[FDS_MAX], unsigned int *ret_n)
{
	struct iovec iov = {p, size};
	union fd_space control = {0};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n;

	*ret_n = 0;
	/* ECONNRESET comes once, before what lies there: the other end is gone and had not
	 * read everything */
	do {
		n = recvmsg(line, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n <= 0)
		return n < 0 ? -errno : 0;
	if (m.msg_controllen >= sizeof(control.head) &&
		control.head.cmsg_type == SCM_RIGHTS) {
		*ret_n = (unsigned int)((control.head.cmsg_len - CMSG_LEN(0)) /
					sizeof(int));
		memcpy(fds, CMSG_DATA(&control.head), *ret_n * sizeof(int));
	}
	return n == (ssize_t)size ? 1 : -EPROTO;
}

/* ---- reports ---- */

int report_send(int line, struct child_report rep, const char *step, const int *fds,
	unsigned int n)
{
	if (step)
		snprintf(rep.step, sizeof(rep.step), "%.123s", step);
	return send_with(line, &rep, sizeof(rep), fds, n);
}

int report_read(int line, struct child_report *rep, struct mount_fds *ret)
{
	int fds[FDS_MAX], r = recv_with(line, rep, sizeof(*rep), fds, &ret->n);

	memcpy(ret->fds, fds, ret->n * sizeof(int));
	rep->step[sizeof(rep->step) - 1] = '\0';
	return r;
}

/* ---- orders ---- */

static void list_fds(const struct child *c, int fds[ORDER_FDS])
{
	fds[ORDER_SPEC] = c->io->spec_fd;
	fds[ORDER_EXIT] = c->io->exit_fd;
	fds[ORDER_FIFO] = c->io->fifo_fd;
	fds[ORDER_FIFO_WRITE] = c->fifo_write;
	for (int i = 0; i < 3; i++)
		fds[ORDER_STDIO + i] = c->io->stdio[i];
	fds[ORDER_USERNS] = c->userns;
	fds[ORDER_IDMAP] = c->idmap;
	fds[ORDER_VOLUME_IDMAP] = c->volume_idmap;
	fds[ORDER_SCRATCH] = c->scratch;
	fds[ORDER_IO_GROUP] = c->io_group;
	memcpy(fds + ORDER_VOLUMES, c->volumes, sizeof(c->volumes));
}

int orders_send(int line, const struct child *c)
{
	struct orders o = {.start = *c->start,
		.uid_base = c->uid_base,
		.nofile = c->nofile,
		.tty = c->io->tty};
	int all[ORDER_FDS], given[ORDER_FDS];
	unsigned int n = 0;

	list_fds(c, all);
	for (int i = 0; i < ORDER_FDS; i++)
		if (all[i] >= 0) {
			o.has |= 1u << i;
			given[n++] = all[i];
		}
	return send_with(line, &o, sizeof(o), given, n);
}

static void fill(struct child *c, const struct orders *o, struct sandbox_io *io,
	const int fds[ORDER_FDS])
{
	*io = (struct sandbox_io){.spec_fd = fds[ORDER_SPEC],
		.exit_fd = fds[ORDER_EXIT],
		.fifo_fd = fds[ORDER_FIFO],
		.tty = o->tty};
	memcpy(io->stdio, fds + ORDER_STDIO, sizeof(io->stdio));
	c->io_group = fds[ORDER_IO_GROUP];
	c->fifo_write = fds[ORDER_FIFO_WRITE];
	c->userns = fds[ORDER_USERNS];
	c->idmap = fds[ORDER_IDMAP];
	c->volume_idmap = fds[ORDER_VOLUME_IDMAP];
	c->scratch = fds[ORDER_SCRATCH];
	memcpy(c->volumes, fds + ORDER_VOLUMES, sizeof(c->volumes));
	c->start = &o->start;
	c->io = io;
	c->id = o->start.id;
	c->profile = o->start.profile;
	c->flags = o->start.flags;
	c->uid_base = o->uid_base;
	c->uid = user_inside(o->start.profile, o->start.flags, o->start.uid);
	c->gid = user_inside(o->start.profile, o->start.flags, o->start.gid);
	c->nofile = o->nofile;
	c->exit_fd = io->exit_fd;
}

int orders_take(struct child *c, struct orders *o, struct sandbox_io *io)
{
	int got[FDS_MAX], fds[ORDER_FDS], r;
	unsigned int n, at = 0;

	r = recv_with(c->status, o, sizeof(*o), got, &n);
	if (r <= 0)
		return r;
	if (n != (unsigned int)__builtin_popcount(o->has))
		return -EMFILE; /* the kernel keeps back those that find no room */
	for (int i = 0; i < ORDER_FDS; i++)
		fds[i] = o->has & 1u << i ? got[at++] : -1;
	fill(c, o, io, fds);
	return 1;
}

/* How many descriptors come: none, the network, or the network and the listener. */
int orders_send_network(int line, int netns, int listener)
{
	const int fds[] = {netns, listener};
	const uint32_t n = netns < 0 ? 0 : listener < 0 ? 1 : 2;

	return send_with(line, &n, sizeof(n), fds, n);
}

int orders_take_network(struct child *c)
{
	int got[FDS_MAX], r;
	unsigned int n;
	uint32_t sent;

	r = recv_with(c->status, &sent, sizeof(sent), got, &n);
	if (r > 0 && n != sent)
		return -EMFILE;
	if (r > 0 && n > 0)
		c->netns = got[0];
	if (r > 0 && n > 1)
		c->listener = got[1];
	return r;
}
