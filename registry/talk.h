/* What is said to berth-control, and what it says: lib/proto.h, berth-registry. */
#ifndef REGISTRY_TALK_H
#define REGISTRY_TALK_H

#include "lib/base.h"
#include "lib/err.h"
#include <jansson.h>

/* Ends the program when control is gone. Takes o over. */
void talk_send(json_t *o);
/* Waits for control's next object; NULL: it is gone, or sent something else. */
json_t *talk_wait(void);
void talk_detail(const char *fmt, ...) PRINTF(1, 2);
void talk_error(struct err *e); /* the last word */

/* Bytes on their way, told once a second: "WHAT: 1.2M of 3.4M, 5.6M/s". */
struct talk_progress {
	const char *what;
	uint64_t total, begun_ns, told_ns;
};
void talk_begin(struct talk_progress *p, const char *what, uint64_t total);
void talk_bytes(struct talk_progress *p, uint64_t bytes);
/* "WHAT: 3.4M in 1.2 s" */
void talk_end(const struct talk_progress *p, uint64_t bytes);

#endif
