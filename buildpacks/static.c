/*
 * berth-static: a small, strict HTTP/1.1 server of the files below one folder. It stands behind berth-router.
 *
 * usage: berth-static [--root DIR] [--fallback FILE]    listens on 0.0.0.0:$PORT (default 5000)
 *
 * GET and HEAD; keep-alive; one byte range; ETag and Last-Modified; index.html; 404.html. Names that begin with a
 * dot are never served (but .well-known), and no symlink leads out of the folder. SIGTERM: no new connection,
 * answers under way are finished, then it exits.
 */
#include "lib/base.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#define HEAD_MAX 8192        /* request line and fields; the router allows no more than 32 kB, links are short */
#define SMALL_MAX (16 << 10) /* such a file goes out in one write with its head */
#define CONNECTIONS_MAX 1000 /* the descriptor limit of an instance is 1024 or more: two each while sending */
#define IDLE_S 75            /* longer than the router keeps an idle connection */
#define HEAD_S 15            /* for a request head to come in whole */
#define DRAIN_S 25           /* after SIGTERM; berth kills after 30 */

struct conn {
	int fd, file; /* file: being sent, or -1 */
	off_t at, end;
	size_t in_len, out_len, out_at;
	time_t since; /* last progress */
	bool closing, want_write;
	struct conn *next, *prev;
	char in[HEAD_MAX + 1];
	char out[1024 + SMALL_MAX];
};

struct server {
	int listen, epoll, signals, root;
	const char *fallback;
	bool draining;
	time_t now, date_at, drain_until;
	char date[40];
	unsigned int count;
	struct conn list; /* head of a ring */
	struct conn *spare; /* freed ones are kept: a connection costs no allocation */
};

struct request {
	bool head, keep;
	char path[1024]; /* decoded, no leading slash */
	const char *raw_path, *query; /* of the head; raw_path without query */
	int raw_len, query_len;
	const char *range, *if_none, *if_since, *if_range; /* field values or NULL, NUL-terminated */
};

struct answer {
	int status;
	const char *type, *extra; /* extra: whole field lines or "" */
	off_t first, last, size;  /* of the file */
	struct stat st;
	bool file;
};

static const struct {
	const char *ext, *type;
} types[] = {
	{"html", "text/html; charset=utf-8"},
	{"htm", "text/html; charset=utf-8"},
	{"css", "text/css; charset=utf-8"},
	{"js", "text/javascript; charset=utf-8"},
	{"mjs", "text/javascript; charset=utf-8"},
	{"json", "application/json"},
	{"map", "application/json"},
	{"webmanifest", "application/manifest+json"},
	{"txt", "text/plain; charset=utf-8"},
	{"md", "text/markdown; charset=utf-8"},
	{"csv", "text/csv; charset=utf-8"},
	{"xml", "application/xml"},
	{"rss", "application/rss+xml"},
	{"atom", "application/atom+xml"},
	{"svg", "image/svg+xml"},
	{"png", "image/png"},
	{"jpg", "image/jpeg"},
	{"jpeg", "image/jpeg"},
	{"gif", "image/gif"},
	{"webp", "image/webp"},
	{"avif", "image/avif"},
	{"ico", "image/x-icon"},
	{"bmp", "image/bmp"},
	{"woff", "font/woff"},
	{"woff2", "font/woff2"},
	{"ttf", "font/ttf"},
	{"otf", "font/otf"},
	{"wasm", "application/wasm"},
	{"pdf", "application/pdf"},
	{"zip", "application/zip"},
	{"gz", "application/gzip"},
	{"mp3", "audio/mpeg"},
	{"ogg", "audio/ogg"},
	{"wav", "audio/wav"},
	{"mp4", "video/mp4"},
	{"webm", "video/webm"},
};

static const char *type_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash ? slash : path, '.');

	for (size_t i = 0; dot && i < ARRAY_LEN(types); i++)
		if (strcasecmp(dot + 1, types[i].ext) == 0)
			return types[i].type;
	return "application/octet-stream";
}

static const char *reason_of(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 206:
		return "Partial Content";
	case 301:
		return "Moved Permanently";
	case 304:
		return "Not Modified";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 416:
		return "Range Not Satisfiable";
	case 431:
		return "Request Header Fields Too Large";
	case 501:
		return "Not Implemented";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Internal Server Error";
	}
}

