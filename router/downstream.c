/* Client connections: accepting, collecting a head, what happens between requests. */
#include "router/h2.h"
#include "router/tls.h"
#include "router/worker.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define ACCEPT_TURNS 16
#define LINGER_READS 64

void downstream_deadline(struct downstream *c, uint64_t ms_from_now)
{
	wheel_set(&c->w->wheel, &c->timer, c->w->now_ms + ms_from_now);
}

static void dead_event(struct worker *w, struct ev *ev, uint32_t events)
{
	(void)w, (void)ev, (void)events;
}

void downstream_close(struct downstream *c)
{
	struct worker *w = c->w;

	if (c->via == VIA_STREAM) {
		h2_stream_close(c);
		return;
	}
	if (c->h2)
		h2_free(c);
	wheel_del(&w->wheel, &c->timer);
	if (c->ssl)
		tls_free(c);
	close(c->ev.fd);
	c->ev.fd = -1;
	c->ev.fn = dead_event;
	c->state = CLIENT_CLOSED;
	*c->prev = c->next;
	w->n_clients--;
	if (c->next)
		c->next->prev = c->prev;
	pending_free(&c->in);
	pending_free(&c->out);
	if (!c->again) /* else downstream_run_again lets go of it */
		slab_put(&w->client_slab, c);
}

void downstream_again(struct downstream *c)
{
	if (c->again)
		return;
	c->again = true;
	c->again_next = c->w->again;
	c->w->again = c;
}

int downstream_send_raw(struct downstream *c, const char *p, size_t n)
{
	ssize_t sent = 0;

	if (pending_any(&c->out))
		return pending_append(&c->out, p, n);
	while (n) {
		sent = send(c->ev.fd, p, n, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? pending_set(&c->out, p, n) : -errno;
		p += sent;
		n -= (size_t)sent;
	}
	return 0;
}

int downstream_send(struct downstream *c, const char *p, size_t n)
{
	switch (c->via) {
	case VIA_SOCKET:
		return downstream_send_raw(c, p, n);
	case VIA_TLS:
		return tls_send(c, p, n);
	default:
		return h2_stream_send(c, p, n);
	}
}

ssize_t downstream_receive(struct downstream *c, char *p, size_t size)
{
	ssize_t n;

	if (c->via != VIA_SOCKET)
		return c->via == VIA_TLS ? tls_receive(c, p, size)
					 : h2_stream_receive(c, p, size);
	n = recv(c->ev.fd, p, size, 0);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			c->readable = errno == EINTR;
		return errno == EINTR ? -EAGAIN : -errno;
	}
	if ((size_t)n < size && !c->eof)
		c->readable = false;
	return n;
}

size_t downstream_room(const struct downstream *c)
{
	uint32_t m[SK_MEMINFO_VARS];
	struct tcp_info info;
	socklen_t size = sizeof(m), info_size = sizeof(info);
	size_t room;

	if (getsockopt(c->ev.fd, SOL_SOCKET, SO_MEMINFO, m, &size) < 0 ||
		getsockopt(c->ev.fd, IPPROTO_TCP, TCP_INFO, &info, &info_size) < 0 ||
		m[SK_MEMINFO_WMEM_QUEUED] > m[SK_MEMINFO_SNDBUF] ||
		info.tcpi_notsent_bytes > UNSENT_MAX)
		return HOT_SIZE;
	room = m[SK_MEMINFO_SNDBUF] - m[SK_MEMINFO_WMEM_QUEUED];
	if (room > UNSENT_MAX - info.tcpi_notsent_bytes)
		room = UNSENT_MAX - info.tcpi_notsent_bytes;
	return room < HOT_SIZE ? HOT_SIZE : room < WIDE_SIZE ? room : WIDE_SIZE;
}

void downstream_trailers(struct downstream *c, const struct buf *lines)
{
	if (c->via == VIA_STREAM)
		h2_stream_trailers(c, lines);
}

void downstream_shut(struct downstream *c)
{
	if (c->via == VIA_STREAM) {
		h2_stream_shut(c);
		return;
	}
	if (c->via == VIA_TLS)
		tls_close_notify(c);
	shutdown(c->ev.fd, SHUT_WR);
}

/*
 * Everything is said: close, after reading what the client still sends so that no reset
 * is sent.
 */
static void downstream_linger(struct downstream *c)
{
	if (c->via == VIA_STREAM) {
		h2_stream_end(c);
		return;
	}
	if (c->h2)
		h2_free(c);
	c->state = CLIENT_LINGER;
	c->acked = 0;
	pending_free(&c->in);
	downstream_deadline(c, LINGER_MS);
	if (pending_any(&c->out))
		return;
	downstream_shut(c);
	downstream_again(c);
}

