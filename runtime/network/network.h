/*
 * What each app's instances and builds may reach, and which instances are behind a name: control's
 * wishes (MSG_NETWORK, MSG_NAME) put into the packet filter and the hosts files. What was
 * wished stands in run/network, so that a berthd that was restarted puts it into force
 * before anything else; control sends it again after a reboot, before it starts an app.
 * runtime/runtime.h has what changes it: network_set, network_name, network_forget.
 */
#ifndef RUNTIME_NETWORK_H
#define RUNTIME_NETWORK_H

#include "runtime/inside.h"

struct network;

/* Reads what an earlier berthd kept. 0, or -errno with the sentence. */
int network_open(struct runtime *rt, struct network **ret, struct err *e);
/* Resolves no more names of proxies and indexes. NULL is allowed. */
void network_stop(struct network *n);
/* After the pool. NULL is allowed. */
void network_close(struct network *n);
/*
 * Makes the whole packet filter anew, for the sandboxes that are known (all running ones
 * must be adopted); the one before is in force until then. Blocks, about 20 ms. What fails
 * here or in a change is tried again (network_heard), and before the next change, which
 * fails with it; what was asked for before counts until then.
 */
int network_make(struct network *n, struct err *e);

/* Readable when the host's packet filter is changed, or what failed is due again;
 * network_heard makes what is not as it was left. */
int network_fd(const struct network *n);
void network_heard(struct network *n);

/* Whose rules a sandbox of the app, started with these flags, meets: for the next two. */
uint32_t network_whose(uint32_t app, uint32_t flags);
/* The end of /etc/hosts of their sandboxes. "" and 0 without. */
const char *network_hosts(const struct network *n, uint32_t of, size_t *ret_len);
/* Before a sandbox gets a process: what comes from that address meets their rules. Nothing
 * at all where there are none, and the packet filter is in force. */
int network_attach(struct network *n, uint32_t of, uint32_t index, struct err *e);
/* A sandbox ended, and is not among the live ones any more: its address has no rules, no
 * name leads to it. True when one did: connections to the name may still lead there. */
bool network_detach(struct network *n, uint64_t id, uint32_t index);

#endif
