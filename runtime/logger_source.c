/* The instances' output, read without ever losing a byte. */
#include "runtime/logger_source.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/logger_text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define ROUNDS_MAX 8 /* of PEEK_SIZE, then the others get their turn */
#define BUCKETS 1024u

struct source {
	struct source *next;
	struct sources *all;
	uint64_t id;
	uint32_t app;
	char name[STORE_SOURCE_MAX];
	int fd;
	struct loop_io *watch;
	struct loop_timer *partial, *again;
};

struct sources {
	struct loop *loop;
	struct store *store;
	void (*done)(void *arg, uint64_t id);
	void *done_arg;
	struct peek peek;
	struct source *buckets[BUCKETS];
};

int peek_open(struct peek *p)
{
	p->null = -1;
	p->len = 0;
	if (pipe2(p->pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	p->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (p->null < 0) {
		int r = -errno;

		peek_close(p);
		return r;
	}
	/* As many slots as a full FIFO has: single bytes written one by one fill a slot
	 * each. */
	(void)fcntl(p->pipe[1], F_SETPIPE_SZ, 1 << 20);
	return 0;
}

void peek_close(struct peek *p)
{
	close(p->pipe[0]);
	close(p->pipe[1]);
	if (p->null >= 0)
		close(p->null);
}

int peek_fill(struct peek *p, int fd)
{
	ssize_t n = tee(fd, p->pipe[1], PEEK_SIZE, SPLICE_F_NONBLOCK);

	p->len = 0;
	if (n <= 0)
		return n < 0 ? -errno : 0;
	while (p->len < (size_t)n) {
		ssize_t got = read(p->pipe[0], p->data + p->len, (size_t)n - p->len);

		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		p->len += (size_t)got;
	}
	return 1;
}

int peek_consume(struct peek *p, int fd, size_t n)
{
	while (n > 0) {
		/* Not read(): it would drop the rest of a packet that the app wrote with
		 * O_DIRECT. */
		ssize_t got = splice(fd, NULL, p->null, NULL, n, SPLICE_F_NONBLOCK);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		n -= (size_t)got;
	}
	return 0;
}

static void end_source(struct source *o)
{
	struct sources *s = o->all;
	uint64_t id = o->id;

	for (struct source **at = &s->buckets[id % BUCKETS]; *at; at = &(*at)->next) {
		if (*at == o) {
			*at = o->next;
			break;
		}
	}
	loop_del(o->watch);
	loop_cancel(o->partial);
	loop_cancel(o->again);
	close(o->fd);
	free(o);
	s->done(s->done_arg, id);
}

/* Adds the lines at hand to the store; returns how many bytes they take. */
static size_t add_lines(struct source *o, bool at_end)
{
	const struct peek *p = &o->all->peek;
	struct text_line line;
	size_t at = 0, used;

	while ((used = text_next_line(p->data + at, p->len - at, at_end, &line)) > 0) {
		store_add(o->all->store, o->app, io_now_us(), o->name, line.start,
			line.len, line.cut);
		at += used;
	}
	return at;
}

static bool writers_gone(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

/* One look at the FIFO. 1: there may be more, 0: wait, -1: it ended. */
static int look(struct source *o, bool with_partial)
{
	struct peek *p = &o->all->peek;
	bool at_end = with_partial || writers_gone(o->fd);
	int r = peek_fill(p, o->fd);
	size_t used;

	if (r == -EAGAIN || r == -EINTR)
		return 0;
	if (r <= 0)
		return -1;
	/* A full look may stop in the middle of a line that goes on in the FIFO. */
	used = add_lines(o, at_end && p->len < PEEK_SIZE);
	store_flush(o->all->store);
	r = peek_consume(p, o->fd, used);
	if (r < 0) {
		log_error("cannot take the output of %s from its fifo: %s", o->name,
			strerror(-r));
		return -1;
	}
	return used > 0;
}

static void pump(struct source *o, bool with_partial);

static void on_partial(void *arg)
{
	struct source *o = arg;

	o->partial = NULL;
	pump(o, true);
}

static void on_again(void *arg)
{
	struct source *o = arg;

	o->again = NULL;
	pump(o, false);
}

/* What is left is the beginning of a line, if anything. */
static void wait_for_more(struct source *o)
{
	bool left = o->all->peek.len > 0;

	if (left && !o->partial) {
		o->partial = loop_after(o->all->loop, SOURCE_PARTIAL_MS, on_partial, o);
	} else if (!left) {
		loop_cancel(o->partial);
		o->partial = NULL;
	}
}

static void pump(struct source *o, bool with_partial)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		int r = look(o, with_partial);

		if (r < 0) {
			end_source(o);
			return;
		}
		if (r == 0) {
			wait_for_more(o);
			return;
		}
		/* A new line begins: it has its own time. */
		loop_cancel(o->partial);
		o->partial = NULL;
		with_partial = false;
	}
	if (!o->again)
		o->again = loop_after(o->all->loop, 0, on_again, o);
}

static void on_ready(void *arg, uint32_t events UNUSED)
{
	pump(arg, false);
}

struct sources *sources_new(
	struct loop *l, struct store *s, void (*done)(void *arg, uint64_t id), void *arg)
{
	struct sources *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->loop = l;
	all->store = s;
	all->done = done;
	all->done_arg = arg;
	if (peek_open(&all->peek) < 0) {
		free(all);
		return NULL;
	}
	return all;
}

static struct source *find(struct sources *s, uint64_t id)
{
	struct source *o = s->buckets[id % BUCKETS];

	while (o && o->id != id)
		o = o->next;
	return o;
}

int sources_attach(struct sources *s, const struct msg_log_attach *a, int fd)
{
	struct source *o;

	/* berthd restarted and tells all it has: what is being read goes on. */
	if (find(s, a->id)) {
		close(fd);
		return 0;
	}
	o = calloc(1, sizeof(*o));
	if (!o) {
		close(fd);
		return -ENOMEM;
	}
	*o = (struct source){.all = s, .id = a->id, .app = a->app, .fd = fd};
	snprintf(
		o->name, sizeof(o->name), "app[%.*s]", (int)sizeof(a->name) - 1, a->name);
	/* Edge-triggered: the beginning of a line stays in the FIFO until its end comes.
	 */
	o->watch = loop_add(s->loop, fd, EPOLLIN | EPOLLET, on_ready, o);
	if (!o->watch) {
		close(fd);
		free(o);
		return -ENOMEM;
	}
	store_open_app(s->store, a->app);
	o->next = s->buckets[a->id % BUCKETS];
	s->buckets[a->id % BUCKETS] = o;
	pump(o, false);
	return 0;
}

void sources_free(struct sources *s)
{
	if (!s)
		return;
	for (unsigned int i = 0; i < BUCKETS; i++) {
		while (s->buckets[i]) {
			struct source *o = s->buckets[i];

			s->buckets[i] = o->next;
			loop_del(o->watch);
			loop_cancel(o->partial);
			loop_cancel(o->again);
			close(o->fd);
			free(o);
		}
	}
	peek_close(&s->peek);
	free(s);
}
