/* Layers get to the disk, whatever comes between. Time, fork and syncing are the test's own:
 * nothing waits, and each can fail. */
#include "lib/io.h"
#include "runtime/disk/layers.h"
#include "runtime/records.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define LATER_S 3
#define TURNS_MAX 1000 /* of 10 ms */
#define MANY 300

static time_t ahead_s; /* of the clock that timers go by */
static int sync_error, fork_error, link_error;
static bool sync_kills; /* whoever calls it */

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, clock, t);

	t->tv_sec += ahead_s;
	return r;
}

int syncfs(int fd UNUSED)
{
	if (sync_kills)
		raise(SIGKILL);
	errno = sync_error;
	return sync_error ? -1 : 0;
}

int fsync(int fd UNUSED)
{
	return 0;
}

int symlinkat(const char *target, int dirfd, const char *path)
{
	errno = link_error;
	return link_error ? -1 : (int)syscall(SYS_symlinkat, target, dirfd, path);
}

pid_t fork(void)
{
	errno = fork_error;
	return fork_error ? -1 : _Fork();
}

static struct {
	char dir[32];
	struct folders folders;
	struct loop *loop;
	struct chores *chores;
} t;

static int set_up(void **state UNUSED)
{
	snprintf(t.dir, sizeof(t.dir), "/tmp/layers-test-XXXXXX");
	if (!mkdtemp(t.dir))
		return -1;
	t.folders.layers = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t.folders.trash = open(t.dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	t.loop = loop_new();
	t.chores = chores_new(t.loop, &t.folders);
	sync_error = fork_error = link_error = 0;
	sync_kills = false;
	return t.chores ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
	chores_free(t.chores); /* which begins what still waits */
	while (waitpid(-1, NULL, 0) > 0)
		;
	loop_free(t.loop);
	close(t.folders.layers);
	close(t.folders.trash);
	return io_remove_tree(AT_FDCWD, t.dir);
}

static void begin(uint64_t id)
{
	char name[48];

	id_name(name, id, ".tmp");
	assert_int_equal(mkdirat(t.folders.layers, name, 0700), 0);
	id_name(name, id, ".tmp/fs");
	assert_int_equal(mkdirat(t.folders.layers, name, 0700), 0);
}

static void make(uint64_t id)
{
	uint64_t size;

	begin(id);
	assert_int_equal(layer_commit(t.chores, t.folders.layers, id, &size), 0);
	assert_int_equal(size, 0);
}

static uint64_t asked_size(uint64_t id)
{
	uint64_t size;

	assert_int_equal(layer_commit(t.chores, t.folders.layers, id, &size), 0);
	return size;
}

/* True: a child was made, and has ended; nobody has taken notice yet. */
static bool child_ends(siginfo_t *si)
{
	for (int i = 0; i < TURNS_MAX; i++) {
		loop_once(t.loop, 10);
		if (waitid(P_ALL, 0, si, WEXITED | WNOWAIT) == 0)
			return true;
	}
	return false;
}

static bool settles(uint64_t id)
{
	for (int i = 0; i < TURNS_MAX && !asked_size(id); i++)
		loop_once(t.loop, 10);
	return asked_size(id) > 0;
}

static void a_layer_that_could_not_be_marked_is_tried_again(void **state UNUSED)
{
	siginfo_t si;

	make(1);
	link_error = ENOSPC;
	assert_int_equal(asked_size(1), 0);
	assert_true(child_ends(&si));
	assert_int_equal(si.si_status, ENOSPC);
	loop_once(t.loop, 10);
	link_error = 0;
	ahead_s += LATER_S;
	assert_true(settles(1));
}

static bool is_lost(uint64_t id)
{
	uint64_t size;

	return layer_commit(t.chores, t.folders.layers, id, &size) == -EIO && size == 0;
}

static bool gets_lost(uint64_t id)
{
	for (int i = 0; i < TURNS_MAX && !is_lost(id); i++)
		loop_once(t.loop, 10);
	return is_lost(id);
}

/* As syncfs does, which tells an error once. */
static void what_could_not_be_written_is_never_on_disk(void **state UNUSED)
{
	siginfo_t si;

	make(1);
	begin(2);
	sync_error = EIO;
	asked_size(1);
	assert_true(child_ends(&si));
	loop_once(t.loop, 10);
	sync_error = 0;
	assert_true(is_lost(1));
	assert_true(is_lost(2)); /* that was written to at the same time */
	make(3);
	assert_true(settles(3));
	assert_true(is_lost(1));
	assert_int_equal(layers_check(t.chores, t.folders.layers, 1), 0);
	assert_false(layer_is_final(t.folders.layers, 1));
	assert_true(layer_is_final(t.folders.layers, 3));
}

static void nothing_is_marked_before_what_is_lost(void **state UNUSED)
{
	siginfo_t si;

	make(1);
	sync_error = EIO;
	link_error = EROFS;
	asked_size(1);
	assert_true(child_ends(&si));
	loop_once(t.loop, 10);
	assert_int_equal(asked_size(1), 0);
	sync_error = link_error = 0;
	ahead_s += LATER_S;
	assert_true(gets_lost(1));
	make(2);
	ahead_s += LATER_S;
	assert_true(settles(2));
	assert_true(is_lost(1));
}

/* Whoever waits asks every few milliseconds. */
static void a_failure_is_not_repeated_as_often_as_somebody_asks(void **state UNUSED)
{
	siginfo_t si;

	make(1);
	link_error = ENOSPC;
	asked_size(1);
	assert_true(child_ends(&si));
	loop_once(t.loop, 10);
	asked_size(1);
	loop_once(t.loop, 0);
	assert_int_equal(waitid(P_ALL, 0, &si, WEXITED | WNOWAIT), -1);
}

static void a_killed_child_s_work_is_done_by_the_next(void **state UNUSED)
{
	siginfo_t si;

	make(1);
	sync_kills = true;
	asked_size(1);
	assert_true(child_ends(&si));
	assert_int_equal(si.si_code, CLD_KILLED);
	loop_once(t.loop, 10);
	sync_kills = false;
	make(2);
	ahead_s += LATER_S;
	assert_true(settles(2));
	assert_true(asked_size(1) > 0);
}

static void a_child_that_cannot_be_made_is_made_later(void **state UNUSED)
{
	make(1);
	fork_error = EAGAIN;
	assert_int_equal(asked_size(1), 0);
	loop_once(t.loop, 10);
	fork_error = 0;
	ahead_s += LATER_S;
	assert_true(settles(1));
}

static void any_number_of_layers_waits(void **state UNUSED)
{
	for (uint64_t id = 1; id <= MANY; id++)
		make(id);
	ahead_s += LATER_S;
	assert_true(settles(MANY));
	for (uint64_t id = 1; id <= MANY; id++)
		assert_true(settles(id));
}

static void only_what_is_not_marked_is_settled(void **state UNUSED)
{
	bool lost = false;

	make(1);
	ahead_s += LATER_S;
	assert_true(settles(1));
	link_error = sync_error = EIO;
	assert_int_equal(layers_settle(t.folders.layers, &lost), 0);
	make(2);
	assert_int_equal(layers_settle(t.folders.layers, &lost), -EIO);
	assert_true(lost);
	assert_int_equal(asked_size(2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_layer_that_could_not_be_marked_is_tried_again, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			what_could_not_be_written_is_never_on_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			nothing_is_marked_before_what_is_lost, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_failure_is_not_repeated_as_often_as_somebody_asks, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_killed_child_s_work_is_done_by_the_next, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_child_that_cannot_be_made_is_made_later, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			any_number_of_layers_waits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			only_what_is_not_marked_is_settled, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
