/* Which apps are not any more as they were read last. */
#include "control/network/stale.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>

struct marks {
	uint32_t apps[STALE_MAX];
	uint32_t n;
	bool all;
};

struct stale {
	pthread_mutex_t lock;
	struct marks marks[STALE_READERS];
};

int stale_open(struct stale **ret)
{
	struct stale *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	for (int i = 0; i < STALE_READERS; i++)
		s->marks[i].all = true;
	*ret = s;
	return 0;
}

void stale_close(struct stale *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void mark(struct marks *m, uint32_t app)
{
	m->all |= !app;
	for (uint32_t i = 0; i < m->n; i++)
		if (m->apps[i] == app)
			return;
	if (m->n == STALE_MAX)
		m->all = true;
	else if (app)
		m->apps[m->n++] = app;
}

void stale_mark(struct stale *s, uint32_t app)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	for (int i = 0; i < STALE_READERS; i++)
		mark(&s->marks[i], app);
	pthread_mutex_unlock(&s->lock);
}

void stale_again(struct stale *s, enum stale_reader reader)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->marks[reader].all = true;
	pthread_mutex_unlock(&s->lock);
}

int stale_take(struct stale *s, enum stale_reader reader, uint32_t apps[STALE_MAX])
{
	if (!s)
		return -1;
	pthread_mutex_lock(&s->lock);
	struct marks *m = &s->marks[reader];
	int n = m->all ? -1 : (int)m->n;
	memcpy(apps, m->apps, m->n * sizeof(*apps));
	m->n = 0;
	m->all = false;
	pthread_mutex_unlock(&s->lock);
	return n;
}
