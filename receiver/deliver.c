/* A pack that was made here becomes a push. */
#include "receiver/deliver.h"
#include "lib/io.h"
#include "lib/jtext.h"
#include "receiver/common.h"
#include "receiver/repo.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define HEAD_MAX 512
#define PACKET_MAX 65520u /* gitprotocol-common(5), pkt-line */
#define PART 65536u

struct delivery {
	char head[HEAD_MAX], *old_oid, *new_oid, *ref;
	int to, from; /* git's input and output */
	bool unpacked, accepted;
	char packet[PACKET_MAX + 1];
};

bool deliver_option(const char *message, char out[DELIVER_OPTION_MAX])
{
	static const char key[] = "message=";
	size_t len, begin = sizeof(key) - 1;

	message += strspn(message, " \t\r\n");
	snprintf(out, DELIVER_OPTION_MAX, "%s%.*s", key, (int)strcspn(message, "\n"),
		message);
	len = jtext_utf8(out, strlen(out));
	for (char *c = out; c < out + len; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	while (len > begin && out[len - 1] == ' ')
		len--;
	out[len] = '\0';
	return len > begin;
}

/* 1; 0: nothing came. */
static int read_head(struct delivery *d, int in)
{
	size_t n = 0;

	while (n < sizeof(d->head) - 1) {
		ssize_t got = read(in, d->head + n, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return n == 0 && got == 0 ? 0 : -EPIPE;
		if (d->head[n++] == '\n')
			break;
	}
	d->head[n - 1] = '\0';
	d->old_oid = d->head;
	d->new_oid = strchr(d->head, ' ');
	d->ref = d->new_oid ? strchr(d->new_oid + 1, ' ') : NULL;
	if (!d->ref)
		return -EBADMSG;
	*d->new_oid++ = *d->ref++ = '\0';
	return strlen(d->old_oid) == REPO_OID_HEX && strlen(d->new_oid) == REPO_OID_HEX
		       ? 1
		       : -EBADMSG;
}

/* ---- packets ---- */

static int put(int fd, const char *data, size_t len)
{
	char head[5];

	snprintf(head, sizeof(head), "%04zx", len + 4);
	int r = io_write_all(fd, head, 4);
	return r < 0 ? r : io_write_all(fd, data, len);
}

static int put_flush(int fd)
{
	return io_write_all(fd, "0000", 4);
}

/* Exactly len bytes, or -EPIPE: git has ended, or whoever reads what we say has. */
static int take(struct delivery *d, char *data, size_t len)
{
	struct pollfd p[2] = {{.fd = d->from, .events = POLLIN}, {.fd = 1, .events = 0}};

	while (len > 0) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents)
			return -EPIPE;
		if (!p[0].revents)
			continue;
		ssize_t n = read(d->from, data, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EPIPE;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* A packet in d->packet, without its newline: 1; a flush: 0. */
static int get(struct delivery *d)
{
	char head[5] = "", *end;
	int r = take(d, head, 4);
	unsigned long len = r == 0 ? strtoul(head, &end, 16) : 0;

	if (r < 0)
		return r;
	if (*end || len > PACKET_MAX || (len > 0 && len < 4))
		return -EBADMSG;
	if (len == 0)
		return 0;
	r = take(d, d->packet, len - 4);
	d->packet[len - 4] = '\0';
	if (len > 4 && d->packet[len - 5] == '\n')
		d->packet[len - 5] = '\0';
	return r < 0 ? r : 1;
}

/* ---- the push ---- */

static int ask(struct delivery *d, const char *option)
{
	char text[HEAD_MAX + 100];
	int n = snprintf(text, sizeof(text), "%s %s %s", d->old_oid, d->new_oid, d->ref);
	int r;

	n += 1 + snprintf(text + n + 1, sizeof(text) - (size_t)n - 1,
			 " report-status quiet%s", option ? " push-options" : "");
	r = put(d->to, text, (size_t)n);
	if (r == 0)
		r = put_flush(d->to);
	if (r < 0 || !option)
		return r;
	r = put(d->to, option, strlen(option));
	return r == 0 ? put_flush(d->to) : r;
}

static int send_pack(struct delivery *d, int in)
{
	char part[PART];
	ssize_t n;

	while ((n = read(in, part, sizeof(part))) != 0) {
		int r = n > 0 ? io_write_all(d->to, part, (size_t)n) : -errno;

		if (r < 0 && r != -EINTR)
			return r;
	}
	close(d->to);
	d->to = -1;
	return 0;
}

static int hear(struct delivery *d)
{
	int r;

	while ((r = get(d)) > 0) {
		if (strcmp(d->packet, "unpack ok") == 0)
			d->unpacked = true;
		else if (strncmp(d->packet, "unpack ", 7) == 0)
			common_say("git refused the commit: %s", d->packet + 7);
		else if (strncmp(d->packet, "ok ", 3) == 0)
			d->accepted = d->unpacked;
		else if (strncmp(d->packet, "ng ", 3) == 0 && d->unpacked &&
			 !strstr(d->packet, "hook declined"))
			common_say("git refused the commit: %s", d->packet + 3);
	}
	return r;
}

static int push(struct delivery *d, int in, const char *option)
{
	int r;

	while ((r = get(d)) > 0)
		; /* the refs there are: control has looked already */
	if (r == 0)
		r = ask(d, option);
	if (r == 0)
		r = send_pack(d, in);
	return r == 0 || r == -EPIPE ? hear(d) : r;
}

static int wait_status(pid_t pid)
{
	int w;

	while (waitpid(pid, &w, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(w) ? WEXITSTATUS(w) : 128 + WTERMSIG(w);
}

int deliver(int in, const char *option, int (*start)(void *arg, int in_fd, int out_fd),
	void *arg)
{
	static struct delivery d;
	int to[2], from[2], r = read_head(&d, in);

	if (r == 0)
		return 0;
	if (r < 0 || pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0) {
		common_say("the commit was not handed over whole");
		return 1;
	}
	d.to = to[1];
	d.from = from[0];
	pid_t pid = start(arg, to[0], from[1]);
	close(to[0]);
	close(from[1]);
	if (pid < 0)
		return 1;
	r = push(&d, in, option);
	if (d.to >= 0)
		close(d.to);
	close(d.from);
	int status = wait_status(pid);
	return r == 0 && d.accepted ? 0 : status ? status : 1;
}
