/* A line of a log, and how receivers want it. */
#include "drain/line.h"
#include "lib/stamp.h"
#include <stdio.h>
#include <string.h>

#define STAMP_LEN (STAMP_SIZE - 1)
#define PRIORITY 134	/* RFC 5424 6.2.1: local0, informational */
#define APP_NAME_MAX 48 /* 6.2.5 */
#define PROCID_MAX 128	/* 6.2.6 */

void line_parse(const char *s, size_t len, struct line *ret)
{
	const char *source = s + STAMP_LEN + 1, *colon, *open;

	*ret = (struct line){.kind = "app",
		.kind_len = 3,
		.process = "-",
		.process_len = 1,
		.text = s,
		.text_len = len};
	if (len < STAMP_LEN + 5 || s[10] != 'T' || s[STAMP_LEN - 1] != 'Z' ||
		s[STAMP_LEN] != ' ')
		return;
	colon = memmem(source, len - STAMP_LEN - 1, ": ", 2);
	open = colon ? memchr(source, '[', (size_t)(colon - source)) : NULL;
	if (!open || open == source || colon[-1] != ']' || colon - open < 3)
		return;
	*ret = (struct line){.time = s,
		.kind = source,
		.kind_len = (int)(open - source),
		.process = open + 1,
		.process_len = (int)(colon - open) - 2,
		.text = colon + 2,
		.text_len = (size_t)(s + len - colon - 2)};
}

bool line_is_of(const struct line *l, const char *source)
{
	size_t kind = (size_t)l->kind_len, process = (size_t)l->process_len;

	return l->time && strlen(source) == kind + process + 2 &&
	       memcmp(source, l->kind, kind) == 0 &&
	       memcmp(source + kind + 1, l->process, process) == 0;
}

/* ---- syslog ---- */

/* At most max bytes of s, and no half character. */
static size_t cut(const char *s, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
		max--;
	return max;
}

static void add_message(struct buf *out, const char *head, const char *text, size_t len)
{
	buf_addf(out, "%zu %s", strlen(head) + len, head);
	buf_add(out, text, len);
}

void line_syslog(struct buf *out, const struct line *l, const char *host, const char *app,
	bool datagrams)
{
	char head[LINE_HEAD_MAX];
	size_t at = 0, most = SIZE_MAX;

	snprintf(head, sizeof(head), "<%d>1 %.*s %.255s %.*s %.*s %.*s - ", PRIORITY,
		l->time ? (int)STAMP_LEN : 1, l->time ? l->time : "-", host, APP_NAME_MAX,
		app, l->process_len < PROCID_MAX ? l->process_len : PROCID_MAX,
		l->process, l->kind_len < 32 ? l->kind_len : 32, l->kind);
	if (datagrams)
		most = LINE_DATAGRAM_MAX - strlen(head);
	do {
		size_t n = cut(l->text + at, l->text_len - at, most);

		add_message(out, head, l->text + at, n);
		at += n ? n : 1; /* never: text is UTF-8 */
	} while (at < l->text_len);
}

/* ---- JSON ---- */

static void add_quoted(struct buf *out, const char *s, size_t len)
{
	char *to = buf_room(out, len * 6 + 2);
	char *at = to;

	if (!to)
		return;
	*at++ = '"';
	for (size_t i = 0; i < len; i++) {
		const unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\') {
			*at++ = '\\';
			*at++ = (char)c;
		} else if (c < ' ' || c == 0x7f) {
			static const char hex[] = "0123456789abcdef";

			memcpy(at, "\\u00", 4);
			at[4] = hex[c >> 4];
			at[5] = hex[c & 15];
			at += 6;
		} else {
			*at++ = (char)c;
		}
	}
	*at++ = '"';
	out->len += (size_t)(at - to);
}

void line_json(struct buf *out, const struct line *l, const char *app, const char *id)
{
	if (l->time)
		buf_addf(out,
			"{\"time\":\"%.*s\",\"app\":\"%s\",\"source\":", (int)STAMP_LEN,
			l->time, app);
	else
		buf_addf(out, "{\"time\":null,\"app\":\"%s\",\"source\":", app);
	add_quoted(out, l->kind, (size_t)l->kind_len);
	buf_adds(out, ",\"process\":");
	add_quoted(out, l->process, (size_t)l->process_len);
	buf_adds(out, ",\"message\":");
	add_quoted(out, l->text, l->text_len);
	buf_addf(out, ",\"id\":\"%s\"}\n", id);
}

void line_plain(struct buf *out, const struct line *l, const char *app)
{
	if (l->time)
		buf_addf(out, "%.*s %s %.*s[%.*s]: ", (int)STAMP_LEN, l->time, app,
			l->kind_len, l->kind, l->process_len, l->process);
	buf_add(out, l->text, l->text_len);
	buf_add(out, "\n", 1);
}
