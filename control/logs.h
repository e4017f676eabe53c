/*
 * Reading an app's log: the segments that berth-logger wrote (the end of lib/proto.h),
 * filtered, from the last lines on or from a time on, and followed while more comes.
 */
#ifndef CONTROL_LOGS_H
#define CONTROL_LOGS_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/stamp.h"
#include <sys/types.h>

#define LOGS_LINES_MAX 1000000000u	 /* only counted, never held */
#define LOGS_LINE_MAX ((size_t)64 << 10) /* longer than any that the logger writes */

struct logs_query {
	uint64_t lines;	   /* the last n that match; 0: all */
	bool follow;	   /* what comes later belongs to the answer too */
	uint64_t since_us; /* 0: from the beginning */
	char process[48];  /* "web" or "web.1"; "router", "deploy" too; "": all */
	char grep[256];	   /* part of the text; "": all */
};

struct logs;

/* folder: state/logs/APPID. An absent folder is an empty log. NULL: out of memory. */
struct logs *logs_open(const char *folder, const struct logs_query *q);
void logs_close(struct logs *l);
/* The next bytes of matching lines, each with its newline. 0 when there are no more for
 * now, or -errno. */
ssize_t logs_read(struct logs *l, char *out, size_t size);
/* Whether a line (without newline) matches: for logs_test.c. */
bool logs_match(
	const struct logs_query *q, const char *since, const char *line, size_t len);

#endif
