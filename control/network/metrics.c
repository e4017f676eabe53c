/* What the router counts. */
#include "control/network/metrics.h"
#include "lib/metrics.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define TRIES 16 /* slots change hands seldom, and at once */

int metrics_map(int fd, const struct metrics **ret)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *map;

	if (seals < 0 ||
		(seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
		return -EPERM;
	if (fstat(fd, &st) < 0 || st.st_size != (off_t)sizeof(struct metrics))
		return -EBADMSG;
	map = mmap(NULL, sizeof(struct metrics), PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*ret = map;
	return 0;
}

void metrics_unmap(const struct metrics *m)
{
	if (m)
		munmap((void *)(uintptr_t)m, sizeof(*m));
}

/* Of whole windows only the last is known: what it held counts as far as it lies in the last ten seconds. */
static double rate_of(const struct metrics_slot *s, uint64_t now_us)
{
	uint32_t window = (uint32_t)(now_us / METRICS_WINDOW_US);
	double passed = (double)(now_us % METRICS_WINDOW_US) / METRICS_WINDOW_US;
	double now = 0, before = 0;

	if (s->window == window) {
		now = s->recent;
		before = s->before;
	} else if (s->window + 1 == window) {
		before = s->recent;
	}
	return (now + before * (1 - passed)) / (METRICS_WINDOW_US / 1e6);
}

void metrics_sum(struct metrics_row *a, const struct metrics_row *b)
{
	a->per_second += b->per_second;
	metrics_slot_add(&a->sum, &b->sum);
}

static int add_row(const struct metrics_row *row, struct metrics_row **rows, int n)
{
	struct metrics_row *more;

	for (int i = 0; i < n; i++) {
		if ((*rows)[i].sum.app == row->sum.app &&
			(*rows)[i].sum.instance == row->sum.instance) {
			metrics_sum(&(*rows)[i], row);
			return n;
		}
	}
	more = realloc(*rows, (size_t)(n + 1) * sizeof(*more));
	if (!more)
		return -ENOMEM;
	*rows = more;
	more[n] = *row;
	return n + 1;
}

/* A copy of the used slots in which none is half moved; NULL: no memory. */
static struct metrics_slot *copy_slots(const struct metrics *m, uint32_t *ret_used)
{
	struct metrics_slot *copy = NULL;

	for (int i = 0; i < TRIES; i++) {
		uint64_t seq = __atomic_load_n(&m->seq, __ATOMIC_ACQUIRE);
		uint32_t used = __atomic_load_n(&m->used, __ATOMIC_RELAXED);

		*ret_used = used < METRICS_SLOTS ? used : METRICS_SLOTS;
		free(copy);
		copy = malloc((*ret_used + 1) * sizeof(*copy));
		if (!copy)
			return NULL;
		memcpy(copy, m->slots, *ret_used * sizeof(*copy));
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!(seq & 1) && seq == __atomic_load_n(&m->seq, __ATOMIC_RELAXED))
			break;
	}
	return copy;
}

int metrics_add(
	const struct metrics *m, uint64_t now_us, struct metrics_row **rows, int n)
{
	uint32_t used = 0;
	struct metrics_slot *copy autofree = copy_slots(m, &used);

	if (!copy)
		return -ENOMEM;
	for (uint32_t i = 0; i < used && n >= 0; i++) {
		struct metrics_row row = {copy[i], rate_of(&copy[i], now_us)};

		if (row.sum.app)
			n = add_row(&row, rows, n);
	}
	return n;
}

uint64_t metrics_bucket_us(uint32_t i)
{
	uint32_t e = 6 + (i - 1) / 4, part = (i - 1) % 4;

	return i ? (uint64_t)(4 + part + 1) << (e - 2) : METRICS_FIRST_US;
}

double metrics_quantile(const struct metrics_slot *s, double share)
{
	uint64_t all = 0, sum = 0;

	for (uint32_t i = 0; i < METRICS_BUCKETS; i++)
		all += s->latency[i];
	for (uint32_t i = 0; all && i < METRICS_BUCKETS; i++) {
		sum += s->latency[i];
		if ((double)sum >= share * (double)all)
			return (double)metrics_bucket_us(i) / 1000;
	}
	return 0;
}
