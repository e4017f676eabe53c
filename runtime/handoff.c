/* The descriptors that outlive every process of berth. */
#include "runtime/handoff.h"
#include "lib/buf.h"
#include "lib/io.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define PAIR_BUFFER                                                                      \
	(8 << 20) /* hundreds of the largest message wait while a daemon restarts */
#define LOG_PIPE_SIZE (1 << 20)
#define LISTEN_BACKLOG 4096
#define LOCK_TRIES 50 /* a second */

static unsigned int group_size(const struct handoff *h)
{
	return HANDOFF_ROUTER_FIXED + h->n_addrs;
}

unsigned int handoff_count(const struct handoff *h)
{
	return HANDOFF_FIXED + h->n_workers * group_size(h);
}

int handoff_router_fd(
	const struct handoff *h, unsigned int worker, enum handoff_router_fd which)
{
	return h->fds[HANDOFF_FIXED + worker * group_size(h) + which];
}

int handoff_listener(const struct handoff *h, unsigned int worker, unsigned int addr)
{
	return h->fds[HANDOFF_FIXED + worker * group_size(h) + HANDOFF_ROUTER_FIXED +
		      addr];
}

static int lock_path(const struct settings *s, char *out, size_t size)
{
	int n = snprintf(out, size, "%s/berthd.lock", s->run);

	return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

int handoff_lock(const struct settings *s, struct err *e)
{
	char path[SETTINGS_PATH_MAX + 32];
	int fd autoclose = -1;
	int r = lock_path(s, path, sizeof(path));
	bool held = true;

	if (r < 0)
		return err_sys(e, -r, "run folder");
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(e, errno, "cannot open %s", path);
	/* A killed berthd's child between fork and exec may hold it a moment longer. */
	for (int i = 0; i < LOCK_TRIES && (held = flock(fd, LOCK_EX | LOCK_NB) < 0); i++)
		usleep(20000);
	if (held)
		return err_set(e, EBUSY,
			"another berthd runs on %s; stop it with: berthd --run %s --stop",
			s->run, s->run);
	return TAKE_FD(fd);
}

int handoff_lock_test(const struct settings *s)
{
	char path[SETTINGS_PATH_MAX + 32];
	int fd autoclose = -1;
	int r = lock_path(s, path, sizeof(path));

	if (r < 0)
		return r;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return 0;
}

static int make_pair(int fds[2], struct err *e)
{
	int size = PAIR_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) <
		0)
		return err_sys(e, errno, "socketpair");
	for (int i = 0; i < 2; i++)
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) <
			0)
			(void)setsockopt(
				fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

static int make_log_pipe(struct handoff *h, struct err *e)
{
	int fds[2];

	/* Nonblocking for both sides: a stuck logger must not stop the router. */
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(e, errno, "pipe");
	(void)fcntl(fds[1], F_SETPIPE_SZ, LOG_PIPE_SIZE);
	h->fds[HANDOFF_LOG_READ] = fds[0];
	h->fds[HANDOFF_LOG_WRITE] = fds[1];
	return 0;
}

static int cannot_listen(const char *what, struct err *e)
{
	return err_sys(e, errno,
		"cannot listen on %s (choose another address with --http or --https)",
		what);
}

/* shared: with other sockets of this user that say so too. */
static int bind_to(
	struct sockaddr *sa, socklen_t len, int shared, const char *what, struct err *e)
{
	int fd autoclose =
		socket(sa->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	if (fd < 0)
		return err_sys(e, errno, "socket for %s", what);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &shared, sizeof(shared)) < 0 ||
		(sa->sa_family == AF_INET6 &&
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0))
		return err_sys(e, errno, "socket options for %s", what);
	if (bind(fd, sa, len) < 0)
		return cannot_listen(what, e);
	return TAKE_FD(fd);
}

static int listen_on(struct sockaddr *sa, socklen_t len, const char *what, struct err *e)
{
	int fd autoclose = bind_to(sa, len, 1, what, e);

	if (fd >= 0 && listen(fd, LISTEN_BACKLOG) < 0)
		return cannot_listen(what, e);
	return TAKE_FD(fd);
}

/* "HOST:PORT" or "[HOST]:PORT", numbers only: no name is ever looked up. */
static int parse_address(
	const char *text, struct sockaddr_storage *sa, socklen_t *len, struct err *e)
{
	char host[64];
	const char *colon = strrchr(text, ':');
	const char *start = text, *end = colon;
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM};
	struct addrinfo *list = NULL;

	if (colon && *text == '[' && colon > text + 1 && colon[-1] == ']') {
		start++;
		end--;
	}
	if (!colon || end == start || (size_t)(end - start) >= sizeof(host))
		return err_set(e, EINVAL, "\"%s\" is not HOST:PORT", text);
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	if (getaddrinfo(host, colon + 1, &hints, &list) != 0 || !list)
		return err_set(e, EINVAL, "\"%s\" is not a numeric HOST:PORT", text);
	memcpy(sa, list->ai_addr, list->ai_addrlen);
	*len = list->ai_addrlen;
	freeaddrinfo(list);
	return 0;
}

