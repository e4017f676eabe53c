/* A control that cannot start tells so. */
#include "control/refuse.h"
#include "lib/buf.h"
#include "lib/io.h"
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define HEAD_MS 1000 /* a caller sends its request at once */
#define HEAD_MAX 4096

static char *answer(const char *why)
{
	autobuf b = BUF_INIT;
	json_t *o = json_pack("{s:{s:s, s:s, s:i}}", "error", "code", "unavailable",
		"message", why, "exit", 1);
	char *text autofree = json_dumps(o, JSON_COMPACT);

	json_decref(o);
	if (text)
		buf_addf(&b,
			"HTTP/1.1 503 Service Unavailable\r\nContent-Type: "
			"application/json\r\nContent-Length: %zu\r\nConnection: "
			"close\r\n\r\n%s",
			strlen(text), text);
	return buf_take(&b);
}

static bool is_root(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       peer.uid == 0;
}

/* What it asks for does not matter; but it has asked before it is answered. */
static void read_head(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char head[HEAD_MAX];
	size_t len = 0;

	while (len < sizeof(head) && poll(&p, 1, HEAD_MS) > 0) {
		ssize_t n = recv(fd, head + len, sizeof(head) - len, MSG_DONTWAIT);

		if (n <= 0)
			return;
		len += (size_t)n;
		if (memmem(head, len, "\r\n\r\n", 4))
			return;
	}
}

static void refuse_one(int fd, const char *const texts[2])
{
	const char *text = texts[is_root(fd)];

	read_head(fd);
	if (text)
		(void)!send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
}

void refuse_calls(int listen_fd, const char *why, int for_ms)
{
	char *full autofree = answer(why);
	char *plain autofree = answer(
		"berth cannot use its database; berthd's log on the host says why. "
		"Apps go on");
	const char *const texts[] = {plain, full};
	const uint64_t end = io_mono_ns() + (uint64_t)for_ms * 1000000;
	uint64_t now;

	while ((now = io_mono_ns()) < end) {
		struct pollfd p = {.fd = listen_fd, .events = POLLIN};

		if (poll(&p, 1, (int)((end - now) / 1000000) + 1) <= 0)
			continue;
		int fd autoclose = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			refuse_one(fd, texts);
	}
}
