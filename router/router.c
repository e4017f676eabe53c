/* berth-router: one worker. Sets up from the inherited descriptors, then runs its loop */
#include "lib/io.h"
#include "lib/log.h"
#include "lib/name.h"
#include "router/compress.h"
#include "router/h2.h"
#include "router/h2_stream.h"
#include "router/h2c.h"
#include "router/jail.h"
#include "router/metrics.h"
#include "router/tls.h"
#include "router/worker.h"
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#define FD_BERTHD 3
#define FD_LOG 4
#define FD_CONTROL 5
#define FD_LISTEN 6
#define EVENTS_MAX 256
#define FDS_MAX (1u << 24)
#define CROWD 256u /* clients whose memory is worth giving back: 3.5 MB over TLS */

static void signal_event(struct worker *w, struct ev *ev, uint32_t events)
{
	struct signalfd_siginfo si;

	(void)events;
	if (read(ev->fd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo == SIGUSR2)
		worker_leave(w);
	else
		worker_stop(w);
}

static int watch_level(struct worker *w, struct ev *ev)
{
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = ev};

	return epoll_ctl(w->epfd, EPOLL_CTL_ADD, ev->fd, &e) < 0 ? -errno : 0;
}

static int start_signals(struct worker *w)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	w->signals =
		(struct ev){signal_event, signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
	return w->signals.fd < 0 ? -errno : watch_level(w, &w->signals);
}

static int start_listener(struct worker *w, int fd, bool tls)
{
	struct listener *l = &w->listeners[w->n_listeners];
	struct sockaddr_storage ss = {0};
	socklen_t len = sizeof(ss);
	int one = 1, unsent = UNSENT_MAX;

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	if (ss.ss_family == AF_INET6)
		l->port = ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
	else
		l->port = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	/* accepted ones inherit both */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	l->ev = (struct ev){downstream_accept, fd};
	l->tls = tls;
	if (tls && !w->tls_port)
		w->tls_port = l->port;
	io_set_nonblock(fd, true);
	io_set_cloexec(fd, true);
	w->n_listeners++;
	return watch_level(w, &l->ev);
}

static int start_listeners(struct worker *w)
{
	const char *s = getenv("BERTH_NFDS"), *t = getenv("BERTH_NTLS");
	uint64_t nfds = 0, ntls = 0;
	int fd, r = 0;

	if (!s || num_parse_u64(s, FD_LISTEN - 3, FD_LISTEN - 3 + LISTENERS_MAX, &nfds) <
			  0) {
		log_error("BERTH_NFDS is missing or wrong: berthd starts this program");
		return -EINVAL;
	}
	if (t && num_parse_u64(t, 0, nfds - (FD_LISTEN - 3), &ntls) < 0) {
		log_error("BERTH_NTLS is wrong: berthd starts this program");
		return -EINVAL;
	}
	for (fd = FD_LISTEN; !r && fd < 3 + (int)nfds; fd++)
		r = start_listener(w, fd, fd >= 3 + (int)(nfds - ntls));
	if (r < 0)
		log_error("descriptor %d: %s", fd - 1, strerror(-r));
	return r;
}

/* A quarter is kept for connections to apps, tables and certificates: clients that are there go on. */
static void raise_limit(struct worker *w)
{
	struct rlimit r = {FDS_MAX, FDS_MAX};

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
		r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
	if (r.rlim_cur > FDS_MAX)
		r.rlim_cur = FDS_MAX;
	w->fd_high = (int)(r.rlim_cur - r.rlim_cur / 4);
}

static void read_clocks(struct worker *w)
{
	w->now_us = io_mono_ns() / 1000;
	w->now_ms = w->now_us / 1000;
	w->real_ms = io_now_us() / 1000;
	if (w->real_ms / 1000 != w->date_s) {
		w->date_s = w->real_ms / 1000;
		stamp_format_http(w->date_s * 1000000, w->date);
	}
}

static int start_memory(struct worker *w)
{
	/* what waits for a client comes and goes in pieces of 64 kB: not to the kernel and back each time */
	mallopt(M_TRIM_THRESHOLD, 1 << 20);
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	w->hot = malloc(WIDE_SIZE);
	w->cold = malloc(HOT_SIZE);
	w->held_tail = &w->held;
	w->stream_slab.size = sizeof(struct h2_stream);
	w->client_slab.size = sizeof(struct downstream);
	w->exchange_slab.size = sizeof(struct exchange);
	w->upstream_slab.size = sizeof(struct upstream);
	w->epfd = epoll_create1(EPOLL_CLOEXEC);
	w->spare_fd = eventfd(0, EFD_CLOEXEC);
	if (getrandom(w->random, sizeof(w->random), 0) != (ssize_t)sizeof(w->random))
		return -EIO;
	w->random[0] |= 1;
	read_clocks(w);
	wheel_init(&w->wheel, w->now_ms);
	w->epoch = io_now_us() * 1000;
	return w->hot && w->cold && w->epfd >= 0 ? 0 : -ENOMEM;
}

