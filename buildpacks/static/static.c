/*
 * berth-static: a small, strict HTTP/1.1 server of the files below one folder. It stands
 * behind berth-router.
 *
 * usage: berth-static [--root DIR] [--fallback FILE]    listens on 0.0.0.0:$PORT (default
 * 5000), for other apps, and on descriptor 3, where LISTEN_FDS says that it is there
 * (sd_listen_fds(3)), for the router
 *
 * GET and HEAD; keep-alive; one byte range; ETag and Last-Modified; index.html; 404.html.
 * Redirects and headers by the files _redirects and _headers (static_rules.h), which are
 * not served. Names that begin with a dot are never served (but .well-known), and no symlink leads
 * out of the folder. SIGTERM: no new connection, answers under way are finished, then it
 * exits.
 */
#include "buildpacks/static/static_http.h"
#include "buildpacks/static/static_rules.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define HEAD_MAX                                                                         \
	8192 /* request line and fields; the router allows no more than 32 kB, links are \
		short */
#define SMALL_MAX (16 << 10) /* such a file goes out in one write with its head */
#define CONNECTIONS_MAX                                                                  \
	1000 /* the descriptor limit of an instance is 1024 or more: two each while \
		     sending */
#define HEAD_OUT_MAX (1024 + RULES_HEADERS_MAX + RULES_TO_MAX) /* of an answer */
#define IDLE_S 75  /* longer than the router keeps an idle connection */
#define HEAD_S 15  /* for a request head to come in whole */
#define DRAIN_S 25 /* after SIGTERM; berth kills after 30 */
#define LISTEN_FD 3

struct conn {
	int fd, file; /* file: being sent, or -1 */
	off_t at, end;
	size_t in_len, out_len, out_at;
	time_t since; /* last progress */
	bool closing, want_write;
	struct conn *next, *prev;
	char in[HEAD_MAX + 1];
	char out[HEAD_OUT_MAX + SMALL_MAX];
};

struct server {
	int listen, given; /* its own; the one it found, or -1 */
	int epoll, signals, root;
	const char *fallback;
	struct rules rules;
	struct buf fields; /* of _headers, for the request that is served */
	bool draining;
	time_t now, date_at, drain_until;
	char date[40];
	unsigned int count;
	struct conn list;   /* head of a ring */
	struct conn *spare; /* freed ones are kept: a connection costs no allocation */
};

struct answer {
	int status;
	const char *type, *extra; /* extra: whole field lines or "" */
	off_t first, last, size;  /* of the file */
	struct stat st;
	bool file;
};

static const char *date_now(struct server *s)
{
	if (s->date_at != s->now) {
		http_format_date(s->now, s->date);
		s->date_at = s->now;
	}
	return s->date;
}

/* ---- the answer ---- */

