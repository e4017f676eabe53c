/*
 * Network namespaces for sandboxes, ready before they are asked for: each with a routed
 * veth to the host and its own address of the berth's block. Used once; the kernel
 * removes a namespace, with both ends of its veth, some time after its last process, so
 * nothing here waits for that.
 *
 * One thread: making a namespace takes 2 ms and holds the kernel's routing lock, and
 * removing cgroups waits for zombies; a start (on the caller's thread) must not wait for
 * either.
 */
#ifndef RUNTIME_NETNS_H
#define RUNTIME_NETNS_H

#include "lib/base.h"
#include "lib/err.h"

#include <net/if.h>

#define NETPOOL_READY 4 /* a deploy starts two or three sandboxes at once */

struct netpool;

struct netpool_config {
	const char *id;
	uint32_t addr_base, n; /* addresses are addr_base + 1 .. + n - 2, host order */
	/* Asked before each namespace is made, on the thread, until it says true: shall it
	 * have IPv6 (addr6_of) and a route out? */
	bool (*ipv6)(void *arg);
	void *arg;
};

/* A namespace of its own, taken from the pool. */
struct netpool_place {
	int fd;
	int socket;	/* a unix stream socket of it, for a listener */
	uint32_t index; /* of the address; the interface on the host: netpool_iface */
	bool ipv6;
};

int netpool_open(const struct netpool_config *c, struct netpool **ret, struct err *e);
/* "b<id>-<4 hex digits>" */
void netpool_iface(const char *id, uint32_t index, char out[IFNAMSIZ]);
/* Ends the thread after the jobs it has; ready namespaces go. NULL is allowed. */
void netpool_close(struct netpool *p);
/* A ready namespace, its descriptors the caller's; waits at most 5 s for one to be made.
 * -EAGAIN: no address is free. */
int netpool_take(struct netpool *p, struct netpool_place *ret, struct err *e);
/* Closes what came with it; the index is released apart from that. */
void netpool_place_close(const struct netpool_place *place);
/* The index of an adopted sandbox is in use. */
void netpool_reserve(struct netpool *p, uint32_t index);
/* Before anybody has it again the kernel forgets the connections of its last owner
 * (conntrack.h). With netpool_forget_later soon, on the thread: those of all that were
 * released. */
void netpool_release(struct netpool *p, uint32_t index);
void netpool_forget_later(struct netpool *p);
/* How many indexes are in use, those of ready namespaces too. */
unsigned int netpool_used(struct netpool *p);
/* Runs job(arg) on the thread; while it returns -EAGAIN again after 20 ms, at most 500
 * times; while -EINPROGRESS, again after the others: a job that may take long does a part
 * of it each time, as starts wait for this thread. 0 or -ENOMEM. */
int netpool_later(struct netpool *p, int (*job)(void *arg), void *arg);
/* On the thread: whether all namespaces are ready, and no other job waits. */
bool netpool_idle(struct netpool *p);
/* Waits until all such jobs are done; at most 15 s. */
void netpool_drain(struct netpool *p);

#endif
