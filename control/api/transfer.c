/* Bytes to or from a client over an upgraded connection. */
#include "control/api/transfer.h"
#include "control/api/frames.h"
#include "control/data/space.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define STATUS_FAILED 1

struct relay {
	struct sink sink; /* first: the sink's functions get its address */
	struct control *c;
	struct transfer t;
	int theirs[3], words; /* the client's ends; ours of its stderr */
};

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void relay_free(void *data)
{
	struct relay *y = data;

	for (size_t i = 0; i < ARRAY_LEN(y->theirs); i++)
		shut(&y->theirs[i]);
	shut(&y->words);
	shut(&y->t.in);
	shut(&y->t.out);
	y->t.clear(&y->t);
	free(y);
}

static void say(struct sink *s, char kind, const char *text)
{
	struct relay *y = (struct relay *)s;

	if (kind != 'o' && kind != 'd')
		return;
	/* A client that reads nothing more is noticed by its hang-up. */
	if (io_write_all(y->words, text, strlen(text)) == 0)
		(void)io_write_all(y->words, "\n", 1);
}

/* Also when the client sends anything: that is a signal, and all of them end a transfer. */
static bool cancelled(struct sink *s)
{
	struct pollfd p = {.fd = s->watch_fd, .events = POLLIN | POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

int transfer_send(int sock, const void *data, size_t len, const int *fds, unsigned int n)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * 3)];
		struct cmsghdr align;
	} control = {0};
	/* sendmsg takes a pointer to what it only reads. */
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n) {
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		struct cmsghdr *h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(h), fds, sizeof(int) * n);
	}
	for (;;) {
		struct pollfd p = {.fd = sock, .events = POLLOUT};

		if (sendmsg(sock, &m, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		poll(&p, 1, 1000);
	}
}

static void serve(void *data, int sock, const char *extra UNUSED, size_t n UNUSED)
{
	struct relay *y = data;
	struct err e = {0};
	int r = transfer_send(sock, "F", 1, y->theirs, 3);

	for (size_t i = 0; i < ARRAY_LEN(y->theirs); i++)
		shut(&y->theirs[i]);
	y->sink = (struct sink){.write = say, .cancelled = cancelled, .watch_fd = sock};
	if (r == 0)
		r = y->t.run(&y->t, &y->sink, &e);
	if (r < 0 && e.text[0])
		sink_fail(&y->sink, "%s", e.text);
	char words[256];
	if (r < 0 && space_words(y->c, e.text, words))
		sink_fail(&y->sink, "%s", words);
	shut(&y->t.out);
	shut(&y->t.in);
	shut(&y->words);
	char end[2] = {'X', (char)(r < 0 ? STATUS_FAILED : 0)};
	transfer_send(sock, end, sizeof(end), NULL, 0);
}

static int make_pipes(struct relay *y)
{
	int p[3][2];

	for (int i = 0; i < 3; i++) {
		if (pipe2(p[i], O_CLOEXEC) < 0)
			return -errno;
		y->theirs[i] = p[i][i == 0];
		*(i == 0 ? &y->t.in : i == 1 ? &y->t.out : &y->words) = p[i][i != 0];
	}
	fcntl(y->t.in, F_SETPIPE_SZ, 1 << 20);
	fcntl(y->t.out, F_SETPIPE_SZ, 1 << 20);
	return 0;
}

int transfer_start(struct request *r, const struct transfer *t)
{
	struct transfer mine = *t;
	struct relay *y = calloc(1, sizeof(*y));

	if (!y) {
		mine.clear(&mine);
		return request_fail(r, FAIL_BERTH, "out of memory");
	}
	*y = (struct relay){.t = mine, .c = r->c, .theirs = {-1, -1, -1}, .words = -1};
	y->t.in = y->t.out = -1;
	r->data = y;
	r->data_free = relay_free;
	if (frames_check(r) < 0)
		return -1;
	if (make_pipes(y) < 0)
		return request_fail(r, FAIL_BERTH, "too many open files");
	if (frames_upgrade(r, serve) < 0)
		return request_fail(r, FAIL_BERTH, "the connection cannot be upgraded");
	return 0;
}