static int open_below(int root, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* Opens a regular file; -1 otherwise, with *ret_dir set when it is a folder. */
static int open_file(int root, const char *path, struct stat *st, bool *ret_dir)
{
	int fd = open_below(root, *path ? path : ".");

	*ret_dir = false;
	if (fd >= 0 && fstat(fd, st) == 0) {
		if (S_ISREG(st->st_mode))
			return fd;
		*ret_dir = S_ISDIR(st->st_mode);
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

static void etag_of(const struct stat *st, char out[64])
{
	snprintf(out, 64, "\"%llx-%llx-%lx\"", (unsigned long long)st->st_size,
		(unsigned long long)st->st_mtim.tv_sec,
		(unsigned long)st->st_mtim.tv_nsec);
}

static bool not_modified(
	const struct http_request *r, const char *etag, const char *modified)
{
	if (r->if_none)
		return http_etag_matches(r->if_none, etag);
	/* Browsers send back what we sent; a date that is only later is treated as
	 * changed. */
	return r->if_since && strcmp(r->if_since, modified) == 0;
}

static void start_send(struct server *s, struct conn *c, const struct http_request *r,
	const struct answer *a, int file)
{
	char length[48] = "", range[96] = "", cache[160] = "";
	char etag[64], modified[40];
	off_t body = a->file ? a->last - a->first + 1 : 0;
	const char *text = a->file || a->status == 304 ? "" : http_reason_of(a->status);
	int n;

	if (a->file || a->status == 304) {
		etag_of(&a->st, etag);
		http_format_date(a->st.st_mtim.tv_sec, modified);
		if (a->status != 404)
			snprintf(cache, sizeof(cache),
				"ETag: %s\r\nLast-Modified: %s\r\nAccept-Ranges: "
				"bytes\r\n",
				etag, modified);
	}
	if (a->status == 206)
		snprintf(range, sizeof(range), "Content-Range: bytes %lld-%lld/%lld\r\n",
			(long long)a->first, (long long)a->last, (long long)a->size);
	else if (a->status == 416)
		snprintf(range, sizeof(range), "Content-Range: bytes */%lld\r\n",
			(long long)a->size);
	if (a->status != 304)
		snprintf(length, sizeof(length), "Content-Length: %lld\r\n",
			a->file ? (long long)body : (long long)strlen(text) + 1);
	c->closing = c->closing || !r->keep || s->draining;
	n = snprintf(c->out, HEAD_OUT_MAX,
		"HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s%s%s%s%s%s%s\r\n", a->status,
		http_reason_of(a->status), date_now(s),
		a->status == 304 ? "" : "Content-Type: ",
		a->status == 304 ? ""
		: a->file	 ? a->type
				 : "text/plain",
		a->status == 304 ? "" : "\r\n", length, range, cache,
		a->extra ? a->extra : "", s->fields.len ? s->fields.data : "",
		c->closing ? "Connection: close\r\n" : "");
	c->out_at = 0;
	c->out_len = (size_t)n;
	c->file = -1;
	if (!a->file) {
		if (!r->head && *text)
			c->out_len += (size_t)snprintf(c->out + n, 64, "%s\n", text);
		return;
	}
	if (!r->head && body > 0 && body <= SMALL_MAX) {
		ssize_t got = pread(file, c->out + n, (size_t)body, a->first);
		if (got !=
			body) /* it shrank under us: the promised length cannot be kept */
			c->closing = true;
		c->out_len += got > 0 ? (size_t)got : 0;
	} else if (!r->head && body > 0) {
		c->file = file;
		c->at = a->first;
		c->end = a->last + 1;
		return;
	}
	close(file);
}

static void send_status(struct server *s, struct conn *c, const struct http_request *r,
	int status, const char *extra)
{
	struct answer a = {.status = status, .extra = extra};

	start_send(s, c, r, &a, -1);
}

static void send_file(struct server *s, struct conn *c, const struct http_request *r,
	int status, int file, const struct stat *st, const char *type)
{
	struct answer a = {.status = status,
		.type = type,
		.st = *st,
		.size = st->st_size,
		.file = true,
		.last = st->st_size - 1};
	char etag[64], modified[40];

	etag_of(st, etag);
	http_format_date(st->st_mtim.tv_sec, modified);
	if (status == 200 && not_modified(r, etag, modified))
		a.status = 304;
	else if (status == 200 && r->range && !r->head &&
		 (!r->if_range || strcmp(r->if_range, etag) == 0 ||
			 strcmp(r->if_range, modified) == 0))
		a.status = http_parse_range(r->range, a.size, &a.first, &a.last);
	if (a.status == 304 || a.status == 416) {
		a.file = false;
		close(file);
		file = -1;
	}
	start_send(s, c, r, &a, file);
}

static void send_missing(struct server *s, struct conn *c, const struct http_request *r)
{
	struct stat st;
	bool dir;
	const char *page = s->fallback ? s->fallback : "404.html";
	int file = open_file(s->root, page, &st, &dir);

	if (file >= 0)
		send_file(s, c, r, s->fallback ? 200 : 404, file, &st,
			"text/html; charset=utf-8");
	else
		send_status(s, c, r, 404, NULL);
}

static void redirect_to_dir(
	struct server *s, struct conn *c, const struct http_request *r)
{
	char line[900];
	int n = snprintf(line, sizeof(line), "Location: %.*s/%.*s\r\n", r->raw_len,
		r->raw_path, r->query_len, r->query);

	/* "//host" would be another site. */
	if (n >= (int)sizeof(line) || r->raw_path[1] == '/')
		send_missing(s, c, r);
	else
		send_status(s, c, r, 301, line);
}

static void send_location(struct server *s, struct conn *c, const struct http_request *r,
	int status, const char *to)
{
	char line[RULES_TO_MAX + 600];
	bool query = r->query_len > 0 && !strchr(to, '?');
	int n = snprintf(line, sizeof(line), "Location: %s%.*s\r\n", to,
		query ? r->query_len : 0, r->query);

	if (n >= RULES_TO_MAX) /* by a long query */
		send_missing(s, c, r);
	else
		send_status(s, c, r, status, line);
}

/* What _redirects says about the path. False: nothing. */
static bool by_rule(
	struct server *s, struct conn *c, const struct http_request *r, bool forced)
{
	char path[sizeof(r->path) + 1], to[RULES_TO_MAX];
	struct stat st;
	bool dir;

	if (!s->rules.n_redirects)
		return false;
	snprintf(path, sizeof(path), "/%s", r->path);
	const struct redirect *d = rules_redirect(&s->rules, path, forced, to);
	if (!d)
		return false;
	if (d->status != 200) {
		send_location(s, c, r, d->status, to);
		return true;
	}
	int file = http_path_hidden(to + 1) ? -1 : open_file(s->root, to + 1, &st, &dir);
	if (file < 0)
		return false;
	send_file(s, c, r, 200, file, &st, http_type_of(to));
	return true;
}

static bool is_rules_file(const char *path)
{
	return strcmp(path, "_redirects") == 0 || strcmp(path, "_headers") == 0;
}

static void find_fields(struct server *s, const struct http_request *r)
{
	char path[sizeof(r->path) + 1];

	buf_reset(&s->fields);
	if (!s->rules.n_headers)
		return;
	snprintf(path, sizeof(path), "/%s", r->path);
	rules_headers(&s->rules, path, &s->fields);
}

static void serve(struct server *s, struct conn *c, struct http_request *r)
{
	char path[sizeof(r->path) + 16];
	size_t n = strlen(r->path);
	struct stat st;
	bool dir = false;

	if (http_path_hidden(r->path)) {
		send_missing(s, c, r);
		return;
	}
	find_fields(s, r);
	if (by_rule(s, c, r, true))
		return;
	bool slash = n == 0 || r->path[n - 1] == '/';
	snprintf(path, sizeof(path), "%s%s", r->path, slash ? "index.html" : "");
	int file = is_rules_file(path) ? -1 : open_file(s->root, path, &st, &dir);
	if (file >= 0)
		send_file(s, c, r, 200, file, &st, http_type_of(path));
	else if (dir && !slash)
		redirect_to_dir(s, c, r);
	else if (!by_rule(s, c, r, false))
		send_missing(s, c, r);
}

/* ---- connections ---- */

static void drop(struct server *s, struct conn *c)
{
	close(c->fd);
	if (c->file >= 0)
		close(c->file);
	c->prev->next = c->next;
	c->next->prev = c->prev;
	c->next = s->spare;
	s->spare = c;
	s->count--;
}

static void want_write(struct server *s, struct conn *c, bool on)
{
	struct epoll_event ev = {.events = on ? EPOLLOUT : EPOLLIN, .data.ptr = c};

	if (c->want_write != on)
		epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &ev);
	c->want_write = on;
}

/* 1 all sent, 0 the socket is full, -1 broken. */
static int flush(struct conn *c)
{
	while (c->out_at < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_len - c->out_at,
			MSG_NOSIGNAL | (c->file >= 0 ? MSG_MORE : 0));
		if (n < 0)
			return errno == EAGAIN ? 0 : errno == EINTR ? 0 : -1;
		c->out_at += (size_t)n;
	}
	c->out_at = c->out_len = 0;
	while (c->file >= 0 && c->at < c->end) {
		ssize_t n = sendfile(c->fd, c->file, &c->at, (size_t)(c->end - c->at));
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -1;
		if (n == 0) /* the file shrank */
			return -1;
	}
	if (c->file >= 0)
		close(TAKE_FD(c->file));
	return 1;
}

/* Serves one request of the buffer when it is whole. 1 served, 0 more bytes are needed.
 */
static int next_request(struct server *s, struct conn *c)
{
	struct http_request r = {0};

	c->in[c->in_len] = '\0';
	char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
	if (!end && c->in_len < HEAD_MAX)
		return 0;
	int status = end ? 0 : 431;
	if (end) {
		end[2] = '\0';
		status = strlen(c->in) == (size_t)(end + 2 - c->in)
				 ? http_parse_head(c->in, &r)
				 : 400;
	}
	if (status != 0) {
		r = (struct http_request){
			.head = r.head}; /* the rest may be half parsed; keep is off */
		send_status(
			s, c, &r, status, status == 405 ? "Allow: GET, HEAD\r\n" : NULL);
	} else {
		serve(s, c, &r);
	}
	buf_reset(&s->fields);
	c->in_len = end ? c->in_len - (size_t)(end + 4 - c->in) : 0;
	memmove(c->in, end ? end + 4 : c->in, c->in_len);
	return 1;
}

/* Sends what is due and serves what has come. False when the connection is over. */
static bool advance(struct server *s, struct conn *c)
{
	for (;;) {
		int r = flush(c);
		if (r < 0)
			return false;
		want_write(s, c, r == 0);
		if (r == 0)
			return true;
		if (c->closing) {
			shutdown(c->fd, SHUT_WR);
			return false;
		}
		if (!next_request(s, c))
			return !(s->draining && c->in_len == 0);
	}
}

static bool on_conn(struct server *s, struct conn *c, uint32_t events)
{
	c->since = s->now;
	if (events & (EPOLLERR | EPOLLHUP))
		return false;
	if (events & EPOLLIN) {
		ssize_t n = recv(c->fd, c->in + c->in_len, HEAD_MAX - c->in_len, 0);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		c->in_len += n > 0 ? (size_t)n : 0;
	}
	return advance(s, c);
}

static struct conn *new_conn(struct server *s, int fd)
{
	struct conn *c = s->spare ? s->spare : malloc(sizeof(*c));

	if (!c)
		return NULL;
	if (s->spare)
		s->spare = c->next;
	memset(c, 0, offsetof(struct conn, in));
	c->fd = fd;
	c->file = -1;
	c->since = s->now;
	c->next = s->list.next;
	c->prev = &s->list;
	c->next->prev = s->list.next = c;
	s->count++;
	return c;
}

static void on_listen(struct server *s, int from)
{
	for (int i = 0; i < 64; i++) {
		int fd = accept4(from, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		struct conn *c = s->count < CONNECTIONS_MAX ? new_conn(s, fd) : NULL;
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
		if (!c) {
			close(fd);
			return;
		}
		if (from == s->listen)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 ||
			!on_conn(s, c, EPOLLIN))
			drop(s, c);
	}
}

static void sweep(struct server *s)
{
	for (struct conn *c = s->list.next, *next; c != &s->list; c = next) {
		next = c->next;
		bool idle = c->in_len == 0 && !c->want_write;
		if (s->now - c->since > (c->in_len > 0 ? HEAD_S : IDLE_S) ||
			(s->draining && idle))
			drop(s, c);
	}
}

static void drain(struct server *s)
{
	if (s->draining)
		return;
	s->draining = true;
	s->drain_until = s->now + DRAIN_S;
	/* What waits in the accept queue was promised an answer. */
	on_listen(s, s->listen);
	close(TAKE_FD(s->listen));
	if (s->given >= 0) {
		on_listen(s, s->given);
		close(TAKE_FD(s->given));
	}
	sweep(s);
}

static time_t coarse_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return ts.tv_sec;
}

