/* Counters and latencies of each instance and app. */
#include "lib/metrics.h"
#include "lib/log.h"
#include "router/metrics.h"
#include "router/worker.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* An app's own slot: what its instances that are gone have counted, and answers without one. */
struct meter {
	uint32_t app, slot, generation;
	struct meter *next;
};

void metrics_open(struct worker *w)
{
	int fd = memfd_create("metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *map = MAP_FAILED;

	/* sealed, so that no reader meets an end that came nearer */
	if (fd >= 0 && ftruncate(fd, sizeof(struct metrics)) == 0 &&
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
		map = mmap(NULL, sizeof(struct metrics), PROT_READ | PROT_WRITE,
			MAP_SHARED, fd, 0);
	w->metrics_fd = fd;
	w->free_slots = malloc(METRICS_SLOTS * sizeof(*w->free_slots));
	if (map == MAP_FAILED || !w->free_slots) {
		log_warn("no memory for metrics: %s", strerror(errno));
		if (map != MAP_FAILED)
			munmap(map, sizeof(struct metrics));
		return;
	}
	w->metrics = map;
	w->metrics->magic = METRICS_MAGIC;
}

void metrics_close(struct worker *w)
{
	for (uint32_t k = 0; k < INSTANCE_BUCKETS; k++) {
		struct meter *m;

		while ((m = w->meters[k])) {
			w->meters[k] = m->next;
			free(m);
		}
	}
	free(w->free_slots);
}

void metrics_send(struct worker *w)
{
	if (w->metrics && msg_send(w->control.fd, MSG_METRICS, 0, 0, NULL, 0,
				  &w->metrics_fd, 1) < 0)
		log_warn("control is not given the metrics");
}

/* ---- slots ---- */

/* What a reader has seen in between it reads again. */
static void begin_move(struct metrics *m)
{
	__atomic_store_n(&m->seq, m->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static void end_move(struct metrics *m)
{
	__atomic_store_n(&m->seq, m->seq + 1, __ATOMIC_RELEASE);
}

uint32_t metrics_slot(struct worker *w, uint32_t app, uint64_t instance)
{
	struct metrics *m = w->metrics;
	uint32_t at;

	if (!m || (!w->n_free_slots && m->used == METRICS_SLOTS))
		return 0;
	begin_move(m);
	at = w->n_free_slots ? w->free_slots[--w->n_free_slots] : m->used++;
	m->slots[at] = (struct metrics_slot){.app = app, .instance = instance};
	end_move(m);
	return at + 1;
}

static struct meter *find(struct worker *w, uint32_t app)
{
	struct meter *m = w->meters[app % INSTANCE_BUCKETS];

	while (m && m->app != app)
		m = m->next;
	return m;
}

static uint32_t slot_of_app(struct worker *w, uint32_t app)
{
	struct meter **b = &w->meters[app % INSTANCE_BUCKETS], *m = find(w, app);

	if (!m && w->metrics && (m = calloc(1, sizeof(*m)))) {
		*m = (struct meter){app, metrics_slot(w, app, 0), w->generation, *b};
		*b = m;
	}
	return m ? m->slot : 0;
}

static void free_slot(struct worker *w, uint32_t slot)
{
	w->metrics->slots[slot - 1].app = 0;
	w->free_slots[w->n_free_slots++] = slot - 1;
}

void metrics_fold(struct worker *w, uint32_t slot)
{
	uint32_t to;

	if (!slot)
		return;
	to = slot_of_app(w, w->metrics->slots[slot - 1].app);
	begin_move(w->metrics);
	if (to)
		metrics_slot_add(
			&w->metrics->slots[to - 1], &w->metrics->slots[slot - 1]);
	free_slot(w, slot);
	end_move(w->metrics);
}

void metrics_sweep(struct worker *w)
{
	const struct table *t = w->table;
	struct meter **at, *m;

	if (!w->metrics)
		return;
	for (uint32_t k = 0; t && k < t->n_apps; k++) {
		m = find(w, t->apps[k].id);
		if (m)
			m->generation = w->generation;
	}
	begin_move(w->metrics);
	for (uint32_t k = 0; k < INSTANCE_BUCKETS; k++) {
		for (at = &w->meters[k]; (m = *at);) {
			if (m->generation == w->generation) {
				at = &m->next;
				continue;
			}
			*at = m->next;
			if (m->slot)
				free_slot(w, m->slot);
			free(m);
		}
	}
	end_move(w->metrics);
}

/* ---- counting ---- */

/* Four to an octave, from 64 us on. */
static uint32_t bucket_of(uint64_t us)
{
	uint32_t e, i;

	if (us < METRICS_FIRST_US)
		return 0;
	e = 63 - (uint32_t)__builtin_clzll(us);
	i = 1 + (e - 6) * 4 + ((uint32_t)(us >> (e - 2)) & 3);
	return i < METRICS_BUCKETS ? i : METRICS_BUCKETS - 1;
}

static void count_recent(struct metrics_slot *s, uint64_t now_us)
{
	uint32_t window = (uint32_t)(now_us / METRICS_WINDOW_US);

	if (s->window != window) {
		s->before = s->window + 1 == window ? s->recent : 0;
		s->recent = 0;
		s->window = window;
	}
	s->recent++;
}

/* With the last request that it had, an instance may have gone, and its slot to another. */
static uint32_t slot_of_instance(const struct worker *w, const struct exchange *x)
{
	const struct metrics_slot *s = x->slot ? &w->metrics->slots[x->slot - 1] : NULL;

	return s && s->app == x->app && s->instance == x->last_inst ? x->slot : 0;
}

void metrics_note(struct worker *w, const struct exchange *x)
{
	uint64_t us = w->now_us - x->start_us;
	uint32_t slot = slot_of_instance(w, x), class = x->status / 100u;
	struct metrics_slot *s;

	if (!slot && x->app)
		slot = slot_of_app(w, x->app);
	if (!slot)
		return;
	s = &w->metrics->slots[slot - 1];
	s->requests++;
	s->errors += x->code != H_NONE;
	s->bytes_out += x->sent_bytes;
	s->status[class >= 1 && class <= 5 ? class - 1 : 4]++;
	count_recent(s, w->now_us);
	if (x->status == 101) /* as long as somebody keeps his window open */
		return;
	s->sum_us += us;
	s->latency[bucket_of(us)]++;
}
