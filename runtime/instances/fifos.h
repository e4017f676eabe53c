/* The FIFOs that carry the instances' output to berth-logger: run/fifo/ID. */
#ifndef RUNTIME_FIFOS_H
#define RUNTIME_FIFOS_H

#include "lib/base.h"

#define FIFO_SIZE                                                                        \
	(1 << 20) /* so much an app can say while the logger restarts, before it has to  \
		     wait */

/* A new one, opened read-write (an old one of the same id is replaced). fd or -errno. */
int fifo_make(int dirfd, uint64_t id);
/* A read end, nonblocking. fd, -ENOENT, -errno. */
int fifo_open_read(int dirfd, uint64_t id);
/* Absent is fine. */
void fifo_remove(int dirfd, uint64_t id);

#endif
