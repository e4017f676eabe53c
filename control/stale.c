/* Which apps are not any more as the last routing table shows them. */
#include "control/stale.h"
#include <errno.h>
#include <pthread.h>
#include <string.h>

struct stale {
	pthread_mutex_t lock;
	uint32_t apps[STALE_MAX];
	uint32_t n;
	bool all;
};

int stale_open(struct stale **ret)
{
	struct stale *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	s->all = true;
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

static bool marked(const struct stale *s, uint32_t app)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (s->apps[i] == app)
			return true;
	return false;
}

void stale_mark(struct stale *s, uint32_t app)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	if (!app || s->n == STALE_MAX)
		s->all |= !app || !marked(s, app);
	else if (!marked(s, app))
		s->apps[s->n++] = app;
	pthread_mutex_unlock(&s->lock);
}

int stale_take(struct stale *s, uint32_t apps[STALE_MAX])
{
	pthread_mutex_lock(&s->lock);
	int n = s->all ? -1 : (int)s->n;

	memcpy(apps, s->apps, s->n * sizeof(*apps));
	s->n = 0;
	s->all = false;
	pthread_mutex_unlock(&s->lock);
	return n;
}
