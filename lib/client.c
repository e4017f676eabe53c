/* The client's end of the API: a small strict HTTP/1.1 reader and writer over a unix
 * socket. */
#include "lib/client.h"

#include "lib/io.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

void client_init(struct client *c, int fd)
{
	memset(c, 0, offsetof(struct client, in));
	c->fd = fd;
	c->text.max = CLIENT_LINE_MAX;
	for (size_t i = 0; i < CLIENT_FDS_MAX; i++)
		c->fds[i] = -1;
}

int client_open(struct client *c, const char *path, struct err *e)
{
	int fd = io_unix_connect(path, SOCK_STREAM);

	client_init(c, fd);
	if (fd < 0)
		return err_sys(e, -fd, "cannot reach berth at %s", path);
	return 0;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	for (size_t i = 0; i < CLIENT_FDS_MAX; i++) {
		if (c->fds[i] >= 0)
			close(c->fds[i]);
		c->fds[i] = -1;
	}
	buf_free(&c->text);
}

static int send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int client_send(struct client *c, const char *method, const char *path,
	const char *headers, const void *body, size_t len, struct err *e)
{
	autobuf b = BUF_INIT;
	int r;

	buf_addf(&b, "%s %s HTTP/1.1\r\nHost: berth\r\n", method, path);
	if (headers)
		buf_adds(&b, headers);
	if (body)
		buf_adds(&b, "Content-Type: application/json\r\n");
	if (body || strcmp(method, "GET") != 0)
		buf_addf(&b, "Content-Length: %zu\r\n", body ? len : 0);
	buf_adds(&b, "\r\n");
	if (body)
		buf_add(&b, body, len);
	if (b.failed)
		return err_set(e, ENOMEM, "the request is too large");
	r = send_all(c->fd, b.data, b.len);
	return r < 0 ? err_sys(e, -r, "the connection to berth-control broke") : 0;
}

/* Descriptors may come with any read: a plain read() would lose those that follow a head
 * in one go. */
static void keep_fds(struct client *c, struct msghdr *mh)
{
	for (struct cmsghdr *h = CMSG_FIRSTHDR(mh); h; h = CMSG_NXTHDR(mh, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof(int));
			if (c->nfds < CLIENT_FDS_MAX)
				c->fds[c->nfds++] = fd;
			else
				close(fd);
		}
	}
}