void downstream_next(struct downstream *c, bool keep_alive)
{
	if (c->via == VIA_STREAM) {
		h2_stream_end(c);
		return;
	}
	if (!keep_alive || c->w->stopping) {
		if (c->readable || c->in.len || c->via == VIA_TLS)
			downstream_linger(c);
		else
			downstream_close(c);
		return;
	}
	c->state = CLIENT_IDLE;
	downstream_deadline(c, c->in.len ? HEAD_MS : CLIENT_IDLE_MS);
	c->rest = c->in.len > 0;
	if (c->rest || c->readable)
		downstream_again(c);
}

static void refuse(struct downstream *c, unsigned int status, bool head)
{
	respond_page(c, status, (struct page){0}, head, false);
	c->readable = true; /* whatever follows is not a request */
	downstream_linger(c);
}

static bool method_is(const struct http_head *h, const char *p, const char *name)
{
	return h->method_len == strlen(name) &&
	       !memcmp(p + h->method, name, h->method_len);
}

/* RFC 9110 9.2.2: these may be sent twice. */
static bool idempotent(const struct http_head *h, const char *p)
{
	return method_is(h, p, "GET") || method_is(h, p, "HEAD") ||
	       method_is(h, p, "PUT") || method_is(h, p, "DELETE") ||
	       method_is(h, p, "OPTIONS");
}

/* A whole head is at p, n bytes in all. */
static void start(struct downstream *c, const char *p, size_t n)
{
	const struct http_head *h = &c->w->head;
	struct exchange *x;
	ssize_t took;

	x = exchange_new(c);
	if (!x) {
		refuse(c, 503, method_is(h, p, "HEAD"));
		return;
	}
	c->state = CLIENT_BUSY;
	x->is_head = method_is(h, p, "HEAD");
	x->idempotent = idempotent(h, p);
	x->keep_alive = h->keep_alive;
	x->stays = h->keep_alive;
	x->minor0 = !h->minor;
	x->upgrade = h->upgrade;
	x->ours = h->has_hops && !h->hops;
	body_init(&x->req, h->body, h->length);
	x->req.chunk.strict = true;
	took = body_take(&x->req, p + h->len, n - h->len);
	if (took < 0) {
		exchange_refuse(x, 400, H_NONE);
		return;
	}
	if (pending_set(&c->in, p + h->len + took, n - h->len - (size_t)took) < 0 ||
		rewrite_request(x, h, p, (size_t)took) < 0) {
		exchange_fail(x, H99);
		return;
	}
	exchange_dispatch(x);
}

static void start_h2(struct downstream *c, const char *p, size_t n)
{
	if (h2_start(c, p, n) < 0)
		downstream_close(c);
	else if (c->readable)
		downstream_again(c);
}

/* RFC 9113 3.3: whoever knows beforehand may say so. The parser refuses it at its version, whatever else has come. */
static bool is_preface(const char *p, size_t n)
{
	size_t len = n < H2_PREFACE_LEN ? n : H2_PREFACE_LEN;

	return !memcmp(p, H2_PREFACE, len);
}

/* n bytes in the hot buffer, of which `old` were there before and made no head. */
static void parse(struct downstream *c, const char *p, size_t n, size_t old)
{
	int r = 0;

	/*
	 * a line end must come before anything new can be said: bytes that drip cost no
	 * parsing
	 */
	if (!old || n >= HTTP_HEAD_MAX || memchr(p + old, '\n', n - old))
		r = http_parse_request(p, n, &c->w->head);
	if (r < 0 && is_preface(p, n)) {
		if (n >= H2_PREFACE_LEN) {
			start_h2(c, p, n);
			return;
		}
		r = 0; /* its end decides */
	}
	if (r < 0) {
		refuse(c, (unsigned int)-r, method_is(&c->w->head, p, "HEAD"));
	} else if (r > 0) {
		start(c, p, n);
	} else if (pending_set(&c->in, p, n) < 0) {
		downstream_close(c);
	} else {
		if (!old)
			downstream_deadline(c, HEAD_MS);
		if (c->readable)
			downstream_again(c);
	}
}

void downstream_head(struct downstream *c, const char *p, int n)
{
	int r = n < 0 ? n : http_parse_request(p, (size_t)n, &c->w->head);

	if (r > 0)
		start(c, p, (size_t)n);
	else
		refuse(c, r < 0 ? (unsigned int)-r : 400, false);
}

static void read_head(struct downstream *c)
{
	char *hot = c->w->hot;
	size_t old = c->in.len;
	ssize_t n;

	if (old)
		memcpy(hot, c->in.data, old);
	n = downstream_receive(c, hot + old, HOT_SIZE - old);
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		downstream_close(c);
		return;
	}
	pending_free(&c->in);
	parse(c, hot, old + (size_t)n, old);
}

