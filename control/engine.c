/* The connection to berthd: calls and events, safe from any thread. */
#include "control/engine.h"
#include "control/tcp_table.h"
#include "lib/buf.h"
#include "lib/io.h"
#include "lib/log.h"
#include "lib/name.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#define TABLE_MAX ((size_t)1 << 20) /* 6,000 sockets */

struct call {
	uint32_t seq;
	bool done;
	int status;
	struct msg *reply; /* where the reader copies it; NULL: not wanted */
	struct call *next;
};

struct expected {
	uint64_t id;
	unsigned int users; /* two may wait for one: a drain and a ps:stop */
	bool done;
	int event_fd;
	uint32_t oom_kills;
	struct msg_exited exit;
	struct expected *next;
};

struct engine {
	int fd;
	struct engine_events events;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t seq;
	struct call *calls;
	struct expected *expected;
	struct msg in; /* the reader's */
};

int engine_open(int fd, const struct engine_events *events, struct engine **ret)
{
	struct engine *g = calloc(1, sizeof(*g));
	pthread_condattr_t attr;

	if (!g)
		return -ENOMEM;
	g->fd = fd;
	g->events = *events;
	pthread_mutex_init(&g->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&g->changed, &attr);
	/* An answer meant for the program before us must not look like ours. */
	if (getrandom(&g->seq, sizeof(g->seq), 0) < 0)
		g->seq = (uint32_t)io_mono_ns();
	*ret = g;
	return 0;
}

static struct expected *find_expected(struct engine *g, uint64_t id)
{
	struct expected *x = g->expected;

	while (x && x->id != id)
		x = x->next;
	return x;
}

static void handle_exit(struct engine *g, const struct msg_exited *e)
{
	pthread_mutex_lock(&g->lock);
	struct expected *x = find_expected(g, e->id);
	if (x && !x->done) {
		uint64_t one = 1;
		x->done = true;
		x->exit = *e;
		if (write(x->event_fd, &one, sizeof(one)) < 0)
			log_warn("exit of %llu: eventfd: %m", (unsigned long long)e->id);
		pthread_cond_broadcast(&g->changed);
	}
	pthread_mutex_unlock(&g->lock);
	g->events.exited(g->events.arg, e);
	struct msg_instance ack = {e->id};
	engine_tell(g, MSG_EXITED_ACK, &ack, sizeof(ack));
}

static void handle_oom(struct engine *g, const struct msg_oom *o)
{
	pthread_mutex_lock(&g->lock);
	struct expected *x = find_expected(g, o->id);
	if (x)
		x->oom_kills = o->kills;
	pthread_mutex_unlock(&g->lock);
	g->events.oom(g->events.arg, o);
}

