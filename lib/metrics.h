/* The sums of struct metrics_slot (lib/proto.h), as the router keeps and control reads them. */
#ifndef LIB_METRICS_H
#define LIB_METRICS_H

#include "lib/proto.h"

/* What was counted since the start; the windows are of one worker and are not added. */
static inline void metrics_slot_add(
	struct metrics_slot *to, const struct metrics_slot *from)
{
	to->requests += from->requests;
	to->errors += from->errors;
	to->bytes_out += from->bytes_out;
	to->sum_us += from->sum_us;
	for (uint32_t i = 0; i < ARRAY_LEN(to->status); i++)
		to->status[i] += from->status[i];
	for (uint32_t i = 0; i < METRICS_BUCKETS; i++)
		to->latency[i] += from->latency[i];
}

#endif