/* Bytes that came with the request before. */
static void parse_rest(struct downstream *c)
{
	char *hot = c->w->hot;
	size_t n = c->in.len;

	c->rest = false;
	memcpy(hot, c->in.data, n);
	pending_free(&c->in);
	parse(c, hot, n, 0);
}

static void shake(struct downstream *c)
{
	bool h2 = false;
	int r;

	if (c->w->handshakes >= TLS_TURN_MAX) {
		downstream_again(c);
		return;
	}
	c->w->handshakes++;
	r = tls_handshake(c, &h2);
	if (r == -EAGAIN)
		return;
	if (r < 0) {
		c->readable = true;
		downstream_linger(c);
		return;
	}
	c->state = CLIENT_IDLE;
	downstream_deadline(c, HEAD_MS);
	if (h2) {
		start_h2(c, NULL, 0);
		return;
	}
	read_head(c); /* the request may have come together with the last of it */
}

static void linger_read(struct downstream *c)
{
	ssize_t n = 1;
	int i;

	for (i = 0; i < LINGER_READS && n > 0; i++)
		n = recv(c->ev.fd, c->w->hot, HOT_SIZE, 0);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		downstream_close(c);
	else if (n > 0)
		downstream_again(c);
}

static void downstream_read(struct downstream *c)
{
	switch (c->state) {
	case CLIENT_IDLE:
		if (!c->rest) /* else its turn comes in this round */
			read_head(c);
		break;
	case CLIENT_SHAKE:
		shake(c);
		break;
	case CLIENT_H2:
		h2_read(c);
		break;
	case CLIENT_BUSY:
		pump_up(c->x);
		break;
	default:
		if (!pending_any(&c->out))
			linger_read(c);
	}
}

static void downstream_gone(struct downstream *c)
{
	if (c->x)
		exchange_abort(c->x, H27);
	else
		downstream_close(c);
}

/* The socket takes bytes again. False when c was closed or has changed hands. */
static bool downstream_writable(struct downstream *c)
{
	int r = pending_flush(&c->out, c->ev.fd);

	if (r == -EAGAIN)
		return true;
	if (r < 0) {
		downstream_gone(c);
		return false;
	}
	if (c->x) {
		exchange_continue(c->x);
		return false;
	}
	if (c->state == CLIENT_H2)
		h2_writable(c);
	if (c->state == CLIENT_LINGER)
		downstream_shut(c);
	return true;
}

static void downstream_event(struct worker *w, struct ev *ev, uint32_t events)
{
	struct downstream *c = (struct downstream *)ev;

	(void)w;
	if (events & EPOLLERR) {
		downstream_gone(c);
		return;
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP))
		c->readable = true;
	if (events & (EPOLLRDHUP | EPOLLHUP))
		c->eof = true;
	/* who leaves the API takes back what can be: its silent answers must not hide that */
	if (c->eof && c->x && c->x->app == TABLE_API && c->x->req.done) {
		downstream_gone(c);
		return;
	}
	if (pending_any(&c->out) && (events & (EPOLLOUT | EPOLLHUP)) &&
		!downstream_writable(c))
		return;
	if (c->readable)
		downstream_read(c);
}

void downstream_run_again(struct worker *w)
{
	struct downstream *c = w->again, *next;

	w->again = NULL;
	w->handshakes = 0;
	for (; c; c = next) {
		next = c->again_next;
		c->again = false;
		if (c->via == VIA_STREAM && h2_stream_run(c))
			continue;
		if (c->state == CLIENT_CLOSED)
			slab_put(&w->client_slab, c);
		else if (c->state == CLIENT_BUSY)
			exchange_continue(c->x);
		else if (c->state == CLIENT_IDLE && c->rest)
			parse_rest(c);
		else
			downstream_read(c);
	}
}

/* Between requests: whoever speaks TLS is told that this is the end (RFC 8446 6.1). */
static void close_quiet(struct downstream *c)
{
	if (c->state == CLIENT_IDLE && c->via == VIA_TLS && !pending_any(&c->out))
		tls_close_notify(c);
	downstream_close(c);
}

