/*
 * Requests a client may make (a token bucket for each address, as the generic cell rate algorithm). Memory is bounded: where
 * more clients come than there is room for, the one that is nearest to a full bucket is forgotten.
 */
#ifndef ROUTER_RATE_H
#define ROUTER_RATE_H

#include "lib/base.h"

struct rates;

/* NULL: no memory. */
struct rates *rates_new(const uint64_t secret[2]);
/*
 * May the client at the address (text, any that inet_ntop makes) make one more: n in period_ms, at once or spread? 0, or
 * after how many ms it may. Addresses of IPv6 count by their /64.
 */
uint64_t rates_take(struct rates *r, const char *address, size_t len, uint32_t n,
	uint32_t period_ms, uint64_t now_ms);

#endif
