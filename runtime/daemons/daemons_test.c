/* berth's own programs, over a start that makes processes of this test: what is started when, and who is told to make way. */
#include "lib/io.h"
#include "runtime/daemons/daemon_start.h"
#include "runtime/process.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include <cmocka.h>

#define PROGRAMS 3u /* logger, control, router.0 */
#define DEADLINE_MS 20000

static struct settings settings;
static const struct daemon_ids ids;
static const struct handoff handoff = {.generation = 1, .n_workers = 1};
static struct loop *loop;
static time_t ahead_s;	 /* of the clock that timers go by */
static bool left_listed; /* when the last one was started */
static bool list_fails;	 /* as soon as another one is started */

/* What the processes say. */
static int says[2];
struct said {
	enum { BEGUN, BEGUN_UNKNOWN, TOLD } what;
	enum daemon_kind kind;
};

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, clock, t);

	t->tv_sec += clock == CLOCK_MONOTONIC ? ahead_s : 0;
	return r;
}

static bool is_listed(pid_t pid)
{
	struct daemon_line lines[DAEMONS_MAX];
	int n = daemons_read(&settings, lines);

	for (int i = 0; i < n; i++)
		if (lines[i].pid == pid)
			return true;
	return false;
}

static bool has_line(const char *name)
{
	struct daemon_line lines[DAEMONS_MAX];
	int n = daemons_read(&settings, lines);

	for (int i = 0; i < n; i++)
		if (strcmp(lines[i].name, name) == 0)
			return true;
	return false;
}

static void say(unsigned int what, enum daemon_kind kind)
{
	const struct said s = {.what = what, .kind = kind};

	if (write(says[1], &s, sizeof(s)) != sizeof(s))
		_exit(1);
}

/* SIGTERM ends it. */
static _Noreturn void run_program(enum daemon_kind kind, const int go[2])
{
	sigset_t set;
	int signo;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	process_wait(go);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	say(is_listed(getpid()) ? BEGUN : BEGUN_UNKNOWN, kind);
	while (sigwait(&set, &signo) == 0)
		say(TOLD, kind);
	_exit(1);
}

