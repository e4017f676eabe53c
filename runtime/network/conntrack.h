/*
 * The connections that the kernel tracks in the calling thread's network namespace. An entry
 * outlives the instances at its ends as long as one of them, or whoever has that address
 * next, sends. Source: linux/netfilter/nfnetlink_conntrack.h.
 */
#ifndef RUNTIME_CONNTRACK_H
#define RUNTIME_CONNTRACK_H

#include "lib/base.h"

/*
 * Removes each connection of which gone(arg, addr) is true for who began it or for who
 * answers; addr in host order, that of IPv6 as the IPv4 one that it goes with (addr6_of),
 * 0 for all others. Reads the whole table, about 10 ms when it is empty. 0 or -errno;
 * -EINVAL: a kernel without ctnetlink.
 */
int conntrack_forget(bool (*gone)(void *arg, uint32_t addr), void *arg);

#endif
