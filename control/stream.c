/* A queue of lines between an operation's thread and the connection's thread. */
#include "control/stream.h"
#include "control/api/feed.h"
#include "control/thread.h"
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define STACK_BYTES ((size_t)1 << 20)
#define READ_MAX ((size_t)64 << 10) /* at once */
#define HANG_UP_CHECK_MS                                                                 \
	200 /* how soon a silent stream's thread notices that nobody reads it */

struct stream {
	struct sink sink; /* first: the sink's functions get its address */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct buf out;
	bool done;   /* the operation is over */
	bool unread; /* the connection is gone: lines are dropped */
	size_t dropped;
	int watch_fd;
	atomic_int refs; /* the operation's thread, the response */
	stream_run run;
	stream_end end;
	void *arg;
};

bool stream_hung_up(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 &&
	       (p.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

static void unref(struct stream *s)
{
	if (atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	pthread_cond_destroy(&s->more);
	pthread_mutex_destroy(&s->lock);
	buf_free(&s->out);
	free(s);
}

/* With the lock held. */
static void add_line(struct stream *s, char kind, const char *text)
{
	char head[2] = {kind, ' '};
	size_t at;

	buf_add(&s->out, head, 2);
	at = s->out.len;
	buf_adds(&s->out, text);
	for (size_t i = at; i < s->out.len; i++) {
		if (s->out.data[i] == '\n') /* a line is one line, whatever it says */
			s->out.data[i] = ' ';
	}
	buf_add(&s->out, "\n", 1);
}

static void write_line(struct sink *sink, char kind, const char *text)
{
	struct stream *s = (struct stream *)sink;

	pthread_mutex_lock(&s->lock);
	/* The kinds that the other end acts on are few and never dropped. */
	if (s->out.len > STREAM_WAITING_MAX && (kind == 'o' || kind == 'p')) {
		s->dropped++;
	} else if (!s->unread) {
		if (s->dropped && s->out.len <= STREAM_WAITING_MAX) {
			char note[80];

			snprintf(note, sizeof(note),
				" !     %zu lines of output were not sent", s->dropped);
			s->dropped = 0;
			add_line(s, 'o', note);
		}
		add_line(s, kind, text);
		pthread_cond_signal(&s->more);
	}
	pthread_mutex_unlock(&s->lock);
}

static bool cancelled(struct sink *sink)
{
	return stream_hung_up(sink->watch_fd);
}

static void *run(void *arg)
{
	struct stream *s = arg;
	char status[16];
	int r = s->run(s->arg, &s->sink);

	s->end(s->arg);
	snprintf(status, sizeof(status), "%d", r);
	pthread_mutex_lock(&s->lock);
	/* Before the last line: a duplicate left open would keep the connection from
	 * ending. */
	close(s->watch_fd);
	s->watch_fd = -1;
	if (!s->unread)
		add_line(s, 'x', status);
	s->done = true;
	pthread_cond_signal(&s->more);
	pthread_mutex_unlock(&s->lock);
	unref(s);
	return NULL;
}

/* Until there is a line, or the end. False: a hang-up. */
static bool wait_for_more(void *arg, int ms)
{
	struct stream *s = arg;
	bool there = true;

	pthread_mutex_lock(&s->lock);
	for (int waited = 0; there && !s->out.len && !s->done && (ms < 0 || waited < ms);
		waited += HANG_UP_CHECK_MS) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += HANG_UP_CHECK_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_nsec -= 1000000000L;
			until.tv_sec++;
		}
		if (pthread_cond_timedwait(&s->more, &s->lock, &until) == ETIMEDOUT &&
			s->watch_fd >= 0 && stream_hung_up(s->watch_fd))
			there = false;
	}
	pthread_mutex_unlock(&s->lock);
	return there;
}

static int read_some(void *arg, struct buf *out)
{
	struct stream *s = arg;
	int r = FEED_SOME;

	pthread_mutex_lock(&s->lock);
	size_t n = s->out.len < READ_MAX ? s->out.len : READ_MAX;
	if (s->out.failed || buf_add(out, s->out.data, n) < 0)
		r = -ENOMEM;
	else if (!n)
		r = s->done ? FEED_OVER : FEED_NOTHING;
	buf_consume(&s->out, n);
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void response_gone(void *arg)
{
	struct stream *s = arg;

	pthread_mutex_lock(&s->lock);
	s->unread = true;
	buf_reset(&s->out);
	pthread_mutex_unlock(&s->lock);
	unref(s);
}

static const struct feed_source source = {.kind = FEED_STREAM,
	.read = read_some,
	.wait = wait_for_more,
	.close = response_gone};

static struct stream *make(int connection_fd)
{
	struct stream *s = calloc(1, sizeof(*s));
	pthread_condattr_t attr;

	if (!s)
		return NULL;
	s->watch_fd = fcntl(connection_fd, F_DUPFD_CLOEXEC, 3);
	if (s->watch_fd < 0) {
		free(s);
		return NULL;
	}
	s->sink = (struct sink){
		.write = write_line, .cancelled = cancelled, .watch_fd = s->watch_fd};
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->more, &attr);
	pthread_condattr_destroy(&attr);
	s->out.max = STREAM_WAITING_MAX * 2;
	atomic_init(&s->refs, 1);
	return s;
}

int stream_start(struct MHD_Connection *connection, int connection_fd, stream_run fn,
	stream_end end, void *arg, struct MHD_Response **ret)
{
	struct stream *s = make(connection_fd);

	if (!s)
		return -ENOMEM;
	s->run = fn;
	s->end = end;
	s->arg = arg;
	struct MHD_Response *response =
		feed_start(&source, s, STREAM_TYPE, feed_wants_events(connection), NULL);
	if (!response) {
		close(s->watch_fd);
		unref(s);
		return -ENOMEM;
	}
	atomic_fetch_add(&s->refs, 1);
	int r = thread_detached(run, s, STACK_BYTES);
	if (r < 0) {
		close(s->watch_fd);
		s->watch_fd = -1;
		MHD_destroy_response(response);
		unref(s);
		return r;
	}
	*ret = response;
	return 0;
}
