/*
 * Does the host have IPv6 that apps can share? A kernel that forwards IPv6 takes no router
 * advertisements unless an interface is told to (accept_ra=2), and so could lose its own
 * address and route: that is seen to first, recorded in the registry and put back with it.
 * Source: Documentation/networking/ip-sysctl.rst, accept_ra and forwarding.
 */
#ifndef RUNTIME_IPV6_H
#define RUNTIME_IPV6_H

#include "lib/base.h"
#include "lib/err.h"

/* The host has an address with which it would send to the IPv6 internet. Asks the kernel
 * only; a few microseconds. */
bool ipv6_has_route(void);
/*
 * Interfaces that take advertisements go on doing so when forwarding is switched on; their
 * names are in the file accept_ra of the folder dir from before the first change. 0 or
 * -errno.
 */
int ipv6_keep_advertisements(int dir);
/* As they were; after forwarding was switched off. */
void ipv6_restore_advertisements(int dir);
/* net/ipv6/conf/IFACE/KEY of the calling thread's network. 0 or -errno. */
int ipv6_set(const char *iface, const char *key, const char *value);

#endif
