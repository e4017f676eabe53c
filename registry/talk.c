/* What is said to berth-control, and what it says. */
#include "registry/talk.h"
#include "lib/io.h"
#include "lib/name.h"
#include "lib/proto.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define CONTROL STDIN_FILENO

void talk_send(json_t *o)
{
	char *text autofree = json_dumps(o, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;

	json_decref(o);
	if (len == 0 || len > REGISTRY_MESSAGE_MAX ||
		send(CONTROL, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		_exit(1);
}

json_t *talk_wait(void)
{
	static char text[REGISTRY_MESSAGE_MAX];
	ssize_t n;

	do
		n = recv(CONTROL, text, sizeof(text), 0);
	while (n < 0 && errno == EINTR);
	json_t *o = n > 0 ? json_loadb(text, (size_t)n, 0, NULL) : NULL;
	explicit_bzero(text, sizeof(text));
	return o;
}

/* Much of it was said by a stranger. */
static void say(const char *kind, char *text)
{
	for (char *c = text; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	talk_send(json_pack("{s:s}", kind, text));
}

void talk_detail(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say("detail", text);
}

void talk_error(struct err *e)
{
	say("error", e->text);
}

void talk_begin(struct talk_progress *p, const char *what, uint64_t total)
{
	const uint64_t now = io_mono_ns();

	*p = (struct talk_progress){
		.what = what, .total = total, .begun_ns = now, .told_ns = now};
}

void talk_bytes(struct talk_progress *p, uint64_t bytes)
{
	const uint64_t now = io_mono_ns();
	char done[24], all[24], speed[24], text[256];

	if (now - p->told_ns < 1000000000)
		return;
	p->told_ns = now;
	num_format_size(bytes, done);
	num_format_size(p->total, all);
	num_format_size(bytes * 1000 / ((now - p->begun_ns) / 1000000), speed);
	snprintf(text, sizeof(text), "%s: %s of %s, %s/s, %llu s", p->what, done, all,
		speed, (unsigned long long)((now - p->begun_ns) / 1000000000));
	say("progress", text);
}

void talk_end(const struct talk_progress *p, uint64_t bytes)
{
	const uint64_t ms = (io_mono_ns() - p->begun_ns) / 1000000;
	char size[24];

	num_format_size(bytes, size);
	talk_detail("%s: %s in %llu.%llu s", p->what, size,
		(unsigned long long)(ms / 1000), (unsigned long long)(ms % 1000 / 100));
}
