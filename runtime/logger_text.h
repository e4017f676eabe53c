/* Bytes of an app into lines: pure functions, no state. */
#ifndef RUNTIME_LOGGER_TEXT_H
#define RUNTIME_LOGGER_TEXT_H

#include "lib/base.h"

#define TEXT_LINE_MAX 8192 /* longer lines are split, each part but the last marked */
#define TEXT_CUT_MARK " [continues]"

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
#define TEXT_STAMP_LEN 27
void text_stamp(char out[TEXT_STAMP_LEN], uint64_t time_us);

#endif