/* What the kernel holds for a lingering client: a reset would lose it. */
static bool all_taken(const struct downstream *c, uint32_t *ret_acked)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (getsockopt(c->ev.fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
		return true;
	*ret_acked = (uint32_t)info.tcpi_bytes_acked;
	return !info.tcpi_unacked && !info.tcpi_notsent_bytes;
}

/* A slow client takes some still. */
static bool linger_on(struct downstream *c)
{
	uint32_t acked;

	if (all_taken(c, &acked) || acked == c->acked)
		return false;
	c->acked = acked;
	downstream_deadline(c, LINGER_MS);
	return true;
}

static void downstream_timeout(void *arg)
{
	struct downstream *c = arg;

	if (c->state == CLIENT_LINGER && linger_on(c))
		return;
	if (c->x)
		exchange_timeout(c->x);
	else if (c->state == CLIENT_IDLE && c->in.len)
		refuse(c, 408, false);
	else if (c->state == CLIENT_H2)
		h2_timeout(c);
	else
		close_quiet(c);
}

static void set_address(struct downstream *c, const struct sockaddr_storage *ss)
{
	const void *addr = &((const struct sockaddr_in *)ss)->sin_addr;
	int family = ss->ss_family;

	if (family == AF_INET6) {
		const struct in6_addr *a = &((const struct sockaddr_in6 *)ss)->sin6_addr;

		addr = a;
		if (IN6_IS_ADDR_V4MAPPED(a)) {
			family = AF_INET;
			addr = a->s6_addr + 12;
		}
	}
	if (!inet_ntop(family, addr, c->ip, sizeof(c->ip)))
		memcpy(c->ip, "0.0.0.0", 8);
	c->ip_len = (uint8_t)strlen(c->ip);
}

void downstream_init(struct downstream *c, struct worker *w)
{
	c->ev = (struct ev){dead_event, -1};
	c->w = w;
	c->timer.fn = downstream_timeout;
	c->timer.arg = c;
}

static void add_client(struct worker *w, const struct listener *l, int fd,
	const struct sockaddr_storage *ss)
{
	struct downstream *c = slab_get(&w->client_slab);

	if (!c) {
		close(fd);
		return;
	}
	memset(c, 0, sizeof(*c));
	downstream_init(c, w);
	c->ev = (struct ev){downstream_event, fd};
	c->port = l->port;
	if (l->tls) {
		c->via = VIA_TLS;
		c->state = CLIENT_SHAKE;
	}
	set_address(c, ss);
	c->next = w->clients;
	if (c->next)
		c->next->prev = &c->next;
	c->prev = &w->clients;
	w->clients = c;
	w->n_clients++;
	downstream_deadline(c, HEAD_MS);
	if (worker_watch(w, &c->ev) < 0)
		downstream_close(c);
}

/*
 * Out of descriptors: one is given up so that the newcomer can be turned away, not left
 * waiting.
 */
static void shed(struct worker *w, int listener)
{
	if (w->spare_fd < 0)
		return;
	close(w->spare_fd);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	w->spare_fd = eventfd(0, EFD_CLOEXEC);
}

void downstream_accept(struct worker *w, struct ev *ev, uint32_t events)
{
	struct listener *l = (struct listener *)ev;
	int i;

	(void)events;
	for (i = 0; i < ACCEPT_TURNS; i++) {
		struct sockaddr_storage ss = {0};
		socklen_t len = sizeof(ss);
		int fd = accept4(ev->fd, (struct sockaddr *)&ss, &len,
			SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= w->fd_high && !backend_reclaim(w))
			close(fd);
		else if (fd >= 0)
			add_client(w, l, fd, &ss);
		else if (errno == EMFILE || errno == ENFILE)
			shed(w, ev->fd);
		if (fd < 0 && errno != ECONNABORTED)
			return;
	}
}

/* A request may have arrived that was not read yet: it is still served. */
static void stop_idle(struct downstream *c)
{
	if (c->readable)
		return; /* its turn comes in this round */
	c->readable = true;
	read_head(c);
	if (c->ev.fd >= 0 && c->state == CLIENT_IDLE && !c->readable && !c->in.len)
		close_quiet(c);
}

void downstream_stop_all(struct worker *w)
{
	struct downstream *c, *next;

	for (c = w->clients; c; c = next) {
		next = c->next;
		if (c->state == CLIENT_IDLE && !c->in.len)
			stop_idle(c);
		else if (c->state == CLIENT_H2)
			h2_goaway(c, true);
	}
}

void downstream_leave_all(struct worker *w)
{
	struct downstream *c;

	for (c = w->clients; c; c = c->next)
		if (c->state == CLIENT_H2)
			h2_goaway(c, false);
}

bool downstream_any_busy(const struct worker *w)
{
	const struct downstream *c;
	uint32_t acked;

	for (c = w->clients; c; c = c->next)
		if ((c->state == CLIENT_H2 && h2_busy(c)) ||
			(w->patient && c->state == CLIENT_IDLE && c->in.len) ||
			(c->state == CLIENT_LINGER &&
				(pending_any(&c->out) || !all_taken(c, &acked))))
			return true;
	return false;
}
