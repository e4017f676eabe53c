/* Threads that nobody waits for. */
#include "control/thread.h"
#include <pthread.h>
#include <time.h>

int thread_detached(void *(*run)(void *arg), void *arg, size_t stack_bytes)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, stack_bytes);
	r = -pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return r;
}

void pace_wait(struct pace *t, unsigned int seconds)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&t->lock);
	while (!t->wanted && pthread_cond_timedwait(&t->wake, &t->lock, &until) == 0)
		;
	t->wanted = false;
	pthread_mutex_unlock(&t->lock);
}

void pace_now(struct pace *t)
{
	pthread_mutex_lock(&t->lock);
	t->wanted = true;
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
}
