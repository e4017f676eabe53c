/* Changes the processes of a running sandbox themselves: open files, v1's group for io. */
#ifndef RUNTIME_TUNE_H
#define RUNTIME_TUNE_H

#include "lib/base.h"

#define TUNE_MS 3000 /* the longest it takes, also with thousands of processes */

struct tune {
	int target;	     /* pidfd of its first process */
	int group;	     /* control group with all its processes */
	int join;	     /* v1: one that those missing in it join; -1 */
	uint32_t nofile;     /* 0: as it is */
	uint32_t ret_nofile; /* out: the lowest limit there is now */
};

/*
 * Sends a process into the sandbox's pid namespace, where a number can name no process but
 * the sandbox's own: outside, one that ended could give its number to another between
 * reading and using it. Blocks, 1 ms, TUNE_MS at most. 0; -EAGAIN when new processes
 * appeared as fast as they were changed; -errno. A process's own lower soft limit stays; a
 * hard one that this host lets nobody raise stays too, see ret_nofile.
 */
int tune_processes(struct tune *t);

#endif
