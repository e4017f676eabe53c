/* The instances' output, read without ever losing a byte. */
#include "runtime/logger/logger_source.h"
#include "lib/io.h"
#include "lib/log.h"
#include "runtime/logger/logger_text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#define ROUNDS_MAX 4 /* of PEEK_SIZE, then the others get their turn */
#define BUCKETS 1024u
/*
 * A source that writes again this soon is not watched for a while, but looked at so often: each look then takes all that
 * came meanwhile, and neither side wakes the other for every line.
 */
#define BUSY_MS 2
#define BUSY_TURNS 5 /* without anything: it is watched again */

struct source {
	struct source *next, *next_busy;
	struct sources *all;
	uint64_t id, ready_ns; /* when it last had something */
	uint32_t app, release;
	char name[TEXT_SOURCE_MAX];
	int fd;
	unsigned int busy; /* turns left without anything; 0: it is watched */
	bool ended;	   /* while it is on the list of the busy */
	struct loop_io *watch;
	struct loop_timer *partial, *again;
};

struct sources {
	struct loop *loop;
	struct store *store;
	struct source *busy;
	struct loop_timer *turn;
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
	/* As many slots as a full FIFO has: packets written with O_DIRECT fill a slot each. */
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

/* Busy sources are freed by their turn. */
static void free_source(struct source *o)
{
	if (o->ended)
		return;
	loop_del(o->watch);
	loop_cancel(o->partial);
	loop_cancel(o->again);
	close(o->fd);
	o->ended = true;
	if (!o->busy)
		free(o);
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
	free_source(o);
	s->done(s->done_arg, id);
}

static size_t add_lines(struct source *o, bool at_end)
{
	const struct peek *p = &o->all->peek;
	struct store_input in = {.app = o->app,
		.release = o->release,
		.source = o->name,
		.data = p->data,
		.len = p->len,
		/* A full look may stop in the middle of a line that goes on in the FIFO. */
		.at_end = at_end && p->len < PEEK_SIZE};

	return store_lines(o->all->store, &in, io_now_us());
}

static bool writers_gone(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && (p.revents & POLLHUP);
}

enum seen { SEEN_END = -1, SEEN_NOTHING, SEEN_MORE, SEEN_ALL };

/* One look at the FIFO. SEEN_ALL: all lines that were there; the edge tells of the next. */
static enum seen look(struct source *o, bool with_partial)
{
	struct peek *p = &o->all->peek;
	int r = peek_fill(p, o->fd);
	size_t used;

	if (r == -EAGAIN || r == -EINTR)
		return SEEN_NOTHING;
	if (r <= 0)
		return SEEN_END;
	used = add_lines(o, with_partial);
	r = peek_consume(p, o->fd, used);
	if (r < 0) {
		log_error("cannot take the output of %s from its fifo: %s", o->name,
			strerror(-r));
		return SEEN_END;
	}
	p->len -= used;
	if (used && p->len + used == PEEK_SIZE)
		return SEEN_MORE;
	/* Nothing follows the beginning of a line that is left: the next look takes it. */
	if (p->len && !with_partial && writers_gone(o->fd))
		return look(o, true) == SEEN_END ? SEEN_END : SEEN_MORE;
	return used ? SEEN_ALL : SEEN_NOTHING;
}

static void pump(struct source *o, bool with_partial, bool to_end);

static void on_partial(void *arg)
{
	struct source *o = arg;

	o->partial = NULL;
	pump(o, true, true);
}

static void on_again(void *arg)
{
	struct source *o = arg;

	o->again = NULL;
	pump(o, false, true);
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

/*
 * to_end: until there is nothing. Where that is not asked for, the next line or the end is an event of its own; it is not when
 * this event told of the end already, or may have been an end from before the FIFO was opened, of which nothing tells.
 */
static void pump(struct source *o, bool with_partial, bool to_end)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		enum seen seen = look(o, with_partial);

		if (seen == SEEN_END) {
			end_source(o);
			return;
		}
		if (seen != SEEN_NOTHING) {
			/* A new line begins: it has its own time. */
			loop_cancel(o->partial);
			o->partial = NULL;
			with_partial = false;
			if (o->busy)
				o->busy = BUSY_TURNS;
		}
		if (seen == SEEN_NOTHING || (seen == SEEN_ALL && !to_end)) {
			wait_for_more(o);
			return;
		}
	}
	if (!o->again)
		o->again = loop_after(o->all->loop, 0, on_again, o);
}

static void on_turn(void *arg);

static void plan_turn(struct sources *s)
{
	if (s->busy && !s->turn)
		s->turn = loop_after(s->loop, BUSY_MS, on_turn, s);
}

/* Watched again; what came meanwhile is an event. */
static void calm(struct source *o)
{
	o->busy = 0;
	if (o->ended)
		free(o);
	else if (loop_mod(o->watch, EPOLLIN | EPOLLET) < 0)
		end_source(o);
}

static void on_turn(void *arg)
{
	struct sources *s = arg;
	struct source **at = &s->busy, *o;

	s->turn = NULL;
	while ((o = *at)) {
		if (!o->ended && !o->again)
			pump(o, false, false);
		if (!o->ended && --o->busy) {
			at = &o->next_busy;
			continue;
		}
		*at = o->next_busy;
		calm(o);
	}
	plan_turn(s);
}

/* Events stop, but for the end. */
static void make_busy(struct source *o)
{
	if (loop_mod(o->watch, EPOLLET) < 0)
		return;
	o->busy = BUSY_TURNS;
	o->next_busy = o->all->busy;
	o->all->busy = o;
	plan_turn(o->all);
	if (!o->all->turn) /* no memory for it: as before */
		(void)loop_mod(o->watch, EPOLLIN | EPOLLET);
}

static void on_ready(void *arg, uint32_t events)
{
	struct source *o = arg;
	uint64_t now = io_mono_ns(), before = o->ready_ns;

	o->ready_ns = now;
	if (!o->busy && !(events & EPOLLHUP) && now - before < BUSY_MS * 1000000ull)
		make_busy(o);
	else
		pump(o, false, events & EPOLLHUP);
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
	*o = (struct source){
		.all = s, .id = a->id, .app = a->app, .release = a->release, .fd = fd};
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
	pump(o, false, true);
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
			free_source(o);
		}
	}
	while (s->busy) {
		struct source *o = s->busy;

		s->busy = o->next_busy;
		free(o);
	}
	loop_cancel(s->turn);
	peek_close(&s->peek);
	free(s);
}
