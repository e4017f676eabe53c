/* Access lines (docs/CONVENTIONS.md, Logs): made into records, batched into the log pi */
#ifndef ROUTER_ACCESS_H
#define ROUTER_ACCESS_H

#include "lib/base.h"

/* a full pipe: more lines are dropped and counted */
#define ACCESS_MEMORY_MAX (1u << 20)
#define ACCESS_DELAY_MS 20u /* a line waits at most this long for company */

struct exchange;
struct worker;

struct access_log {
	int fd;
	char *data;
	size_t off, len, cap;
	uint64_t first_ms; /* when the oldest waiting line came; 0 none */
	uint64_t full_ms;  /* when the pipe took no more */
	uint64_t dropped;
};

/*
 * fd is the log pipe; reopened without blocking where possible, since others write to
 * it too.
 */
void access_open(struct access_log *l, int fd);
/* Writes the line of a finished exchange, unless it belongs to no app. */
void access_line(struct worker *w, const struct exchange *x);
/*
 * Sends what is due (all: everything that the pipe takes). Milliseconds until more is
 * due, -1 none.
 */
int access_flush(struct access_log *l, uint64_t now_ms, bool all);
void access_close(struct access_log *l);

#endif