static int enter_jail(void)
{
	const char *run = getenv("BERTH_RUN");
	char folder[512];
	struct err e = {0};

	snprintf(folder, sizeof(folder), "%s/empty", run ? run : "/run/berth");
	if (jail_enter(folder, "_berth-router", &e) == 0)
		return 0;
	log_error("%s", e.text);
	return -e.code;
}

static int start(struct worker *w)
{
	int r = start_memory(w);

	if (r < 0)
		return r;
	raise_limit(w);
	access_open(&w->log, FD_LOG);
	metrics_open(w);
	w->berthd.fd = FD_BERTHD;
	w->control.fd = FD_CONTROL;
	r = start_signals(w);
	if (!r)
		r = start_listeners(w);
	if (!r && w->tls_port)
		r = tls_setup(w);
	if (!r)
		r = enter_jail();
	return r ? r : link_start(w);
}

/* How long epoll may sleep: until a deadline, or until log lines are due. */
static int wait_ms(struct worker *w, int log_ms)
{
	int ms = w->again ? 0 : wheel_wait_ms(&w->wheel, w->now_ms);

	if (w->stopping && !(w->patient && w->n_exchanges) && (ms < 0 || ms > 100))
		ms = 100;
	return log_ms >= 0 && (ms < 0 || log_ms < ms) ? log_ms : ms;
}

/* No request waits for sockets, a table or a thaw, or they have waited long enough. */
static bool may_leave(const struct worker *w)
{
	if (w->now_ms + LEAVE_MS >= w->stop_ms + LEAVE_WAIT_MS)
		return true;
	return !w->n_held && !backend_any_waits(w);
}

static bool goes_on(const struct worker *w)
{
	bool late = w->now_ms >= w->stop_ms;

	if (!w->stopping)
		return true;
	if (late && !w->patient)
		return false;
	return w->n_exchanges || (!late && w->patient && w->clients) ||
	       downstream_any_busy(w);
}

static void free_slabs(struct worker *w)
{
	slab_free(&w->stream_slab);
	slab_free(&w->client_slab);
	slab_free(&w->exchange_slab);
	slab_free(&w->upstream_slab);
}

/*
 * Memory is kept for the clients to come, but not that of a crowd that has left; between two rounds of events, for nobody may
 * use what is free. It takes 12 ms for 100 MB.
 */
static void give_back(struct worker *w)
{
	if (w->n_clients > w->most_clients)
		w->most_clients = w->n_clients;
	if (w->most_clients < CROWD || w->n_clients > w->most_clients / 4)
		return;
	w->most_clients = w->n_clients;
	free_slabs(w);
	malloc_trim(0);
}

static void run(struct worker *w)
{
	struct epoll_event events[EVENTS_MAX];
	int n, i, log_ms = -1;

	while (goes_on(w)) {
		n = epoll_wait(w->epfd, events, EVENTS_MAX, wait_ms(w, log_ms));
		read_clocks(w);
		for (i = 0; i < n; i++) {
			struct ev *ev = events[i].data.ptr;

			ev->fn(w, ev, events[i].events);
		}
		downstream_run_again(w);
		wheel_run(&w->wheel, w->now_ms);
		h2_flush_all(w);
		slab_reap(&w->stream_slab);
		slab_reap(&w->client_slab);
		slab_reap(&w->exchange_slab);
		slab_reap(&w->upstream_slab);
		give_back(w);
		log_ms = access_flush(&w->log, w->now_ms, false);
		if (w->leaving && !w->left && may_leave(w))
			link_leave(w);
	}
}

static void end(struct worker *w)
{
	struct downstream *c, *next;

	for (c = w->clients; c; c = next) {
		next = c->next;
		if (c->x)
			exchange_abort(c->x, H99);
		else
			downstream_close(c);
	}
	downstream_run_again(w);
	backend_free_all(w);
	access_close(&w->log);
	h2_teardown(w);
	h2c_teardown(w);
	free_slabs(w);
	tls_teardown(w);
	compress_free_all(w);
	metrics_close(w);
	free(w->drained);
	free(w->hot);
	free(w->cold);
}

int main(void)
{
	static struct worker w;
	int r;

	log_open("berth-router");
	r = start(&w);
	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return 1;
	}
	run(&w);
	end(&w);
	return 0;
}
