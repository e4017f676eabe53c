/* Scratch space as root, where the host cannot make or remove it, or cannot just now. */
#include "runtime/inside.h"
#include "runtime/sandbox/box_test.h"

#include <sched.h>

static bool hasty; /* whoever waits for a time waits no longer than for the others */

/* In place of the C library's. */
int pthread_cond_timedwait(
	pthread_cond_t *c, pthread_mutex_t *lock, const struct timespec *until)
{
	if (!hasty)
		return pthread_cond_clockwait(c, lock, CLOCK_MONOTONIC, until);
	pthread_mutex_unlock(lock);
	sched_yield();
	pthread_mutex_lock(lock);
	return ETIMEDOUT;
}

/* No spare one, and none being made: the next start makes its own, with a mke2fs of this
 * folder. The size is one that no other start has. */
static struct box box_with_scratch(const char *folder)
{
	static uint64_t size_bytes = 32 << 20;
	struct box b = box_new();

	netpool_drain(w.rt->pool);
	assert_int_equal(setenv("PATH", folder, 1), 0);
	b.start.limits.scratch_bytes = size_bytes += 1 << 20;
	return b;
}

static void assert_limited(struct box *b)
{
	run(b, "fill", "/app/file", "64");
	assert_end(b, EXIT_REASON_EXITED, 1);
	assert_non_null(strstr(b->text, "No space left on device"));
}

static char path[1024]; /* of the environment */

static void what_fails_once_fails_the_start(void **state UNUSED)
{
	static const char script[] = "#!/bin/sh\nexit 1\n";
	int dir autoclose = open(w.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct box b, again;

	assert_int_equal(
		io_replace_file(dir, "mke2fs", script, sizeof(script) - 1, 0755), 0);
	b = box_with_scratch(w.dir);
	assert_int_equal(box_start(&b, PROBE("exit", "0")), -EIO);
	assert_string_equal(
		b.e.text, "cannot format a scratch image (mke2fs): Input/output error");
	close(b.exit_fd);
	close(b.output[0]);
	assert_string_equal(w.rt->no_scratch, "");
	again = box_with_scratch(path);
	assert_limited(&again);
	assert_int_equal(unlinkat(dir, "mke2fs", 0), 0);
}

static void a_host_that_cannot_make_it_has_no_limit_until_it_can(void **state UNUSED)
{
	struct box without = box_with_scratch(w.dir), with;

	run(&without, "fill", "/app/file", "64");
	assert_end(&without, EXIT_REASON_EXITED, 0);
	assert_non_null(strstr(w.rt->no_scratch, "mke2fs"));
	with = box_with_scratch(path);
	assert_limited(&with);
	assert_string_equal(w.rt->no_scratch, "");
}

/* A group that something keeps is left, not what lies beside it. */
static void what_can_be_removed_is_when_something_stays(void **state UNUSED)
{
	struct box b = box_new();
	char kept[40], name[24];
	struct stat st;
	int groups = w.rt->cgroups.parent[CGROUP_MEMORY];

	snprintf(name, sizeof(name), "%016" PRIx64, b.start.id);
	snprintf(kept, sizeof(kept), "%s/kept", name);
	box_must_start(&b, PROBE("trap", "15"));
	wait_for_line(&b);
	assert_int_equal(fstatat(w.rt->scratch_fd, name, &st, 0), 0);
	assert_int_equal(mkdirat(groups, kept, 0755), 0);
	sandbox_kill(w.rt, &b.rec);
	hasty = true;
	box_end(&b);
	for (int ms = 0; ms < END_MS && fstatat(w.rt->scratch_fd, name, &st, 0) == 0;
		ms++)
		usleep(1000);
	hasty = false;
	bool stays = fstatat(groups, name, &st, 0) == 0,
	     gone = fstatat(w.rt->scratch_fd, name, &st, 0) < 0;
	assert_int_equal(unlinkat(groups, kept, AT_REMOVEDIR), 0);
	assert_int_equal(cgroup_remove(&w.rt->cgroups, b.start.id), 0);
	assert_true(stays);
	assert_true(gone);
}

static int set_up_path(void **state)
{
	snprintf(path, sizeof(path), "%s", getenv("PATH"));
	return set_up(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_fails_once_fails_the_start),
		cmocka_unit_test(a_host_that_cannot_make_it_has_no_limit_until_it_can),
		cmocka_unit_test(what_can_be_removed_is_when_something_stays),
	};

	return run_as_root(tests, set_up_path, tear_down);
}
