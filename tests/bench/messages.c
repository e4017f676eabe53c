/*
 * WebSocket messages there and back: CONNS connections through a proxy, one message of 64 bytes under way on each.
 * usage: messages PORT HOST CONNS SECONDS        prints how many came back, and their 50th and 99th percentile in us
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNS_MAX 1024
#define FRAME 70u /* masked: 2 + 4 + 64 bytes */
#define SLOTS 1000000u

static struct conn {
	int fd;
	unsigned int back;
	uint64_t sent_ns;
} conns[CONNS_MAX];
static uint32_t histogram[SLOTS + 1]; /* by microsecond */
static uint64_t total;
static char frame[FRAME] = "\x82\xc0";

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void ask(struct conn *c)
{
	c->back = 0;
	c->sent_ns = now_ns();
	if (send(c->fd, frame, FRAME, MSG_NOSIGNAL) != FRAME)
		die("send");
}

/* The handshake; what comes after its head is nobody's yet. */
static void shake(struct conn *c, int port, const char *host)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char buf[2048];
	int n, one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(c->fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die("connect");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	n = snprintf(buf, sizeof(buf),
		"GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: "
		"websocket\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
		host);
	if (send(c->fd, buf, (size_t)n, 0) != n)
		die("send");
	for (n = 0; !memmem(buf, (size_t)n, "\r\n\r\n", 4);) {
		ssize_t r = n < (int)sizeof(buf)
				    ? recv(c->fd, buf + n, sizeof(buf) - (size_t)n, 0)
				    : 0;

		if (r <= 0)
			die("handshake");
		n += (int)r;
	}
	if (!memmem(buf, (size_t)n, " 101 ", 5)) {
		fprintf(stderr, "not switched: %.*s\n", n, buf);
		exit(1);
	}
}

static void hear(struct conn *c)
{
	char buf[FRAME];
	ssize_t n = recv(c->fd, buf, FRAME - c->back, 0);
	uint64_t us;

	if (n <= 0)
		die("recv");
	c->back += (unsigned int)n;
	if (c->back < FRAME)
		return;
	us = (now_ns() - c->sent_ns) / 1000;
	histogram[us < SLOTS ? us : SLOTS]++;
	total++;
	ask(c);
}

static unsigned int percentile(unsigned int p)
{
	uint64_t want = total * p / 100, sum = 0;
	unsigned int i;

	for (i = 0; i < SLOTS && (sum += histogram[i]) <= want;)
		i++;
	return i;
}

int main(int argc, char **argv)
{
	struct epoll_event events[64];
	uint64_t end;
	long n, i;
	int epfd = epoll_create1(0);

	if (argc != 5 || (n = strtol(argv[3], NULL, 10)) < 1 || n > CONNS_MAX)
		return 2;
	for (i = 0; i < n; i++) {
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &conns[i]};

		shake(&conns[i], (int)strtol(argv[1], NULL, 10), argv[2]);
		epoll_ctl(epfd, EPOLL_CTL_ADD, conns[i].fd, &e);
	}
	end = now_ns() + (uint64_t)strtol(argv[4], NULL, 10) * 1000000000;
	for (i = 0; i < n; i++)
		ask(&conns[i]);
	while (now_ns() < end) {
		int r = epoll_wait(epfd, events, 64, 100);

		for (int k = 0; k < r; k++)
			hear(events[k].data.ptr);
	}
	printf("%llu %u %u\n", (unsigned long long)total, percentile(50), percentile(99));
	return 0;
}
