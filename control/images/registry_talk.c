/* One berth-registry: started, told what to do, listened to, ended. */
#include "control/images/registry_talk.h"
#include "control/child.h"
#include "control/images/registry.h"
#include "lib/io.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

int talk_start(struct talk *t, int archive, json_t *order, struct sink *s, struct err *e)
{
	char path[PATH_MAX], parent[16];
	const char *const argv[] = {"berth-registry", parent, NULL};
	int pair[2];
	int r = io_beside_program(argv[0], path, sizeof(path));

	*t = (struct talk){.s = s,
		.sock = -1,
		.until_ns = io_mono_ns() + REGISTRY_TRANSFER_S * UINT64_C(1000000000)};
	snprintf(parent, sizeof(parent), "%d", getpid());
	if (r == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		r = -errno;
	if (r < 0) {
		json_decref(order);
		return err_sys(e, -r, "prepare %s", argv[0]);
	}
	t->sock = pair[0];
	const int fds[] = {pair[1], archive, STDERR_FILENO};
	r = child_start(path, argv, fds, ARRAY_LEN(fds), true, &t->pid);
	close(pair[1]);
	if (r < 0) {
		t->pid = 0;
		json_decref(order);
		return err_sys(e, -r, "start %s", path);
	}
	return talk_tell(t, order, e);
}

int talk_tell(struct talk *t, json_t *o, struct err *e)
{
	char *text = json_dumps(o, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	ssize_t n = len && len <= REGISTRY_MESSAGE_MAX
			    ? send(t->sock, text, len, MSG_NOSIGNAL)
			    : -1;

	json_decref(o);
	if (text)
		explicit_bzero(text, len); /* it may hold a password */
	free(text);
	return n == (ssize_t)len && len
		       ? 0
		       : err_set(e, EIO, "berth-registry takes no order");
}

/* One message, of which it has all. */
static int receive(struct talk *t, json_t **ret, struct err *e)
{
	char *text autofree = malloc(REGISTRY_MESSAGE_MAX);
	ssize_t n = text ? recv(t->sock, text, REGISTRY_MESSAGE_MAX, MSG_DONTWAIT) : -1;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	*ret = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
	return *ret ? 1 : err_set(e, EIO, "berth-registry ended without an answer");
}

/* It has told a stranger's words to the sink or to e: 1, what it says is an answer: 0, or -EIO. */
static int for_people(struct talk *t, const json_t *o, struct err *e)
{
	const char *detail = json_string_value(json_object_get(o, "detail"));
	const char *progress = json_string_value(json_object_get(o, "progress"));
	const char *error = json_string_value(json_object_get(o, "error"));
	char text[ERR_TEXT_MAX];

	snprintf(text, sizeof(text), "%s",
		detail	   ? detail
		: progress ? progress
		: error	   ? error
			   : "");
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (error)
		return err_set(e, EIO, "%s", text);
	if (detail)
		sink_detail(t->s, "%s", text);
	else if (progress) {
		char line[ERR_TEXT_MAX + 8];

		snprintf(line, sizeof(line), "       %s", text);
		t->s->write(t->s, 'p', line);
	}
	return detail || progress;
}

static int wait_more(struct talk *t, struct err *e)
{
	struct pollfd p[] = {{.fd = t->sock, .events = POLLIN},
		{.fd = t->s->watch_fd, .events = POLLRDHUP}};
	const uint64_t now = io_mono_ns();

	if (now >= t->until_ns)
		return err_set(e, ETIME, "it took more than %d hours",
			REGISTRY_TRANSFER_S / 3600);
	if (poll(p, ARRAY_LEN(p), 1000) < 0 && errno != EINTR)
		return err_sys(e, errno, "wait for berth-registry");
	return sink_cancelled(t->s) ? err_set(e, ECANCELED, "cancelled") : 0;
}

int talk_hear(struct talk *t, json_t **ret, struct err *e)
{
	for (;;) {
		json_t *o = NULL;
		int r = wait_more(t, e);

		if (r == 0)
			r = receive(t, &o, e);
		if (r < 0)
			return r;
		if (r == 0)
			continue;
		r = for_people(t, o, e);
		if (r == 0) {
			*ret = o;
			return 0;
		}
		json_decref(o);
		if (r < 0)
			return r;
	}
}

void talk_end(struct talk *t)
{
	if (t->sock >= 0)
		close(t->sock);
	if (t->pid > 0) {
		kill(t->pid, SIGKILL); /* it has nothing to put in order */
		waitpid(t->pid, NULL, 0);
	}
	t->pid = 0;
	t->sock = -1;
}
