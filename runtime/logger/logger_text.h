/* Bytes of an app into lines: pure functions, no state. */
#ifndef RUNTIME_LOGGER_TEXT_H
#define RUNTIME_LOGGER_TEXT_H

#include "lib/base.h"
#include "lib/plain.h"

#define TEXT_LINE_MAX 8192 /* longer lines are split, each part but the last marked */
#define TEXT_CUT_MARK " [continues]"
#define TEXT_SOURCE_MAX 80
#define TEXT_STAMP_LEN 27
#define TEXT_PREFIX_MAX (TEXT_STAMP_LEN + TEXT_SOURCE_MAX + 4)
/* What one line can take of a buffer. */
#define TEXT_ROOM (TEXT_PREFIX_MAX + TEXT_LINE_MAX * PLAIN_FACTOR + 64)

struct text_line {
	const char *start; /* into the data */
	size_t len;	   /* without its newline and a carriage return before it */
	bool cut;	   /* the line goes on: mark it */
};

/*
 * The first line of data. Returns how many bytes it takes, newline included, and fills
 * *line; 0 when the data holds only the beginning of a line. With at_end the beginning
 * counts as a line.
 */
size_t text_next_line(const char *data, size_t len, bool at_end, struct text_line *line);
/* "2026-01-02T03:04:05.678901Z", without NUL: TEXT_STAMP_LEN bytes. */
void text_stamp(char out[TEXT_STAMP_LEN], uint64_t time_us);
/* The other way round, in µs; 0: that is no stamp. */
uint64_t text_stamp_parse(const char *at, size_t len);

/* Where lines are written that have time and source in common. */
struct text_block {
	char prefix[TEXT_PREFIX_MAX]; /* "STAMP SOURCE: " */
	size_t prefix_len;
	char *out;
	size_t len, room; /* of out: used, in all */
	unsigned int lines;
};
/* A source that is longer than TEXT_SOURCE_MAX is cut. */
void text_block_prefix(struct text_block *b, uint64_t time_us, const char *source);
/* One line, made safe. There must be room for TEXT_ROOM; line->len is at most TEXT_LINE_MAX. */
void text_block_add(struct text_block *b, const struct text_line *line);

/* How much may be written; UINT64_MAX: any. */
struct text_allowance {
	uint64_t lines, bytes;
};
/*
 * All whole lines of data (with at_end, the rest too), as long as there is room for another one and it is allowed: the
 * allowance shrinks by what was written. Returns how many bytes of data they take.
 */
size_t text_block_lines(struct text_block *b, const char *data, size_t len, bool at_end,
	struct text_allowance *allowed);

#endif
