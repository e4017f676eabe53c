/*
 * Reading an app's log: the segments that berth-logger wrote (control/logs/segment.h), filtered, from the last lines on or from
 * a time on, and followed while more comes.
 */
#ifndef CONTROL_LOGS_H
#define CONTROL_LOGS_H

#include "control/logs/needle.h"
#include "control/logs/segment.h"

#define LOGS_LINES_MAX 1000000000u /* only counted, never held */

struct logs_query {
	uint64_t lines;	    /* the last n that match; 0: all */
	bool follow;	    /* what comes later belongs to the answer too */
	bool json;	    /* lines as objects {"time", "source", "text"} */
	uint64_t since_us;  /* from there on; 0: from the beginning */
	uint64_t until_us;  /* up to and with it; 0: to the end */
	uint32_t release;   /* only lines of its instances; 0: all */
	char process[48];   /* "web" or "web.1"; "router", "deploy" too; "": all */
	struct needle grep; /* part of the text; empty: all */
};

struct logs;

/* folder: state/logs/APPID. An absent folder is an empty log. NULL: out of memory. */
struct logs *logs_open(const char *folder, const struct logs_query *q);
void logs_close(struct logs *l);
/* The next bytes of matching lines, each with its newline. 0 when there are no more for
 * now, or -errno. */
ssize_t logs_read(struct logs *l, char *out, size_t size);
/* With follow: no more will come (a line after until_us was seen, the log is gone). */
bool logs_over(const struct logs *l);
/*
 * With follow: becomes readable when there may be more; -1: this host has no more of these (inotify), look from time to
 * time. logs_woken when it was: then read.
 */
int logs_fd(const struct logs *l);
void logs_woken(struct logs *l);

/* Whether a line (without newline) matches, time and release aside. */
bool logs_match(const struct logs_query *q, const struct segment_line *l);

#endif
