/*
 * Internet addresses and ranges as people write them, and the addresses that berth gives
 * away. Networks are written as RFC 4632 and RFC 4291 2.3 say.
 */
#ifndef LIB_ADDR_H
#define LIB_ADDR_H

#include "lib/base.h"

#define ADDR_TEXT_MAX 64 /* 45 of an address, and "/128" */

struct addr {
	int family;	     /* AF_INET or AF_INET6 */
	unsigned int prefix; /* bits that count: 32 or 128 of a single address */
	unsigned char
		bytes[16]; /* network order; 4 of AF_INET; bits that don't count are 0 */
};

/*
 * "10.0.0.0/8", "2001:db8::1". 0, -EINVAL when it is no address or the prefix is out of
 * range, -EDOM when bits beyond the prefix are set (then *ret is the range without them).
 * No names, no zones (%eth0), no short forms ("10.1").
 */
int addr_parse(const char *s, struct addr *ret);
/* A single ::ffff:192.0.2.1 (RFC 4291 2.5.5.2) becomes 192.0.2.1. */
void addr_unmap(struct addr *a);
/* The prefix only where it is not the whole address. */
void addr_format(const struct addr *a, char out[ADDR_TEXT_MAX]);
/* A single address: 32 or 128 bits. */
bool addr_is_single(const struct addr *a);
/* Has every address of inner its place in outer? Not across families. */
bool addr_contains(const struct addr *outer, const struct addr *inner);
bool addr_overlaps(const struct addr *a, const struct addr *b);

/*
 * What apps may not reach, NULL-terminated lists of ranges. Private: unless a rule of the
 * app allows it, or it is a resolver, proxy or index of the host's. Never: no rule allows
 * it; beside what every machine has for itself, the addresses at which clouds tell a
 * machine its secrets.
 */
extern const char *const addr_private4[], *const addr_private6[];
extern const char *const addr_never4[], *const addr_never6[];
/* Does all of a lie in one of the ranges that apps never reach? */
bool addr_is_never(const struct addr *a);

/*
 * Instances have IPv4 addresses out of 198.18.0.0/15 (RFC 2544: never routed on the
 * internet), a /20 for each of up to 31 berths of a host. The last /20 is for names: its
 * address number n (1 .. ADDR_NAMES - 1) stands for all instances of one process type of
 * one app of the berth that the asking app belongs to. All in host order.
 */
#define ADDR_BASE 0xc6120000u
#define ADDR_BLOCK 4096u
#define ADDR_NAMES_BASE 0xc613f000u
#define ADDR_NAMES 4096u
/* The IPv6 address that goes with such an IPv4 address: fd62:6572:7468::/96 ("berth", RFC
 * 4193) and its 32 bits. */
void addr6_of(uint32_t addr4, unsigned char out[16]);
#define ADDR6_RANGE "fd62:6572:7468::/48"

#endif
