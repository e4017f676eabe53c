/* Bytes of an app into lines that are safe to show. */
#include "runtime/logger_text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Where to cut a long line: not inside a character of UTF-8. */
static size_t cut_point(const char *data, size_t max)
{
	size_t at = max;

	while (at > max - 3 && ((unsigned char)data[at] & 0xc0) == 0x80)
		at--;
	return at;
}

size_t text_next_line(const char *data, size_t len, bool at_end, struct text_line *line)
{
	size_t scan = len < TEXT_LINE_MAX + 1 ? len : TEXT_LINE_MAX + 1;
	const char *nl = len ? memchr(data, '\n', scan) : NULL;

	*line = (struct text_line){.start = data};
	if (nl) {
		line->len = (size_t)(nl - data);
		if (line->len && nl[-1] == '\r')
			line->len--;
		return (size_t)(nl - data) + 1;
	}
	if (len > TEXT_LINE_MAX) {
		line->len = cut_point(data, TEXT_LINE_MAX);
		line->cut = true;
		return line->len;
	}
	if (!at_end)
		return 0;
	line->len = len;
	return len;
}

/* Length of the valid UTF-8 sequence at p (Unicode table 3-7), 0 when there is none. */
static size_t utf8_length(const unsigned char *p, size_t len)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (p[0] == 0xc2)
		low = 0xa0; /* C1 controls are U+0080 to U+009F */
	else if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (len < n || p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	return n;
}

/* Length of ESC [ digits and semicolons m, 0 when it is something else. */
static size_t colour_length(const unsigned char *p, size_t len)
{
	size_t i = 2;

	if (len < 3 || p[0] != 0x1b || p[1] != '[')
		return 0;
	while (i < len && ((p[i] >= '0' && p[i] <= '9') || p[i] == ';'))
		i++;
	return i < len && p[i] == 'm' ? i + 1 : 0;
}

static size_t escape(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	out[0] = '\\';
	out[1] = 'x';
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	return 4;
}

size_t text_clean(char *out, const char *in, size_t len)
{
	const unsigned char *p = (const unsigned char *)in;
	size_t n = 0, used;

	for (size_t i = 0; i < len; i += used) {
		unsigned char c = p[i];

		used = 1;
		if ((c >= 0x20 && c < 0x7f) || c == '\t') {
			out[n++] = (char)c;
		} else if (c >= 0x80 && (used = utf8_length(p + i, len - i)) > 0) {
			memcpy(out + n, p + i, used);
			n += used;
		} else if ((used = colour_length(p + i, len - i)) == 0) {
			n += escape(out + n, c);
			used = 1;
		}
	}
	return n;
}

void text_stamp(char out[TEXT_STAMP_LEN], uint64_t time_us)
{
	time_t seconds = (time_t)(time_us / 1000000);
	char text[64];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm))
		memset(&tm, 0, sizeof(tm));
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ",
		(tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		tm.tm_min, tm.tm_sec, (unsigned int)(time_us % 1000000));
	memcpy(out, text, TEXT_STAMP_LEN);
}
