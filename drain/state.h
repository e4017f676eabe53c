/*
 * What is kept of a drain: BERTH_STATE/control/drains/ID.json, replaced as a whole, at most once a second.
 *   {"sent": lines, "refused": lines, "lost_lines", "lost_bytes", "failing_us": 0 or since when, "error": TEXT,
 *    "delivered_us": when last, "told": that it fails, "at": [[APPID, SEGMENT, OFFSET, BYTES, LINES, GAPS]]}
 * at: where each log was delivered up to, and what of it was lost and told. It is not synced: after a power cut it may be older,
 * and lines are sent again.
 */
#ifndef DRAIN_STATE_H
#define DRAIN_STATE_H

#include "drain/drain.h"
#include <jansson.h>

int state_save(const char *state, const struct drain *d);
/* Counters into d; the whole, the caller's, for state_place. NULL: there is none. */
json_t *state_load(const char *state, struct drain *d);
bool state_place(const json_t *saved, uint32_t app, struct place *ret);
void state_remove(const char *state, uint64_t id);

#endif
