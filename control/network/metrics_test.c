/* What the router counts is added up over workers, and read as people want it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "control/network/metrics.h"
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

static struct metrics *make(int *ret_fd)
{
	int fd = memfd_create("metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(ftruncate(fd, sizeof(struct metrics)), 0);
	*ret_fd = fd;
	void *map = mmap(
		NULL, sizeof(struct metrics), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	return map;
}

static void only_memory_of_a_sealed_size_is_mapped(void **state)
{
	const struct metrics *map = NULL;
	int fd, other;
	struct metrics *m = make(&fd);

	(void)state;
	assert_int_equal(metrics_map(fd, &map), -EPERM);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_int_equal(metrics_map(fd, &map), 0);
	m->used = 5;
	assert_int_equal(map->used, 5);
	metrics_unmap(map);
	metrics_unmap(NULL);
	other = memfd_create("short", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(other, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_int_equal(metrics_map(other, &map), -EBADMSG);
	munmap(m, sizeof(*m));
	close(fd);
	close(other);
}

static void workers_are_added_up(void **state)
{
	struct metrics *m = calloc(1, sizeof(*m));
	struct metrics_row *rows autofree = NULL;
	uint64_t now = 25 * (uint64_t)METRICS_WINDOW_US;

	(void)state;
	m->used = 3;
	m->slots[0] = (struct metrics_slot){.app = 7,
		.instance = 1,
		.requests = 4,
		.status = {0, 4},
		.window = 25,
		.recent = 100,
		.before = 50};
	m->slots[1] = (struct metrics_slot){0}; /* free */
	m->slots[2] = (struct metrics_slot){
		.app = 7, .requests = 2, .window = 24, .recent = 10};
	assert_int_equal(metrics_add(m, now, &rows, 0), 2);
	assert_int_equal(metrics_add(m, now + METRICS_WINDOW_US / 2, &rows, 2), 2);
	assert_int_equal(rows[0].sum.requests, 8);
	assert_int_equal(rows[0].sum.status[1], 8);
	assert_true(rows[0].per_second > 15 + 12.4 && rows[0].per_second < 15 + 12.6);
	assert_int_equal(rows[1].sum.requests, 4);
	assert_true(rows[1].per_second > 1.49 && rows[1].per_second < 1.51);
	m->used = UINT32_MAX; /* a worker that was taken over says what it wants */
	m->seq = 1;
	assert_int_equal(
		metrics_add(m, now + 9 * (uint64_t)METRICS_WINDOW_US, &rows, 2), 2);
	free(m);
}

static void quantiles_are_ends_of_buckets(void **state)
{
	struct metrics_slot s = {0};

	(void)state;
	assert_true(metrics_quantile(&s, 0.5) == 0);
	s.latency[0] = 98;
	s.latency[METRICS_BUCKETS - 1] = 2;
	assert_true(metrics_quantile(&s, 0.5) == 0.064);
	assert_true(metrics_quantile(&s, 0.99) > 100000);
	assert_int_equal(metrics_bucket_us(1), 80);
	assert_int_equal(metrics_bucket_us(4), 128);
	assert_int_equal(metrics_bucket_us(5), 160);
	for (uint32_t i = 1; i < METRICS_BUCKETS; i++)
		assert_true(metrics_bucket_us(i) > metrics_bucket_us(i - 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_memory_of_a_sealed_size_is_mapped),
		cmocka_unit_test(workers_are_added_up),
		cmocka_unit_test(quantiles_are_ends_of_buckets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
