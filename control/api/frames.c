/* A program's descriptors over one connection, in frames. */
#include "control/api/frames.h"
#include "lib/base64.h"
#include "lib/client.h"
#include "lib/io.h"
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define HEAD 5u
#define BLOCK 16384u
#define STACK_BYTES ((size_t)256 << 10)
#define REST_MS 1000  /* output that is still on its way when the program has ended */
#define END_OF_TEXT 4 /* what a terminal takes for the end of its input */

enum { SOCK, OUT, ERR, INNER, IN, POLLED };

struct frames {
	int sock, in, out, err; /* -1: closed */
	bool tty, in_ends, ended;
	uint8_t status;
	struct buf from, input; /* of the client: not yet a frame; not yet written */
	struct client inner;	/* as a client on a unix socket */
	pthread_t thread;
};

int frames_body(struct request *r)
{
	const char *text = r->who.remote ? MHD_lookup_connection_value(r->connection,
						   MHD_HEADER_KIND, FRAMES_BODY_FIELD)
					 : NULL;

	if (!text || base64_decode(text, strlen(text), &r->upload) == 0)
		return 0;
	return request_fail(r, FAIL_USAGE, FRAMES_BODY_FIELD " must be base64");
}

int frame_parse(const char *data, size_t len, struct frame *ret)
{
	const unsigned char *p = (const unsigned char *)data;
	uint32_t n;

	if (len < HEAD)
		return 0;
	n = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
	if (n > FRAMES_MAX || (p[0] == 'S' && n != 1) || (p[0] == 'W' && n != 4) ||
		(p[0] != '0' && p[0] != 'S' && p[0] != 'W'))
		return -EBADMSG;
	if (len < HEAD + n)
		return 0;
	*ret = (struct frame){.kind = data[0], .data = data + HEAD, .len = n};
	return (int)(HEAD + n);
}

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* ---- to the client ---- */

/* Waits for room. False: it is gone. */
static bool send_all(struct frames *f, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(f->sock, data, len, MSG_NOSIGNAL);
		struct pollfd p = {.fd = f->sock, .events = POLLOUT | POLLRDHUP};

		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno != EAGAIN && errno != EINTR) {
			return false;
		} else if (poll(&p, 1, -1) > 0 && !(p.revents & POLLOUT)) {
			return false;
		}
	}
	return true;
}

static bool send_frame(struct frames *f, char kind, char *block, size_t len)
{
	uint32_t n = (uint32_t)len;

	block[0] = kind;
	block[1] = (char)(n >> 24);
	block[2] = (char)(n >> 16);
	block[3] = (char)(n >> 8);
	block[4] = (char)n;
	return send_all(f, block, HEAD + len);
}

static bool pass_output(struct frames *f, int *fd, char kind)
{
	char block[HEAD + BLOCK];
	ssize_t n = read(*fd, block + HEAD, BLOCK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) { /* EIO: of a terminal, the program is gone */
		shut(fd);
		return true;
	}
	return send_frame(f, kind, block, (size_t)n);
}

/* ---- from the client ---- */

static bool pass_signal(struct frames *f, char number)
{
	char word[] = {'S', number};

	return number >= 1 && number <= 64 &&
	       send(f->inner.fd, word, sizeof(word), MSG_NOSIGNAL) == sizeof(word);
}

static void resize(struct frames *f, const char *data)
{
	const unsigned char *p = (const unsigned char *)data;
	struct winsize size = {.ws_row = (unsigned short)(p[0] << 8 | p[1]),
		.ws_col = (unsigned short)(p[2] << 8 | p[3])};

	if (f->tty && f->out >= 0)
		ioctl(f->out, TIOCSWINSZ, &size);
}

static void end_input(struct frames *f)
{
	const char end = END_OF_TEXT;

	if (f->tty && f->in >= 0)
		(void)!write(f->in, &end, 1);
	shut(&f->in);
}

static void write_input(struct frames *f)
{
	ssize_t n = f->input.len && f->in >= 0 ? write(f->in, f->input.data, f->input.len)
					       : 0;

	if (n > 0)
		buf_consume(&f->input, (size_t)n);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		shut(&f->in);
	if (f->in < 0)
		buf_reset(&f->input);
	if (!f->input.len && f->in_ends)
		end_input(f);
}

static bool act(struct frames *f, const struct frame *m)
{
	switch (m->kind) {
	case 'S':
		return pass_signal(f, m->data[0]);
	case 'W':
		resize(f, m->data);
		return true;
	default:
		if (!m->len)
			f->in_ends = true;
		else if (f->in >= 0 && !f->in_ends)
			buf_add(&f->input, m->data, m->len);
		write_input(f);
		return !f->input.failed;
	}
}

/* Until one fills the input. False: the client talks nonsense. */
static bool act_all(struct frames *f)
{
	struct frame m;
	int n = 0;

	while (!f->input.len && (n = frame_parse(f->from.data, f->from.len, &m)) > 0) {
		if (!act(f, &m))
			return false;
		buf_consume(&f->from, (size_t)n);
	}
	return n >= 0;
}

