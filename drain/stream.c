/* syslog over TCP and TLS. A connection has no answers: what is acknowledged of it is what TCP says. */
#include "drain/line.h"
#include "drain/outlet.h"
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#define ANSWERS_MAX                                                                      \
	(1u << 20) /* what a receiver may say on one connection; it is not read */
#define WATCH (EPOLLIN | EPOLLRDHUP)

struct stream {
	struct call *call;
	struct loop_io *io;
	struct loop_timer *stall;
	int fd;
	uint64_t said;
};

static uint64_t acknowledged(int fd)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0
		       ? info.tcpi_bytes_acked
		       : 0;
}

static uint64_t arrived(struct drain *d)
{
	const struct stream *s = d->way;

	return s ? acknowledged(s->fd) : 0;
}

/* All that was ever written: what is acknowledged, and what is not yet. */
static uint64_t written(int fd)
{
	uint64_t before, after = acknowledged(fd);
	int waiting = 0;

	for (int tries = 0; tries < 100; tries++) {
		before = after;
		if (ioctl(fd, SIOCOUTQ, &waiting) < 0)
			waiting = 0;
		after = acknowledged(fd);
		if (before == after)
			break;
	}
	return before + (uint64_t)waiting;
}

static void on_stall(void *arg)
{
	struct drain *d = arg;
	struct stream *s = d->way;

	s->stall = NULL;
	drain_failed(d, 0, "the receiver took nothing for %d s", STALL_MS / 1000);
}

static void go_on(struct drain *d)
{
	struct stream *s = d->way;
	char text[256];
	CURLcode code = CURLE_OK;

	loop_cancel(s->stall);
	s->stall = NULL;
	while (d->out_sent < d->out.len && code == CURLE_OK) {
		size_t n = 0;

		code = curl_easy_send(s->call->curl, d->out.data + d->out_sent,
			d->out.len - d->out_sent, &n);
		d->out_sent += n;
	}
	if (code == CURLE_OK) {
		loop_mod(s->io, WATCH);
		drain_handed(d, written(s->fd));
	} else if (code == CURLE_AGAIN) {
		loop_mod(s->io, WATCH | EPOLLOUT);
		s->stall = loop_after(d->outlet->loop, STALL_MS, on_stall, d);
	} else {
		call_error(s->call, code, text);
		drain_failed(d, 0, "the connection broke: %s", text);
	}
}

/* True: the connection stands. */
static bool take_answers(struct drain *d)
{
	struct stream *s = d->way;
	char block[8192];

	for (int i = 0; i < 8; i++) {
		size_t n = 0;
		CURLcode code = curl_easy_recv(s->call->curl, block, sizeof(block), &n);

		if (code == CURLE_AGAIN)
			return true;
		if (code != CURLE_OK || n == 0) {
			drain_closed(d, "the receiver closed the connection");
			return false;
		}
		s->said += n;
		if (s->said > ANSWERS_MAX) {
			drain_failed(d, 0,
				"what answers there is no syslog receiver: it sends, and "
				"does not stop");
			return false;
		}
	}
	return true;
}

static void on_ready(void *arg, uint32_t events)
{
	struct drain *d = arg;

	if (events & ~(uint32_t)EPOLLOUT && !take_answers(d))
		return;
	if (events & EPOLLOUT && d->phase == PHASE_SENDING)
		go_on(d);
}

static void on_connected(struct call *call, CURLcode code)
{
	struct drain *d = call->drain;
	struct stream *s = d->way;
	curl_socket_t fd = CURL_SOCKET_BAD;
	char text[256];

	if (code == CURLE_OK)
		curl_easy_getinfo(call->curl, CURLINFO_ACTIVESOCKET, &fd);
	if (fd != CURL_SOCKET_BAD)
		s->io = loop_add(d->outlet->loop, fd, WATCH, on_ready, d);
	s->fd = fd;
	if (s->io)
		drain_opened(d);
	else
		drain_failed(d, 0, "%s", call_error(call, code, text));
}

static void open_stream(struct drain *d)
{
	struct stream *s = calloc(1, sizeof(*s));
	char host[HOST_MAX_LEN + 3], url[DRAIN_URL_MAX];

	drain_url_host(&d->url, host);
	snprintf(url, sizeof(url), "%s://%s:%u",
		d->url.kind == DRAIN_TLS ? "https" : "http", host, d->url.port);
	d->way = s;
	if (s)
		s->call = call_new(d->outlet->net, d, url);
	if (!s || !s->call) {
		drain_failed(d, 0, "out of memory");
		return;
	}
	s->call->done = on_connected;
	s->call->tcp_limits = true;
	curl_easy_setopt(s->call->curl, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(s->call->curl, CURLOPT_SSL_ENABLE_ALPN, 0L);
	if (call_start(d->outlet->net, s->call) < 0)
		drain_failed(d, 0, "out of memory");
}

static void close_stream(struct drain *d)
{
	struct stream *s = d->way;

	if (!s)
		return;
	loop_cancel(s->stall);
	loop_del(s->io);
	call_free(d->outlet->net, s->call);
	free(s);
	d->way = NULL;
}

static void put(struct drain *d, const char *text, size_t len, const struct cursor *c)
{
	struct line l;

	line_parse(text, len, &l);
	line_syslog(&d->out, &l, d->outlet->host, c->log->name, false);
}

const struct transport transport_stream = {.open = open_stream,
	.send = go_on,
	.close = close_stream,
	.arrived = arrived,
	.put = put,
	.linger_ms = LINGER_MS,
	.batch_bytes = BATCH_BYTES};
