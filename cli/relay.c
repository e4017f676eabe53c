/* Between this terminal (or these pipes) and a program inside berth, after the API's
 * upgrade. */
#include "cli/relay.h"

#include "cli/cli.h"
#include "lib/io.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>

#define PART 65536
#define DRAIN_MS                                                                         \
	300 /* after the program's end: a child of its may hold the pipe for ever */
#define CTRL_D '\004'

static struct termios saved;
static bool raw;

static void restore(void)
{
	if (raw)
		tcsetattr(0, TCSADRAIN, &saved);
	raw = false;
}

static void make_raw(void)
{
	struct termios t;

	if (tcgetattr(0, &saved) < 0)
		return;
	t = saved;
	cfmakeraw(&t);
	if (tcsetattr(0, TCSADRAIN, &t) < 0)
		return;
	raw = true;
	atexit(restore);
}

struct relay {
	struct client *client;
	bool tty, ended;
	int in, out, err; /* the program's ends; -1: closed */
	bool stdin_open;
	int signals;
	int failed; /* the status when berth did */
	int status; /* of X */
	size_t pending, sent;
	char part[PART]; /* of our stdin, on its way */
};

enum { P_SOCKET, P_SIGNAL, P_STDIN, P_IN, P_OUT, P_ERR, P_STDOUT, P_COUNT };

void relay_size(unsigned int *rows, unsigned int *cols)
{
	struct winsize w;

	*rows = 24;
	*cols = 80;
	if ((ioctl(0, TIOCGWINSZ, &w) == 0 || ioctl(1, TIOCGWINSZ, &w) == 0) &&
		w.ws_row && w.ws_col) {
		*rows = w.ws_row;
		*cols = w.ws_col;
	}
}

static void resize(struct relay *y)
{
	unsigned int rows, cols;

	relay_size(&rows, &cols);
	if (y->tty && y->out >= 0)
		ioctl(y->out, TIOCSWINSZ,
			&(struct winsize){.ws_row = (unsigned short)rows,
				.ws_col = (unsigned short)cols});
}

static void take_signal(struct relay *y)
{
	struct signalfd_siginfo si;
	char message[2] = {'S', 0};

	if (read(y->signals, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo == SIGWINCH) {
		resize(y);
		return;
	}
	message[1] = (char)si.ssi_signo;
	send(y->client->fd, message, sizeof(message), MSG_NOSIGNAL);
}

static void close_in(struct relay *y)
{
	if (y->in >= 0 && !y->tty)
		close(y->in);
	y->in = -1;
	y->stdin_open = false;
	y->pending = y->sent = 0;
}

static void read_stdin(struct relay *y)
{
	ssize_t n = read(0, y->part, sizeof(y->part));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	y->sent = 0;
	y->pending = n > 0 ? (size_t)n : 0;
	if (n > 0)
		return;
	y->stdin_open = false;
	if (!y->tty) {
		close_in(y);
		return;
	}
	y->part[0] = CTRL_D; /* how a terminal says that its input has ended */
	y->pending = 1;
}

static void write_in(struct relay *y)
{
	ssize_t n = write(y->in, y->part + y->sent, y->pending - y->sent);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		close_in(y); /* the program reads no more */
		return;
	}
	y->sent += (size_t)n;
	if (y->sent == y->pending)
		y->pending = y->sent = 0;
}

/* From *fd to ours. 0, or -errno of ours. */
static int copy_out(int *fd, int ours)
{
	static char part[PART];
	ssize_t n = read(*fd, part, sizeof(part));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n <= 0) { /* a pty says EIO when its last user is gone */
		*fd = -1;
		return 0;
	}
	return out_write(ours, part, (size_t)n);
}

/* false when control went away before it told the exit status. */
static bool read_socket(struct relay *y)
{
	char message[2] = {0, 0};

	if (client_raw(y->client, message, 1) != 1)
		return false;
	if (message[0] != 'X')
		return true;
	if (client_raw(y->client, message + 1, 1) != 1)
		return false;
	y->status = (unsigned char)message[1];
	y->ended = true;
	return true;
}

