/* Ready sockets: batches from berthd, made inside an instance's network, and who waits */
#include "router/worker.h"
#include <errno.h>
#include <sys/socket.h>

static const int families[2] = {AF_INET, AF_INET6};

static void ask_for(struct worker *w, struct instance *i, uint8_t family, uint32_t n)
{
	struct stock *s = &i->stock[family];

	s->asking = true;
	s->seq = ++w->seq;
	s->unsent = link_ask_sockets(w, i->id, n, i->port ? families[family] : AF_UNIX,
			    s->seq) < 0;
	w->asks_unsent |= s->unsent;
}

/* Connected ones lie in the app's accept queue: no more of them than are needed now. */
static void ask_connected(struct worker *w, struct instance *i)
{
	const struct exchange *x = i->stock[0].waiters;
	uint32_t n = 0;

	for (; x && n < STOCK_MAX; x = x->next)
		n++;
	i->stock[0].asking = n;
	if (n)
		ask_for(w, i, 0, n);
}

static void ask(struct worker *w, struct instance *i, uint8_t family)
{
	struct stock *s = &i->stock[family];

	if (!i->port) {
		ask_connected(w, i);
		return;
	}
	s->batch = !s->batch			? STOCK_FIRST
		   : s->batch * 2 < STOCK_BATCH ? s->batch * 2
						: STOCK_BATCH;
	ask_for(w, i, family, s->batch);
}

void backend_prefetch(struct worker *w, struct instance *i)
{
	if (i->port && !i->stock[0].n && !i->stock[0].asking)
		ask(w, i, 0);
}

static void wait_in_line(struct stock *s, struct exchange *x)
{
	x->state = X_SOCKET;
	x->next = NULL;
	x->prev = s->tail;
	*s->tail = x;
	s->tail = &x->next;
}

int backend_socket(struct exchange *x, uint8_t family)
{
	struct worker *w = x->client->w;
	struct instance *i = x->inst;
	struct stock *s = &i->stock[family];
	int fd = s->n ? s->fds[--s->n] : -1;

	x->family = family;
	if (fd < 0)
		wait_in_line(s, x);
	if ((!s->n || s->n < s->batch / 2) && !s->asking && !i->gone && !w->left)
		ask(w, i, family);
	return fd;
}

bool backend_any_waits(const struct worker *w)
{
	const struct instance *i;

	for (i = w->instances; i; i = i->next)
		for (int k = 0; k < 2; k++)
			if (i->stock[k].waiters || i->stock[k].asking)
				return true;
	return false;
}

void backend_stock_up(struct worker *w)
{
	struct instance *i;

	for (i = w->instances; i; i = i->next) {
		struct stock *s = &i->stock[i->family == 2];

		if (!i->family || !i->listed || s->asking || s->n == STOCK_MAX)
			continue;
		ask_for(w, i, i->family == 2, i->port ? STOCK_MAX - s->n : STOCK_FIRST);
	}
}

void backend_unwait(struct exchange *x)
{
	struct stock *s = &x->inst->stock[x->family];

	*x->prev = x->next;
	if (x->next)
		x->next->prev = x->prev;
	else
		s->tail = x->prev;
	x->prev = NULL;
}

static void shrink(struct stock *s, uint32_t n)
{
	while (s->n > n)
		close(s->fds[--s->n]);
}

void backend_drop_stock(struct instance *i)
{
	shrink(&i->stock[0], 0);
	shrink(&i->stock[1], 0);
}

bool backend_few(const struct worker *w, uint32_t n)
{
	return n <= PREFETCH_INSTANCES && n * 2 * STOCK_FIRST < (uint32_t)w->fd_high;
}

void backend_rest(struct worker *w, struct instance *i)
{
	uint32_t keep = backend_few(w, w->n_instances) ? STOCK_FIRST : 0;

	for (int k = 0; k < 2 && !w->leaving; k++) {
		struct stock *s = &i->stock[k];

		if (s->asking || s->batch <= keep)
			continue;
		s->batch = keep;
		shrink(s, keep);
	}
}

static uint32_t drop_unused(struct instance *i)
{
	uint32_t n = 0;

	for (int k = 0; k < 2; k++) {
		struct stock *s = &i->stock[k];

		if (s->waiters)
			continue;
		n += s->n;
		shrink(s, 0);
		s->batch = 0;
	}
	return n;
}

