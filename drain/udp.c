/* syslog over UDP (RFC 5426): a message a datagram. Nobody says what arrives; that nobody listens is told by some hosts. */
#include "drain/line.h"
#include "drain/outlet.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define PACE_MS 5 /* between batches, which fit into a receiver's usual buffer: 3 MB/s */
#define PACE_BYTES ((size_t)16 << 10)

struct udp {
	struct call *call; /* while the name is looked up */
	struct loop_io *io;
	int fd;
};

/* The messages of the batch have their lengths before them, as on a stream. */
static void go_on(struct drain *d)
{
	struct udp *u = d->way;

	while (d->out_sent < d->out.len) {
		char *end;
		const char *at = d->out.data + d->out_sent;
		const unsigned long len = strtoul(at, &end, 10);
		const size_t head = (size_t)(end - at) + 1;
		ssize_t n = send(u->fd, end + 1, len, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
			loop_mod(u->io, EPOLLOUT);
			return;
		}
		if (n < 0) {
			drain_failed(d, 0, "cannot send to %.100s: %s", d->url.host,
				strerror(errno));
			return;
		}
		d->out_sent += head + len;
	}
	loop_mod(u->io, 0);
	drain_handed(d, 0);
}

static void on_ready(void *arg, uint32_t events)
{
	struct drain *d = arg;
	struct udp *u = d->way;
	int error = 0;
	socklen_t size = sizeof(error);

	if (events & EPOLLERR &&
		getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error)
		drain_closed(d, strerror(error));
	else if (d->phase == PHASE_SENDING)
		go_on(d);
}

static void on_found(struct call *call, CURLcode code)
{
	struct drain *d = call->drain;
	struct udp *u = d->way;
	char text[256];

	if (!call->address_len) {
		drain_failed(d, 0, "%s", call_error(call, code, text));
		return;
	}
	u->fd = socket(
		call->address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (u->fd < 0 || connect(u->fd, (const struct sockaddr *)&call->address,
				 call->address_len) < 0) {
		drain_failed(
			d, 0, "cannot send to %.100s: %s", d->url.host, strerror(errno));
		return;
	}
	call_free(d->outlet->net, call);
	u->call = NULL;
	u->io = loop_add(d->outlet->loop, u->fd, 0, on_ready, d);
	if (u->io)
		drain_opened(d);
	else
		drain_failed(d, 0, "out of memory");
}

static void open_udp(struct drain *d)
{
	struct udp *u = calloc(1, sizeof(*u));
	char host[HOST_MAX_LEN + 3], url[DRAIN_URL_MAX];

	drain_url_host(&d->url, host);
	snprintf(url, sizeof(url), "http://%s:%u", host, d->url.port);
	d->way = u;
	if (u) {
		u->fd = -1;
		u->call = call_new(d->outlet->net, d, url);
	}
	if (!u || !u->call) {
		drain_failed(d, 0, "out of memory");
		return;
	}
	u->call->done = on_found;
	u->call->only_address = true;
	if (call_start(d->outlet->net, u->call) < 0)
		drain_failed(d, 0, "out of memory");
}

static void close_udp(struct drain *d)
{
	struct udp *u = d->way;

	if (!u)
		return;
	call_free(d->outlet->net, u->call);
	loop_del(u->io);
	if (u->fd >= 0)
		close(u->fd);
	free(u);
	d->way = NULL;
}

static void put(struct drain *d, const char *text, size_t len, const struct cursor *c)
{
	struct line l;

	line_parse(text, len, &l);
	line_syslog(&d->out, &l, d->outlet->host, c->log->name, true);
}

const struct transport transport_udp = {.open = open_udp,
	.send = go_on,
	.close = close_udp,
	.put = put,
	.linger_ms = LINGER_MS,
	.pace_ms = PACE_MS,
	.batch_bytes = PACE_BYTES};
