/* Threads that nobody waits for. */
#ifndef CONTROL_THREAD_H
#define CONTROL_THREAD_H

#include <stddef.h>

/* Runs run(arg) on a thread of its own with a stack of that many bytes. 0 or -errno; then arg is still the caller's. */
int thread_detached(void *(*run)(void *arg), void *arg, size_t stack_bytes);

#endif