bool backend_reclaim(struct worker *w)
{
	struct instance *i;
	uint32_t n = 0;
	bool enough;

	if (w->now_ms < w->reclaim_ms)
		return false;
	for (i = w->instances; i && !w->leaving; i = i->next)
		n += drop_unused(i);
	enough = n >= RECLAIM_ENOUGH;
	for (i = w->instances; i && !enough; i = i->next)
		for (; i->idle; n++)
			upstream_close(i->idle);
	/* the walk was not worth it: not at once again */
	w->reclaim_ms = n < w->n_instances / RECLAIM_PART ? w->now_ms + RECLAIM_MS : 0;
	return n > 0;
}

/*
 * Those that wait at the moment are sent elsewhere; who comes back to this line waits
 * anew.
 */
static void retry_line(struct stock *s, enum hcode code)
{
	struct exchange *x;
	uint32_t n = 0;

	for (x = s->waiters; x; x = x->next)
		n++;
	while (n-- && s->waiters) {
		x = s->waiters;
		backend_unwait(x);
		exchange_retry(x, x->code ? (enum hcode)x->code : code);
	}
}

void backend_retry_waiters(struct instance *i, enum hcode code)
{
	retry_line(&i->stock[0], code);
	retry_line(&i->stock[1], code);
}

static void serve_line(struct stock *s, uint8_t family)
{
	uint32_t n = s->n;

	/*
	 * a socket that fails may bring its request back to the line: only so many
	 * rounds
	 */
	while (n-- && s->waiters && s->n) {
		struct exchange *x = s->waiters;

		backend_unwait(x);
		upstream_connect(x, s->fds[--s->n], family);
	}
}

static void take_sockets(
	struct worker *w, struct instance *i, uint8_t family, struct msg *m)
{
	struct stock *s = &i->stock[family];
	unsigned int k;

	if (m->fds[m->nfds - 1] >= w->fd_high)
		backend_reclaim(w);
	for (k = 0; k < m->nfds && s->n < STOCK_MAX; k++) {
		s->fds[s->n++] = m->fds[k];
		m->fds[k] = -1;
	}
	i->inflight++; /* stays while its waiters move */
	serve_line(s, family);
	if (!i->port && !w->leaving)
		shrink(s, 0); /* who waited is gone */
	if (s->waiters && !s->asking && i->listed)
		ask(w, i, family);
	i->inflight--;
}

/* An answer without a body is matched by its number. */
static struct instance *find_asking(
	struct worker *w, const struct msg *m, uint8_t *family)
{
	const struct msg_sockets *body = (const void *)m->body;
	uint32_t seq = m->head.seq;
	struct instance *i;

	if (m->head.size == sizeof(*body)) {
		i = backend_find(w, body->id);
		*family = body->family == AF_INET6;
		return i && i->stock[*family].asking ? i : NULL;
	}
	for (i = w->instances; i; i = i->next)
		for (*family = 0; *family < 2; ++*family)
			if (i->stock[*family].asking && i->stock[*family].seq == seq)
				return i;
	return NULL;
}

/* It has no listener any more. */
static void refused(struct worker *w, struct instance *i)
{
	backend_failed(i, w->now_ms, true);
	retry_line(&i->stock[0], H21);
}

void backend_sockets(struct worker *w, struct msg *m)
{
	uint8_t family;
	struct instance *i = find_asking(w, m, &family);

	if (!i)
		return; /* removed meanwhile; the caller closes the sockets */
	i->stock[family].asking = false;
	if (m->head.status >= 0 && m->nfds) {
		if (i->listed)
			take_sockets(w, i, family, m);
		return;
	}
	if (m->head.status == -ESRCH)
		i->gone = true;
	if (m->cut && i->stock[family].waiters && backend_reclaim(w)) {
		ask_for(w, i, family, STOCK_FIRST);
		return;
	}
	if (!i->port && m->head.status == -EAGAIN && !w->left) {
		link_ask_later(w, &i->stock[family]);
		return;
	}
	i->inflight++;
	if (i->gone)
		backend_retry_waiters(i, H10);
	else if (m->head.status == -ECONNREFUSED || m->head.status == -ENOENT)
		refused(w, i);
	else
		retry_line(&i->stock[family], H99);
	i->inflight--;
}

void backend_ask_again(struct worker *w, bool all)
{
	struct instance *i;
	uint8_t k;

	w->asks_unsent = false;
	for (i = w->instances; i; i = i->next)
		for (k = 0; k < 2; k++)
			if (i->stock[k].asking && (all || i->stock[k].unsent))
				ask(w, i, k);
}

void backend_ask_control(struct worker *w)
{
	struct instance *i = backend_find(w, API_INSTANCE);

	if (i && i->stock[0].asking)
		ask(w, i, 0);
}
