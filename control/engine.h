/*
 * The connection to berthd: calls and events, safe from any thread. One reader thread receives; a caller sleeps until
 * its reply came. A call that berthd lost by a restart fails with -ECONNRESET.
 */
#ifndef CONTROL_ENGINE_H
#define CONTROL_ENGINE_H

#include "lib/err.h"
#include "lib/msg.h"
#include "lib/proto.h"

#define ENGINE_TIMEOUT_MS                                                                \
	20000 /* berthd answers in milliseconds; a longer silence is a fault */

struct engine;

/* Called in the reader thread, must not call back into the engine synchronously. */
struct engine_events {
	void (*exited)(void *arg, const struct msg_exited *e);
	void (*oom)(void *arg, const struct msg_oom *o);
	void (*restarted)(void *arg); /* berthd said HELLO */
	void *arg;
};

/* fd stays the caller's and must outlive the engine. */
int engine_open(int fd, const struct engine_events *events, struct engine **ret);
/* Says HELLO and starts receiving; the events may come from now on. */
int engine_run(struct engine *g);

/*
 * One call. reply may be NULL; else it is filled and its descriptors are the caller's. Returns the reply's status
 * (0 or -errno), -ETIMEDOUT, or -ECONNRESET.
 */
int engine_call(struct engine *g, uint32_t type, const void *body, size_t size,
	const int *fds, unsigned int nfds, struct msg *reply);
/* Without waiting for the answer. */
int engine_tell(struct engine *g, uint32_t type, const void *body, size_t size);

/* MSG_START or MSG_ENTER; *ret_pty (may be NULL) is the pty master, or -1. e says which step failed. */
int engine_start(struct engine *g, const struct msg_start *m, const int *fds,
	unsigned int nfds, int *ret_pty, struct err *e);
int engine_enter(struct engine *g, const struct msg_enter *m, const int *fds,
	unsigned int nfds, int *ret_pty, struct err *e);
int engine_stop(struct engine *g, uint64_t id, uint32_t timeout_ms);
/* New limits of a running sandbox; *ret is filled with -EBUSY too. */
int engine_limits(struct engine *g, const struct msg_limits *m, struct msg_limited *ret);
int engine_host(struct engine *g, struct msg_host *ret);
/* One nonblocking socket as struct msg_sockets says; the caller's. fd or -errno. */
int engine_socket(struct engine *g, uint64_t id, int family);
/* TCP ports that something inside listens on, at most max; count or -errno. */
int engine_ports(struct engine *g, uint64_t id, uint16_t *ports, int max);
/* Connections that wait to be accepted from the listener that berthd gave it; count or -errno. */
int engine_waiting(struct engine *g, uint64_t id);
/* Connections that other apps have to ports that something inside listens on; count or -errno. */
int engine_callers(struct engine *g, uint64_t id);

/*
 * Exits. A sandbox to be waited for is announced before it is started (engine_expect); its exit is then kept until
 * engine_forget; several may expect the same, each forgets for itself. Returns 0 with *ret, -EAGAIN when timeout_ms passed (-1: none) or watch_fd (-1: none) became ready.
 */
int engine_expect(struct engine *g, uint64_t id);
int engine_wait_exit(
	struct engine *g, uint64_t id, int timeout_ms, struct msg_exited *ret);
/* Processes of an expected sandbox that the kernel killed for want of memory; complete once its exit is known. */
uint32_t engine_oom_kills(struct engine *g, uint64_t id);
void engine_forget(struct engine *g, uint64_t id);
/* A descriptor that becomes readable when the expected sandbox ended; owned by the engine, valid until forgotten. */
int engine_exit_fd(struct engine *g, uint64_t id);
/* "exit status 3", "killed by signal 9 (Killed)", "out of memory at 256M" */
void exit_text(const struct msg_exited *e, char out[160]);

#endif
