/*
 * What the next sandboxes need and is the same for all, made by the helper thread before
 * it is asked for: control groups, which take longer than anything else of a start, and
 * processes that wait for their orders (spawn.c). Control gives ids in order, so the next
 * ones are known; a wrong guess costs nothing but its removal.
 */
#include "lib/log.h"
#include "runtime/inside.h"

#include <errno.h>

#define AHEAD 3	      /* a deploy starts two or three sandboxes at once */
#define TRIES_MAX 100 /* every 20 ms; fewer than the thread would let it try */

_Static_assert(RUNTIME_AHEAD_MAX > AHEAD, "room for guesses that were wrong");

struct guess {
	struct runtime *rt;
	uint64_t id; /* after which the next ones come */
	uint64_t make[AHEAD];
	struct ahead drop[AHEAD];
	unsigned int tries;
};

/* Under the lock. NULL: it started, or is no guess any more. */
static struct ahead *find(struct runtime *rt, uint64_t id)
{
	for (int i = 0; i < RUNTIME_AHEAD_MAX; i++)
		if (rt->ahead[i].id == id)
			return &rt->ahead[i];
	return NULL;
}

static bool wants_process(struct runtime *rt, uint64_t id)
{
	struct ahead *a;
	bool wants;

	pthread_mutex_lock(&rt->ahead_lock);
	a = find(rt, id);
	wants = a && a->process.pid == 0;
	pthread_mutex_unlock(&rt->ahead_lock);
	return wants;
}

/* One that has said that it is ready; whatever is wrong shows again, and is told, in the
 * start that finds none. */
static void make_process(struct runtime *rt, uint64_t id)
{
	struct spawned p = SPAWNED_NONE;
	struct child_report rep = {0};
	struct mount_fds none;
	struct ahead *a;
	struct err e;

	if (!wants_process(rt, id))
		return;
	if (spawn_process(rt, id, &p, &e) < 0) {
		log_debug("no process is ready for the next start: %s", e.text);
		return;
	}
	if (report_read(p.line, &rep, &none) <= 0 || !rep.ready) {
		log_debug("no process is ready for the next start: cannot %s", rep.step);
		spawn_end(&p);
		return;
	}
	pthread_mutex_lock(&rt->ahead_lock);
	if ((a = find(rt, id))) {
		a->process = p;
		p = SPAWNED_NONE;
	}
	pthread_mutex_unlock(&rt->ahead_lock);
	spawn_end(&p); /* it started meanwhile, with one of its own */
}

/* -EAGAIN: a group cannot go yet, though its process has. */
static int drop(struct guess *g)
{
	int r = 0;

	for (int i = 0; i < AHEAD; i++)
		if (g->drop[i].id) {
			spawn_end(&g->drop[i].process);
			if (cgroup_remove(&g->rt->cgroups, g->drop[i].id) == -EBUSY)
				r = -EAGAIN;
			else
				g->drop[i].id = 0;
		}
	return r;
}

/* Only when there is nothing else to do: in a row of starts the next one makes its own
 * process sooner than this thread gets to it. */
static int make_processes(void *arg)
{
	struct runtime *rt = arg;
	uint64_t last;

	if (!netpool_idle(rt->pool) && ++rt->ahead_tries < TRIES_MAX)
		return -EAGAIN;
	pthread_mutex_lock(&rt->ahead_lock);
	last = rt->ahead_last;
	rt->ahead_asked = false;
	pthread_mutex_unlock(&rt->ahead_lock);
	for (uint64_t i = 1; i <= rt->ahead_processes; i++)
		make_process(rt, last + i);
	return 0;
}

static void ask_processes(struct runtime *rt, uint64_t id)
{
	bool asked;

	pthread_mutex_lock(&rt->ahead_lock);
	rt->ahead_last = id;
	rt->ahead_tries = 0;
	asked = rt->ahead_asked;
	rt->ahead_asked = true;
	pthread_mutex_unlock(&rt->ahead_lock);
	if (!asked && netpool_later(rt->pool, make_processes, rt) < 0)
		rt->ahead_asked = false;
}

static int work(void *arg)
{
	struct guess *g = arg;

	for (int i = 0; i < AHEAD && g->tries == 0; i++)
		if (g->make[i])
			cgroup_prepare(&g->rt->cgroups, g->make[i], NULL);
	if (g->tries == 0)
		ask_processes(g->rt, g->id);
	if (drop(g) < 0 && ++g->tries < TRIES_MAX)
		return -EAGAIN;
	free(g);
	return 0;
}

static bool runs(const struct runtime *rt, uint64_t id)
{
	for (const struct live *l = rt->live; l; l = l->next)
		if (l->rec.id == id)
			return true;
	return false;
}

/* A free place is 0, the lowest; else the oldest guess goes. */
static struct ahead replace_lowest(struct runtime *rt, uint64_t id)
{
	struct ahead *lowest = &rt->ahead[0], old;

	for (int i = 1; i < RUNTIME_AHEAD_MAX; i++)
		if (rt->ahead[i].id < lowest->id)
			lowest = &rt->ahead[i];
	old = *lowest;
	*lowest = (struct ahead){.id = id, .process = SPAWNED_NONE};
	return old;
}

struct spawned ahead_use(struct runtime *rt, uint64_t id)
{
	struct spawned p = SPAWNED_NONE;
	struct ahead *a;

	pthread_mutex_lock(&rt->ahead_lock);
	if ((a = find(rt, id))) {
		p = a->process;
		*a = (struct ahead){.process = SPAWNED_NONE};
	}
	pthread_mutex_unlock(&rt->ahead_lock);
	if (!spawn_lives(&p))
		spawn_end(&p);
	return p;
}

void ahead_guess(struct runtime *rt, uint64_t id)
{
	struct guess *g = calloc(1, sizeof(*g));

	if (!g)
		return;
	g->rt = rt;
	pthread_mutex_lock(&rt->ahead_lock);
	/* one that comes late is followed by ids that were there, and may be gone again */
	if (id > rt->ahead_newest)
		rt->ahead_newest = id;
	g->id = id = rt->ahead_newest;
	for (unsigned int i = 0; i < AHEAD; i++)
		if (!runs(rt, id + 1 + i) && !find(rt, id + 1 + i)) {
			g->make[i] = id + 1 + i;
			g->drop[i] = replace_lowest(rt, id + 1 + i);
		}
	pthread_mutex_unlock(&rt->ahead_lock);
	/* in order with the cleaning up after a sandbox, which so comes later */
	if (netpool_later(rt->pool, work, g) == 0)
		return;
	drop(g);
	free(g);
}

void ahead_drop(struct runtime *rt)
{
	pthread_mutex_lock(&rt->ahead_lock);
	for (int i = 0; i < RUNTIME_AHEAD_MAX; i++)
		spawn_end(&rt->ahead[i].process);
	pthread_mutex_unlock(&rt->ahead_lock);
}
