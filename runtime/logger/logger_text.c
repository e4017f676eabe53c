/* Bytes of an app into lines. */
#include "runtime/logger/logger_text.h"

#include "lib/stamp.h"

#include <string.h>

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
	char text[STAMP_SIZE];

	stamp_format_us(time_us, text);
	memcpy(out, text, TEXT_STAMP_LEN);
}

uint64_t text_stamp_parse(const char *at, size_t len)
{
	char text[STAMP_SIZE];
	uint64_t us;

	if (len < TEXT_STAMP_LEN)
		return 0;
	memcpy(text, at, TEXT_STAMP_LEN);
	text[TEXT_STAMP_LEN] = '\0';
	/* Its one form, not all that people may write. */
	return text[19] == '.' && text[26] == 'Z' && stamp_parse(text, 0, &us) == 0 ? us
										    : 0;
}

void text_block_prefix(struct text_block *b, uint64_t time_us, const char *source)
{
	size_t len = strnlen(source, TEXT_SOURCE_MAX);
	char *at = b->prefix;

	text_stamp(at, time_us);
	at[TEXT_STAMP_LEN] = ' ';
	memcpy(at + TEXT_STAMP_LEN + 1, source, len);
	memcpy(at + TEXT_STAMP_LEN + 1 + len, ": ", 2);
	b->prefix_len = TEXT_STAMP_LEN + 1 + len + 2;
}

void text_block_add(struct text_block *b, const struct text_line *line)
{
	char *at = b->out + b->len;

	memcpy(at, b->prefix,
		sizeof(b->prefix)); /* all of it: no call for so few bytes */
	at += b->prefix_len;
	at += plain_copy(at, line->start, line->len, PLAIN_WITHOUT_COLOURS);
	if (line->cut) {
		memcpy(at, TEXT_CUT_MARK, sizeof(TEXT_CUT_MARK) - 1);
		at += sizeof(TEXT_CUT_MARK) - 1;
	}
	*at++ = '\n';
	b->len = (size_t)(at - b->out);
	b->lines++;
}

static void take(uint64_t *left, uint64_t n)
{
	if (*left != UINT64_MAX)
		*left -= n < *left ? n : *left;
}

size_t text_block_lines(struct text_block *b, const char *data, size_t len, bool at_end,
	struct text_allowance *allowed)
{
	struct text_line line;
	size_t at = 0, used;

	while (allowed->lines && allowed->bytes && b->room - b->len >= TEXT_ROOM &&
		(used = text_next_line(data + at, len - at, at_end, &line)) > 0) {
		text_block_add(b, &line);
		take(&allowed->lines, 1);
		take(&allowed->bytes, used);
		at += used;
	}
	return at;
}