/* RFC 9110 5.6.7, IMF-fixdate; out of 30 bytes. strftime's names are English in the C locale. */
static void format_date(time_t t, char out[40])
{
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 40, "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

static const char *date_now(struct server *s)
{
	if (s->date_at != s->now) {
		format_date(s->now, s->date);
		s->date_at = s->now;
	}
	return s->date;
}

/* ---- the request ---- */

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes a path. 0, -EINVAL for what no path may hold (a NUL, a bad escape), -ENAMETOOLONG. */
static int decode(const char *s, int len, char *out, size_t size)
{
	size_t n = 0;

	for (int i = 0; i < len; i++) {
		int c = (unsigned char)s[i];
		if (c == '%') {
			int hi = i + 2 < len ? hex_of(s[i + 1]) : -1;
			int lo = hi >= 0 ? hex_of(s[i + 2]) : -1;
			if (lo < 0)
				return -EINVAL;
			c = hi << 4 | lo;
			i += 2;
		}
		if (c == 0)
			return -EINVAL;
		if (n + 1 >= size)
			return -ENAMETOOLONG;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return 0;
}

/* Whether a part of the path begins with a dot (".well-known" on top is allowed, RFC 8615) or is empty in between. */
static bool hidden(const char *path)
{
	static const char known[] = ".well-known/";

	if (strncmp(path, known, strlen(known)) == 0)
		path += strlen(known);
	for (const char *s = path; s; s = strchr(s, '/') ? strchr(s, '/') + 1 : NULL)
		if (*s == '.' || *s == '/')
			return true;
	return false;
}

/* "METHOD SP target SP HTTP/1.x" at line. 0 or a status. */
static int parse_line(char *line, struct request *r)
{
	char *target = strchr(line, ' ');
	char *version = target ? strchr(target + 1, ' ') : NULL;

	if (!version)
		return 400;
	*target++ = '\0';
	*version++ = '\0';
	if (strncmp(version, "HTTP/1.", 7) != 0 || (version[7] != '0' && version[7] != '1') || version[8])
		return strncmp(version, "HTTP/", 5) == 0 ? 505 : 400;
	r->keep = version[7] == '1';
	r->head = strcmp(line, "HEAD") == 0;
	if (!r->head && strcmp(line, "GET") != 0)
		return 405;
	if (*target != '/')
		return 400;
	r->raw_path = target;
	r->raw_len = (int)strcspn(target, "?");
	r->query = target + r->raw_len;
	r->query_len = (int)strlen(r->query);
	int n = decode(target + 1, r->raw_len - 1, r->path, sizeof(r->path));
	return n == 0 ? 0 : n == -ENAMETOOLONG ? 404 : 400;
}

static int take_field(struct request *r, const char *name, const char *value)
{
	if (strcasecmp(name, "connection") == 0)
		r->keep = strcasecmp(value, "close") == 0 ? false :
			  strcasecmp(value, "keep-alive") == 0 ? true : r->keep;
	else if (strcasecmp(name, "range") == 0)
		r->range = value;
	else if (strcasecmp(name, "if-none-match") == 0)
		r->if_none = value;
	else if (strcasecmp(name, "if-modified-since") == 0)
		r->if_since = value;
	else if (strcasecmp(name, "if-range") == 0)
		r->if_range = value;
	else if (strcasecmp(name, "transfer-encoding") == 0)
		return 501; /* a GET with a body: we could not find its end */
	else if (strcasecmp(name, "content-length") == 0 && strcmp(value, "0") != 0)
		return 400;
	return 0;
}

/* The head at h, NUL-terminated, ending in its last line's CRLF; cut up in place. 0 or a status. */
static int parse_head(char *h, struct request *r)
{
	int status = 0;

	*r = (struct request){0};
	for (char *line = h, *end; *line && status == 0; line = end + 2) {
		end = strstr(line, "\r\n");
		if (!end)
			return 400;
		*end = '\0';
		if (line == h) {
			status = parse_line(line, r);
			continue;
		}
		char *colon = strchr(line, ':');
		if (!colon || colon == line || strcspn(line, " \t") < (size_t)(colon - line))
			return 400;
		*colon++ = '\0';
		colon += strspn(colon, " \t");
		for (size_t n = strlen(colon); n > 0 && strchr(" \t", colon[n - 1]); n--)
			colon[n - 1] = '\0';
		status = take_field(r, line, colon);
	}
	return status;
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
		(unsigned long long)st->st_mtim.tv_sec, (unsigned long)st->st_mtim.tv_nsec);
}

/* Weak comparison with a list (RFC 9110 13.1.2). */
static bool matches(const char *list, const char *etag)
{
	size_t n = strlen(etag);

	if (strcmp(list, "*") == 0)
		return true;
	for (const char *s = list; (s = strstr(s, etag)); s += n)
		if (s[n] == '\0' || s[n] == ',' || s[n] == ' ')
			return true;
	return false;
}

static int parse_off(const char **s, off_t *ret)
{
	off_t v = 0;

	if (**s < '0' || **s > '9')
		return -EINVAL;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		if (v > (off_t)1 << 56)
			return -ERANGE;
		v = v * 10 + (**s - '0');
	}
	*ret = v;
	return 0;
}

