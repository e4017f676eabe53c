/* berth-logger: bytes in, stamped lines out; see runtime/logger/logger_*.h and lib/proto.h. */
#include "lib/io.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/msg.h"
#include "lib/proto.h"
#include "runtime/logger/logger_record.h"
#include "runtime/logger/logger_source.h"
#include "runtime/logger/logger_store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

enum { FD_BERTHD = 3, FD_RECORDS, FD_LOGS, FD_END };

struct logger {
	struct loop *loop;
	struct store *store;
	struct sources *sources;
	struct peek records;
	struct msg msg;
	bool stop;
	struct loop_timer *tell; /* what was dropped, when no further line brings it up */
};

static void send_done(void *arg UNUSED, uint64_t id)
{
	struct msg_instance body = {.id = id};
	int r = msg_send(FD_BERTHD, MSG_LOG_DONE, 0, 0, &body, sizeof(body), NULL, 0);

	/* Nothing is lost by that: berthd attaches it again after its next start. */
	if (r < 0)
		log_error("cannot tell that instance %llx is read: %s",
			(unsigned long long)id, strerror(-r));
}

static int attach(struct logger *g, struct msg *m)
{
	struct msg_log_attach body;
	int fd;

	if (m->head.size != sizeof(body) || m->nfds != 1)
		return -EPROTO;
	memcpy(&body, m->body, sizeof(body));
	fd = m->fds[0];
	m->fds[0] = -1;
	return sources_attach(g->sources, &body, fd);
}

static int close_app(struct logger *g, const struct msg *m)
{
	struct msg_app body;

	if (m->head.size != sizeof(body))
		return -EPROTO;
	memcpy(&body, m->body, sizeof(body));
	store_close_app(g->store, body.id);
	return msg_send(
		FD_BERTHD, MSG_LOG_CLOSE, m->head.seq, 0, &body, sizeof(body), NULL, 0);
}

static int set_limits(struct logger *g, const struct msg *m)
{
	struct msg_log_limits body;

	if (m->head.size != sizeof(body))
		return -EPROTO;
	memcpy(&body, m->body, sizeof(body));
	return store_set_limits(g->store, &body);
}

static int handle(struct logger *g, struct msg *m)
{
	switch (m->head.type) {
	case MSG_HELLO:
		return 0;
	case MSG_LOG_ATTACH:
		return attach(g, m);
	case MSG_LOG_CLOSE:
		return close_app(g, m);
	case MSG_LOG_SET:
		return set_limits(g, m);
	default:
		return -EPROTO;
	}
}

static void on_berthd(void *arg, uint32_t events UNUSED)
{
	struct logger *g = arg;
	int r;

	while ((r = msg_recv(FD_BERTHD, &g->msg)) == 1) {
		int h = handle(g, &g->msg);

		if (h < 0)
			log_error("message %u: %s", g->msg.head.type, strerror(-h));
		msg_close_fds(&g->msg);
	}
	/* The end of the pair: monitor and worker are gone, and the next berthd starts
	 * its own logger. */
	if (r == 0 || (r != -EAGAIN && r != -EPROTO && r != -EINTR))
		g->stop = true;
}

static void on_records(void *arg, uint32_t events UNUSED)
{
	struct logger *g = arg;
	int r = record_pump(g->store, &g->records, FD_RECORDS);

	if (r < 0) {
		log_error("record pipe: %s", strerror(-r));
		g->stop = true;
	}
}

static void on_signal(void *arg, uint32_t events UNUSED)
{
	struct logger *g = arg;

	g->stop = true;
}

static int watch_signals(struct logger *g)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	return loop_add(g->loop, fd, EPOLLIN, on_signal, g) ? 0 : -ENOMEM;
}

static int setup(struct logger *g)
{
	int r;

	for (int fd = FD_BERTHD; fd < FD_END; fd++)
		if (io_set_cloexec(fd, true) < 0)
			return -EBADF;
	if ((r = io_set_nonblock(FD_BERTHD, true)) < 0 ||
		(r = peek_open(&g->records)) < 0)
		return r;
	g->loop = loop_new();
	g->store = store_new(FD_LOGS);
	if (!g->loop || !g->store)
		return -ENOMEM;
	g->sources = sources_new(g->loop, g->store, send_done, NULL);
	if (!g->sources || !loop_add(g->loop, FD_BERTHD, EPOLLIN, on_berthd, g) ||
		!loop_add(g->loop, FD_RECORDS, EPOLLIN, on_records, g))
		return -ENOMEM;
	return watch_signals(g);
}

static void on_tell(void *arg)
{
	struct logger *g = arg;

	g->tell = NULL;
	store_tell(g->store);
}

static int run(struct logger *g)
{
	int r = 0;

	while (!g->stop && r == 0) {
		r = loop_once(g->loop, -1);
		if (!g->tell && store_owes(g->store))
			g->tell = loop_after(g->loop, STORE_TELL_US / 1000, on_tell, g);
	}
	return r;
}

int main(void)
{
	static struct logger g;
	struct msg_hello hello = {.epoch = io_now_us() * 1000, .pid = (uint32_t)getpid()};
	int r;

	log_open("berth-logger");
	r = setup(&g);
	if (r < 0) {
		log_error("cannot start (berthd starts this program): %s", strerror(-r));
		return 1;
	}
	r = msg_send(FD_BERTHD, MSG_HELLO, 0, 0, &hello, sizeof(hello), NULL, 0);
	if (r == 0)
		r = run(&g);
	if (r < 0)
		log_error("%s", strerror(-r));
	sources_free(g.sources);
	store_free(g.store);
	peek_close(&g.records);
	loop_free(g.loop);
	return r < 0;
}