static void prepare(struct relay *y, struct pollfd *p)
{
	bool pending = y->pending > 0;

	p[P_SOCKET] =
		(struct pollfd){.fd = y->ended ? -1 : y->client->fd, .events = POLLIN};
	p[P_SIGNAL] = (struct pollfd){.fd = y->signals, .events = POLLIN};
	p[P_STDIN] = (struct pollfd){
		.fd = y->stdin_open && !pending && !y->ended ? 0 : -1, .events = POLLIN};
	p[P_IN] = (struct pollfd){
		.fd = pending && !y->ended ? y->in : -1, .events = POLLOUT};
	p[P_OUT] = (struct pollfd){.fd = y->out, .events = POLLIN};
	p[P_ERR] = (struct pollfd){.fd = y->err, .events = POLLIN};
	p[P_STDOUT] = (struct pollfd){.fd = 1}; /* only to hear that its reader is gone */
}

/* What the program wrote, to where ours goes. false when that is no more possible: closing the connection ends it, as SIGPIPE
 * would. */
static bool copy(struct relay *y, const struct pollfd *p)
{
	int r = p[P_OUT].revents ? copy_out(&y->out, 1) : 0;

	if (r == 0 && p[P_ERR].revents)
		r = copy_out(&y->err, 2);
	if (r == 0 && p[P_STDOUT].revents & (POLLERR | POLLHUP))
		r = -EPIPE;
	if (r == 0)
		return true;
	restore();
	out_failed(r);
	y->status = r == -EPIPE ? 128 + SIGPIPE : y->failed;
	return false;
}

/* One turn. false: over, y->status holds. */
static bool turn(struct relay *y)
{
	bool buffered = y->client->end > y->client->start;
	struct pollfd p[P_COUNT];
	int n;

	prepare(y, p);
	n = poll(p, P_COUNT, buffered && !y->ended ? 0 : y->ended ? DRAIN_MS : -1);
	if (n < 0)
		return errno == EINTR;
	if (n == 0 && y->ended)
		return false;
	if ((p[P_SOCKET].revents || buffered) && !y->ended && !read_socket(y)) {
		restore();
		say("berth-control was interrupted; the program has been ended");
		y->status = y->failed;
		return false;
	}
	if (p[P_SIGNAL].revents)
		take_signal(y);
	if (p[P_STDIN].revents)
		read_stdin(y);
	if (p[P_IN].revents)
		write_in(y);
	if (!copy(y, p))
		return false;
	return !y->ended || y->out >= 0 || y->err >= 0;
}

static int watch_signals(void)
{
	static const int numbers[] = {
		SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sigaddset(&set, numbers[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool take_fds(struct relay *y, struct client *c)
{
	char first = 0;

	if (client_raw(c, &first, 1) != 1 || first != 'F' ||
		c->nfds != (y->tty ? 1 : 3)) {
		say("berth-control was interrupted before the program started");
		return false;
	}
	y->in = c->fds[0];
	y->out = y->tty ? c->fds[0] : c->fds[1];
	y->err = y->tty ? -1 : c->fds[2];
	if (!y->tty) {
		io_set_nonblock(y->in, true);
		c->fds[0] = -1; /* closed here, when our stdin ends */
	}
	return true;
}

int relay_run(struct client *c, bool tty, int failed)
{
	struct relay *y autofree = calloc(1, sizeof(*y));

	if (!y)
		abort();
	y->client = c;
	y->tty = tty;
	y->failed = failed;
	y->stdin_open = true;
	y->signals = watch_signals();
	if (!take_fds(y, c))
		return failed;
	if (tty) {
		io_set_nonblock(y->in, true);
		make_raw();
		resize(y);
	}
	while (turn(y))
		;
	restore();
	return y->status;
}
