/* berth's own lines in an app's log. */
#include "control/logs/applog.h"
#include "lib/io.h"
#include "lib/proto.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int pipe_fd = -1; /* set once by main, before threads */

void applog_open(int fd)
{
	pipe_fd = fd;
}

void applog(uint32_t app, const char *source, const char *fmt, ...)
{
	union {
		struct log_record head;
		char bytes[LOG_RECORD_MAX];
	} r;
	va_list ap;

	if (pipe_fd < 0 || app == 0)
		return;
	memset(&r.head, 0, sizeof(r.head));
	r.head.magic = LOG_RECORD_MAGIC;
	r.head.app = app;
	r.head.time_us = io_now_us();
	snprintf(r.head.source, sizeof(r.head.source), "%s", source);
	char *text = r.bytes + sizeof(r.head);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(r) - sizeof(r.head), fmt, ap);
	va_end(ap);
	for (char *p = text; (p = strchr(p, '\n')); p++)
		*p = ' ';
	r.head.size = (uint16_t)(sizeof(r.head) + strlen(text));
	for (int tries = 0; tries < 100; tries++) {
		if (write(pipe_fd, r.bytes, r.head.size) >= 0 ||
			(errno != EAGAIN && errno != EINTR))
			return;
		struct pollfd p = {.fd = pipe_fd, .events = POLLOUT};
		poll(&p, 1,
			10); /* a logger that stands still costs a second at most, then the line */
	}
}
