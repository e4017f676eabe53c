/* Is an instance ready. */
#include "control/probe.h"
#include "control/engine.h"
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
	1000 /* loopback: an accept queue that stays full that long is not ready */
#define ANSWER_MS 5000 /* one health check's answer */
#define PORTS_MAX 16

struct probe {
	struct control *c;
	const struct member *m;
	struct sink *s;
	int v4, v6; /* sockets inside the instance, kept over refused attempts */
	uint64_t deadline_ns;
	unsigned int attempt;
	char path[256];	  /* "": TCP only */
	char answer[160]; /* last unwanted answer of the check */
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
	if (errno != EINPROGRESS)
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

/* The status of GET path on a connected socket, or 0 when no whole status line came. */
static int ask(struct probe *p, int fd)
{
	char text[1024];
	size_t have = 0;
	int status = 0;

	snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: berth-check\r\n"
		"Connection: close\r\n\r\n",
		p->path);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		return 0;
	while (have < sizeof(text) - 1) {
		struct pollfd w = {.fd = fd, .events = POLLIN};
		if (poll(&w, 1, ANSWER_MS) <= 0)
			break;
		ssize_t n = recv(fd, text + have, sizeof(text) - 1 - have, 0);
		if (n <= 0)
			break;
		have += (size_t)n;
		text[have] = '\0';
		if (strchr(text, '\n'))
			break;
	}
	if (have == 0 || sscanf(text, "HTTP/1.%*1d %3d", &status) != 1)
		return 0;
	return status;
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

/* 0 ready, 1 not yet, -errno fault. A socket that was connected or failed is replaced at the next turn. */
static int attempt(struct probe *p, int *fd, int family)
{
	if (*fd < 0)
		*fd = engine_socket(p->c->engine, p->m->id, family);
	if (*fd < 0)
		return is_not_yet(*fd) ? 1 : *fd;
	int r = family == AF_UNIX ? try_accepted(p)
				  : try_connect(*fd, family, p->m->port);
	if (r == 0 && p->path[0]) {
		int status = ask(p, *fd);
		if (status < 200 || status > 399) {
			if (status)
				snprintf(p->answer, sizeof(p->answer),
					"HTTP %d from %.100s", status, p->path);
			else
				snprintf(p->answer, sizeof(p->answer),
					"no answer from %.100s", p->path);
			close(*fd);
			*fd = -1;
			return 1;
		}
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

/* The startup check of the release's app.json: the first of its process type that names a path. NULL: none. */
static const char *startup_path(const json_t *app_json, const char *type)
{
	const json_t *checks = json_object_get(
			     json_object_get(app_json, "healthchecks"), type),
		     *check;
	size_t i;

	json_array_foreach (checks, i, check) {
		const char *kind = json_string_value(json_object_get(check, "type"));
		const char *path = json_string_value(json_object_get(check, "path"));
		if (path && path[0] == '/' && (!kind || strcmp(kind, "startup") == 0))
			return path;
	}
	return NULL;
}

/* What `checks:set path` says, else app.json. */
static void read_path(struct control *c, const struct member *m, char out[256])
{
	struct db_release release = {0};
	struct db_image image = {0};
	char *path autofree = NULL;

	if (db_setting_get(c->db, m->app, "checks", "path", &path) == 0 && path) {
		snprintf(out, 256, "%s", path);
		return;
	}
	if (db_release_get(c->db, m->app, m->version, &release) == 0 &&
		db_image_get(c->db, release.image, &image) == 0) {
		const char *own = startup_path(image.checks, m->type);
		if (own)
			snprintf(out, 256, "%s", own);
	}
	db_image_clear(&image);
	db_release_clear(&release);
}

int probe_wait(struct control *c, const struct member *m, struct sink *s, struct err *e)
{
	unsigned int seconds =
		(unsigned int)setting_u64(c, m->app, "checks", "timeout", TIMEOUT_S);
	struct probe p = {.c = c,
		.m = m,
		.s = s,
		.v4 = -1,
		.v6 = -1,
		.deadline_ns = io_mono_ns() + (uint64_t)seconds * 1000000000u};
	int r = 1;

	read_path(c, m, p.path);
	while (r == 1) {
		r = attempt(&p, &p.v4, m->listens ? AF_UNIX : AF_INET);
		if (r == 1 && p.attempt % 4 == 3 && !m->listens)
			r = attempt(&p, &p.v6, AF_INET6);
		if (r < 0)
			err_sys(e, -r, "probe of %s.%u", m->type, m->number);
		if (r == 1 && io_mono_ns() > p.deadline_ns)
			r = too_late(&p, seconds, e);
		if (r == 1 && pause_between(&p, e) < 0)
			r = e ? -e->code : -ECHILD;
		if (r == 0 && ended(&p, e) < 0)
			r = -ECHILD;
	}
	if (p.v4 >= 0)
		close(p.v4);
	if (p.v6 >= 0)
		close(p.v6);
	return r;
}