static ssize_t receive(struct client *c, void *data, size_t n)
{
	union {
		char space[CMSG_SPACE(sizeof(int) * CLIENT_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec iov = {.iov_base = data, .iov_len = n};
	struct msghdr mh = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	ssize_t got;

	do
		got = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	keep_fds(c, &mh);
	return got;
}

/* Reads more into in[], after what is there. Bytes read, 0 at the end, -errno. */
static ssize_t fill(struct client *c)
{
	ssize_t n;

	if (c->start > 0) {
		memmove(c->in, c->in + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	if (c->end == sizeof(c->in))
		return -EPROTO;
	n = receive(c, c->in + c->end, sizeof(c->in) - c->end);
	if (n > 0)
		c->end += (size_t)n;
	return n;
}

/* The next CRLF line of the head or of the chunk framing, NUL-terminated in place. 0 or
 * -errno. */
static int head_line(struct client *c, char **ret)
{
	for (;;) {
		char *nl = memchr(c->in + c->start, '\n', c->end - c->start);
		ssize_t n;

		if (nl) {
			*ret = c->in + c->start;
			c->start = (size_t)(nl + 1 - c->in);
			if (nl > *ret && nl[-1] == '\r')
				nl--;
			*nl = 0;
			return 0;
		}
		n = fill(c);
		if (n <= 0)
			return n < 0 ? (int)n : -EPIPE;
	}
}

static int parse_u64(const char *s, int base, uint64_t *ret)
{
	char *end;

	if (!((*s >= '0' && *s <= '9') ||
		    (base == 16 && strchr("abcdefABCDEF", *s) && *s)))
		return -EPROTO;
	errno = 0;
	*ret = strtoull(s, &end, base);
	if (errno || (*end && *end != ';' && *end != ' '))
		return -EPROTO;
	return 0;
}

static void set_type(struct client *c, const char *value)
{
	size_t n = strcspn(value, "; ");

	if (n >= sizeof(c->type))
		n = sizeof(c->type) - 1;
	memcpy(c->type, value, n);
	c->type[n] = 0;
	c->stream = strcasecmp(c->type, "text/x-berth-stream") == 0;
}

static int header(struct client *c, char *line)
{
	char *value = strchr(line, ':');

	if (!value)
		return -EPROTO;
	*value++ = 0;
	value += strspn(value, " \t");
	if (strcasecmp(line, "Content-Type") == 0)
		set_type(c, value);
	else if (strcasecmp(line, "Connection") == 0 && strcasecmp(value, "close") == 0)
		c->last = true;
	else if (strcasecmp(line, "Transfer-Encoding") == 0) {
		if (strcasecmp(value, "chunked") != 0)
			return -EPROTO;
		c->body = CLIENT_CHUNKED;
	} else if (strcasecmp(line, "Content-Length") == 0 && c->body != CLIENT_CHUNKED) {
		c->body = CLIENT_LENGTH;
		return parse_u64(value, 10, &c->left);
	}
	return 0;
}

static int read_head(struct client *c)
{
	char *line;
	int r = head_line(c, &line);
	uint64_t status;

	if (r < 0)
		return r;
	if (strncmp(line, "HTTP/1.", 7) != 0 || strlen(line) < 12 ||
		parse_u64(line + 9, 10, &status) < 0 || status > 599)
		return -EPROTO;
	c->status = (int)status;
	c->type[0] = 0;
	c->stream = false;
	c->last = line[7] == '0';
	c->body = CLIENT_TO_END;
	c->left = 0;
	c->in_chunk = false;
	buf_reset(&c->text);
	c->given = 0;
	while ((r = head_line(c, &line)) == 0 && *line)
		if ((r = header(c, line)) < 0)
			return r;
	if (c->status == 204 || c->status == 304 || c->status < 200 ||
		(c->body == CLIENT_LENGTH && c->left == 0))
		c->body = CLIENT_DONE;
	if (c->body == CLIENT_TO_END)
		c->last = true;
	return r;
}

int client_reply(struct client *c, struct err *e)
{
	int r;

	do
		r = read_head(c);
	while (r == 0 && c->status < 200 && c->status != 101);
	if (r == -EPROTO)
		return err_set(
			e, EPROTO, "berth-control sent an answer that is not HTTP");
	if (r < 0)
		return err_set(e, -r,
			"the connection to berth-control broke before it answered");
	return 0;
}

/* Goes to the next chunk. 1 when there is one, 0 at the end of the body. */
static int next_chunk(struct client *c)
{
	char *line;
	int r;

	if (c->in_chunk && (r = head_line(c, &line)) < 0)
		return r;
	if (c->in_chunk && *line)
		return -EPROTO;
	r = head_line(c, &line);
	if (r < 0 || (r = parse_u64(line, 16, &c->left)) < 0)
		return r;
	c->in_chunk = true;
	if (c->left > 0)
		return 1;
	while ((r = head_line(c, &line)) == 0 && *line)
		; /* trailers mean nothing to us */
	c->body = CLIENT_DONE;
	return r;
}

ssize_t client_read(struct client *c, void *data, size_t n)
{
	ssize_t got;
	int r;

	if (c->body == CLIENT_CHUNKED && c->left == 0 && (r = next_chunk(c)) <= 0)
		return r;
	if (c->body == CLIENT_DONE || n == 0)
		return 0;
	if (c->start == c->end) {
		got = fill(c);
		if (got < 0)
			return got;
		if (got == 0 && c->body != CLIENT_TO_END)
			return -EPIPE;
		if (got == 0) {
			c->body = CLIENT_DONE;
			return 0;
		}
	}
	if (n > c->end - c->start)
		n = c->end - c->start;
	if (c->body != CLIENT_TO_END && n > c->left)
		n = (size_t)c->left;
	memcpy(data, c->in + c->start, n);
	c->start += n;
	c->left -= c->body == CLIENT_TO_END ? 0 : n;
	if (c->body == CLIENT_LENGTH && c->left == 0)
		c->body = CLIENT_DONE;
	/* The line end after a chunk, now when it is here: it would pass for bytes worth
	 * reading on. */
	if (c->body == CLIENT_CHUNKED && c->left == 0 && c->end - c->start >= 2 &&
		memcmp(c->in + c->start, "\r\n", 2) == 0) {
		c->start += 2;
		c->in_chunk = false;
	}
	return (ssize_t)n;
}

int client_body(struct client *c, struct buf *out)
{
	for (;;) {
		char *room = buf_room(out, 8192);
		ssize_t n;

		if (!room)
			return -EMSGSIZE;
		n = client_read(c, room, 8192);
		if (n <= 0) {
			buf_add(out, "", 0); /* terminates an empty one */
			return (int)n;
		}
		out->len += (size_t)n;
		out->data[out->len] = 0;
	}
}

static int give_line(struct client *c, size_t len, size_t given, char **ret)
{
	c->text.data[len] = 0;
	c->given = given;
	*ret = c->text.data;
	return 1;
}

int client_line(struct client *c, char **ret)
{
	buf_consume(&c->text, c->given);
	c->given = 0;
	for (;;) {
		char *nl = c->text.len ? memchr(c->text.data, '\n', c->text.len) : NULL;
		char part[4096];
		ssize_t n;

		if (nl)
			return give_line(c, (size_t)(nl - c->text.data),
				(size_t)(nl - c->text.data) + 1, ret);
		n = client_read(c, part, sizeof(part));
		if (n == 0 && c->text.len > 0)
			return give_line(c, c->text.len, c->text.len, ret);
		if (n <= 0)
			return (int)n;
		if (buf_add(&c->text, part, (size_t)n) < 0)
			return -EMSGSIZE;
	}
}

bool client_buffered(const struct client *c)
{
	return c->start < c->end || c->text.len > c->given;
}

ssize_t client_raw(struct client *c, void *data, size_t n)
{
	size_t have = c->end - c->start;

	if (have == 0)
		return receive(c, data, n);
	if (n > have)
		n = have;
	memcpy(data, c->in + c->start, n);
	c->start += n;
	return (ssize_t)n;
}
