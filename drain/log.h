/*
 * The logs of apps, read forward as berth-logger writes them (the end of lib/proto.h): segments are the only memory of what is
 * still to be sent. inotify says when there is more; where the host allows no more of it, a look twice a second. One block of 128 kB is shared by all readers.
 */
#ifndef DRAIN_LOG_H
#define DRAIN_LOG_H

#include "lib/base.h"
#include "lib/loop.h"
#include "lib/proto.h"

struct logs;

/* What the log's budget took before it was sent. lines: at least; gaps: how often. */
struct lost {
	uint64_t bytes, lines, gaps;
};
/* Where a reader is: everything before offset of that segment, and of what was lost so much was told. */
struct place {
	uint64_t segment, offset; /* segment 0: before the first */
	struct lost told;
};

struct app_log {
	struct logs *logs;
	struct app_log *next;
	uint32_t app;
	char name[PROTO_NAME_MAX]; /* of the app; "": not known yet */
	bool asked;		   /* for its name */
	int wd;			   /* -1: it has no folder now */
	bool listed;
	struct {
		uint64_t name, size;
	} * segments; /* oldest first */
	size_t n_segments;
	struct cursor *cursors;
};

struct cursor {
	struct app_log *log;
	struct cursor *next_of_log, *next; /* next: the owner's */
	void *owner;
	struct place read,
		kept; /* next to be read; where everything before was delivered */
	struct lost lost;
	int fd;
	uint64_t fd_segment;
	bool more; /* there may be something to read */
};

struct log_events {
	void (*more)(void *arg, struct cursor *c); /* it has perhaps something to read */
	void (*found)(
		void *arg, struct app_log *l); /* a folder that had not been known */
	void (*gone)(void *arg,
		struct app_log *l); /* its folder went; free its cursors or keep them */
	void *arg;
};

/* folder: absolute, of all logs. 0 or -errno. */
int logs_open(struct loop *loop, const char *folder, const struct log_events *events,
	struct logs **ret);
/* It has no cursors, and the loop is there still. NULL is allowed. */
void logs_free(struct logs *s);
/* Looks for the folders that are there: found() for each. */
void logs_find(struct logs *s);
/* That app's, with or without a folder; watched from now on. NULL: out of memory. */
struct app_log *logs_get(struct logs *s, uint32_t app);
/* Forgets those without cursors. */
void logs_tidy(struct logs *s);
struct app_log *logs_first(struct logs *s);

/* A reader from there on; from NULL: from the first line that is not before since_us. NULL: out of memory. */
struct cursor *cursor_new(
	struct app_log *l, void *owner, const struct place *from, uint64_t since_us);
void cursor_free(struct cursor *c);
/* The next whole line, valid until the next call for any cursor. 1; 0: none now (more is false then); -errno. */
int cursor_line(struct cursor *c, const char **ret, size_t *ret_len);
/* What was lost since it was last told; true once. */
bool cursor_tell_lost(struct cursor *c, struct lost *ret);
/* What came before that place was delivered. */
void cursor_keep(struct cursor *c, const struct place *at);
/* Back to what was delivered. */
void cursor_rewind(struct cursor *c);

#endif
