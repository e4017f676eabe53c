/* Bytes of an app into lines. */
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
