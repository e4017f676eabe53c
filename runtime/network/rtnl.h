/* The few rtnetlink(7) requests berth needs, one at a time, each waiting for the kernel's
 * answer. */
#ifndef RUNTIME_RTNL_H
#define RUNTIME_RTNL_H

#include "lib/base.h"

/* A route socket in the calling thread's network namespace. fd (CLOEXEC) or -errno. */
int rtnl_open(void);
/*
 * A veth pair: `name` in the socket's namespace, its peer `peer` in the one of peer_ns.
 * Both have fixed hardware addresses (RTNL_MAC_*: each pair is alone on its link).
 * -EEXIST when the peer's name is taken.
 */
int rtnl_veth(int nl, const char *name, const char *peer, int peer_ns);
int rtnl_up(int nl, unsigned int ifindex);
/* family AF_INET or AF_INET6, addr in network order; prefix 32 or 128. */
int rtnl_address(int nl, unsigned int ifindex, int family, const void *addr);
/* dst NULL: the default route, via `gateway` (which needs no route of its own). else
 * dst/32 on the link. */
int rtnl_route(
	int nl, unsigned int ifindex, int family, const void *dst, const void *gateway);
/* A permanent neighbour, so that no ARP is ever asked or believed. */
int rtnl_neighbour(int nl, unsigned int ifindex, int family, const void *addr,
	const unsigned char mac[6]);

extern const unsigned char rtnl_mac_inside[6], rtnl_mac_host[6];

#endif