static void make_list_fail(void)
{
	char path[SETTINGS_PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/daemons.new", settings.run);
	assert_int_equal(mkdir(path, 0700), 0);
}

/* And what is tried again, is so at once. */
static void mend_list(void)
{
	char path[SETTINGS_PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/daemons.new", settings.run);
	assert_int_equal(rmdir(path), 0);
	ahead_s += 2;
}

pid_t daemon_start(
	const struct daemon_program *p, int *ret_pidfd, int *ret_go, struct err *e UNUSED)
{
	int go[2];
	pid_t pid;

	left_listed = has_line(DAEMON_LEFT);
	if (list_fails)
		make_list_fail();
	list_fails = false;
	assert_int_equal(process_hold(go), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		run_program(p->kind, go);
	close(go[0]);
	*ret_go = go[1];
	*ret_pidfd = pidfd_open(pid, 0);
	assert_true(*ret_pidfd >= 0);
	return pid;
}

static bool has_said(void)
{
	struct pollfd p = {.fd = says[0], .events = POLLIN};

	return poll(&p, 1, 0) == 1;
}

static struct said next_said(void)
{
	uint64_t until = io_mono_ns() + DEADLINE_MS * 1000000ull;
	struct said s;

	while (!has_said()) {
		assert_true(io_mono_ns() < until);
		assert_int_equal(loop_once(loop, 10), 0);
	}
	assert_int_equal(read(says[0], &s, sizeof(s)), sizeof(s));
	return s;
}

/* In whatever order. */
static void expect_all_begun(void)
{
	unsigned int kinds = 0;

	for (unsigned int i = 0; i < PROGRAMS; i++) {
		struct said s = next_said();

		assert_int_equal(s.what, BEGUN);
		kinds |= 1u << s.kind;
	}
	assert_int_equal(kinds, (1u << PROGRAMS) - 1);
}

static struct daemons *started(void)
{
	struct daemons *d = daemons_new(loop, &settings, &handoff, &ids);

	assert_non_null(d);
	daemons_start(d);
	return d;
}

static void set_true(void *arg)
{
	*(bool *)arg = true;
}

static void run_until(const bool *done)
{
	while (!*done)
		assert_int_equal(loop_once(loop, -1), 0);
}

static void stop(struct daemons *d)
{
	bool done = false;

	daemons_stop(d, true, set_true, &done);
	run_until(&done);
	daemons_free(d);
	assert_false(has_said());
}

static void a_program_begins_when_the_list_has_it(void **state UNUSED)
{
	struct daemons *d = started();

	expect_all_begun();
	stop(d);
}

static void none_begins_while_the_list_cannot_be_written(void **state UNUSED)
{
	struct daemons *d;

	make_list_fail();
	d = started();
	assert_false(has_said());
	mend_list();
	expect_all_begun();
	stop(d);
}

static void expect(unsigned int what, enum daemon_kind kind)
{
	struct said s = next_said();

	assert_int_equal(s.what, what);
	assert_int_equal(s.kind, kind);
}

/* As a worker finds them that follows another. */
static struct daemons *adopted(void)
{
	daemons_free(started());
	expect_all_begun();
	return started();
}

static struct daemon_line line_of(const char *name)
{
	struct daemon_line lines[DAEMONS_MAX];
	int i = 0, n = daemons_read(&settings, lines);

	while (i < n && strcmp(lines[i].name, name) != 0)
		i++;
	assert_true(i < n);
	return lines[i];
}

static void kill_program(const char *name)
{
	assert_int_equal(kill(line_of(name).pid, SIGKILL), 0);
}

/* In which the next one would have been told. */
static void run_150_ms(void)
{
	bool done = false;

	assert_non_null(loop_after(loop, 150, set_true, &done));
	run_until(&done);
}

static void one_that_makes_way_is_told_once_whoever_ends_meanwhile(void **state UNUSED)
{
	struct daemons *d = adopted();

	daemons_replace(d, process_ticks());
	expect(BEGUN, DAEMON_LOGGER); /* SIGTERM told it */
	expect(TOLD, DAEMON_ROUTER);
	kill_program("control");
	expect(BEGUN, DAEMON_CONTROL);
	run_150_ms();
	daemons_left(d, 0);
	expect(BEGUN, DAEMON_ROUTER);
	stop(d);
}

static void a_later_worker_goes_on_with_those_from_before_the_upgrade(void **state UNUSED)
{
	struct daemons *d = started();
	uint64_t before;

	expect_all_begun();
	before = process_ticks();
	while (line_of("control").start_time <= before) {
		kill_program("control");
		expect(BEGUN, DAEMON_CONTROL);
	}
	daemons_free(d);
	d = started();
	daemons_replace(d, before);
	expect(BEGUN, DAEMON_LOGGER);
	expect(TOLD, DAEMON_ROUTER);
	daemons_left(d, 0);
	expect(BEGUN, DAEMON_ROUTER);
	run_150_ms(); /* nobody else is told */
	stop(d);
}

static void expect_all_replaced(struct daemons *d)
{
	expect(BEGUN, DAEMON_LOGGER);
	expect(TOLD, DAEMON_ROUTER);
	daemons_left(d, 0);
	assert_true(left_listed);
	expect(BEGUN, DAEMON_ROUTER);
	expect(TOLD, DAEMON_CONTROL);
	kill_program("control");
	expect(BEGUN, DAEMON_CONTROL);
}

static void nobody_makes_way_while_the_list_cannot_be_written(void **state UNUSED)
{
	struct daemons *d = adopted();

	make_list_fail();
	daemons_replace(d, process_ticks());
	run_150_ms();
	assert_false(has_said());
	assert_int_equal(kill(line_of("logger").pid, 0), 0);
	mend_list();
	expect_all_replaced(d);
	stop(d);
}

static void the_next_makes_way_when_the_one_before_has_a_successor(void **state UNUSED)
{
	struct daemons *d = adopted();
	struct daemon_line logger = line_of("logger");

	daemons_replace(d, process_ticks());
	list_fails = true;
	while (kill(logger.pid, 0) == 0)
		assert_int_equal(loop_once(loop, -1), 0);
	run_150_ms();
	assert_false(has_said());
	kill_program("control"); /* nor when another one comes back */
	run_150_ms();
	assert_false(has_said());
	mend_list();
	for (int i = 0; i < 2; i++) /* in whatever order */
		assert_int_equal(next_said().what, BEGUN);
	expect(TOLD, DAEMON_ROUTER);
	daemons_left(d, 0);
	expect(BEGUN, DAEMON_ROUTER);
	stop(d);
}

static int setup(void **state UNUSED)
{
	snprintf(settings.run, sizeof(settings.run), "/tmp/daemons-test-XXXXXX");
	loop = loop_new();
	return loop && mkdtemp(settings.run) && pipe2(says, O_CLOEXEC) == 0 ? 0 : -1;
}

static int teardown(void **state UNUSED)
{
	loop_free(loop);
	close(says[0]);
	close(says[1]);
	return io_remove_tree(AT_FDCWD, settings.run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_begins_when_the_list_has_it),
		cmocka_unit_test(none_begins_while_the_list_cannot_be_written),
		cmocka_unit_test(one_that_makes_way_is_told_once_whoever_ends_meanwhile),
		cmocka_unit_test(
			a_later_worker_goes_on_with_those_from_before_the_upgrade),
		cmocka_unit_test(nobody_makes_way_while_the_list_cannot_be_written),
		cmocka_unit_test(the_next_makes_way_when_the_one_before_has_a_successor),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
