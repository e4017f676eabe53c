/*
 * Unix sockets that sandboxes are given to accept from (START_LISTEN): bound by berthd in
 * run/listen, which only root enters, and connected by berthd for whoever asks. Both ends
 * belong to the sandbox's network namespace, as ioctls on a socket tell of that. What
 * getsockname(2) and /proc/net/unix show inside is LISTENER_NAME below a /proc/self/fd.
 */
#ifndef RUNTIME_LISTENER_H
#define RUNTIME_LISTENER_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/proto.h"

#define LISTENER_BACKLOG 4096 /* the kernel takes less where net.core.somaxconn says so */

/* run/listen, made when missing. fd (CLOEXEC) or -errno. */
int listener_open(const char *run, struct err *e);
/* Takes the folder away, empty or not. Absent is fine. */
void listener_remove_folder(const char *run);
/*
 * Whether the kernel keeps an app from handing descriptors to who connects (SO_PASSRIGHTS,
 * Linux 6.16): who closes the last copy of one waits for what its end takes, such as a
 * lingering connection. 0 or -errno.
 */
int listener_possible(void);

/* Makes a new unix socket, of the sandbox's network namespace, the listener of the sandbox
 * with this id; one of an earlier start is replaced. 0 or -errno. */
int listener_make(int folder, uint64_t id, int fd);
/*
 * Connects up to n new sockets of this thread's network namespace (nonblocking, CLOEXEC);
 * never waits. How many, at least 1, the caller's; -EAGAIN: as many wait to be accepted as
 * may; -ECONNREFUSED: nobody has it open any more; -ENOENT: there is none; -errno.
 */
int listener_connect(int folder, uint64_t id, unsigned int n, int *fds);
/* Absent is fine. */
void listener_remove(int folder, uint64_t id);
/* Calls cb for the id of each. */
void listener_list(int folder, void (*cb)(void *arg, uint64_t id), void *arg);

#endif
