/* Requests that wait for a later table: a stop-first switch, an app that wakes. */
#include "router/worker.h"

static void append(struct worker *w, struct exchange *x)
{
	x->next = NULL;
	x->prev = w->held_tail;
	*w->held_tail = x;
	w->held_tail = &x->next;
	w->n_held++;
}

void hold_add(struct exchange *x, uint32_t hold_ms)
{
	struct downstream *c = x->client;
	struct worker *w = c->w;

	if (w->n_held >= HELD_MAX) {
		exchange_fail(x, H11);
		return;
	}
	if (!x->hold_until_ms)
		x->hold_until_ms = w->now_ms + hold_ms;
	if (x->hold_until_ms <= w->now_ms) {
		exchange_fail(x, H20);
		return;
	}
	x->state = X_HELD;
	x->n_tried = 0;
	append(w, x);
	downstream_deadline(c, x->hold_until_ms - w->now_ms);
}

void hold_del(struct exchange *x)
{
	struct worker *w = x->client->w;

	*x->prev = x->next;
	if (x->next)
		x->next->prev = x->prev;
	else
		w->held_tail = x->prev;
	x->prev = NULL;
	w->n_held--;
}

void hold_release(struct worker *w, uint32_t app)
{
	uint32_t n = w->n_held; /* those that are held again go to the end */

	while (n-- && w->held) {
		struct exchange *x = w->held;

		hold_del(x);
		if (app && x->app != app) {
			append(w, x);
			continue;
		}
		x->code = H_NONE;
		if (!x->app) /* it met no table: its app says now how long */
			x->hold_until_ms = 0;
		exchange_dispatch(x);
	}
}