static bool take_frames(struct frames *f)
{
	char *room = buf_room(&f->from, BLOCK);
	ssize_t n = room ? recv(f->sock, room, BLOCK, MSG_DONTWAIT) : -1;

	if (n < 0 && room && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	f->from.len += (size_t)n;
	return act_all(f);
}

/* ---- from control ---- */

static bool take_descriptors(struct frames *f)
{
	int *fds = f->inner.fds;
	char word;

	if (client_raw(&f->inner, &word, 1) != 1 || word != 'F' ||
		(f->inner.nfds != 1 && f->inner.nfds != 3))
		return false;
	f->tty = f->inner.nfds == 1;
	f->in = fds[0];
	f->out = f->tty ? fcntl(fds[0], F_DUPFD_CLOEXEC, 3) : fds[1];
	f->err = f->tty ? -1 : fds[2];
	fds[0] = fds[1] = fds[2] = -1;
	io_set_nonblock(f->in, true);
	return true;
}

/* The exit status, or an end without one. */
static void take_end(struct frames *f)
{
	char word[2];

	f->ended = true;
	f->status = 1;
	if (client_raw(&f->inner, word, 1) == 1 && word[0] == 'X' &&
		client_raw(&f->inner, word + 1, 1) == 1)
		f->status = (uint8_t)word[1];
}

/* ---- the thread ---- */

static int wait_any(struct frames *f, struct pollfd p[POLLED])
{
	bool full = f->input.len > 0;

	p[SOCK] = (struct pollfd){
		.fd = f->sock, .events = (short)(POLLRDHUP | (full ? 0 : POLLIN))};
	p[OUT] = (struct pollfd){.fd = f->out, .events = POLLIN};
	p[ERR] = (struct pollfd){.fd = f->err, .events = POLLIN};
	p[INNER] = (struct pollfd){.fd = f->ended ? -1 : f->inner.fd, .events = POLLIN};
	p[IN] = (struct pollfd){.fd = full ? f->in : -1, .events = POLLOUT};
	return poll(p, POLLED, f->ended ? REST_MS : -1);
}

/* False: it is over. */
static bool turn(struct frames *f)
{
	struct pollfd p[POLLED];
	int n = wait_any(f, p);

	if (n < 0)
		return errno == EINTR;
	if (n == 0 || (f->ended && f->out < 0 && f->err < 0))
		return false;
	if (p[OUT].revents && !pass_output(f, &f->out, '1'))
		return false;
	if (p[ERR].revents && !pass_output(f, &f->err, '2'))
		return false;
	if (p[IN].revents) {
		write_input(f);
		if (!act_all(f))
			return false;
	}
	if (p[SOCK].revents & POLLIN && !take_frames(f))
		return false;
	if (p[SOCK].revents & ~POLLIN)
		return false;
	if (p[INNER].revents)
		take_end(f);
	return !f->ended || f->out >= 0 || f->err >= 0;
}

static void *play(void *arg)
{
	struct frames *f = arg;
	char end[HEAD + 1];

	if (take_descriptors(f) && act_all(f))
		while (turn(f))
			;
	if (f->ended) {
		end[HEAD] = (char)f->status;
		send_frame(f, 'X', end, 1);
	}
	shut(&f->in);
	shut(&f->out);
	shut(&f->err);
	shutdown(f->inner.fd, SHUT_RDWR); /* the client is gone: so is the program */
	return NULL;
}

int frames_start(int sock, const char *read, size_t n, struct frames **ret)
{
	struct frames *f = calloc(1, sizeof(*f));
	pthread_attr_t attr;
	int pair[2];

	if (!f || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		free(f);
		return -ENOMEM;
	}
	f->sock = sock;
	f->in = f->out = f->err = -1;
	f->from.max = f->input.max = 2 * (HEAD + FRAMES_MAX);
	buf_add(&f->from, read, n);
	client_init(&f->inner, pair[1]);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	int r = -pthread_create(&f->thread, &attr, play, f);
	pthread_attr_destroy(&attr);
	if (r < 0) {
		close(pair[0]);
		close(pair[1]);
		buf_free(&f->from);
		free(f);
		return r;
	}
	*ret = f;
	return pair[0];
}

void frames_end(struct frames *f, int end)
{
	if (!f)
		return;
	shutdown(end, SHUT_WR);
	pthread_join(f->thread, NULL);
	close(end);
	client_close(&f->inner);
	buf_free(&f->from);
	buf_free(&f->input);
	free(f);
}

/* ---- the upgrade ---- */

int frames_check(struct request *r)
{
	const char *upgrade =
		MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "Upgrade");
	const char *wanted = r->who.remote ? FRAMES_NAME : FRAMES_RUN;

	if (upgrade && strcasecmp(upgrade, wanted) == 0)
		return 0;
	return request_fail(r, FAIL_USAGE, "the request must carry Upgrade: %s", wanted);
}

/* In the connection's own thread (MHD_UpgradeHandler, thread per connection). */
static void upgraded(void *cls, struct MHD_Connection *connection UNUSED,
	void *con_cls UNUSED, const char *extra, size_t extra_len, MHD_socket sock,
	struct MHD_UpgradeResponseHandle *urh)
{
	struct request *r = cls;
	struct frames *f = NULL;

	if (!r->who.remote) {
		r->serve(r->data, sock, extra, extra_len);
	} else {
		int end = frames_start(sock, extra, extra_len, &f);

		if (end >= 0)
			r->serve(r->data, end, NULL, 0);
		frames_end(f, end);
	}
	MHD_upgrade_action(urh, MHD_UPGRADE_ACTION_CLOSE);
}

int frames_upgrade(struct request *r,
	void (*serve)(void *data, int sock, const char *read, size_t n))
{
	r->response = MHD_create_response_for_upgrade(upgraded, r);
	if (!r->response)
		return -ENOMEM;
	r->serve = serve;
	r->status = MHD_HTTP_SWITCHING_PROTOCOLS;
	MHD_add_response_header(
		r->response, "Upgrade", r->who.remote ? FRAMES_NAME : FRAMES_RUN);
	return 0;
}
