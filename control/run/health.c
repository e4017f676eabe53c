/* One try of a health check. */
#include "control/run/health.h"
#include "control/engine.h"
#include "lib/io.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define TIMEOUT_S 5 /* Dokku's values, as are attempts and wait */
#define ATTEMPTS 3
#define WAIT_S 5
#define ANSWER_MAX (256u << 10) /* so far content is looked for */

static uint32_t number(const json_t *check, const char *key, uint32_t fallback)
{
	const json_t *v = json_object_get(check, key);

	return json_is_integer(v) && json_integer_value(v) >= 0 &&
			       json_integer_value(v) <= UINT16_MAX
		       ? (uint32_t)json_integer_value(v)
		       : fallback;
}

static void fill(const json_t *check, struct health *h)
{
	*h = (struct health){.path = json_string_value(json_object_get(check, "path")),
		.content = json_string_value(json_object_get(check, "content")),
		.command = json_object_get(check, "command"),
		.port = (uint16_t)number(check, "port", 0),
		.attempts = number(check, "attempts", ATTEMPTS),
		.wait_s = number(check, "wait", WAIT_S),
		.timeout_s = number(check, "timeout", TIMEOUT_S),
		.initial_delay_s = number(check, "initialDelay", 0),
		.patient = json_object_get(check, "attempts") ||
			   json_object_get(check, "wait")};
	if (!json_array_size(h->command))
		h->command = NULL;
	if (h->path && h->path[0] != '/')
		h->path = NULL;
}

bool health_read(const json_t *app_json, const char *type, const char *kind, size_t n,
	struct health *ret)
{
	const json_t *checks = json_object_get(
			     json_object_get(app_json, "healthchecks"), type),
		     *check;
	size_t i;

	json_array_foreach (checks, i, check) {
		const char *own = json_string_value(json_object_get(check, "type"));

		if (strcmp(own ? own : "startup", kind) != 0 || n--)
			continue;
		fill(check, ret);
		return true;
	}
	return false;
}

/* ---- over http ---- */

static int left_ms(uint64_t until_ns)
{
	uint64_t now = io_mono_ns();

	return now < until_ns ? (int)((until_ns - now) / 1000000) + 1 : 0;
}

static bool has_content(const struct health *h, const char *text)
{
	const char *body = strstr(text, "\r\n\r\n");

	return !h->content || (body && strstr(body + 4, h->content));
}

/* As long as it says it is. */
static bool is_whole(const char *text)
{
	static const char field[] = "\r\ncontent-length:";
	const char *body = strstr(text, "\r\n\r\n"), *at = strcasestr(text, field);
	unsigned long size;

	return body && at && at < body &&
	       sscanf(at + sizeof(field) - 1, " %lu", &size) == 1 &&
	       strlen(body + 4) >= size;
}

static bool has_enough(const struct health *h, const char *text)
{
	if (!h->content)
		return strchr(text, '\n') != NULL;
	return has_content(h, text) || is_whole(text);
}

/* Until it is enough, the end, or the time is over. */
static void receive(const struct health *h, int fd, uint64_t until_ns, struct buf *in)
{
	char piece[4096];

	while (in->len < ANSWER_MAX) {
		struct pollfd w = {.fd = fd, .events = POLLIN};

		if (poll(&w, 1, left_ms(until_ns)) <= 0)
			return;
		ssize_t n = recv(fd, piece, sizeof(piece), 0);
		if (n <= 0 || buf_add(in, piece, (size_t)n) < 0)
			return;
		if (has_enough(h, in->data))
			return;
	}
}

int health_ask(const struct health *h, int fd, char answer[160])
{
	uint64_t until_ns = io_mono_ns() + h->timeout_s * UINT64_C(1000000000);
	autobuf in = {.max = ANSWER_MAX + 8192};
	char request[512];
	int status = 0;

	snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: localhost\r\nUser-Agent: berth-check\r\n"
		"Connection: close\r\n\r\n",
		h->path);
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0)
		receive(h, fd, until_ns, &in);
	if (!in.data || sscanf(in.data, "HTTP/1.%*1d %3d", &status) != 1)
		snprintf(answer, 160, "no answer from %.100s", h->path);
	else if (status < 200 || status > 399)
		snprintf(answer, 160, "HTTP %d from %.100s", status, h->path);
	else if (!has_content(h, in.data))
		snprintf(answer, 160, "\"%.60s\" is not in the answer of %.60s",
			h->content, h->path);
	else
		return 0;
	return 1;
}

/* ---- a connection ---- */

static int await_connected(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int failure = 0;
	socklen_t len = sizeof(failure);

	if (poll(&p, 1, ms) <= 0)
		return -ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &len);
	return -failure;
}

/* To loopback inside the instance. fd or -errno. */
static int dial(struct control *c, uint64_t id, int family, uint16_t port, int ms)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
		.sin6_port = htons(port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd autoclose = engine_socket(c->engine, id, family);
	int r = 0;

	if (fd < 0)
		return fd;
	if (family == AF_INET)
		r = connect(fd, (struct sockaddr *)&v4, sizeof(v4));
	else if (family == AF_INET6)
		r = connect(fd, (struct sockaddr *)&v6, sizeof(v6));
	if (r < 0)
		r = errno == EINPROGRESS ? await_connected(fd, ms) : -errno;
	return r < 0 ? r : TAKE_FD(fd);
}

static int try_network(struct control *c, const struct member *m, const struct health *h,
	char answer[160])
{
	uint16_t port = h->port ? h->port : m->port;
	bool listener = m->listens && !h->port;
	int ms = (int)h->timeout_s * 1000;

	if (!port)
		return -EDESTADDRREQ;
	int fd autoclose = dial(c, m->id, listener ? AF_UNIX : AF_INET, port, ms);

	if (fd < 0 && !listener)
		fd = dial(c, m->id, AF_INET6, port, ms);
	if (fd < 0) {
		snprintf(answer, 160, "no connection to port %u", port);
		return 1;
	}
	return h->path ? health_ask(h, fd, answer) : 0;
}

/* ---- a command ---- */

static int try_command(struct control *c, const struct member *m, const struct health *h,
	char answer[160])
{
	const char *argv[HEALTH_COMMAND_MAX + 1] = {NULL};
	const json_t *word;
	char reason[160];
	int status = 0;
	size_t i;

	json_array_foreach (h->command, i, word)
		if (i < HEALTH_COMMAND_MAX)
			argv[i] = json_string_value(word);
	int r = oneoff_check(c, m->id, argv, (int)h->timeout_s * 1000, &status, reason);
	if (r == -EAGAIN)
		snprintf(answer, 160, "%.60s did not end within %u s", argv[0],
			h->timeout_s);
	else if (r == 0 && status != 0)
		snprintf(answer, 160, "%.60s: %.80s", argv[0], reason);
	else
		return r;
	return 1;
}

int health_try(struct control *c, const struct member *m, const struct health *h,
	char answer[160])
{
	answer[0] = '\0';
	return h->command ? try_command(c, m, h, answer) : try_network(c, m, h, answer);
}
