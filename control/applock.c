/* One operation an app at a time. */
#include "control/applock.h"
#include <errno.h>
#include <pthread.h>
#include <time.h>

struct lock {
	uint32_t app;
	uint64_t next, serving; /* tickets */
	struct lock *link;
};

static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct lock *locks; /* one a busy app; program-wide like the apps themselves */

static struct lock *get(uint32_t app)
{
	struct lock *l = locks;

	while (l && l->app != app)
		l = l->link;
	if (!l && (l = calloc(1, sizeof(*l)))) {
		l->app = app;
		l->link = locks;
		locks = l;
	}
	return l;
}

static void advance(struct lock *l)
{
	l->serving++;
	if (l->serving == l->next) {
		struct lock **at = &locks;
		while (*at != l)
			at = &(*at)->link;
		*at = l->link;
		free(l);
	}
	pthread_cond_broadcast(&changed);
}

static void wait_a_little(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += 200000000L;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000L;
	}
	pthread_cond_timedwait(&changed, &guard, &t);
}

int applock_take(uint32_t app, struct sink *s, struct err *e)
{
	bool told = false, gone = false;

	pthread_mutex_lock(&guard);
	struct lock *l = get(app);
	if (!l) {
		pthread_mutex_unlock(&guard);
		return err_set(e, ENOMEM, "out of memory");
	}
	uint64_t ticket = l->next++;
	while (l->serving != ticket) {
		if (!told || sink_cancelled(s)) {
			pthread_mutex_unlock(&guard);
			if (!told)
				sink_step(s, "Waiting: another operation on this app is "
					     "under way");
			gone = sink_cancelled(s);
			told = true;
			pthread_mutex_lock(&guard);
		}
		if (l->serving != ticket)
			wait_a_little();
	}
	/* Whoever went away while waiting keeps the queue in order: the turn is taken and given on. */
	if (gone)
		advance(l);
	pthread_mutex_unlock(&guard);
	return gone ? err_set(e, ECANCELED, "cancelled while waiting") : 0;
}

bool applock_try(uint32_t app)
{
	pthread_mutex_lock(&guard);
	struct lock *l = get(app);
	bool got = l && l->serving == l->next;
	if (got)
		l->next++;
	pthread_mutex_unlock(&guard);
	return got;
}

void applock_drop(uint32_t app)
{
	pthread_mutex_lock(&guard);
	advance(get(app));
	pthread_mutex_unlock(&guard);
}

bool applock_any(void)
{
	pthread_mutex_lock(&guard);
	bool any = locks != NULL;
	pthread_mutex_unlock(&guard);
	return any;
}
