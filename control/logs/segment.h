/*
 * Segments of an app's log as they lie on disk (the end of lib/proto.h), for who reads them: which there are, where a time
 * begins in one, and its lines one after the other.
 */
#ifndef CONTROL_SEGMENT_H
#define CONTROL_SEGMENT_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/stamp.h"
#include <sys/types.h>

#define SEGMENT_STAMP_LEN (STAMP_SIZE - 1)
#define SEGMENT_LINE_MAX ((size_t)64 << 10) /* longer than any that the logger writes */
#define SEGMENT_BLOCK ((size_t)256 << 10)

/* Ascending numbers, *ret the caller's. Count; 0 when the folder is absent; -errno. */
int segment_list(const char *folder, uint64_t **ret);
/* fd or -errno. */
int segment_open(const char *folder, uint64_t number);
/* Where the first line stamped at or after the time begins; the end of the whole lines when there is none. */
off_t segment_find_time(int fd, off_t size, uint64_t us);
/* Where the line that at lies in begins. */
off_t segment_line_start(int fd, off_t at);

/* Reading forward; start with segment_scan_start. */
struct segment_scan {
	int fd;	    /* not owned */
	off_t at;   /* of the next read: in ends there */
	off_t end;  /* nothing from there on; -1: as much as there is */
	size_t pos; /* in `in`: what is not yet taken */
	struct buf in;
};
/* at: where a line begins. Keeps the memory of in. */
void segment_scan_start(struct segment_scan *s, int fd, off_t at, off_t end);
/*
 * The next whole lines, at least one: *ret up to and with the last newline, not yet taken. 1, 0 when there is none now
 * (the beginning of one is read again the next time), -errno.
 */
int segment_scan_lines(struct segment_scan *s, const char **ret, size_t *ret_len);
void segment_scan_take(struct segment_scan *s, size_t len);
/* Where what is not yet taken begins. */
off_t segment_scan_where(const struct segment_scan *s);

/* A line without its newline, in its parts. */
struct segment_line {
	const char *line;
	size_t len;
	const char *source, *text;
	size_t source_len, text_len;
	bool own; /* of LOG_SEGMENT_SOURCE */
};
/* False: that is none (damage). */
bool segment_parse(const char *line, size_t len, struct segment_line *ret);
/* Of an own line: "after=" and "release="; false where it has none. */
bool segment_after(const struct segment_line *l, uint64_t *ret);
bool segment_release(const struct segment_line *l, uint32_t *ret);

#endif