static void fail_calls(struct engine *g, int status)
{
	pthread_mutex_lock(&g->lock);
	for (struct call *c = g->calls; c; c = c->next) {
		if (!c->done) {
			c->done = true;
			c->status = status;
		}
	}
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static void handle_reply(struct engine *g, struct msg *m)
{
	pthread_mutex_lock(&g->lock);
	struct call *c = g->calls;
	while (c && (c->seq != m->head.seq || c->done))
		c = c->next;
	if (c) {
		c->done = true;
		c->status = m->head.status;
		if (c->reply) {
			c->reply->head = m->head;
			memcpy(c->reply->body, m->body, m->head.size);
			memcpy(c->reply->fds, m->fds, sizeof(int) * m->nfds);
			c->reply->nfds = m->nfds;
			m->nfds = 0;
		}
		pthread_cond_broadcast(&g->changed);
	}
	pthread_mutex_unlock(&g->lock);
	msg_close_fds(m);
}

static void *read_main(void *arg)
{
	struct engine *g = arg;

	for (;;) {
		struct pollfd p = {.fd = g->fd, .events = POLLIN};
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			log_warn("poll berthd: %m");
		int r = msg_recv(g->fd, &g->in);
		if (r == -EAGAIN)
			continue;
		if (r == 0) {
			log_error("berthd is gone");
			_exit(0); /* both its processes ended: it starts us anew when it is back */
		}
		if (r < 0) {
			log_warn("message from berthd: %s", strerror(-r));
			continue;
		}
		struct msg *m = &g->in;
		if (m->head.type == MSG_EXITED &&
			m->head.size == sizeof(struct msg_exited)) {
			struct msg_exited e;
			memcpy(&e, m->body, sizeof(e));
			handle_exit(g, &e);
		} else if (m->head.type == MSG_OOM &&
			   m->head.size == sizeof(struct msg_oom)) {
			struct msg_oom o;
			memcpy(&o, m->body, sizeof(o));
			handle_oom(g, &o);
		} else if (m->head.type == MSG_HELLO) {
			fail_calls(g, -ECONNRESET);
			g->events.restarted(g->events.arg);
		} else {
			handle_reply(g, m);
		}
	}
	return NULL;
}

int engine_run(struct engine *g)
{
	struct msg_hello hello = {.epoch = io_mono_ns(), .pid = (uint32_t)getpid()};
	pthread_t thread;

	int r = msg_send(g->fd, MSG_HELLO, 0, 0, &hello, sizeof(hello), NULL, 0);
	if (r < 0)
		return r;
	r = pthread_create(&thread, NULL, read_main, g);
	if (r)
		return -r;
	pthread_detach(thread);
	return 0;
}

static int send_wait(struct engine *g, uint32_t type, uint32_t seq, const void *body,
	size_t size, const int *fds, unsigned int nfds)
{
	for (int tries = 0;; tries++) {
		int r = msg_send(g->fd, type, seq, 0, body, size, fds, nfds);
		if (r != -EAGAIN || tries > 1000)
			return r;
		struct pollfd p = {.fd = g->fd, .events = POLLOUT};
		poll(&p, 1, 10);
	}
}

static void drop_call(struct engine *g, struct call *c)
{
	for (struct call **at = &g->calls; *at; at = &(*at)->next) {
		if (*at == c) {
			*at = c->next;
			return;
		}
	}
}

int engine_call(struct engine *g, uint32_t type, const void *body, size_t size,
	const int *fds, unsigned int nfds, struct msg *reply)
{
	struct call c = {.reply = reply};
	struct timespec until = io_mono_in(ENGINE_TIMEOUT_MS);
	int r = 0;

	if (reply)
		reply->nfds = 0;
	pthread_mutex_lock(&g->lock);
	c.seq = ++g->seq ? g->seq : ++g->seq;
	c.next = g->calls;
	g->calls = &c;
	pthread_mutex_unlock(&g->lock);
	r = send_wait(g, type, c.seq, body, size, fds, nfds);
	pthread_mutex_lock(&g->lock);
	while (r == 0 && !c.done)
		r = -pthread_cond_timedwait(&g->changed, &g->lock, &until);
	drop_call(g, &c);
	pthread_mutex_unlock(&g->lock);
	return c.done ? c.status : r;
}

int engine_tell(struct engine *g, uint32_t type, const void *body, size_t size)
{
	return send_wait(g, type, 0, body, size, NULL, 0);
}

static int start_call(struct engine *g, uint32_t type, const void *body, size_t size,
	const int *fds, unsigned int nfds, int *ret_pty, struct err *e)
{
	struct msg *reply autofree = calloc(1, sizeof(*reply));
	struct msg_started *s;

	if (!reply)
		return err_set(e, ENOMEM, "out of memory");
	int r = engine_call(g, type, body, size, fds, nfds, reply);
	s = (struct msg_started *)(void *)reply->body;
	if (r == -ECONNRESET)
		err_set(e, ECONNRESET, "berthd restarted in the middle; try again");
	else if (r < 0 && reply->head.size == sizeof(*s) && s->error[0])
		err_set(e, -r, "%.*s", (int)sizeof(s->error), s->error);
	else if (r < 0)
		err_sys(e, -r, "berthd could not start it");
	if (ret_pty)
		*ret_pty = r == 0 && reply->nfds ? TAKE_FD(reply->fds[0]) : -1;
	msg_close_fds(reply);
	return r;
}

int engine_start(struct engine *g, const struct msg_start *m, const int *fds,
	unsigned int nfds, int *ret_pty, struct err *e)
{
	return start_call(g, MSG_START, m, sizeof(*m), fds, nfds, ret_pty, e);
}

int engine_enter(struct engine *g, const struct msg_enter *m, const int *fds,
	unsigned int nfds, int *ret_pty, struct err *e)
{
	return start_call(g, MSG_ENTER, m, sizeof(*m), fds, nfds, ret_pty, e);
}

/* A call whose answer is one struct; filled whatever the status. */
static int ask(struct engine *g, uint32_t type, const void *body, size_t size, void *ret,
	size_t ret_size)
{
	struct msg *reply autofree = calloc(1, sizeof(*reply));

	if (!reply)
		return -ENOMEM;
	int r = engine_call(g, type, body, size, NULL, 0, reply);
	if (reply->head.size == ret_size)
		memcpy(ret, reply->body, ret_size);
	else if (r == 0)
		r = -EPROTO;
	msg_close_fds(reply);
	return r;
}

int engine_limits(struct engine *g, const struct msg_limits *m, struct msg_limited *ret)
{
	*ret = (struct msg_limited){.id = m->id};
	return ask(g, MSG_LIMITS, m, sizeof(*m), ret, sizeof(*ret));
}

int engine_host(struct engine *g, struct msg_host *ret)
{
	return ask(g, MSG_HOST, NULL, 0, ret, sizeof(*ret));
}

int engine_stop(struct engine *g, uint64_t id, uint32_t timeout_ms)
{
	struct msg_stop stop = {.id = id, .timeout_ms = timeout_ms};

	return engine_call(g, MSG_STOP, &stop, sizeof(stop), NULL, 0, NULL);
}

int engine_socket(struct engine *g, uint64_t id, int family)
{
	struct msg *reply autofree = calloc(1, sizeof(*reply));
	struct msg_sockets ask = {.id = id, .n = 1, .family = (uint32_t)family};

	if (!reply)
		return -ENOMEM;
	int r = engine_call(g, MSG_SOCKETS, &ask, sizeof(ask), NULL, 0, reply);
	int fd = r == 0 && reply->nfds ? TAKE_FD(reply->fds[0]) : -1;
	msg_close_fds(reply);
	return r < 0 ? r : fd < 0 ? -EIO : fd;
}

/* The instance's tables of sockets as text: TCP, TCP over IPv6, unix. 0 or -errno. */
static int read_tables(struct engine *g, uint64_t id, struct buf *text, unsigned int n)
{
	struct msg *reply autofree = calloc(1, sizeof(*reply));
	struct msg_instance ask = {id};

	if (!reply)
		return -ENOMEM;
	int r = engine_call(g, MSG_PORTS, &ask, sizeof(ask), NULL, 0, reply);
	for (unsigned int i = 0; r == 0 && i < reply->nfds && i < n; i++)
		r = io_read_all(reply->fds[i], &text[i]);
	msg_close_fds(reply);
	return r;
}

int engine_ports(struct engine *g, uint64_t id, uint16_t *ports, int max)
{
	struct buf text[2] = {{.max = TABLE_MAX}, {.max = TABLE_MAX}};
	int r = read_tables(g, id, text, 2), n = 0;

	for (int i = 0; i < 2; i++) {
		if (r == 0 && text[i].data)
			n = tcp_table_ports(text[i].data, ports, n, max);
		buf_free(&text[i]);
	}
	return r < 0 ? r : n;
}

int engine_waiting(struct engine *g, uint64_t id)
{
	struct buf text[3] = {{.max = TABLE_MAX}, {.max = TABLE_MAX}, {.max = TABLE_MAX}};
	int r = read_tables(g, id, text, 3);

	if (r == 0) /* there is a heading, at least */
		r = text[2].data ? unix_table_waiting(text[2].data) : -EIO;
	for (int i = 0; i < 3; i++)
		buf_free(&text[i]);
	return r;
}

int engine_callers(struct engine *g, uint64_t id)
{
	struct buf text[2] = {{.max = TABLE_MAX}, {.max = TABLE_MAX}};
	int r = read_tables(g, id, text, 2), n = 0;

	for (int i = 0; i < 2; i++) {
		if (r == 0 && text[i].data)
			n += tcp_table_callers(text[i].data);
		buf_free(&text[i]);
	}
	return r < 0 ? r : n;
}

int engine_expect(struct engine *g, uint64_t id)
{
	struct expected *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return -ENOMEM;
	*fresh = (struct expected){
		.id = id, .users = 1, .event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	if (fresh->event_fd < 0) {
		int r = -errno;
		free(fresh);
		return r;
	}
	pthread_mutex_lock(&g->lock);
	struct expected *x = find_expected(g, id);
	if (x) {
		x->users++;
	} else {
		fresh->next = g->expected;
		g->expected = fresh;
	}
	pthread_mutex_unlock(&g->lock);
	if (x) {
		close(fresh->event_fd);
		free(fresh);
	}
	return 0;
}

int engine_exit_fd(struct engine *g, uint64_t id)
{
	pthread_mutex_lock(&g->lock);
	struct expected *x = find_expected(g, id);
	int fd = x ? x->event_fd : -1;
	pthread_mutex_unlock(&g->lock);
	return fd;
}

int engine_wait_exit(
	struct engine *g, uint64_t id, int timeout_ms, struct msg_exited *ret)
{
	struct timespec until = io_mono_in(timeout_ms < 0 ? 0 : timeout_ms);
	int r = 0;

	pthread_mutex_lock(&g->lock);
	struct expected *x = find_expected(g, id);
	while (x && !x->done && r == 0) {
		if (timeout_ms < 0)
			pthread_cond_wait(&g->changed, &g->lock);
		else
			r = -pthread_cond_timedwait(&g->changed, &g->lock, &until);
	}
	if (x && x->done)
		*ret = x->exit;
	r = !x ? -ESRCH : x->done ? 0 : -EAGAIN;
	pthread_mutex_unlock(&g->lock);
	return r;
}

uint32_t engine_oom_kills(struct engine *g, uint64_t id)
{
	pthread_mutex_lock(&g->lock);
	struct expected *x = find_expected(g, id);
	uint32_t kills = x ? x->oom_kills : 0;
	pthread_mutex_unlock(&g->lock);
	return kills;
}

void engine_forget(struct engine *g, uint64_t id)
{
	pthread_mutex_lock(&g->lock);
	for (struct expected **at = &g->expected; *at; at = &(*at)->next) {
		struct expected *x = *at;
		if (x->id == id) {
			if (--x->users)
				break;
			*at = x->next;
			close(x->event_fd);
			free(x);
			break;
		}
	}
	pthread_mutex_unlock(&g->lock);
}

void exit_text(const struct msg_exited *e, char out[160])
{
	char size[24];

	switch ((enum exit_reason)e->reason) {
	case EXIT_REASON_EXITED:
		snprintf(out, 160, "exit status %d", e->value);
		return;
	case EXIT_REASON_SIGNALED:
		snprintf(out, 160, "killed by signal %d (%s)", e->value,
			strsignal(e->value));
		return;
	case EXIT_REASON_OOM:
		num_format_size(e->memory_limit_bytes, size);
		snprintf(out, 160, "out of memory at %s", size);
		return;
	case EXIT_REASON_EXEC:
		snprintf(out, 160, "the command could not be started: %s",
			strerror(e->value));
		return;
	case EXIT_REASON_LOST:
		break;
	}
	snprintf(out, 160, "ended without a record");
}