static void run(struct server *s)
{
	struct epoll_event events[64];
	time_t swept = s->now;

	while (!s->draining || (s->count > 0 && s->now < s->drain_until)) {
		int n = epoll_wait(
			s->epoll, events, ARRAY_LEN(events), s->count > 0 ? 1000 : -1);
		s->now = coarse_now();
		for (int i = 0; i < n; i++) {
			void *p = events[i].data.ptr;
			if (p == &s->listen || p == &s->given)
				on_listen(s, *(int *)p);
			else if (p == &s->signals)
				drain(s);
			else if (!on_conn(s, p, events[i].events))
				drop(s, p);
			/* A drain drops connections whose events may follow: look again.
			 */
			if (p == &s->signals)
				break;
		}
		if (s->now != swept)
			sweep(s);
		swept = s->now;
	}
}

static int watch(struct server *s, int fd, void *ptr)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = ptr};

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int listen_on(unsigned int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 1024) == 0)
		return fd;
	close(fd);
	return -1;
}

/* The socket that was there, and listening, when this program began; or -1. LISTEN_PID is
 * not looked at: a shell may stand between. */
static int given_listener(void)
{
	const char *n = getenv("LISTEN_FDS");
	int listens = 0;
	socklen_t len = sizeof(listens);

	if (!n || strcmp(n, "1") != 0 ||
		getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 ||
		!listens)
		return -1;
	return fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC) < 0 ||
			       fcntl(LISTEN_FD, F_SETFL, O_NONBLOCK) < 0
		       ? -1
		       : LISTEN_FD;
}

