/* What any part of the worker may ask of it: watch a socket, draw a number, stop. */
#include "router/worker.h"
#include <errno.h>
#include <sys/epoll.h>

int worker_watch(struct worker *w, struct ev *ev)
{
	struct epoll_event e = {
		.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = ev};

	return epoll_ctl(w->epfd, EPOLL_CTL_ADD, ev->fd, &e) < 0 ? -errno : 0;
}

void worker_unwatch(struct worker *w, struct ev *ev)
{
	epoll_ctl(w->epfd, EPOLL_CTL_DEL, ev->fd, NULL);
}

/* xoroshiro128+: request ids need to be unique, not secret. */
uint64_t worker_random(struct worker *w)
{
	uint64_t a = w->random[0], b = w->random[1], r = a + b;

	b ^= a;
	w->random[0] = (a << 24 | a >> 40) ^ b ^ (b << 16);
	w->random[1] = b << 37 | b >> 27;
	return r;
}

static void stop(struct worker *w, uint64_t ms)
{
	unsigned int i;

	w->stopping = true;
	w->stop_ms = w->now_ms + ms;
	for (i = 0; i < w->n_listeners; i++) {
		worker_unwatch(w, &w->listeners[i].ev);
		close(w->listeners[i].ev.fd); /* berthd holds them too: the queue waits
						 for our heir */
	}
	w->n_listeners = 0;
}

void worker_stop(struct worker *w)
{
	if (w->stopping && !w->patient)
		return;
	w->patient = false;
	stop(w, STOP_MS);
	downstream_stop_all(w);
}

static void leave_idle(void *arg)
{
	downstream_stop_all(arg);
}

void worker_leave(struct worker *w)
{
	if (w->left) /* a berthd asks that died before it knew */
		link_say_left(w);
	if (w->stopping)
		return;
	w->leaving = true;
	w->patient = true;
	stop(w, LEAVE_MS);
	w->leave_timer = (struct wheel_timer){.fn = leave_idle, .arg = w};
	wheel_set(&w->wheel, &w->leave_timer, w->stop_ms);
	downstream_leave_all(w);
	backend_stock_up(w);
}
