/* The state and run folders: who owns what (docs/ARCHITECTURE.md), and descriptors for
 * the parts berthd uses. */
#ifndef RUNTIME_FOLDERS_H
#define RUNTIME_FOLDERS_H

#include "lib/err.h"
#include "runtime/daemons/daemons.h"
#include "runtime/settings.h"

struct folders {
	int state, layers, volumes, snapshots, cache, repos, ssh, logs,
		trash; /* O_PATH or readable, CLOEXEC */
	int run, fifo, instances;
};

/* Makes what is missing and sets owners and modes. 0, or -errno with the sentence. */
int folders_make(const struct settings *s, const struct daemon_ids *ids, struct err *e);
/* Opens all of them. 0, or -errno with the sentence; folders_close in any case. */
int folders_open(struct folders *f, const struct settings *s, struct err *e);
void folders_close(struct folders *f);

#endif
