/* Processes that wait for the next sandboxes: taken, replaced, and never left behind. */
#include "runtime/inside.h"
#include "runtime/sandbox/box_test.h"

#include <stdatomic.h>
#include <sys/syscall.h>

#define SETTLE_MS 10000
#define HELD_MAX 5 /* stderr, the line, the template, berth-init, berth-build */

static const char *const probe[] = {"/probe", "exit", "0", NULL};

static void run_one(struct box *b)
{
	box_must_start(b, probe);
	box_end(b);
	assert_int_equal(b->exited.reason, EXIT_REASON_EXITED);
}

/* The process that waits for id; 0: there is none. */
static pid_t waiting(uint64_t id)
{
	pid_t pid = 0;

	pthread_mutex_lock(&w.rt->ahead_lock);
	for (int i = 0; i < RUNTIME_AHEAD_MAX; i++)
		if (w.rt->ahead[i].id == id)
			pid = w.rt->ahead[i].process.pid;
	pthread_mutex_unlock(&w.rt->ahead_lock);
	return pid;
}

static pid_t wait_for_waiting(uint64_t id)
{
	pid_t pid = 0;

	for (int ms = 0; !pid && ms < SETTLE_MS; ms += 5) {
		pid = waiting(id);
		if (!pid)
			usleep(5000);
	}
	assert_true(pid > 0);
	return pid;
}

/* True: gone, and reaped by whoever had to. */
static bool goes(pid_t pid)
{
	for (int ms = 0; kill(pid, 0) == 0 && ms < SETTLE_MS; ms += 5)
		usleep(5000);
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static void a_start_takes_the_process_that_waits(void **state UNUSED)
{
	struct box first = box_new(), second;
	pid_t pid;

	run_one(&first);
	pid = wait_for_waiting(first.start.id + 1);
	second = box_new();
	run_one(&second);
	assert_int_equal(second.rec.pid, pid);
}

static void a_process_that_died_is_replaced(void **state UNUSED)
{
	struct box b = box_new();
	siginfo_t info;
	pid_t pid;

	run_one(&b);
	pid = wait_for_waiting(b.start.id + 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	/* on a busy machine it lives on for a moment */
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	b = box_new();
	run_one(&b);
	assert_int_not_equal(b.rec.pid, pid);
	assert_true(goes(pid));
}

static void a_wrong_guess_ends(void **state UNUSED)
{
	pid_t pids[RUNTIME_AHEAD_PROCESSES];
	struct box b = box_new();

	run_one(&b);
	for (uint64_t i = 0; i < RUNTIME_AHEAD_PROCESSES; i++)
		pids[i] = wait_for_waiting(b.start.id + 1 + i);
	for (int i = 0; i < 4; i++) { /* more guesses than there are places for */
		w.next += 100;
		b = box_new();
		run_one(&b);
		wait_for_waiting(b.start.id + 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(pids); i++)
		assert_true(goes(pids[i]));
}

/* Control's threads may send what they start in another order. */
static void nothing_waits_for_one_that_is_gone(void **state UNUSED)
{
	struct box late = box_new(), b = box_new();
	bool guessed = false;

	run_one(&b);
	wait_for_waiting(b.start.id + 1);
	run_one(&late);
	wait_for_waiting(b.start.id + 1);
	pthread_mutex_lock(&w.rt->ahead_lock);
	for (int i = 0; i < RUNTIME_AHEAD_MAX; i++)
		guessed |= w.rt->ahead[i].id == b.start.id;
	pthread_mutex_unlock(&w.rt->ahead_lock);
	assert_false(guessed);
}

static void a_start_that_fails_ends_it(void **state UNUSED)
{
	struct box b = box_new();
	pid_t pid;

	run_one(&b);
	pid = wait_for_waiting(b.start.id + 1);
	b = box_new();
	b.start.layers[0] = 0x999;
	assert_int_equal(box_start(&b, probe), -ENOENT);
	close(b.exit_fd);
	close(b.output[0]);
	assert_true(goes(pid));
	wait_for_waiting(b.start.id + 1);
}

static int count_held(pid_t pid)
{
	char path[32];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	d = opendir(path);
	assert_non_null(d);
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void it_keeps_nothing_of_berthd_open(void **state UNUSED)
{
	struct box b = box_new();
	int n;

	run_one(&b);
	n = count_held(wait_for_waiting(b.start.id + 1));
	assert_in_range(n, HELD_MAX - 2, HELD_MAX);
	assert_true(count_held(getpid()) > HELD_MAX); /* there was something to keep */
}

/* A berthd of its own that makes one and is gone. */
static void it_ends_with_berthd(void **state UNUSED)
{
	int ends[2], status;
	pid_t worker, pid = 0;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	worker = fork();
	if (worker == 0) {
		struct spawned p;
		struct err e;

		_exit(spawn_process(w.rt, w.next + 50, &p, &e) < 0 ||
			write(ends[1], &p.pid, sizeof(p.pid)) != sizeof(p.pid));
	}
	assert_int_equal(waitpid(worker, &status, 0), worker);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], &pid, sizeof(pid)), sizeof(pid));
	close(ends[0]);
	close(ends[1]);
	assert_true(pid > 0);
	assert_true(goes(pid));
	cgroup_remove(&w.rt->cgroups, w.next + 50);
}

static int one_part(void *arg)
{
	atomic_int *left = arg;

	usleep(20000);
	return --*left > 0 ? -EINPROGRESS : 0;
}

/* What an app of a million files leaves is removed by the thread that makes networks. */
static void long_work_keeps_no_start_waiting(void **state UNUSED)
{
	static atomic_int left = 3000;

	assert_int_equal(netpool_later(w.rt->pool, one_part, &left), 0);
	for (int i = 0; i < NETPOOL_READY + 2; i++) {
		struct box b = box_new();

		b.start.flags &= ~(uint32_t)START_NO_NET;
		run_one(&b);
	}
	assert_true(left > 0);
	left = 1;
	netpool_drain(w.rt->pool);
	assert_int_equal(left, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_takes_the_process_that_waits),
		cmocka_unit_test(a_process_that_died_is_replaced),
		cmocka_unit_test(a_wrong_guess_ends),
		cmocka_unit_test(nothing_waits_for_one_that_is_gone),
		cmocka_unit_test(a_start_that_fails_ends_it),
		cmocka_unit_test(it_keeps_nothing_of_berthd_open),
		cmocka_unit_test(it_ends_with_berthd),
		cmocka_unit_test(long_work_keeps_no_start_waiting),
	};

	return run_as_root(tests, set_up, tear_down);
}
