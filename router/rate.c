/* Requests a client may make. */
#include "router/rate.h"
#include "lib/addr.h"
#include <arpa/inet.h>
#include <string.h>

#define SETS 1024u
#define WAYS 4u

/* Its bucket is full at full_us; what lies in the past is as good as never seen. */
struct client {
	uint64_t key, full_us;
};

struct rates {
	uint64_t secret[2];
	struct client clients[SETS][WAYS]; /* 64 KiB */
};

struct rates *rates_new(const uint64_t secret[2])
{
	struct rates *r = calloc(1, sizeof(*r));

	if (r)
		memcpy(r->secret, secret, sizeof(r->secret));
	return r;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9fb21c651e98df25ull;
	return h ^ h >> 32;
}

/* Keyed, so that nobody can choose addresses that share a place. Never 0. */
static uint64_t key_of(const struct rates *r, const char *address, size_t len)
{
	char text[INET6_ADDRSTRLEN] = "";
	uint64_t part[2] = {0};
	struct addr a;

	memcpy(text, address, len < sizeof(text) ? len : sizeof(text) - 1);
	if (addr_parse(text, &a) == 0) {
		addr_unmap(&a);
		if (a.family == AF_INET)
			memcpy(part + 1, a.bytes, 4);
		else
			memcpy(part, a.bytes, 8);
	}
	return mix(mix(mix(r->secret[0], part[0]), r->secret[1]), part[1]) | 1;
}

static struct client *place_of(struct rates *r, uint64_t key)
{
	struct client *set = r->clients[(key >> 40) % SETS], *oldest = set;

	for (uint32_t i = 0; i < WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].full_us < oldest->full_us)
			oldest = &set[i];
	}
	*oldest = (struct client){.key = key};
	return oldest;
}

uint64_t rates_take(struct rates *r, const char *address, size_t len, uint32_t n,
	uint32_t period_ms, uint64_t now_ms)
{
	struct client *c = place_of(r, key_of(r, address, len));
	uint64_t now_us = now_ms * 1000, period_us = (uint64_t)period_ms * 1000;
	uint64_t full_us = (c->full_us > now_us ? c->full_us : now_us) + period_us / n;

	if (full_us > now_us + period_us)
		return (full_us - now_us - period_us + 999) / 1000;
	c->full_us = full_us;
	return 0;
}
