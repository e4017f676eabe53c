/* What is remembered of apps that sleep or are about to. */
#include "control/network/stale.h"
#include "control/run/fleet.h"
#include "control/run/sleep_inside.h"
#include "control/thread.h"
#include "lib/log.h"
#include <errno.h>

#define STACK_BYTES (256 << 10)

int sleep_open(struct control *c, struct sleepers **ret)
{
	struct sleepers *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->stale = c->stale;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	*ret = s;
	return 0;
}

static struct nap *known(struct sleepers *s, uint32_t app)
{
	struct nap *n = s->naps;

	while (n && n->app != app)
		n = n->next;
	return n;
}

struct nap nap_look(struct sleepers *s, uint32_t app)
{
	pthread_mutex_lock(&s->lock);
	const struct nap *n = known(s, app);
	struct nap copy = n ? *n : (struct nap){.app = app};
	pthread_mutex_unlock(&s->lock);
	return copy;
}

struct nap *nap_find(struct sleepers *s, uint32_t app)
{
	struct nap *n = known(s, app);

	if (n)
		return n;
	n = calloc(1, sizeof(*n));
	if (!n) {
		s->spare = (struct nap){0};
		return &s->spare;
	}
	n->app = app;
	n->next = s->naps;
	s->naps = n;
	return n;
}

struct nap *nap_lock(struct sleepers *s, uint32_t app)
{
	pthread_mutex_lock(&s->lock);
	return nap_find(s, app);
}

void nap_changed(struct sleepers *s, struct nap *n)
{
	pthread_cond_broadcast(&s->changed);
	if (n->dozed != n->dozing || n->woke != n->waking)
		stale_mark(s->stale, n->app);
	n->dozed = n->dozing;
	n->woke = n->waking;
	if (n == &s->spare || n->idle || n->trying || n->dozing || n->stopping ||
		n->rousing || n->waking)
		return;
	struct nap **at = &s->naps;
	while (*at != n)
		at = &(*at)->next;
	*at = n->next;
	free(n);
}

void nap_unlock(struct sleepers *s, struct nap *n)
{
	nap_changed(s, n);
	pthread_mutex_unlock(&s->lock);
}

struct job {
	struct control *c;
	uint32_t app;
	void (*run)(struct control *c, uint32_t app);
};

static void *job_main(void *arg)
{
	struct job *j = arg;

	j->run(j->c, j->app);
	free(j);
	return NULL;
}

bool nap_in_thread(
	struct control *c, uint32_t app, void (*run)(struct control *, uint32_t))
{
	struct job *j = calloc(1, sizeof(*j));

	if (!j)
		return false;
	*j = (struct job){c, app, run};
	int r = thread_detached(job_main, j, STACK_BYTES);
	if (r) {
		log_warn("no thread for app %u to sleep or wake", app);
		free(j);
	}
	return !r;
}

int serving_list(struct control *c, uint32_t app, struct serving *ret)
{
	*ret = (struct serving){0};
	int n = fleet_list(c, app, "web", &ret->m);

	ret->ids = calloc((size_t)n + 1, sizeof(*ret->ids));
	if (!ret->ids)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		enum member_state state = ret->m[i].state;

		ret->starting |= state == MEMBER_STARTING || state == MEMBER_RESTARTING;
		if (state != MEMBER_READY)
			continue;
		ret->ids[ret->n] = ret->m[i].id;
		ret->m[ret->n++] = ret->m[i];
	}
	return 0;
}

void serving_free(struct serving *s)
{
	free(s->m);
	free(s->ids);
}
