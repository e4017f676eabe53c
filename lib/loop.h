/* One epoll loop a process: descriptors and timers with callbacks. Not for use across threads. */
#ifndef LIB_LOOP_H
#define LIB_LOOP_H

#include "lib/base.h"

struct loop;
struct loop_io;
struct loop_timer;

/* events: EPOLLIN, EPOLLOUT, ... as returned by epoll_wait. */
typedef void (*loop_io_cb)(void *arg, uint32_t events);
typedef void (*loop_timer_cb)(void *arg);

/* NULL when out of memory or descriptors. */
struct loop *loop_new(void);
/* Closes the epoll descriptor, frees all watches; the watched descriptors stay open. */
void loop_free(struct loop *l);
/* Runs until loop_stop. 0 or -errno. */
int loop_run(struct loop *l);
/* Handles what is ready, waiting at most timeout_ms (-1: until something is). 0 or -errno. */
int loop_once(struct loop *l, int timeout_ms);
void loop_stop(struct loop *l);

/* Watches fd for events; the loop never closes fd. NULL on failure. */
struct loop_io *loop_add(
	struct loop *l, int fd, uint32_t events, loop_io_cb cb, void *arg);
int loop_mod(struct loop_io *w, uint32_t events);
/* Safe inside any callback, its own included. NULL is allowed. */
void loop_del(struct loop_io *w);

/* Calls cb once after delay_ms (0: next turn). NULL on failure; freed after it fires. */
struct loop_timer *loop_after(
	struct loop *l, uint64_t delay_ms, loop_timer_cb cb, void *arg);
/* Before it fired only. NULL is allowed. */
void loop_cancel(struct loop_timer *t);

#endif
