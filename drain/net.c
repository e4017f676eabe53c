/* libcurl on the loop. */
#include "drain/net.h"
#include "lib/io.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define SEND_BUFFER (256 << 10) /* what is under way in the kernel, a stream */

struct net {
	struct loop *loop;
	CURLM *multi;
	struct loop_timer *timer;
};
/* A socket that libcurl waits for. */
struct watch {
	struct net *net;
	curl_socket_t fd;
	struct loop_io *io;
};

static void take_ended(struct net *net)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(net->multi, &left))) {
		struct call *c = NULL;
		CURLcode code = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
		c->done(c, code);
	}
}

static void act(struct net *net, curl_socket_t fd, int what)
{
	int running;

	curl_multi_socket_action(net->multi, fd, what, &running);
	take_ended(net);
}

static void on_socket(void *arg, uint32_t events)
{
	struct watch *w = arg;

	act(w->net, w->fd,
		(events & EPOLLIN ? CURL_CSELECT_IN : 0) |
			(events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
			(events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0));
}

static void on_timer(void *arg)
{
	struct net *net = arg;

	net->timer = NULL;
	act(net, CURL_SOCKET_TIMEOUT, 0);
}

static int want_timer(CURLM *multi UNUSED, long ms, void *arg)
{
	struct net *net = arg;

	loop_cancel(net->timer);
	net->timer = ms < 0 ? NULL : loop_after(net->loop, (uint64_t)ms, on_timer, net);
	return 0;
}

static int want_socket(
	CURL *easy UNUSED, curl_socket_t fd, int what, void *arg, void *had)
{
	struct net *net = arg;
	struct watch *w = had;
	const uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
				(what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);

	if (what == CURL_POLL_REMOVE) {
		if (w)
			loop_del(w->io);
		free(w);
		curl_multi_assign(net->multi, fd, NULL);
		return 0;
	}
	if (w)
		return loop_mod(w->io, events);
	w = calloc(1, sizeof(*w));
	if (!w)
		return -1;
	*w = (struct watch){.net = net, .fd = fd};
	w->io = loop_add(net->loop, fd, events, on_socket, w);
	if (!w->io) {
		free(w);
		return -1;
	}
	curl_multi_assign(net->multi, fd, w);
	return 0;
}

/* ---- a socket ---- */

static void limit_stream(int fd)
{
	const int on = 1, buffer = SEND_BUFFER, idle = 60, often = 20;
	const unsigned int stall = STALL_MS;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &often, sizeof(often));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &stall, sizeof(stall));
}

/* For each address of the name, after it was looked up. */
static curl_socket_t open_socket(
	void *arg, curlsocktype purpose UNUSED, struct curl_sockaddr *a)
{
	struct call *c = arg;
	int fd;

	if (c->only_address && c->address_len)
		return CURL_SOCKET_BAD;
	if (a->addrlen > sizeof(c->address))
		return CURL_SOCKET_BAD;
	if (!drain_address_allowed(&a->addr, c->drain->local)) {
		if (!c->address_len)
			memcpy(&c->address, &a->addr, a->addrlen);
		c->refused = true;
		return CURL_SOCKET_BAD;
	}
	memcpy(&c->address, &a->addr, a->addrlen);
	c->address_len = a->addrlen;
	c->refused = false;
	if (c->only_address)
		return CURL_SOCKET_BAD;
	fd = socket(a->family, a->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->protocol);
	if (fd >= 0 && c->tcp_limits)
		limit_stream(fd);
	return fd < 0 ? CURL_SOCKET_BAD : fd;
}

/* Also a connection that another drain opened before, which may go where this one must not. */
static int before_request(
	void *arg, char *ip, char *own_ip UNUSED, int port UNUSED, int own_port UNUSED)
{
	struct call *c = arg;
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	} a = {.six = {0}};

	if (inet_pton(AF_INET, ip, &a.four.sin_addr) == 1)
		a.any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, ip, &a.six.sin6_addr) == 1)
		a.any.sa_family = AF_INET6;
	if (drain_address_allowed(&a.any, c->drain->local))
		return CURL_PREREQFUNC_OK;
	memcpy(&c->address, &a, sizeof(a));
	c->refused = true;
	return CURL_PREREQFUNC_ABORT;
}

