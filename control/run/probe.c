/* Is an instance ready. */
#include "control/run/probe.h"
#include "control/engine.h"
#include "control/run/health.h"
#include "control/settings.h"
#include "lib/io.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define TIMEOUT_S 30 /* until something listens */
#define CONNECT_MS                                                                       \
	1000	   /* loopback: an accept queue that stays full that long is not ready */
#define ANSWER_S 5 /* that of `checks:set path` */
#define PORTS_MAX 16
#define S_NS UINT64_C(1000000000)

struct probe {
	struct control *c;
	const struct member *m;
	struct sink *s;
	int v4, v6; /* sockets inside the instance, kept over refused attempts of a check */
	uint64_t deadline_ns;
	unsigned int attempt;
	struct health check; /* without path and command: TCP only */
	bool checked;
	unsigned int bad;	   /* unwanted answers of the check */
	uint64_t not_before_ns;	   /* the next try */
	char answer[160];	   /* the last unwanted one */
	char path[256];		   /* of `checks:set path` */
	struct db_release release; /* hold what check points to */
	struct db_image image;
};

static int ended(struct probe *p, struct err *e)
{
	struct msg_exited x;
	char reason[160];

	if (engine_wait_exit(p->c->engine, p->m->id, 0, &x) != 0)
		return 0;
	exit_text(&x, reason);
	return err_set(e, ECHILD, "%s.%u ended before it was ready: %s", p->m->type,
		p->m->number, reason);
}

/* Sleeps a little, less at first: apps that start in a millisecond are seen at once. */
static int pause_between(struct probe *p, struct err *e)
{
	unsigned int n = p->attempt++;
	int ms = n < 10 ? 1 : n < 30 ? 3 : n < 60 ? 10 : 50;
	struct pollfd fds[2] = {
		{.fd = engine_exit_fd(p->c->engine, p->m->id), .events = POLLIN},
		{.fd = p->s ? p->s->watch_fd : -1, .events = POLLRDHUP}};

	poll(fds, 2, ms);
	if (fds[0].revents && ended(p, e) < 0)
		return -ECHILD;
	if (p->s && (fds[1].revents || n % 20 == 19) && sink_cancelled(p->s))
		return err_set(e, ECANCELED, "cancelled");
	return 0;
}

/* 0 connected, 1 refused or not yet, -errno a fault. */
static int try_connect(int fd, int family, uint16_t port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int failure = 0;
	socklen_t len = sizeof(failure);

	const struct sockaddr *to =
		family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
	socklen_t to_len = family == AF_INET ? sizeof(v4) : sizeof(v6);
	int r = connect(fd, to, to_len);
	if (r < 0 && errno == ECONNABORTED)
		r = connect(fd, to,
			to_len); /* Linux reports the attempt before once more, then starts anew */
	if (r == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EALREADY)
		return errno == ECONNREFUSED || errno == EADDRNOTAVAIL ||
				       errno == ENETUNREACH
			       ? 1
			       : -errno;
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	if (poll(&p, 1, CONNECT_MS) <= 0)
		return 1;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len);
	return failure ? 1 : 0;
}

/* Of one that berthd has connected: somebody must have taken it. */
static int try_accepted(const struct probe *p)
{
	int n = engine_waiting(p->c->engine, p->m->id);

	return n > 0 || n == -ESRCH || n == -ECONNRESET ? 1 : n;
}

static bool is_not_yet(int r)
{
	return r == -ESRCH || r == -ECONNRESET || r == -EAFNOSUPPORT || r == -EAGAIN ||
	       r == -ECONNREFUSED;
}

