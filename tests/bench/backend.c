/* The app behind the proxies: /64, /10k and /1m by keep-alive, a WebSocket echoed raw. usage: backend PORT [PATH of a unix socket too] */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define IN_MAX 16384
#define FDS_MAX 65536
#define EVENTS_MAX 256

struct answer {
	const char *path;
	size_t body, len;
	char *data;
};

static struct answer answers[] = {
	{"/10k", 10240, 0, NULL}, {"/1m", 1 << 20, 0, NULL}, {"/", 64, 0, NULL}};
static const char switching[] =
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: "
	"websocket\r\nConnection: Upgrade\r\n"
	"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct conn {
	size_t have, left; /* bytes in `in`; bytes at `out` that are still to be sent */
	size_t skip, len;  /* bytes of the request still to be taken; of its answer */
	const char *out;
	int tunnel;
	char in[IN_MAX];
};

static struct conn *conns[FDS_MAX];
static int epfd;

static void prepare(void)
{
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct answer *a = &answers[i];
		size_t room = a->body + 256;

		a->data = malloc(room);
		if (!a->data)
			exit(1);
		a->len = (size_t)snprintf(a->data, room,
			"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
			"%zu\r\n\r\n",
			a->body);
		memset(a->data + a->len, 'x', a->body);
		a->len += a->body;
	}
}

static void end(int fd)
{
	close(fd);
	free(conns[fd]);
	conns[fd] = NULL;
}

static void watch(int fd, int op, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.fd = fd};

	epoll_ctl(epfd, op, fd, &e);
}

/* 0 when all is sent, 1 when the socket is full, -1 when the peer is gone. */
static int flush(int fd, struct conn *c)
{
	while (c->left) {
		ssize_t n = send(fd, c->out, c->left, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
			return 1;
		}
		if (n < 0)
			return -1;
		c->out += n;
		c->left -= (size_t)n;
	}
	return 0;
}

static void choose(struct conn *c, const char *head)
{
	const char *path = strchr(head, ' ');
	size_t i = 0;

	if (strcasestr(head, "\nupgrade: websocket")) {
		c->out = switching;
		c->len = sizeof(switching) - 1;
		return;
	}
	while (path && strncmp(path + 1, answers[i].path, strlen(answers[i].path)) != 0)
		i++;
	c->out = answers[i].data;
	c->len = answers[i].len;
}

/* False when there is no whole head. */
static int next_head(struct conn *c)
{
	char *stop = memmem(c->in, c->have, "\r\n\r\n", 4), *length;

	if (!stop)
		return 0;
	*stop = '\0';
	choose(c, c->in);
	length = strcasestr(c->in, "\ncontent-length:");
	c->skip = (size_t)(stop + 4 - c->in) +
		  (length ? strtoul(length + 16, NULL, 10) : 0);
	return 1;
}

static void skip(struct conn *c)
{
	size_t n = c->skip < c->have ? c->skip : c->have;

	memmove(c->in, c->in + n, c->have - n);
	c->have -= n;
	c->skip -= n;
}

/* Answers every whole request in c->in. -1: over. */
static int serve(int fd, struct conn *c)
{
	while (!c->left && !c->tunnel && (c->skip || next_head(c))) {
		skip(c);
		if (c->skip)
			return 0;
		c->left = c->len;
		c->tunnel = c->out == switching;
		if (flush(fd, c) < 0)
			return -1;
	}
	return c->have == IN_MAX ? -1 : 0;
}

static int readable(int fd, struct conn *c)
{
	ssize_t n = recv(fd, c->in + c->have, IN_MAX - c->have, 0);

	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -1;
	if (c->tunnel) /* messages are small: a full socket is the end */
		return send(fd, c->in, (size_t)n, MSG_NOSIGNAL) == n ? 0 : -1;
	c->have += (size_t)n;
	return serve(fd, c);
}

static void writable(int fd, struct conn *c)
{
	int r = flush(fd, c);

	if (r == 0) {
		watch(fd, EPOLL_CTL_MOD, EPOLLIN);
		r = serve(fd, c);
	}
	if (r < 0)
		end(fd);
}

static void newcomers(int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		if (fd >= FDS_MAX || !(conns[fd] = calloc(1, sizeof(struct conn)))) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		watch(fd, EPOLL_CTL_ADD, EPOLLIN);
	}
}

static int open_listener(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4096) < 0) {
		perror("backend");
		exit(1);
	}
	return fd;
}

static int open_unix(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 4096) < 0) {
		perror("backend");
		exit(1);
	}
	return fd;
}

static void raise_limit(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[EVENTS_MAX];
	int listener, local, n, i;

	if (argc < 2 || argc > 3)
		return 2;
	raise_limit();
	prepare();
	listener = open_listener((int)strtol(argv[1], NULL, 10));
	local = argc == 3 ? open_unix(argv[2]) : -1;
	epfd = epoll_create1(0);
	watch(listener, EPOLL_CTL_ADD, EPOLLIN);
	if (local >= 0)
		watch(local, EPOLL_CTL_ADD, EPOLLIN);
	for (;;) {
		n = epoll_wait(epfd, events, EVENTS_MAX, -1);
		for (i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			struct conn *c = conns[fd];

			if (fd == listener || fd == local)
				newcomers(fd);
			else if (c && c->left)
				writable(fd, c);
			else if (c && readable(fd, c) < 0)
				end(fd);
		}
	}
}
