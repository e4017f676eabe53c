/*
 * Control groups of the next sandboxes, made by the helper thread before they are asked
 * for: making them takes longer than anything else of a start. Control gives ids in
 * order, so the next ones are known; a wrong guess costs nothing but its removal.
 */
#include "runtime/inside.h"

#define AHEAD 3 /* a deploy starts two or three sandboxes at once */

_Static_assert(RUNTIME_AHEAD_MAX > AHEAD, "room for guesses that were wrong");

struct guess {
	struct runtime *rt;
	uint64_t make[AHEAD], drop[AHEAD];
};

static int work(void *arg)
{
	struct guess *g = arg;

	for (int i = 0; i < AHEAD; i++) {
		if (g->make[i])
			cgroup_prepare(&g->rt->cgroups, g->make[i]);
		if (g->drop[i])
			cgroup_remove(&g->rt->cgroups, g->drop[i]);
	}
	free(g);
	return 0;
}

static bool known(const struct runtime *rt, uint64_t id)
{
	for (const struct live *l = rt->live; l; l = l->next)
		if (l->rec.id == id)
			return true;
	for (int i = 0; i < RUNTIME_AHEAD_MAX; i++)
		if (rt->ahead[i] == id)
			return true;
	return false;
}

/* A free place is 0, the lowest; else the oldest guess goes. */
static uint64_t replace_lowest(struct runtime *rt, uint64_t id)
{
	int lowest = 0;
	uint64_t old;

	for (int i = 1; i < RUNTIME_AHEAD_MAX; i++)
		if (rt->ahead[i] < rt->ahead[lowest])
			lowest = i;
	old = rt->ahead[lowest];
	rt->ahead[lowest] = id;
	return old;
}

void ahead_use(struct runtime *rt, uint64_t id)
{
	for (int i = 0; i < RUNTIME_AHEAD_MAX; i++)
		if (rt->ahead[i] == id)
			rt->ahead[i] = 0;
}

void ahead_guess(struct runtime *rt, uint64_t id)
{
	struct guess *g = calloc(1, sizeof(*g));

	if (!g)
		return;
	g->rt = rt;
	for (unsigned int i = 0; i < AHEAD; i++)
		if (!known(rt, id + 1 + i)) {
			g->make[i] = id + 1 + i;
			g->drop[i] = replace_lowest(rt, id + 1 + i);
		}
	/* in order with the cleaning up after a sandbox, which so comes later */
	if (netpool_later(rt->pool, work, g) < 0)
		free(g);
}
