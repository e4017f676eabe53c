/* Threads that nobody waits for. */
#ifndef CONTROL_THREAD_H
#define CONTROL_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

/* Runs run(arg) on a thread of its own with a stack of that many bytes. 0 or -errno; then arg is still the caller's. */
int thread_detached(void *(*run)(void *arg), void *arg, size_t stack_bytes);

/* Something that is done every so often, and at once when somebody says so. */
struct pace {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool wanted;
};
#define PACE_INIT                                                                        \
	{                                                                                \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false               \
	}
void pace_wait(struct pace *t, unsigned int seconds);
void pace_now(struct pace *t); /* any thread */

#endif
