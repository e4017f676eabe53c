/* Deadlines: hashed wheel; a timer whose time moved on is put back when its slot comes */
#include "router/wheel.h"

void wheel_init(struct wheel *w, uint64_t now_ms)
{
	*w = (struct wheel){.tick = now_ms >> WHEEL_SHIFT, .now_ms = now_ms};
}

static void link_timer(struct wheel *w, struct wheel_timer *t, uint64_t want_ms)
{
	/* rounded up: never early */
	uint64_t tick = (want_ms + (1u << WHEEL_SHIFT) - 1) >> WHEEL_SHIFT;
	unsigned int i;

	if (tick <= w->tick)
		tick = w->tick + 1;
	if (tick > w->tick + WHEEL_SLOTS - 1)
		tick = w->tick + WHEEL_SLOTS - 1;
	i = tick % WHEEL_SLOTS;
	t->tick = tick;
	t->next = w->slots[i];
	if (t->next)
		t->next->prev = &t->next;
	t->prev = &w->slots[i];
	w->slots[i] = t;
	w->bits[i / 64] |= 1ull << (i % 64);
}

void wheel_del(struct wheel *w, struct wheel_timer *t)
{
	unsigned int i = t->tick % WHEEL_SLOTS;

	if (!t->prev)
		return;
	*t->prev = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->prev = NULL;
	t->next = NULL;
	if (!w->slots[i])
		w->bits[i / 64] &= ~(1ull << (i % 64));
}

void wheel_set(struct wheel *w, struct wheel_timer *t, uint64_t want_ms)
{
	t->want_ms = want_ms;
	if (want_ms == TIMER_NEVER || (t->prev && t->tick << WHEEL_SHIFT <= want_ms))
		return;
	wheel_del(w, t);
	link_timer(w, t, want_ms);
}

static void run_slot(struct wheel *w, unsigned int i)
{
	struct wheel_timer *t;

	while ((t = w->slots[i])) {
		wheel_del(w, t);
		if (t->want_ms == TIMER_NEVER)
			continue;
		if (t->want_ms > w->now_ms)
			link_timer(w, t, t->want_ms);
		else
			t->fn(t->arg);
	}
}

void wheel_run(struct wheel *w, uint64_t now_ms)
{
	uint64_t to = now_ms >> WHEEL_SHIFT;

	w->now_ms = now_ms;
	if (to > w->tick + WHEEL_SLOTS)
		w->tick = to - WHEEL_SLOTS;
	while (w->tick < to)
		run_slot(w, ++w->tick % WHEEL_SLOTS);
}

int wheel_wait_ms(const struct wheel *w, uint64_t now_ms)
{
	uint64_t tick = w->tick + 1, end = w->tick + WHEEL_SLOTS;

	while (tick < end) {
		unsigned int i = tick % WHEEL_SLOTS;
		uint64_t word = w->bits[i / 64] >> (i % 64);

		if (word) {
			uint64_t at = (tick + (unsigned int)__builtin_ctzll(word))
				      << WHEEL_SHIFT;

			return at > now_ms ? (int)(at - now_ms) : 0;
		}
		tick += 64 - i % 64;
	}
	return -1;
}