static int parse_port(const char *s, unsigned int *ret)
{
	unsigned int v = 0;

	for (; *s; s++) {
		if (*s < '0' || *s > '9' || v > 65535)
			return -EINVAL;
		v = v * 10 + (unsigned int)(*s - '0');
	}
	*ret = v;
	return v >= 1 && v <= 65535 ? 0 : -EINVAL;
}

static int parse_args(struct server *s, int argc, char **argv, const char **ret_root)
{
	for (int i = 1; i < argc; i += 2) {
		if (i + 1 < argc && strcmp(argv[i], "--root") == 0)
			*ret_root = argv[i + 1];
		else if (i + 1 < argc && strcmp(argv[i], "--fallback") == 0)
			s->fallback = argv[i + 1];
		else
			return -EINVAL;
	}
	return 0;
}

static void complain(void *arg, unsigned int line, const char *why)
{
	fprintf(stderr, "%s line %u: %s\n", (const char *)arg, line, why);
}

static char *read_rules(int root, const char *name)
{
	struct buf text = {.max = RULES_TEXT_MAX};
	int fd autoclose = open_below(root, name);
	int r = fd < 0 ? -errno : io_read_all(fd, &text);

	if (r == 0)
		buf_add(&text, "", 1);
	if (r < 0 && fd >= 0)
		fprintf(stderr,
			"%s is left out: it cannot be read, or is larger than %u kB\n",
			name, RULES_TEXT_MAX >> 10);
	if (r < 0 || text.failed) {
		buf_free(&text);
		return NULL;
	}
	return buf_take(&text);
}

