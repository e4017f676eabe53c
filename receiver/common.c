/* What berth-shell and berth-hook share: asking control, and telling a person what it
 * said. */
#include "receiver/common.h"

#include "lib/io.h"
#include "lib/jtext.h"
#include "lib/name.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void common_say(const char *fmt, ...)
{
	char text[1200] = " !     ";
	size_t used = strlen(text);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + used, sizeof(text) - used - 1, fmt, ap);
	va_end(ap);
	used = strlen(text);
	text[used++] = '\n';
	io_write_all(2, text, used);
}

int common_post(struct client *c, const char *path, const struct buf *body)
{
	struct err e = {0};
	int r = client_send(c, "POST", path, NULL, body->data, body->len, &e);

	if (r == 0)
		r = client_reply(c, &e);
	if (r < 0)
		common_say("%s", e.text);
	return r;
}

int common_fail(struct client *c)
{
	autobuf body = {.max = (size_t)256 << 10}, text = BUF_INIT;
	int status = 1;

	client_body(c, &body);
	if (body.data && jtext_string(body.data, "message", &text))
		common_say("%s", text.data);
	else
		common_say("berth-control answered with status %d", c->status);
	buf_reset(&text);
	if (body.data && jtext_string(body.data, "hint", &text) && text.len)
		common_say("%s", text.data);
	if (body.data &&
		(!jtext_int(body.data, "exit", &status) || status < 1 || status > 255))
		status = 1;
	return status;
}

int common_env_int(const char *name)
{
	const char *s = getenv(name);
	uint64_t v;

	return s && num_parse_u64(s, 0, INT_MAX, &v) == 0 ? (int)v : -1;
}
