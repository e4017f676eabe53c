/* One epoll loop a process: descriptors and timers with callbacks. */
#include "lib/loop.h"
#include "lib/io.h"
#include <errno.h>
#include <sys/epoll.h>

#define BATCH 64

struct loop_io {
	struct loop *loop;
	int fd;
	loop_io_cb cb; /* NULL: deleted, freed at the end of the turn */
	void *arg;
	struct loop_io *next_dead;
};

struct loop_timer {
	struct loop *loop;
	uint64_t due_ns;
	loop_timer_cb cb;
	void *arg;
	struct loop_timer *next; /* sorted by due time: there are few */
};

struct loop {
	int epoll;
	bool stop;
	struct loop_io *dead;
	struct loop_timer *timers;
};

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0) {
		free(l);
		return NULL;
	}
	return l;
}

static void bury(struct loop *l)
{
	while (l->dead) {
		struct loop_io *w = l->dead;
		l->dead = w->next_dead;
		free(w);
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	bury(l);
	while (l->timers)
		loop_cancel(l->timers);
	close(l->epoll);
	free(l);
}

void loop_stop(struct loop *l)
{
	l->stop = true;
}

struct loop_io *loop_add(
	struct loop *l, int fd, uint32_t events, loop_io_cb cb, void *arg)
{
	struct loop_io *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	*w = (struct loop_io){.loop = l, .fd = fd, .cb = cb, .arg = arg};
	struct epoll_event ev = {.events = events, .data.ptr = w};
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		free(w);
		return NULL;
	}
	return w;
}

int loop_mod(struct loop_io *w, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = w};

	return epoll_ctl(w->loop->epoll, EPOLL_CTL_MOD, w->fd, &ev) < 0 ? -errno : 0;
}

void loop_del(struct loop_io *w)
{
	if (!w || !w->cb)
		return;
	epoll_ctl(w->loop->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->cb = NULL;
	w->next_dead = w->loop->dead;
	w->loop->dead = w;
}

struct loop_timer *loop_after(
	struct loop *l, uint64_t delay_ms, loop_timer_cb cb, void *arg)
{
	struct loop_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct loop_timer){.loop = l,
		.due_ns = io_mono_ns() + delay_ms * 1000000u,
		.cb = cb,
		.arg = arg};
	struct loop_timer **at = &l->timers;
	while (*at && (*at)->due_ns <= t->due_ns)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	return t;
}

void loop_cancel(struct loop_timer *t)
{
	if (!t)
		return;
	for (struct loop_timer **at = &t->loop->timers; *at; at = &(*at)->next) {
		if (*at == t) {
			*at = t->next;
			free(t);
			return;
		}
	}
}

static int wait_ms(const struct loop *l, int timeout_ms)
{
	if (!l->timers)
		return timeout_ms;
	uint64_t now = io_mono_ns();
	if (l->timers->due_ns <= now)
		return 0;
	uint64_t ms = (l->timers->due_ns - now + 999999u) / 1000000u;
	if (ms > 3600000u)
		ms = 3600000u;
	return timeout_ms >= 0 && (uint64_t)timeout_ms < ms ? timeout_ms : (int)ms;
}

static void fire_timers(struct loop *l)
{
	uint64_t now = io_mono_ns();

	while (l->timers && l->timers->due_ns <= now) {
		struct loop_timer *t = l->timers;
		l->timers = t->next;
		loop_timer_cb cb = t->cb;
		void *arg = t->arg;
		free(t);
		cb(arg);
	}
}

int loop_once(struct loop *l, int timeout_ms)
{
	struct epoll_event events[BATCH];
	int n = epoll_wait(l->epoll, events, BATCH, wait_ms(l, timeout_ms));

	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n; i++) {
		struct loop_io *w = events[i].data.ptr;
		if (w->cb)
			w->cb(w->arg, events[i].events);
	}
	bury(l);
	fire_timers(l);
	return 0;
}

int loop_run(struct loop *l)
{
	int r = 0;

	l->stop = false;
	while (!l->stop && r == 0)
		r = loop_once(l, -1);
	return r;
}