/* The workers' listeners share their port with each other, and so with those of another
 * berthd. A socket that shares it with nobody cannot be bound while anybody listens. */
static int check_free(const char *text, struct err *e)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int fd autoclose = -1;
	int r = parse_address(text, &sa, &len, e);

	if (r < 0)
		return r;
	fd = bind_to((struct sockaddr *)&sa, len, 0, text, e);
	return fd < 0 ? fd : 0;
}

/* One address, one listener for each router worker. */
static int make_listeners(
	struct handoff *h, unsigned int addr, const char *text, struct err *e)
{
	struct sockaddr_storage sa;
	socklen_t len;
	int r = parse_address(text, &sa, &len, e);

	for (unsigned int w = 0; r >= 0 && w < h->n_workers; w++) {
		r = listen_on((struct sockaddr *)&sa, len, text, e);
		if (r < 0)
			break;
		h->fds[HANDOFF_FIXED + w * group_size(h) + HANDOFF_ROUTER_FIXED + addr] =
			r;
		/* Port 0: the others take the port that the first one got. */
		len = sizeof(sa);
		if (getsockname(r, (struct sockaddr *)&sa, &len) < 0)
			r = err_sys(e, errno, "getsockname");
	}
	return r < 0 ? r : 0;
}

static bool host_lacks_ipv6(const char *text)
{
	int fd;

	if (text[0] != '[')
		return false;
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno == EAFNOSUPPORT;
	close(fd);
	return access("/proc/net/if_inet6", F_OK) < 0;
}

/* Splits in place; `n` are there already. How many in all, or -E2BIG. */
static int split_addresses(char *text, const char *out[HANDOFF_ADDRS_MAX], int n)
{

	for (char *p = text, *comma; p; p = comma ? comma + 1 : NULL) {
		comma = strchr(p, ',');
		if (comma)
			*comma = '\0';
		if (host_lacks_ipv6(p))
			continue;
		if (n == HANDOFF_ADDRS_MAX)
			return -E2BIG;
		out[n++] = p;
	}
	return n;
}

static int make_api_socket(struct handoff *h, const struct settings *s, struct err *e)
{
	char path[SETTINGS_PATH_MAX + 32];
	int fd;

	snprintf(path, sizeof(path), "%s/api.sock", s->run);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(e, errno, "cannot remove the old %s", path);
	/* Anybody may connect: control decides by the peer's credentials. */
	fd = io_unix_listen(path, SOCK_STREAM, 0666);
	if (fd < 0)
		return err_sys(e, -fd, "cannot listen on %s", path);
	h->fds[HANDOFF_API] = fd;
	return io_set_nonblock(fd, true);
}

static int make_router_group(struct handoff *h, unsigned int w, struct err *e)
{
	int *group = &h->fds[HANDOFF_FIXED + w * group_size(h)];
	int r = make_pair(&group[HANDOFF_ROUTER_OURS], e);

	return r < 0 ? r : make_pair(&group[HANDOFF_TABLE_CONTROL], e);
}

static int split_settings(const char *addrs[HANDOFF_ADDRS_MAX], char *http, char *https,
	struct handoff *h, struct err *e)
{
	int plain = split_addresses(http, addrs, 0), all = plain;

	if (plain > 0 && strcmp(https, "none") != 0)
		all = split_addresses(https, addrs, plain);
	if (plain < 1 || all < 1)
		return err_set(e, EINVAL,
			"--http needs an address; with --https at most %d",
			HANDOFF_ADDRS_MAX);
	h->n_addrs = (unsigned int)all;
	h->n_tls = (unsigned int)(all - plain);
	return 0;
}

int handoff_make(struct handoff *h, const struct settings *s, int lock, struct err *e)
{
	char http[SETTINGS_HTTP_MAX], https[SETTINGS_HTTP_MAX];
	const char *addrs[HANDOFF_ADDRS_MAX];
	int r;

	*h = (struct handoff){.generation = io_now_us() * 1000, .n_workers = s->workers};
	memset(h->fds, -1, sizeof(h->fds));
	h->fds[HANDOFF_LOCK] = lock;
	memcpy(http, s->http, sizeof(http));
	memcpy(https, s->https, sizeof(https));
	if ((r = split_settings(addrs, http, https, h, e)) < 0 ||
		(r = make_pair(&h->fds[HANDOFF_CONTROL_OURS], e)) < 0 ||
		(r = make_pair(&h->fds[HANDOFF_LOGGER_OURS], e)) < 0 ||
		(r = make_log_pipe(h, e)) < 0)
		return r;
	for (unsigned int w = 0; w < h->n_workers; w++)
		if ((r = make_router_group(h, w, e)) < 0)
			return r;
	for (unsigned int a = 0; a < h->n_addrs; a++)
		if ((r = check_free(addrs[a], e)) < 0)
			return r;
	for (unsigned int a = 0; a < h->n_addrs; a++)
		if ((r = make_listeners(h, a, addrs[a], e)) < 0)
			return r;
	return make_api_socket(h, s, e);
}