/* One "bytes=a-b", "a-" or "-n" (RFC 9110 14.1.2). 206, 416, or 200 for what is ignored (several, malformed). */
static int parse_range(const char *s, struct answer *a)
{
	off_t first, last = a->size - 1;

	if (strncmp(s, "bytes=", 6) != 0)
		return 200;
	s += 6;
	if (*s == '-') {
		s++;
		if (parse_off(&s, &first) < 0 || *s)
			return 200;
		first = first > a->size ? 0 : a->size - first;
	} else {
		if (parse_off(&s, &first) < 0 || *s++ != '-')
			return 200;
		if (*s && (parse_off(&s, &last) < 0 || *s || last < first))
			return 200;
	}
	if (first >= a->size)
		return 416;
	a->first = first;
	a->last = last < a->size - 1 ? last : a->size - 1;
	return 206;
}

static bool not_modified(const struct request *r, const char *etag, const char *modified)
{
	if (r->if_none)
		return matches(r->if_none, etag);
	/* Browsers send back what we sent; a date that is only later is treated as changed. */
	return r->if_since && strcmp(r->if_since, modified) == 0;
}

static void start_send(struct server *s, struct conn *c, const struct request *r, const struct answer *a, int file)
{
	char length[48] = "", range[96] = "", cache[160] = "";
	char etag[64], modified[40];
	off_t body = a->file ? a->last - a->first + 1 : 0;
	const char *text = a->file || a->status == 304 ? "" : reason_of(a->status);
	int n;

	if (a->file || a->status == 304) {
		etag_of(&a->st, etag);
		format_date(a->st.st_mtim.tv_sec, modified);
		if (a->status != 404)
			snprintf(cache, sizeof(cache),
				"ETag: %s\r\nLast-Modified: %s\r\nAccept-Ranges: bytes\r\n", etag, modified);
	}
	if (a->status == 206)
		snprintf(range, sizeof(range), "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)a->first,
			(long long)a->last, (long long)a->size);
	else if (a->status == 416)
		snprintf(range, sizeof(range), "Content-Range: bytes */%lld\r\n", (long long)a->size);
	if (a->status != 304)
		snprintf(length, sizeof(length), "Content-Length: %lld\r\n",
			a->file ? (long long)body : (long long)strlen(text) + 1);
	c->closing = c->closing || !r->keep || s->draining;
	n = snprintf(c->out, 1024, "HTTP/1.1 %d %s\r\nDate: %s\r\n%s%s%s%s%s%s%s%s\r\n", a->status,
		reason_of(a->status), date_now(s), a->status == 304 ? "" : "Content-Type: ",
		a->status == 304 ? "" : a->file ? a->type : "text/plain",
		a->status == 304 ? "" : "\r\n", length, range, cache, a->extra ? a->extra : "",
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
		if (got != body) /* it shrank under us: the promised length cannot be kept */
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

static void send_status(struct server *s, struct conn *c, const struct request *r, int status, const char *extra)
{
	struct answer a = {.status = status, .extra = extra};

	start_send(s, c, r, &a, -1);
}

static void send_file(struct server *s, struct conn *c, const struct request *r, int status, int file,
	const struct stat *st, const char *type)
{
	struct answer a = {.status = status, .type = type, .st = *st, .size = st->st_size, .file = true,
		.last = st->st_size - 1};
	char etag[64], modified[40];

	etag_of(st, etag);
	format_date(st->st_mtim.tv_sec, modified);
	if (status == 200 && not_modified(r, etag, modified))
		a.status = 304;
	else if (status == 200 && r->range && !r->head &&
		 (!r->if_range || strcmp(r->if_range, etag) == 0 || strcmp(r->if_range, modified) == 0))
		a.status = parse_range(r->range, &a);
	if (a.status == 304 || a.status == 416) {
		a.file = false;
		close(file);
		file = -1;
	}
	start_send(s, c, r, &a, file);
}

static void send_missing(struct server *s, struct conn *c, const struct request *r)
{
	struct stat st;
	bool dir;
	const char *page = s->fallback ? s->fallback : "404.html";
	int file = open_file(s->root, page, &st, &dir);

	if (file >= 0)
		send_file(s, c, r, s->fallback ? 200 : 404, file, &st, "text/html; charset=utf-8");
	else
		send_status(s, c, r, 404, NULL);
}

static void redirect_to_dir(struct server *s, struct conn *c, const struct request *r)
{
	char line[900];
	int n = snprintf(line, sizeof(line), "Location: %.*s/%.*s\r\n", r->raw_len, r->raw_path, r->query_len,
		r->query);

	/* "//host" would be another site. */
	if (n >= (int)sizeof(line) || r->raw_path[1] == '/')
		send_missing(s, c, r);
	else
		send_status(s, c, r, 301, line);
}

static void serve(struct server *s, struct conn *c, struct request *r)
{
	char path[sizeof(r->path) + 16];
	size_t n = strlen(r->path);
	struct stat st;
	bool dir;

	if (hidden(r->path)) {
		send_missing(s, c, r);
		return;
	}
	bool slash = n == 0 || r->path[n - 1] == '/';
	snprintf(path, sizeof(path), "%s%s", r->path, slash ? "index.html" : "");
	int file = open_file(s->root, path, &st, &dir);
	if (file >= 0)
		send_file(s, c, r, 200, file, &st, type_of(path));
	else if (dir && !slash)
		redirect_to_dir(s, c, r);
	else
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

/* Serves one request of the buffer when it is whole. 1 served, 0 more bytes are needed. */
static int next_request(struct server *s, struct conn *c)
{
	struct request r = {0};

	c->in[c->in_len] = '\0';
	char *end = memmem(c->in, c->in_len, "\r\n\r\n", 4);
	if (!end && c->in_len < HEAD_MAX)
		return 0;
	int status = end ? 0 : 431;
	if (end) {
		end[2] = '\0';
		status = strlen(c->in) == (size_t)(end + 2 - c->in) ? parse_head(c->in, &r) : 400;
	}
	if (status != 0) {
		r = (struct request){.head = r.head}; /* the rest may be half parsed; keep is off */
		send_status(s, c, &r, status, status == 405 ? "Allow: GET, HEAD\r\n" : NULL);
	} else {
		serve(s, c, &r);
	}
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

static void on_listen(struct server *s)
{
	for (int i = 0; i < 64; i++) {
		int fd = accept4(s->listen, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return;
		struct conn *c = s->count < CONNECTIONS_MAX ? new_conn(s, fd) : NULL;
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
		if (!c) {
			close(fd);
			return;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) < 0 || !on_conn(s, c, EPOLLIN))
			drop(s, c);
	}
}

static void sweep(struct server *s)
{
	for (struct conn *c = s->list.next, *next; c != &s->list; c = next) {
		next = c->next;
		bool idle = c->in_len == 0 && !c->want_write;
		if (s->now - c->since > (c->in_len > 0 ? HEAD_S : IDLE_S) || (s->draining && idle))
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
	on_listen(s);
	close(TAKE_FD(s->listen));
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
		int n = epoll_wait(s->epoll, events, ARRAY_LEN(events), s->count > 0 ? 1000 : -1);
		s->now = coarse_now();
		for (int i = 0; i < n; i++) {
			void *p = events[i].data.ptr;
			if (p == &s->listen && s->listen >= 0)
				on_listen(s);
			else if (p == &s->signals)
				drain(s);
			else if (p != &s->listen && !on_conn(s, p, events[i].events))
				drop(s, p);
			/* A drain drops connections whose events may follow: look again. */
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

static int fail(const char *what, const char *arg)
{
	fprintf(stderr, "berth-static: %s %s: %s\n", what, arg, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	static struct server s = {.listen = -1, .root = -1};
	const char *root = ".", *port_text = getenv("PORT") ? getenv("PORT") : "5000";
	unsigned int port;
	sigset_t set;

	if (parse_args(&s, argc, argv, &root) < 0 || parse_port(port_text, &port) < 0) {
		fprintf(stderr, "usage: PORT=5000 berth-static [--root DIR] [--fallback FILE]\n");
		return 2;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s.list.next = s.list.prev = &s.list;
	s.now = coarse_now();
	s.root = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s.root < 0)
		return fail("cannot open", root);
	s.listen = listen_on(port);
	if (s.listen < 0)
		return fail("cannot listen on port", port_text);
	s.epoll = epoll_create1(EPOLL_CLOEXEC);
	s.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s.epoll < 0 || s.signals < 0 || watch(&s, s.listen, &s.listen) < 0 ||
		watch(&s, s.signals, &s.signals) < 0)
		return fail("cannot set up", "its event loop");
	printf("serving %s on port %u\n", root, port);
	fflush(stdout);
	run(&s);
	return 0;
}
