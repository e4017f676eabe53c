/* Limits as a person sets and reads them; what an app is set to: settings.h. */
#ifndef CONTROL_LIMITS_H
#define CONTROL_LIMITS_H

#include "control/control.h"

/* One row a limit: feeds the API's fields, their ranges, reports and sentences. */
enum limit_unit { UNIT_SIZE, UNIT_RATE, UNIT_CPU, UNIT_COUNT };
struct limit_row {
	const char *key;   /* in the API: "io_read" */
	const char *label; /* in sentences: "disk reads" */
	enum limit_unit unit;
	uint64_t min, max;
	size_t at;    /* of the uint64_t in struct db_resource */
	uint32_t bit; /* enum limit_bits */
};
#define LIMIT_ROWS 7u
extern const struct limit_row limit_rows[LIMIT_ROWS];

uint64_t *limit_set(struct db_resource *r, const struct limit_row *row);
uint64_t limit_get(const struct msg_limits_body *l, const struct limit_row *row);
/* "256M", "10M a second", "0.5", "4096", "none" */
void limit_text(const struct limit_row *row, uint64_t value, char out[40]);

/* What berthd says of its host; unlimited in everything while it cannot be asked. */
void limits_host(struct control *c, struct msg_host *ret);
/*
 * false when the host can do all of it; else why not: "1048576 wanted, 4096 allowed by
 * this host", "64G wanted, this host has 24G", "cannot be limited here: …".
 */
bool limit_note(const struct limit_row *row, uint64_t value, const struct msg_host *host,
	char out[320]);
/* The same of all that was set to other than the default: "open files …". Array of strings. */
json_t *limits_notes(struct control *c, uint32_t app, const char *type);
/* These, into the app's log; name: "web.1". */
void limits_log(struct control *c, uint32_t app, const char *type, const char *name);

/* The kernel killed processes of an instance: its row, and a line in the app's log. */
void limits_oom(struct control *c, const struct msg_oom *o);

#endif