int handoff_to_env(const struct handoff *h)
{
	autobuf b = BUF_INIT;

	buf_addf(&b, "%llu %u %u %u", (unsigned long long)h->generation, h->n_workers,
		h->n_addrs, h->n_tls);
	for (unsigned int i = 0; i < handoff_count(h); i++) {
		buf_addf(&b, " %d", h->fds[i]);
		if (io_set_cloexec(h->fds[i], false) < 0)
			return -EBADF;
	}
	if (b.failed)
		return -ENOMEM;
	return setenv(HANDOFF_ENV, b.data, 1) < 0 ? -errno : 0;
}

int handoff_format_write(const struct settings *s)
{
	static const char text[] = {'0' + HANDOFF_FORMAT, '\n'};
	int dir autoclose = open(s->run, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return dir < 0 ? -errno
		       : io_replace_file(dir, "handoff", text, sizeof(text), 0644);
}

int handoff_format_read(const struct settings *s)
{
	char path[SETTINGS_PATH_MAX + 32];
	autobuf b = {.max = 16};
	int r;

	snprintf(path, sizeof(path), "%s/handoff", s->run);
	r = io_read_file(AT_FDCWD, path, &b);
	return r < 0 ? r : b.len == 2 && b.data[1] == '\n' ? b.data[0] - '0' : -EPROTO;
}

static int parse_number(const char **p, uint64_t max, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(*p, &end, 10);
	if (errno || end == *p || *ret > max)
		return -EBADF;
	*p = end;
	return 0;
}

static int parse_handoff(struct handoff *h, const char *p)
{
	uint64_t generation, workers, addrs, tls, fd;

	if (parse_number(&p, UINT64_MAX, &generation) < 0 ||
		parse_number(&p, PROTO_WORKERS_MAX, &workers) < 0 ||
		parse_number(&p, HANDOFF_ADDRS_MAX, &addrs) < 0 || workers == 0 ||
		addrs == 0 || parse_number(&p, addrs - 1, &tls) < 0)
		return -EBADF;
	h->generation = generation;
	h->n_workers = (unsigned int)workers;
	h->n_addrs = (unsigned int)addrs;
	h->n_tls = (unsigned int)tls;
	memset(h->fds, -1, sizeof(h->fds));
	for (unsigned int i = 0; i < handoff_count(h); i++) {
		if (parse_number(&p, 1 << 20, &fd) < 0 ||
			io_set_cloexec((int)fd, true) < 0)
			return -EBADF;
		h->fds[i] = (int)fd;
	}
	return *p == '\0' ? 0 : -EBADF;
}

int handoff_from_env(struct handoff *h, struct err *e)
{
	const char *text = getenv(HANDOFF_ENV);
	int r;

	if (!text)
		return 0;
	r = parse_handoff(h, text);
	unsetenv(HANDOFF_ENV);
	if (r < 0)
		return err_set(
			e, EBADF, "%s does not name inherited descriptors", HANDOFF_ENV);
	return 1;
}

int handoff_addresses(const struct handoff *h, bool tls, char *out, size_t size)
{
	unsigned int from = tls ? h->n_addrs - h->n_tls : 0;
	unsigned int to = tls ? h->n_addrs : h->n_addrs - h->n_tls;
	size_t used = 0;

	out[0] = '\0';
	for (unsigned int a = from; a < to; a++) {
		struct sockaddr_storage sa;
		socklen_t len = sizeof(sa);
		char host[64], port[16];
		int n;

		if (getsockname(handoff_listener(h, 0, a), (struct sockaddr *)&sa, &len) <
			0)
			return -errno;
		if (getnameinfo((struct sockaddr *)&sa, len, host, sizeof(host), port,
			    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
			return -EINVAL;
		n = snprintf(out + used, size - used,
			sa.ss_family == AF_INET6 ? "%s[%s]:%s" : "%s%s:%s",
			used ? "," : "", host, port);
		if (n < 0 || (size_t)n >= size - used)
			return -ENOSPC;
		used += (size_t)n;
	}
	return 0;
}