/* From the site's top folder, once: files of an image do not change. */
static void load_rules(struct server *s)
{
	static char redirects[] = "_redirects", headers[] = "_headers";
	char *text = read_rules(s->root, redirects);

	s->fields.max = RULES_HEADERS_MAX + 1;
	if (text)
		rules_parse_redirects(&s->rules, text, complain, redirects);
	text = read_rules(s->root, headers);
	if (text)
		rules_parse_headers(&s->rules, text, complain, headers);
}

static int fail(const char *what, const char *arg)
{
	fprintf(stderr, "berth-static: %s %s: %s\n", what, arg, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	static struct server s = {.listen = -1, .given = -1, .root = -1};
	const char *root = ".", *port_text = getenv("PORT") ? getenv("PORT") : "5000";
	unsigned int port;
	sigset_t set;

	if (parse_args(&s, argc, argv, &root) < 0 || parse_port(port_text, &port) < 0) {
		fprintf(stderr,
			"usage: PORT=5000 berth-static [--root DIR] [--fallback FILE]\n");
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s.list.next = s.list.prev = &s.list;
	s.now = coarse_now();
	s.given = given_listener();
	s.root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s.root < 0)
		return fail("cannot open", root);
	load_rules(&s);
	s.listen = listen_on(port);
	if (s.listen < 0)
		return fail("cannot listen on port", port_text);
	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	s.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s.epoll < 0 || s.signals < 0 || watch(&s, s.listen, &s.listen) < 0 ||
		(s.given >= 0 && watch(&s, s.given, &s.given) < 0) ||
		watch(&s, s.signals, &s.signals) < 0)
		return fail("cannot set up", "its event loop");
	printf("serving %s on port %u%s\n", root, port,
		s.given >= 0 ? " and a unix socket" : "");
	fflush(stdout);
	run(&s);
	return 0;
}