/* It listens: what does its check say? */
static bool is_healthy(struct probe *p, int fd)
{
	const struct health *h = &p->check;
	bool here = h->path && !h->port;
	int r = here ? health_ask(h, fd, p->answer)
		     : health_try(p->c, p->m, h, p->answer);

	if (r == 0)
		return true;
	if (r < 0)
		snprintf(p->answer, sizeof(p->answer), "its check cannot be asked: %s",
			strerror(-r));
	p->bad++;
	if (h->patient)
		p->not_before_ns = io_mono_ns() + h->wait_s * S_NS;
	return false;
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* 0 ready, 1 not yet, -errno fault. A socket that was asked in vain is replaced at the next turn. */
static int attempt(struct probe *p, int *fd, int family)
{
	if (*fd < 0)
		*fd = engine_socket(p->c->engine, p->m->id, family);
	if (*fd < 0)
		return is_not_yet(*fd) ? 1 : *fd;
	int r = family == AF_UNIX ? try_accepted(p)
				  : try_connect(*fd, family, p->m->port);
	if (r == 0 && p->checked && !is_healthy(p, *fd)) {
		drop(fd);
		return 1;
	}
	return r;
}

static int too_late(struct probe *p, unsigned int seconds, struct err *e)
{
	uint16_t ports[PORTS_MAX];
	int n = engine_ports(p->c->engine, p->m->id, ports, PORTS_MAX);
	char list[128] = "";

	if (p->answer[0])
		return err_set(e, EPROTO, "%s.%u is not healthy after %u s: %s",
			p->m->type, p->m->number, seconds, p->answer);
	for (int i = 0; i < n; i++) {
		size_t used = strlen(list);
		snprintf(list + used, sizeof(list) - used, "%s%u", i ? ", " : "",
			ports[i]);
	}
	if (p->m->listens)
		return err_set(e, ETIMEDOUT,
			"%s.%u accepted nothing from its unix socket (descriptor 3, "
			"LISTEN_FDS=1) within %u s%s%s: to use a port instead, "
			"`berth ports:set APP %u`",
			p->m->type, p->m->number, seconds,
			n > 0 ? ", it listens on " : "", list,
			n > 0 ? ports[0] : p->m->port);
	if (n > 0)
		return err_set(e, ETIMEDOUT,
			"%s.%u listens on %s, not on $PORT=%u: read PORT from the "
			"environment, or "
			"`berth ports:set APP web %u`",
			p->m->type, p->m->number, list, p->m->port, ports[0]);
	return err_set(e, ETIMEDOUT, "no listener on $PORT=%u within %u s in %s.%u",
		p->m->port, seconds, p->m->type, p->m->number);
}

/* So many as the check allows. */
static int too_often(struct probe *p, struct err *e)
{
	return err_set(e, EPROTO, "%s.%u is not healthy after %u attempts: %s",
		p->m->type, p->m->number, p->bad, p->answer);
}

/* ---- the checks ---- */

static void read_checks(struct probe *p)
{
	char *path autofree = NULL;

	if (db_setting_get(p->c->db, p->m->app, "checks", "path", &path) == 0 && path)
		snprintf(p->path, sizeof(p->path), "%s", path);
	else if (db_release_get(p->c->db, p->m->app, p->m->version, &p->release) == 0)
		db_image_get(p->c->db, p->release.image, &p->image);
}

/* The nth check: of `checks:set path`, else app.json's. The first one is there in any case: a connection. */
static bool next_check(struct probe *p, size_t n)
{
	p->checked = p->path[0] ? n == 0
				: health_read(p->image.checks, p->m->type, "startup", n,
					  &p->check);
	if (p->path[0])
		p->check = (struct health){.path = p->path, .timeout_s = ANSWER_S};
	p->bad = 0;
	p->answer[0] = '\0';
	p->not_before_ns =
		p->checked ? io_mono_ns() + p->check.initial_delay_s * S_NS : 0;
	return p->checked || n == 0;
}

/* What the check asks for itself may be longer than what is set. */
static uint64_t span_ns(const struct probe *p, unsigned int seconds)
{
	const struct health *h = &p->check;
	uint64_t own = p->checked ? h->initial_delay_s : 0;

	if (p->checked && h->patient)
		own += (uint64_t)h->attempts * (h->wait_s + h->timeout_s);
	else
		own += seconds;
	return (own > seconds ? own : seconds) * S_NS;
}

static int await_check(struct probe *p, struct err *e)
{
	const struct member *m = p->m;
	unsigned int seconds =
		(unsigned int)setting_u64(p->c, m->app, "checks", "timeout", TIMEOUT_S);
	int r = 1;

	p->deadline_ns = io_mono_ns() + span_ns(p, seconds);
	while (r == 1) {
		bool wait = io_mono_ns() < p->not_before_ns;

		if (!wait)
			r = attempt(p, &p->v4, m->listens ? AF_UNIX : AF_INET);
		if (!wait && r == 1 && p->attempt % 4 == 3 && !m->listens)
			r = attempt(p, &p->v6, AF_INET6);
		if (r < 0)
			err_sys(e, -r, "probe of %s.%u", m->type, m->number);
		if (r == 1 && p->check.patient && p->bad >= p->check.attempts)
			return too_often(p, e);
		if (r == 1 && io_mono_ns() > p->deadline_ns)
			r = too_late(p, seconds, e);
		if (r == 1 && pause_between(p, e) < 0)
			r = e ? -e->code : -ECHILD;
		if (r == 0 && ended(p, e) < 0)
			r = -ECHILD;
	}
	return r;
}

int probe_wait(struct control *c, const struct member *m, struct sink *s, struct err *e)
{
	struct probe p = {.c = c, .m = m, .s = s, .v4 = -1, .v6 = -1};
	int r = 0;

	read_checks(&p);
	for (size_t n = 0; r == 0 && next_check(&p, n); n++) {
		r = await_check(&p, e);
		drop(&p.v4);
		drop(&p.v6);
	}
	db_image_clear(&p.image);
	db_release_clear(&p.release);
	return r;
}