/* ---- a call ---- */

void net_url(const struct drain_url *u, char out[NET_URL_MAX])
{
	char host[HOST_MAX_LEN + 3];

	drain_url_host(u, host);
	snprintf(out, NET_URL_MAX, "%s://%s:%u%s",
		u->kind == DRAIN_HTTPS ? "https" : "http", host, u->port, u->rest);
}

int net_open(struct loop *loop, struct net **ret)
{
	struct net *net = calloc(1, sizeof(*net));

	if (!net)
		return -ENOMEM;
	net->loop = loop;
	net->multi = curl_multi_init();
	if (!net->multi)
		return -ENOMEM;
	curl_multi_setopt(net->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(net->multi, CURLMOPT_SOCKETDATA, net);
	curl_multi_setopt(net->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(net->multi, CURLMOPT_TIMERDATA, net);
	*ret = net;
	return 0;
}

static void set_trust(CURL *curl, const struct drain *d)
{
	struct curl_blob ca = {
		.data = d->ca, .len = d->ca ? strlen(d->ca) : 0, .flags = CURL_BLOB_COPY};

	if (d->insecure) {
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (ca.len)
		curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &ca);
	curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
}

struct call *call_new(struct net *net UNUSED, struct drain *d, const char *url)
{
	struct call *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->drain = d;
	c->curl = curl_easy_init();
	if (!c->curl) {
		free(c);
		return NULL;
	}
	curl_easy_setopt(c->curl, CURLOPT_PRIVATE, c);
	curl_easy_setopt(c->curl, CURLOPT_URL, url);
	curl_easy_setopt(c->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c->curl, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->detail);
	curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	curl_easy_setopt(c->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c->curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(c->curl, CURLOPT_OPENSOCKETDATA, c);
	curl_easy_setopt(c->curl, CURLOPT_PREREQFUNCTION, before_request);
	curl_easy_setopt(c->curl, CURLOPT_PREREQDATA, c);
	set_trust(c->curl, d);
	return c;
}

int call_start(struct net *net, struct call *c)
{
	c->refused = false;
	c->address_len = 0;
	c->detail[0] = '\0';
	return curl_multi_add_handle(net->multi, c->curl) == CURLM_OK ? 0 : -ENOMEM;
}

void call_stop(struct net *net, struct call *c)
{
	curl_multi_remove_handle(net->multi, c->curl);
}

void call_free(struct net *net, struct call *c)
{
	if (!c)
		return;
	curl_multi_remove_handle(net->multi, c->curl);
	curl_easy_cleanup(c->curl);
	free(c);
}

static void format_address(const struct sockaddr_storage *a, char out[INET6_ADDRSTRLEN])
{
	const void *bytes =
		a->ss_family == AF_INET
			? (const void *)&((const struct sockaddr_in *)a)->sin_addr
			: (const void *)&((const struct sockaddr_in6 *)a)->sin6_addr;

	if (!inet_ntop(a->ss_family, bytes, out, INET6_ADDRSTRLEN))
		out[0] = '\0';
}

const char *call_error(const struct call *c, CURLcode code, char out[256])
{
	char address[INET6_ADDRSTRLEN];

	if (c->refused) {
		format_address(&c->address, address);
		snprintf(out, 256, "%.120s is %s, which drains do not reach%s",
			c->drain->url.host, address,
			c->drain->local
				? ""
				: " (loopback: only where root on the host adds it)");
	} else {
		snprintf(out, 256, "%.250s",
			c->detail[0] ? c->detail : curl_easy_strerror(code));
	}
	return out;
}
